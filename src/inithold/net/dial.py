"""A bare TCP connection: the cheapest way to see whether a server is up."""

from __future__ import annotations

import errno
import socket
import time
from _thread import allocate_lock, start_new_thread  # `threading` is slow to import

from inithold.errors import NotYet, StepFailed
from inithold.text import platform

TYPE_CHECKING = False
"""`typing` is slow to import."""
if TYPE_CHECKING:
    from typing import Any

    AddressInfo = tuple[Any, Any, int, str, Any]

_UNRESOLVED = {
    "EAI_NONAME": "the name does not resolve",
    "EAI_NODATA": "the name has no address",
    "EAI_ADDRFAMILY": "the name has no address",
    "EAI_AGAIN": "the resolver has no answer at the moment",
    "EAI_FAIL": "the resolver failed",
}
# Not every C library defines every code.
_BY_CODE = {getattr(socket, name): text for name, text in _UNRESOLVED.items() if hasattr(socket, name)}
_WORDS = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.ENOTCONN: "connection reset",
    errno.ETIMEDOUT: "no answer",
    errno.EHOSTUNREACH: "no route to the host",
    errno.ENETUNREACH: "network unreachable",
    errno.EHOSTDOWN: "host is down",
}


def dial(host: str, port: int, timeout: float) -> str:
    """Connect and disconnect; `timeout` seconds include name resolution.

    Returns:
        the address that accepted.

    Raises:
        NotYet: the connection was not accepted, or the name does not resolve; `probe` is set.
        StepFailed: connecting is not permitted, or `host` is not a valid name.
    """
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    ends_at = time.monotonic() + max(timeout, 0.01)
    try:
        addresses = _resolve(host, port, ends_at)
        # Try each in turn and report the last failure. Split the time, as one address may drop packets.
        failure: OSError = TimeoutError("no address")
        for index, (family, kind, protocol, _, address) in enumerate(addresses):
            try:
                with socket.socket(family, kind, protocol) as connection:
                    left = max(ends_at - time.monotonic(), 0.01)
                    connection.settimeout(left / (len(addresses) - index))
                    connection.connect(address)
                    return str(address[0])
            except OSError as error:
                failure = error
        raise failure
    except socket.gaierror as error:
        text = _BY_CODE.get(error.errno or 0, error.strerror or "the name does not resolve")
        raise NotYet(f"{place}: {text}", probe=(host, port), hint=platform.unresolved()) from error
    except TimeoutError as error:
        raise NotYet(f"{place}: no answer", probe=(host, port)) from error
    except PermissionError as error:
        raise StepFailed(
            f"{place}: connecting is not permitted ({error.strerror})",
            hint="look at the firewall of this container, or at its network policy",
        ) from error
    except (UnicodeError, ValueError) as error:
        raise StepFailed(
            f"{place}: not a host name", hint="check the host: labels of 1 to 63 characters between dots"
        ) from error
    except OSError as error:
        raise NotYet(f"{place}: {describe(error)}", probe=(host, port)) from error


def describe(error: OSError) -> str:
    """The operating system's error for a connection, in a few words."""
    if isinstance(error, TimeoutError):
        return "no answer"
    return _WORDS.get(error.errno or 0, error.strerror or str(error))


class _Lookup:
    """A name lookup in a thread, because the C library may block as resolv.conf says, 10 s and more."""

    def __init__(self, host: str | bytes, port: int) -> None:
        self._key = host, port
        self.result: list[AddressInfo] = []
        self.error: Exception | None = None
        self.running = allocate_lock()
        self.running.acquire()
        start_new_thread(self._ask, ())

    def _ask(self) -> None:
        try:
            self.result = socket.getaddrinfo(*self._key, type=socket.SOCK_STREAM)
        except (OSError, ValueError) as error:
            self.error = error
        with _lock:
            del _pending[self._key]
        self.running.release()


_lock = allocate_lock()
_pending: dict[tuple[str | bytes, int], _Lookup] = {}


def _resolve(host: str, port: int, ends_at: float) -> list[AddressInfo]:
    # Given a str, Python imports its IDNA codec, so pass plain names as bytes. Odd names stay str: the codec
    # distinguishes a label that is too long from an unknown name.
    plain = host.isascii() and all(0 < len(label) < 64 for label in host.removesuffix(".").split("."))
    name = host.encode() if plain else host
    try:
        return socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, ValueError):
        pass
    with _lock:
        # Share a lookup that is still pending, so that probes do not pile up lookups.
        lookup = _pending.get((name, port))
        if lookup is None:
            lookup = _pending[name, port] = _Lookup(name, port)
    if not lookup.running.acquire(timeout=max(ends_at - time.monotonic(), 0.01)):
        raise socket.gaierror(0, "the resolver does not answer")
    lookup.running.release()
    if lookup.error is not None:
        raise lookup.error
    return lookup.result


def host_and_port(address: str) -> tuple[str, int]:
    """Split `host:port`.

    Raises:
        ValueError: it has another form; the message does not quote it.
    """
    host, _, port = address.strip().rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if bracketed else host
    if "://" in address or any(character in host for character in "/@ []"):
        raise ValueError("expected host:port alone, for example db:5432")
    if ":" in host and not bracketed:
        raise ValueError("expected host:port; an IPv6 address goes in brackets, for example [::1]:5432")
    if not host or not port.isascii() or not port.isdigit():
        raise ValueError("expected host:port, for example db:5432")
    if len(port) > 5 or not 0 < int(port) < 65536:
        raise ValueError("the port is out of range: expected 1 to 65535")
    return host, int(port)
