"""`rabbitmq.topology`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from inithold.errors import StepFailed
from inithold.redaction.redact import SECRETS
from inithold.steps.address import WEB, parse
from inithold.steps.addressed import Addressed
from inithold.steps.base import Change, StepContext, convert_fields
from inithold.steps.rabbitmq.access import login, virtual_host
from inithold.steps.rabbitmq.arguments import has_fraction
from inithold.steps.rabbitmq.definitions import Definitions, read
from inithold.steps.rabbitmq.objects import Binding, Exchange, Item, Placed, Queue, contradictions

if TYPE_CHECKING:
    from inithold.steps.rabbitmq.compare import Comparison
    from inithold.steps.rabbitmq.management import Management

_LISTS: dict[str, Any] = {"exchanges": list[Exchange], "queues": list[Queue], "bindings": list[Binding]}
_FRACTION = "a number with a fraction goes through the management API: give management_url"


class Topology(Addressed, frozen=True, kw_only=True):
    """Declare exchanges, queues and bindings; existing ones are never changed.

    With `management_url`, the check compares everything: properties, arguments and bindings. Whatever is missing
    is created. If anything exists with other properties, the step fails, shows both sides and creates nothing:
    RabbitMQ cannot alter a queue or an exchange, and inithold never deletes one.

    Without `management_url`, AMQP can only show which exchanges and queues exist. The rest cannot be checked:
    everything is declared in each run, which is a no-op for what exists, `plan` shows it with `?`, and gates and
    verification skip it. Other properties are detected, and reported, when they are declared.

    `definitions` takes a file in RabbitMQ's own format, as written by `rabbitmqctl export_definitions`; its
    contents are added to the plan's lists. Virtual hosts, users, permissions, topic permissions, policies and
    parameters require `management_url` and a user with the tag `administrator`: they are compared with the
    broker's definitions and imported by the broker. Permissions, policies and parameters that differ are replaced.
    Users keep their passwords, and a different one is a failure; missing tags are added, and other tags stay.
    Existing virtual hosts are not changed.

    To create objects, the user needs configure on exchanges and queues; for bindings, write on the destination and
    read on the source exchange. Nothing is ever deleted, so the step is safe beside running consumers and
    publishers. Numeric arguments may be given as text, as in `${TTL}`; fractions require `management_url`.

    Args:
        url: URL of the broker: `amqp://user:password@rabbitmq:5672/vhost` or `amqps://...`.
        host: name or address of the broker, instead of `url`.
        port: port of the broker; 5672 if absent.
        user: user to log in as.
        password: password of the user, not percent-encoded.
        database: the virtual host; `/` if absent.
        exchanges: each with `name`, `type` (`direct`, the default, `topic`, `fanout`, `headers` or `x-...`),
            `durable` (true if absent), `auto_delete`, `internal` and `arguments`.
        queues: each with `name`, `durable` (true if absent), `auto_delete`, `type` (`classic`, `quorum` or
            `stream`) and `arguments`.
        bindings: each from an `exchange` to a `queue` or a `destination_exchange`, with `routing_key` and
            `arguments`.
        definitions: path of a file in RabbitMQ's definitions format, relative to the working directory. Empty
            means absent.
        management_url: URL of the management API: `http://user:password@rabbitmq:15672`. The user of `url` logs in
            if it names none. Empty means absent.

    Example:
        ```yaml
        - id: topology
          uses: rabbitmq.topology
          with:
            url: ${RABBITMQ_URL}
            management_url: ${RABBITMQ_MANAGEMENT_URL}
            exchanges:
              - {name: game_events, type: topic}
            queues:
              - {name: bot_events, type: quorum, arguments: {x-dead-letter-exchange: game_events.dlx}}
            bindings:
              - {exchange: game_events, queue: bot_events, routing_key: "game.*"}
        ```
    """

    kind = "rabbitmq.topology"
    rights = (
        "without `management_url`: open the virtual host, no permissions inside it; with it: the tag `management` "
        "and any permissions in the virtual host; for anything in a definitions file beyond exchanges, queues and "
        "bindings, the tag `administrator`"
    )
    apply_rights = (
        "configure on the exchanges and queues it creates; for a binding, write on the destination and read on "
        "the source; for a dead-letter exchange, write on it and read on the queue; for anything else in a "
        "definitions file, the tag `administrator`"
    )

    technologies = ("amqp", "amqps")

    exchanges: list[Exchange] = msgspec.field(default_factory=list)
    queues: list[Queue] = msgspec.field(default_factory=list)
    bindings: list[Binding] = msgspec.field(default_factory=list)
    definitions: str | None = None
    management_url: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.management_url is not None:
            SECRETS.add_url(self.management_url)
        convert_fields(self, **_LISTS)

    def extras(self) -> Sequence[str]:
        return ("rabbitmq",)

    @property
    def verifiable(self) -> bool:
        return bool(self.management_url or self.exchanges or self.queues or self.definitions)

    def files(self) -> Sequence[str]:
        return () if self.definitions is None else (self.definitions,)

    def preload(self) -> None:
        import inithold.steps.rabbitmq.broker  # noqa: PLC0415 - heavy

        if self.management_url:
            import inithold.steps.rabbitmq.management  # noqa: F401, PLC0415 - heavy

    def validate(self) -> Iterator[tuple[str, str]]:
        wrong = list(super().validate())
        yield from wrong
        if self.management_url:
            try:
                parse(self.management_url, WEB)
            except ValueError as error:
                yield "management_url", f"management_url {error}"
        own: list[str] = []
        for field in _LISTS:
            for index, item in enumerate(getattr(self, field)):
                own.append(f"{field}[{index}]")
                for part, message in item.faults():
                    yield f"{own[-1]}{f'.{part}' if part else ''}", message
                if has_fraction(item.arguments) and not self.management_url:
                    yield f"{own[-1]}.arguments", _FRACTION
        if wrong:
            return
        try:
            desired = self._desired()
        except StepFailed as error:
            yield "definitions", error.message
            return
        for message in desired.faults:
            yield "definitions", message
        for placed in () if self.management_url else desired.objects[len(own) :]:
            if has_fraction(placed.item.arguments):
                yield "definitions", f"{placed.label}: arguments: {_FRACTION}"
        for index, message in contradictions(desired.objects):
            yield own[index] if index < len(own) else "definitions", message
        if desired.resources and not self.management_url:
            *most, last = dict.fromkeys(resource.section.replace("_", " ") for resource in desired.resources)
            sections = f"{', '.join(most)} and {last}" if most else last
            yield (
                "definitions",
                f"{self.definitions} has {sections}, which AMQP cannot make: give management_url "
                "(http://user:password@rabbitmq:15672), or take them out",
            )

    def check(self, context: StepContext) -> Sequence[Change]:
        return tuple(self._compare(context).changes())

    def apply(self, context: StepContext, changes: Sequence[Change]) -> None:  # noqa: ARG002 - compared again
        comparison = self._compare(context)
        from inithold.steps.rabbitmq.declare import declare  # noqa: PLC0415 - heavy

        api = self._management(context) if self.management_url else None
        if api and comparison.definitions:
            api.send(("definitions",), comparison.definitions, method="POST")
        declare(self.address(), context, comparison, api)

    def _compare(self, context: StepContext) -> Comparison:
        """Compare with the broker; raises if something contradicts the plan."""
        self.load()
        from inithold.steps.rabbitmq import compare  # noqa: PLC0415 - heavy

        # Read the definitions file again: it may change during a long hold.
        desired = self._desired()
        if desired.faults:
            raise StepFailed(
                f"{self.definitions}: {'; '.join(desired.faults)}", hint="fix the file where it says so"
            )
        if self.management_url:
            return compare.through_management(self._management(context), desired)
        return compare.through_amqp(self.address(), context, desired)

    def _management(self, context: StepContext) -> Management:
        from inithold.steps.rabbitmq.management import Management  # noqa: PLC0415 - heavy

        address = parse(self.management_url or "", WEB)
        return Management(address, login(address if address.user is not None else self.address()), context)

    def _desired(self) -> Definitions:
        """Return the plan's lists, followed by the definitions file."""
        host = virtual_host(self.address())
        items: list[Item] = [*self.exchanges, *self.queues, *self.bindings]
        own = tuple(Placed(host, item) for item in items)
        if not self.definitions:
            return Definitions(own)
        defined = read(self.definitions, host)
        return defined._replace(objects=own + defined.objects)
