"""`rabbitmq.ready`."""

from __future__ import annotations

from collections.abc import Sequence

from inithold.errors import NotYet, Rejected
from inithold.net.dial import dial
from inithold.steps.addressed import Addressed
from inithold.steps.base import Change, StepContext


class Ready(Addressed, frozen=True, kw_only=True):
    """Wait until RabbitMQ lets the user into the virtual host and opens a channel.

    Retried: a broker that refuses the connection, closes it during the handshake, or is starting or stopping.
    Fails at once, with the broker's message: a rejected password, an unknown virtual host. Memory and disk alarms
    are ignored: they block publishers, not the broker.

    The virtual host is the path of the URL, percent-encoded: `amqp://rabbitmq/%2F`, `amqp://rabbitmq/` and
    `amqp://rabbitmq` all mean the default, `/`. Without a user in the URL, `guest` logs in. For `amqps://` the
    certificate is verified; the query may set `cacertfile`, `certfile` and `keyfile`, or `verify=verify_none`.

    Args:
        url: URL of the broker: `amqp://user:password@rabbitmq:5672/vhost` or `amqps://...`.
        host: name or address of the broker, instead of `url`.
        port: port of the broker; 5672 if absent.
        user: user to log in as.
        password: password of the user, not percent-encoded.
        database: the virtual host; `/` if absent.
        retry_auth: keep trying when the login or the virtual host is rejected, for brokers whose users are
            created late.

    Example:
        ```yaml
        - id: broker
          uses: rabbitmq.ready
          with: {url: "${RABBITMQ_URL}"}
        ```
    """

    kind = "rabbitmq.ready"
    looks_only = True
    waits = True
    default_timeout = 600.0
    rights = "log in and open the virtual host: any permissions entry for the user there, even an empty one"

    technologies = ("amqp", "amqps")
    libraries = ("inithold.steps.rabbitmq.broker",)

    retry_auth: bool = False

    def extras(self) -> Sequence[str]:
        return ("rabbitmq",)

    def check(self, context: StepContext) -> Sequence[Change]:
        address = self.address()
        dial(address.host, address.port, timeout=context.remaining(5.0))
        self.load()
        from inithold.steps.rabbitmq.broker import connected  # noqa: PLC0415 - heavy

        try:
            with connected(address, context) as broker:
                broker.channel()
        except Rejected as error:
            if self.retry_auth:
                raise NotYet(error.message, hint=error.hint) from error
            raise
        return ()
