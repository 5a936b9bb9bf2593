"""RabbitMQ: a broker that answers, and the exchanges, queues and bindings it must have."""

from inithold.steps.rabbitmq.ready import Ready
from inithold.steps.rabbitmq.topology import Topology

__all__ = ["Ready", "Topology"]
