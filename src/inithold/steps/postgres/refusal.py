"""Finds out why PostgreSQL refused a connection, by asking once more without libpq.

psycopg reports a refusal in the server's language and without its SQLSTATE, which is the only reliable reason. So
after a refusal, this module repeats the start of the protocol with the options that libpq used:
https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import socket
import ssl
import struct
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

_TLS_REQUEST = struct.pack(">II", 8, 80877103)
_PROTOCOL = 3 << 16
_ORDER = {"disable": (False,), "allow": (False, True), "prefer": (True, False)}
"""The order in which libpq tries with and without TLS; every other mode is TLS only."""
_LONGEST = 1 << 20


class Refusal(NamedTuple):
    """The server's SQLSTATE, and its message in its language."""

    sqlstate: str
    message: str


HEALED = Refusal("00000", "")


def ask(options: Mapping[str, str], seconds: float) -> Refusal | None:
    """Try to connect again to learn why the server refuses.

    Args:
        options: as libpq used them: hostaddr or host, port, user, password, dbname, sslmode.
        seconds: time limit for each message of the server.

    Returns:
        The reason; `HEALED` if the login works by now; None if unknown: the server is gone, or wants an
        authentication that is not implemented here (GSSAPI, OAuth).
    """
    refusal = None
    path = options.get("host", "").startswith(("/", "@"))
    for encrypted in (False,) if path else _ORDER.get(options.get("sslmode", ""), (True,)):
        try:
            with _connected(options, seconds, encrypted) as connection:
                answer = _Conversation(connection, options).refusal()
                if answer is None or answer.sqlstate != "28000":
                    return answer
                # pg_hba.conf may refuse the user only with TLS, or only without: try the other way, too.
                refusal = answer
        except (OSError, EOFError, ValueError, LookupError, struct.error):
            continue
    return refusal


def scram_keys(password: str, salt: bytes, iterations: int) -> tuple[bytes, bytes, bytes]:
    """ClientKey, StoredKey and ServerKey of RFC 5802, with SHA-256."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    return client, hashlib.sha256(client).digest(), hmac.digest(salted, b"Server Key", "sha256")


def prepared(password: str) -> str:
    """Normalize a password with SASLprep (RFC 4013), but keep prohibited characters as PostgreSQL does."""
    if password.isascii():
        return password
    import stringprep  # noqa: PLC0415 - few passwords are not ASCII
    import unicodedata  # noqa: PLC0415 - few passwords are not ASCII

    spaced = "".join(" " if stringprep.in_table_c12(one) else one for one in password)
    return unicodedata.normalize("NFKC", "".join(one for one in spaced if not stringprep.in_table_b1(one)))


@contextmanager
def _connected(options: Mapping[str, str], seconds: float, encrypted: bool) -> Iterator[socket.socket]:
    host, port = options.get("hostaddr") or options.get("host", ""), options.get("port", "5432")
    mode, direct = options.get("sslmode", ""), options.get("sslnegotiation") == "direct"
    with ExitStack() as stack:
        if host.startswith(("/", "@")):
            plain = stack.enter_context(socket.socket(socket.AF_UNIX))
            plain.settimeout(seconds)
            path = f"{host}/.s.PGSQL.{port}"
            plain.connect(f"\0{path[1:]}" if host.startswith("@") else path)
        else:
            plain = stack.enter_context(socket.create_connection((host, int(port)), timeout=seconds))
        if encrypted and not direct:
            plain.sendall(_TLS_REQUEST)
            encrypted = plain.recv(1) == b"S"
        if not encrypted:
            yield plain
            return
        root = options.get("sslrootcert") or str(Path("~/.postgresql/root.crt").expanduser())
        tls = ssl.create_default_context(cafile=root if mode.startswith("verify") and root != "system" else None)
        # Self-made certificates of servers often violate the strict rules.
        tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
        tls.check_hostname = mode == "verify-full"
        tls.verify_mode = ssl.CERT_REQUIRED if mode.startswith("verify") else ssl.CERT_NONE
        if options.get("sslcert"):
            tls.load_cert_chain(options["sslcert"], options.get("sslkey"), options.get("sslpassword"))
        if direct:
            tls.set_alpn_protocols(["postgresql"])
        yield stack.enter_context(tls.wrap_socket(plain, server_hostname=options.get("host")))


class _Conversation:
    def __init__(self, connection: socket.socket, options: Mapping[str, str]) -> None:
        self._connection = connection
        self._options = options
        self._password = options.get("password", "")

    def refusal(self) -> Refusal | None:
        pairs = {"user": self._options.get("user", ""), "database": self._options.get("dbname", "")}
        pairs |= {"options": self._options.get("options", ""), "client_encoding": "UTF8"}
        text = "".join(f"{name}\0{value}\0" for name, value in pairs.items() if value)
        startup = struct.pack(">I", _PROTOCOL) + text.encode() + b"\0"
        self._connection.sendall(struct.pack(">I", len(startup) + 4) + startup)
        while True:
            kind, length = struct.unpack(">cI", self._read(5))
            if not 4 <= length <= _LONGEST:
                raise ValueError("not PostgreSQL")
            body = self._read(length - 4)
            if kind == b"E":
                fields = {part[:1]: part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
                return Refusal(fields[b"C"], fields.get(b"M", ""))
            if kind == b"R" and not self._authenticate(struct.unpack(">I", body[:4])[0], body[4:]):
                return None
            if kind == b"Z":
                return HEALED

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            if not (more := self._connection.recv(count - len(data))):
                raise EOFError
            data += more
        return data

    def _send(self, body: bytes) -> None:
        self._connection.sendall(b"p" + struct.pack(">I", len(body) + 4) + body)

    def _authenticate(self, method: int, data: bytes) -> bool:
        """Answer an authentication request; False if the method is not implemented here."""
        if method == 3:
            self._send(self._password.encode() + b"\0")
        elif method == 5:
            user = self._options.get("user", "")
            inner = hashlib.md5(f"{self._password}{user}".encode(), usedforsecurity=False).hexdigest()
            outer = hashlib.md5(inner.encode() + data, usedforsecurity=False).hexdigest()
            self._send(f"md5{outer}\0".encode())
        elif method == 10 and b"SCRAM-SHA-256" in data.split(b"\0"):
            self._client_first = f"n=,r={base64.b64encode(os.urandom(18)).decode()}"
            first = f"n,,{self._client_first}".encode()
            self._send(b"SCRAM-SHA-256\0" + struct.pack(">I", len(first)) + first)
        elif method == 11:
            server_first = data.decode()
            given = dict(part.split("=", 1) for part in server_first.split(","))
            salt, iterations = base64.b64decode(given["s"]), int(given["i"])
            client, stored, _ = scram_keys(prepared(self._password), salt, iterations)
            final = f"c=biws,r={given['r']}"
            signature = hmac.digest(stored, f"{self._client_first},{server_first},{final}".encode(), "sha256")
            proof = bytes(one ^ other for one, other in zip(client, signature, strict=True))
            self._send(f"{final},p={base64.b64encode(proof).decode()}".encode())
        else:
            return method in (0, 12)
        return True
