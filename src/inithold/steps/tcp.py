"""`tcp.ready`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inithold.net.dial import dial, host_and_port
from inithold.steps.base import Change, Step, StepContext


class Ready(Step, frozen=True, kw_only=True):
    """Wait until a TCP port accepts a connection.

    A refused connection and a name that does not resolve are retried. An open port says little about the server
    behind it: use the kind for that server if there is one.

    Args:
        address: `host:port`; an IPv6 address in brackets: `[::1]:5432`.

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
            host_and_port(self.address)
        except ValueError as error:
            yield "address", str(error)

    def subject(self) -> str:
        try:
            host, port = host_and_port(self.address)
        except ValueError:
            # Whatever it is, it may hold a password.
            return ""
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def check(self, context: StepContext) -> Sequence[Change]:
        host, port = host_and_port(self.address)
        dial(host, port, timeout=context.remaining(5.0))
        return ()
