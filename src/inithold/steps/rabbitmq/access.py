"""Login, virtual host and TLS from an address, for AMQP and the management API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inithold.steps.address import Address

if TYPE_CHECKING:
    from ssl import SSLContext

TRUST = "?cacertfile=/path/ca.pem in the URL"
"""How to give a CA certificate in a URL, for hints."""
_UNVERIFIED = (("verify", "verify_none"), ("no_verify_ssl", "1"), ("no_verify_ssl", "true"))


def login(address: Address) -> tuple[str, str]:
    """Return user and password; `guest` by default, which the AMQP URI specification leaves to the client."""
    return ("guest", "guest") if address.user is None else (address.user, address.password or "")


def virtual_host(address: Address) -> str:
    """Return the virtual host of an AMQP address: `/` if its path is empty.

    By the AMQP URI specification `amqp://host/` means a virtual host with an empty name. No broker has one, and
    all common clients use the default virtual host instead.
    """
    return address.database or "/"


def tls_context(address: Address) -> SSLContext:
    """Return the TLS context for a server; its certificate is verified.

    Query parameters are those of RabbitMQ's URI query specification, and those of aio-pika: `cacertfile`
    (`cafile`, `ca_certs`), `certfile`, `keyfile`, and `verify=verify_none` (`no_verify_ssl=1`) to verify nothing.

    Raises:
        StepFailed: a file cannot be read or has the wrong content.
    """
    from inithold.net.tls import client_context  # noqa: PLC0415 - heavy

    query = dict(address.query)
    return client_context(
        verify=not any(pair in _UNVERIFIED for pair in address.query),
        ca_file=query.get("cacertfile") or query.get("cafile") or query.get("ca_certs"),
        cert_file=query.get("certfile"),
        key_file=query.get("keyfile"),
    )
