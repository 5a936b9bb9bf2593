"""What inithold asks of a broker over AMQP: is it there, make it, bind it."""

from __future__ import annotations

from inithold.steps.rabbitmq.connection import Connection, Refused
from inithold.steps.rabbitmq.objects import Binding, Declared, Exchange

ACCESS_REFUSED = 403
NOT_FOUND = 404
RESOURCE_LOCKED = 405
PRECONDITION_FAILED = 406
COMMAND_INVALID = 503


class Broker(Connection):
    """A connection to one virtual host, for exchanges, queues and bindings; use as a context manager."""

    def exists(self, item: Declared) -> bool:
        """Whether an exchange or queue of this name is there; asks with a passive declare, which changes nothing.

        Raises:
            Refused: it cannot be told: the queue is exclusive to another connection, for one.
        """
        try:
            self._declare(item, passive=True)
        except Refused as refused:
            if refused.code == NOT_FOUND:
                return False
            raise
        return True

    def declare(self, item: Declared) -> None:
        """Make an exchange or queue; does nothing where there is an equal one.

        Raises:
            Refused: there is another of its name, or the broker does not want it.
        """
        self._declare(item, passive=False)

    def bind(self, binding: Binding) -> None:
        """Make a binding; does nothing where it is there.

        Raises:
            Refused: one of its ends is not there, or the user may not.
        """
        fields = {"routing_key": binding.routing_key, "arguments": binding.sent()}
        self.ask(
            lambda channel, answer: (
                channel.exchange_bind(binding.destination, binding.exchange, **fields, callback=answer)
                if binding.queue is None
                else channel.queue_bind(binding.queue, binding.exchange, **fields, callback=answer)
            ),
            binding.label,
        )

    def _declare(self, item: Declared, *, passive: bool) -> None:
        fields = {
            "passive": passive,
            "durable": item.durable,
            "auto_delete": item.auto_delete,
            "arguments": item.sent(),
        }
        self.ask(
            lambda channel, answer: (
                channel.exchange_declare(item.name, item.type, internal=item.internal, **fields, callback=answer)
                if isinstance(item, Exchange)
                else channel.queue_declare(item.name, **fields, callback=answer)
            ),
            item.label,
        )
