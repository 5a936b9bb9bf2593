"""What the TLS parameters of a MySQL URL mean: those of MySQL's own clients, `ssl_mode`, and PyMySQL's."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from inithold.errors import StepFailed

TLS_HINT = "check ssl_mode and ssl_ca in the url, and the server's certificate"
_TRUE = ("true", "1", "yes")
_FALSE = ("false", "0", "no")


def required(query: Mapping[str, str]) -> bool:
    """Whether the connection must not be made without TLS."""
    return _mode(query) not in ("PREFERRED", "DISABLED")


def arguments(query: Mapping[str, str], where: str, version: Sequence[Any]) -> dict[str, Any]:
    """The arguments that tell PyMySQL.

    Args:
        query: the parameters of the URL, names in lower case with underscores.
        where: the server, for people.
        version: of PyMySQL; from 1.2 on it prefers TLS by itself.

    Raises:
        StepFailed: a file cannot be read.
    """
    mode = _mode(query)
    if mode == "DISABLED":
        return {"ssl_disabled": True}
    if mode == "PREFERRED" and tuple(version[:2]) >= (1, 2):
        return {}
    tls = ssl.create_default_context()
    with _read(query.get("ssl_ca", ""), where) as ca:
        if ca:
            tls.load_verify_locations(ca)
    with _read(query.get("ssl_cert", ""), where) as certificate:
        if certificate:
            tls.load_cert_chain(certificate, query.get("ssl_key"))
    tls.check_hostname = mode == "VERIFY_IDENTITY"
    tls.verify_mode = ssl.CERT_REQUIRED if mode.startswith("VERIFY") else ssl.CERT_NONE
    # The certificates that MySQL makes for itself are not strict.
    tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return {"ssl": tls}


@contextmanager
def _read(path: str, where: str) -> Iterator[str]:
    try:
        yield path
    except OSError as error:
        problem = "not what it should be, in PEM form" if isinstance(error, ssl.SSLError) else error.strerror
        raise StepFailed(f"{where}: TLS: {path}: {problem}", hint=TLS_HINT) from error


def _mode(query: Mapping[str, str]) -> str:
    if "ssl_mode" in query:
        return query["ssl_mode"].upper()
    if any(query.get(name, "").lower() in _TRUE for name in ("ssl_verify_identity", "ssl_check_hostname")):
        return "VERIFY_IDENTITY"
    if query.get("ssl_verify_cert", "").lower() in _TRUE or "ssl_ca" in query:
        return "VERIFY_CA"
    given = query.get("ssl", "").lower()
    return "REQUIRED" if given in _TRUE or "ssl_cert" in query else "DISABLED" if given in _FALSE else "PREFERRED"
