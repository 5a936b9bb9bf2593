"""RabbitMQ: readiness of the broker, and its exchanges, queues and bindings."""

from inithold.steps.rabbitmq.objects import Binding, Exchange, Queue
from inithold.steps.rabbitmq.ready import Ready
from inithold.steps.rabbitmq.topology import Topology

__all__ = ["Binding", "Exchange", "Queue", "Ready", "Topology"]
