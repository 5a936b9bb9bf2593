"""A bare TCP connection: the cheapest question to a server that may not be up yet."""

from __future__ import annotations

import errno
import socket
import time
from threading import Event, Lock, Thread
from typing import Any

from inithold.errors import NotYet, StepFailed
from inithold.text import platform

_UNRESOLVED = {
    "EAI_NONAME": "the name does not resolve",
    "EAI_NODATA": "the name has no address",
    "EAI_ADDRFAMILY": "the name has no address",
    "EAI_AGAIN": "the resolver has no answer at the moment",
    "EAI_FAIL": "the resolver failed",
}
# Not every C library has every code.
_BY_CODE = {getattr(socket, name): text for name, text in _UNRESOLVED.items() if hasattr(socket, name)}
_SEEN = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.ENOTCONN: "connection reset",
    errno.ETIMEDOUT: "no answer",
    errno.EHOSTUNREACH: "no route to the host",
    errno.ENETUNREACH: "network unreachable",
    errno.EHOSTDOWN: "host is down",
}
_AddressInfo = tuple[Any, Any, int, str, Any]


def dial(host: str, port: int, timeout: float) -> str:
    """Connect and hang up.

    Args:
        host: name or address.
        port: TCP port.
        timeout: the most it may take, in seconds, the resolver included.

    Returns:
        the address that accepted.

    Raises:
        NotYet: nothing accepts there, or the name does not resolve; `probe` is set.
        StepFailed: connecting is not permitted or the name is not one.
    """
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    ends_at = time.monotonic() + max(timeout, 0.01)
    try:
        return _connect(_resolve(host, port, ends_at), ends_at)
    except socket.gaierror as error:
        text = _BY_CODE.get(error.errno or 0, error.strerror or "the name does not resolve")
        raise NotYet(f"{place}: {text}", probe=(host, port), hint=platform.unresolved()) from error
    except _NoAnswer as error:
        raise NotYet(
            f"{place}: the resolver does not answer", probe=(host, port), hint=platform.unresolved()
        ) from error
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
        raise NotYet(f"{place}: {seen(error)}", probe=(host, port)) from error


def seen(error: OSError) -> str:
    """What the operating system says of a connection, in few words."""
    if isinstance(error, TimeoutError):
        return "no answer"
    return _SEEN.get(error.errno or 0, error.strerror or str(error))


def _connect(addresses: list[_AddressInfo], ends_at: float) -> str:
    """Try each address in turn, the last failure counts; one that swallows packets leaves time for the others."""
    failure: OSError = TimeoutError("no address")
    for index, (family, kind, protocol, _, address) in enumerate(addresses):
        left = max(ends_at - time.monotonic(), 0.01)
        try:
            with socket.socket(family, kind, protocol) as connection:
                connection.settimeout(left / (len(addresses) - index))
                connection.connect(address)
                return str(address[0])
        except OSError as error:
            failure = error
    raise failure


class _NoAnswer(OSError):
    """The resolver takes longer than there is time."""


class _Lookup(Thread):
    """Asks the resolver. The C library waits for as long as resolv.conf says, 10 s and more; nobody else need."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(daemon=True, name=f"inithold-lookup-{host}")
        self.key = host, port
        self.ended = Event()
        self.found: list[_AddressInfo] = []
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self.found = socket.getaddrinfo(*self.key, type=socket.SOCK_STREAM)
        except (OSError, ValueError) as error:
            self.error = error
        with _lock:
            del _under_way[self.key]
        self.ended.set()


_lock = Lock()
_under_way: dict[tuple[str, int], _Lookup] = {}


def _resolve(host: str, port: int, ends_at: float) -> list[_AddressInfo]:
    if _is_numeric(host):
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    with _lock:
        # A resolver that does not answer is not asked again by every probe meanwhile.
        lookup = _under_way.get((host, port))
        if lookup is None:
            lookup = _under_way[host, port] = _Lookup(host, port)
            lookup.start()
    if not lookup.ended.wait(max(ends_at - time.monotonic(), 0.01)):
        raise _NoAnswer
    if lookup.error is not None:
        raise lookup.error
    return lookup.found


def _is_numeric(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except (OSError, ValueError):
        return False
    return True
