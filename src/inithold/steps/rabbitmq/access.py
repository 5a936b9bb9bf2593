"""Who logs in where, and with which TLS: what AMQP and the management API read of an address alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inithold.steps.address import Address

if TYPE_CHECKING:
    from ssl import SSLContext

TRUST = "?cacertfile=/path/ca.pem in the URL"
"""How a URL names an authority that signs."""
_UNVERIFIED = (("verify", "verify_none"), ("no_verify_ssl", "1"), ("no_verify_ssl", "true"))


def login(address: Address) -> tuple[str, str]:
    """User and password; `guest` where none is named, as the AMQP URI specification leaves to the client."""
    return ("guest", "guest") if address.user is None else (address.user, address.password or "")


def virtual_host(address: Address) -> str:
    """The virtual host of an AMQP address: `/` where its path is empty.

    The AMQP URI specification calls the virtual host of `amqp://host/` the empty one. No broker has it, and every
    client that stacks use takes such a URL for the default virtual host, so that is meant.
    """
    return address.database or "/"


def tls_context(address: Address) -> SSLContext:
    """How to speak TLS with the server, verifying its certificate.

    Query parameters as in RabbitMQ's URI query specification, and as aio-pika has them: `cacertfile` (`cafile`,
    `ca_certs`), `certfile`, `keyfile`, and `verify=verify_none` (`no_verify_ssl=1`) to verify nothing.

    Raises:
        StepFailed: a file cannot be read or is not what it should be.
    """
    from inithold.net.tls import client_context  # noqa: PLC0415 - heavy

    query = dict(address.query)
    return client_context(
        verify=not any(pair in _UNVERIFIED for pair in address.query),
        ca_file=query.get("cacertfile") or query.get("cafile") or query.get("ca_certs"),
        cert_file=query.get("certfile"),
        key_file=query.get("keyfile"),
    )
