"""Free ports that no other test process takes in the meantime, and ports where certainly nobody listens."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

# Below Linux's ephemeral range (32768 and up), so that no outgoing connection sits on one of ours.
_LOWEST, _HIGHEST = 20_000, 32_000

# A claim is a UDP socket on the same number. The kernel lets one process hold it, whatever run or worker that is,
# and frees it when the process ends, so a server may be stopped and started again on its port.
_claims: dict[int, socket.socket] = {}
_random = random.Random(os.urandom(8))


def free_port() -> int:
    """A TCP port of 127.0.0.1 that is free now and stays claimed for as long as this process lives."""
    for _ in range(1000):
        port = _random.randrange(_LOWEST, _HIGHEST)
        if port not in _claims and _claim(port):
            return port
    raise OSError(f"found no free port between {_LOWEST} and {_HIGHEST}")


def release_port(port: int) -> None:
    """Give up the claim of a port from `free_port` whose server is gone for good."""
    claim = _claims.pop(port, None)
    if claim is not None:
        claim.close()


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that refuses connections: bound, so that nobody else takes it, but never listened on."""
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def accepts(port: int, host: str = "127.0.0.1") -> bool:
    """Does somebody accept TCP connections there?"""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _claim(port: int) -> bool:
    claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        claim.bind(("127.0.0.1", port))
        for host in ("127.0.0.1", "0.0.0.0"):
            with closing(socket.socket()) as attempt:
                attempt.bind((host, port))
    except OSError:
        claim.close()
        return False
    _claims[port] = claim
    return True
