"""A DNS server that answers as a test tells it, and a way to give a process this server as its only resolver.

    with Resolver(answers={"db": "SERVFAIL"}) as resolver:
        subprocess.run([*resolver.prefix, "python", "-m", "inithold", "run"])
        resolver.answers["db"] = "127.0.0.1"     # from now on

The process gets /etc/resolv.conf and /etc/nsswitch.conf of its own in a mount namespace of its own; the server
listens on a loopback address of its own. Both need root and Linux: see `available()`.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

from servers.run import new_folder

# RFC 1035, 4.1.1 and 3.2.2
_CODES = {"NOERROR": 0, "FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "NOTIMP": 4, "REFUSED": 5}
_TYPE_A = 1

_ENTER = """
mount --bind "$1/resolv.conf" /etc/resolv.conf
if [ -e /etc/nsswitch.conf ]; then mount --bind "$1/nsswitch.conf" /etc/nsswitch.conf; fi
shift
exec "$@"
"""


@cache
def available() -> bool:
    """Can a process be given a resolver of its own here? Not without root, nor in most containers."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    own_mounts = ["unshare", "--mount", "mount", "--bind", "/etc/hosts", "/etc/resolv.conf"]
    return subprocess.run(own_mounts, capture_output=True, check=False).returncode == 0


@dataclass
class Resolver:
    """A DNS server for one test. Names without an answer get NXDOMAIN."""

    answers: dict[str, str] = field(default_factory=dict)
    """name -> an IPv4 address, or NXDOMAIN, SERVFAIL, REFUSED, NODATA (no address), NEVER (no answer)"""
    options: str = "timeout:1 attempts:1"
    """resolv.conf's options: seconds a query waits, and how often it is sent"""
    queries: list[str] = field(default_factory=list)
    """the names asked for, in order"""
    folder: Path = Path()

    @property
    def prefix(self) -> list[str]:
        """Put before a command it runs it with this resolver, as the same process."""
        return ["unshare", "--mount", "sh", "-ec", _ENTER, "sh", str(self.folder)]

    def __enter__(self) -> Self:
        self._socket = _bind_to_own_loopback_address()
        address = self._socket.getsockname()[0]
        self.folder = new_folder("dns")
        (self.folder / "resolv.conf").write_text(f"nameserver {address}\noptions {self.options}\n")
        (self.folder / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _serve(self) -> None:
        while True:
            query, client = self._socket.recvfrom(4096)
            if not query:
                return
            if (reply := self._reply(query)) is not None:
                self._socket.sendto(reply, client)

    def _reply(self, query: bytes) -> bytes | None:
        name, end = _question(query)
        self.queries.append(name)
        answer = self.answers.get(name, "NXDOMAIN")
        if answer == "NEVER":
            return None
        code = {"NODATA": "NOERROR"}.get(answer, answer)
        record = b""
        if code not in _CODES:
            code = "NOERROR"
            if struct.unpack(">H", query[end - 4 : end - 2])[0] == _TYPE_A:
                # a pointer to the name in the question, type A, class IN, time to live 0, 4 bytes of address
                record = struct.pack(">HHHIH", 0xC00C, _TYPE_A, 1, 0, 4) + socket.inet_aton(answer)
        flags = 0x8180 | _CODES[code]  # an answer, recursion available
        header = query[:2] + struct.pack(">HHHHH", flags, 1, 1 if record else 0, 0, 0)
        return header + query[12:end] + record


def _question(query: bytes) -> tuple[str, int]:
    """The name that is asked for, and where the question ends."""
    labels, at = [], 12
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode("ascii", "replace"))
        at += 1 + length
    return ".".join(labels).lower(), at + 5


def _bind_to_own_loopback_address() -> socket.socket:
    """Port 53, the only one a resolv.conf can name, on one of Linux's 16 million loopback addresses."""
    for _ in range(100):
        address = f"127.{random.randrange(64, 255)}.{random.randrange(256)}.{random.randrange(1, 255)}"
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            server.bind((address, 53))
        except OSError as error:
            server.close()
            refused = error
        else:
            return server
    raise refused
