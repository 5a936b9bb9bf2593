"""TCP servers that misbehave in one way each, for what a real server cannot be made to do at will.

with FakeServer(hang_up) as port: ...
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Behaviour = Callable[[socket.socket], None]


@contextmanager
def fake_server(behaviour: Behaviour) -> Iterator[int]:
    """Accept connections on a port of 127.0.0.1, each handled by `behaviour` and then closed; yields the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []

    def handle(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            behaviour(connection)

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                threading.Thread(target=handle, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        for each in (listener, *connections):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def hang_up(connection: socket.socket) -> None:
    """End of file once the client has spoken."""
    connection.recv(1024)


def hang_up_at_once(connection: socket.socket) -> None:
    """End of file before anything is said."""


def reset(connection: socket.socket) -> None:
    """A reset instead of an answer."""
    connection.recv(1024)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def be_silent(connection: socket.socket) -> None:
    """Accept and never answer."""
    while connection.recv(1024):
        pass


def send_zeros(connection: socket.socket) -> None:
    """Nothing but zeros."""
    connection.sendall(bytes(4096))
    be_silent(connection)


def speak_smtp(connection: socket.socket) -> None:
    """What a server of another protocol says."""
    connection.sendall(b"220 mail.example.org ESMTP\r\n" * 50)
    be_silent(connection)


def speak_http(connection: socket.socket) -> None:
    """Answer as a web server does."""
    connection.recv(1024)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def refuse_as_postgresql(sqlstate: str, words: str, *, severity: str = "FATAL") -> Behaviour:
    """Refuse with an error of PostgreSQL's protocol, in whatever language."""
    fields = f"S{severity}\0VFATAL\0C{sqlstate}\0M{words}\0Rauth_failed\0\0".encode()
    packet = b"E" + struct.pack(">I", len(fields) + 4) + fields

    def behaviour(connection: socket.socket) -> None:
        # An SSLRequest or a GSSENCRequest comes first, and is declined.
        while len(start := connection.recv(4096)) == 8:
            connection.sendall(b"N")
        if start:
            connection.sendall(packet)

    return behaviour


def fail_to_fork(connection: socket.socket) -> None:
    """What PostgreSQL says if it has no process for a connection: an error of its protocol 2."""
    connection.recv(4096)
    connection.sendall(b"Ecould not fork new process for connection: Cannot allocate memory\n\0")


def refuse_as_mysql(number: int, words: str) -> Behaviour:
    """Refuse with an error packet instead of MySQL's greeting."""
    body = b"\xff" + struct.pack("<H", number) + words.encode()

    def behaviour(connection: socket.socket) -> None:
        connection.sendall(struct.pack("<I", len(body))[:3] + b"\0" + body)

    return behaviour


def refuse_as_redis(error: str) -> Behaviour:
    """Answer whatever is asked with an error of Redis."""

    def behaviour(connection: socket.socket) -> None:
        while connection.recv(4096):
            connection.sendall(f"-{error}\r\n".encode())

    return behaviour


def refuse_as_amqp(code: int, words: str) -> Behaviour:
    """Let a client of AMQP 0-9-1 introduce itself, then close the connection with a reply code."""
    from pika import frame, spec

    start = spec.Connection.Start(server_properties={}, mechanisms="PLAIN AMQPLAIN", locales="en_US")
    close = spec.Connection.Close(code, words, 0, 0)

    def behaviour(connection: socket.socket) -> None:
        for answer in (start, close):
            if not connection.recv(4096):
                return
            connection.sendall(frame.Method(0, answer).marshal())
        connection.recv(4096)

    return behaviour


def answer_as_web(status: int, body: bytes = b"", headers: str = "") -> Behaviour:
    """Answer every request with one status."""

    def behaviour(connection: socket.socket) -> None:
        connection.recv(65536)
        head = f"HTTP/1.1 {status} Status\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n"
        connection.sendall(head.encode() + body)

    return behaviour
