"""Servers of which no more is asked than that they accept connections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inithold.net.dial import dial
from inithold.steps.base import Change, Step, StepContext


class Ready(Step, frozen=True, kw_only=True):
    """Wait until a TCP port accepts a connection.

    A refused connection and a name that does not resolve are "not yet". A port that accepts says little of the
    server behind it: prefer the kind made for it where there is one.

    Args:
        address: `host:port`, IPv6 addresses in brackets: `[::1]:5432`.

    Example:
        ```yaml
        - id: search
          uses: tcp.ready
          with: {address: "search:9300"}
        ```
    """

    kind = "tcp.ready"
    looks_only = True
    waits = True
    default_timeout = 600.0
    rights = "none: nothing is sent"

    address: str

    def validate(self) -> Iterator[tuple[str, str]]:
        try:
            split(self.address)
        except ValueError as error:
            yield "address", str(error)

    def subject(self) -> str:
        try:
            host, port = split(self.address)
        except ValueError:
            # Whatever it is, it may hold a password.
            return ""
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def check(self, context: StepContext) -> Sequence[Change]:
        host, port = split(self.address)
        dial(host, port, timeout=context.remaining(5.0))
        return ()


def split(address: str) -> tuple[str, int]:
    """Take `host:port` apart.

    Raises:
        ValueError: it is not of that form; the message does not quote it.
    """
    host, _, port = address.strip().rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if "://" in address or any(character in host for character in "/@ []"):
        raise ValueError("expected host:port alone, for example db:5432")
    if ":" in host and not bracketed:
        raise ValueError("expected host:port; an IPv6 address goes in brackets, for example [::1]:5432")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("expected host:port, for example db:5432")
    return host, int(port)
