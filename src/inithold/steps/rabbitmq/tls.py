"""TLS as a URL's query asks for it, and what to say when it fails."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import TypeVar

from inithold.errors import StepFailed
from inithold.steps.address import Address

TRUST = "?cacertfile=/path/ca.pem in the URL"
"""How a URL names an authority that signs."""
Read = TypeVar("Read")
_UNVERIFIED = (("verify", "verify_none"), ("no_verify_ssl", "1"), ("no_verify_ssl", "true"))


def tls_context(address: Address) -> ssl.SSLContext:
    """How to speak TLS with the server, verifying its certificate.

    Query parameters as in RabbitMQ's URI query specification, and as aio-pika has them: `cacertfile` (`cafile`,
    `ca_certs`), `certfile`, `keyfile`, and `verify=verify_none` (`no_verify_ssl=1`) to verify nothing.

    Raises:
        StepFailed: a file cannot be read or is not what it should be.
    """
    query = dict(address.query)
    authority = query.get("cacertfile") or query.get("cafile") or query.get("ca_certs")
    context = _reading(authority, lambda: ssl.create_default_context(cafile=authority))
    if query.get("certfile"):
        _reading(query["certfile"], lambda: context.load_cert_chain(query["certfile"], query.get("keyfile")))
    if any(pair in _UNVERIFIED for pair in address.query):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _reading(path: str | None, read: Callable[[], Read]) -> Read:
    try:
        return read()
    except ssl.SSLError as error:
        raise StepFailed(
            f"{path}: not a certificate or key in PEM form",
            hint="name a file that begins -----BEGIN with cacertfile, certfile or keyfile",
        ) from error
    except OSError as error:
        raise StepFailed(
            f"{path}: {error.strerror}", hint="a file that the URL's query names: is it mounted, and readable?"
        ) from error
