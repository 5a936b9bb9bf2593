"""The base of kinds that work on a service with an address."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from inithold.redaction.redact import SECRETS
from inithold.steps.address import Address, parse
from inithold.steps.base import Step


class Addressed(Step, frozen=True, kw_only=True):
    """Fields of a kind that works on a server: `url`, or its parts.

    Args:
        url: the address as a URL, with user and password percent-encoded.
        host: name or address of the server, or the path of its socket, instead of `url`.
        port: port of the server; the default for the technology if absent.
        user: user to connect as.
        password: password of the user, not percent-encoded.
        database: name of the database, or virtual host.
    """

    technologies: ClassVar[tuple[str, ...]] = ()
    """The accepted technologies; if only the parts are given, the first one is meant."""

    url: str | None = None
    host: str | None = None
    port: int | None = None
    user: str | None = None
    password: str | None = None
    database: str | None = None

    def __post_init__(self) -> None:
        # Learn secrets at once: errors of other steps in the plan must not show them either.
        if self.url is not None:
            SECRETS.add_url(self.url)
        if self.password is not None:
            SECRETS.add(self.password, public=[self.user or "", self.host or "", self.database or ""])

    def address(self) -> Address:
        """Return the address, from the URL or the parts.

        Raises:
            ValueError: neither or both are given, or the URL cannot be parsed.
        """
        if self.url is not None:
            return parse(self.url, self.technologies)
        return Address.of_parts(
            self.technologies[0], self.host or "", self.port, self.user, self.password, self.database
        )

    def validate(self) -> Iterator[tuple[str, str]]:
        parts = [
            name for name in ("host", "port", "user", "password", "database") if getattr(self, name) is not None
        ]
        if self.url is not None and parts:
            yield parts[0], f"give either url or its parts ({', '.join(parts)}), not both"
            return
        if self.url is None and self.host is None:
            yield "url", "url (or host, port, user, password, database) is missing"
            return
        if self.host is not None and ("://" in self.host or "@" in self.host or not self.host.strip()):
            yield "host", "expected the name or address of a server alone; a whole URL goes into url"
        if self.port is not None and not 0 < self.port < 65536:
            yield "port", "expected a number from 1 to 65535"
        try:
            address = self.address()
        except ValueError as error:
            yield "url", f"url {error}"
            return
        yield from self.validate_address(address)

    def validate_address(self, address: Address) -> Iterator[tuple[str, str]]:  # noqa: ARG002 - the interface
        """Yield errors in an address that could be parsed, as `validate` does."""
        yield from ()

    def subject(self) -> str:
        try:
            return self.address().shown
        except ValueError:
            return ""
