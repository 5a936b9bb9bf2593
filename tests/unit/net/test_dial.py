"""What a bare connection attempt tells."""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from golden import assert_golden
from inithold.errors import NotYet, StepFailed
from inithold.net import dial as dialling
from inithold.net.dial import dial
from servers.ports import closed_port


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_says_which_address_accepted(listener: socket.socket) -> None:
    assert dial("127.0.0.1", listener.getsockname()[1], 5) == "127.0.0.1"
    assert dial("localhost", listener.getsockname()[1], 5) == "127.0.0.1"


def test_a_refused_port_is_not_yet_and_probed() -> None:
    with closed_port() as port, pytest.raises(NotYet, match=f"^127.0.0.1:{port}: connection refused$") as raised:
        dial("127.0.0.1", port, 5)
    assert raised.value.probe == ("127.0.0.1", port)


def test_ipv6_stands_in_brackets() -> None:
    with pytest.raises(NotYet, match=r"^\[::1\]:1: "):
        dial("::1", 1, 5)


def test_a_full_backlog_is_no_answer() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        with pytest.raises(NotYet, match="no answer") as raised:
            dial("127.0.0.1", port, 0.3)
        assert raised.value.probe == ("127.0.0.1", port)
        for each in waiting:
            each.close()


@pytest.mark.parametrize("host", ["x" * 70, "a..b"])
def test_what_is_no_host_name_never_heals(host: str) -> None:
    with pytest.raises(StepFailed, match="not a host name") as raised:
        dial(host, 80, 1)
    assert_golden("tcp/not-a-host-name", raised.value.message, raised.value.hint, varying={host: "HOST"})


def test_what_is_not_permitted_never_heals(monkeypatch: pytest.MonkeyPatch) -> None:
    # A firewall that prohibits: nobody but root could set one up here, and it would be everybody's.
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(StepFailed) as raised:
        dial("127.0.0.1", 80, 1)
    assert_golden("tcp/not-permitted", raised.value.message, raised.value.hint)


# Two errors that a resolver of the tests' own cannot be made to give, and how the others are told apart.
@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("EAI_NONAME", "the name does not resolve"),
        ("EAI_NODATA", "the name has no address"),
        ("EAI_AGAIN", "the resolver has no answer at the moment"),
        ("EAI_FAIL", "the resolver failed"),
        ("EAI_MEMORY", "Memory allocation failure"),
    ],
)
def test_every_answer_of_the_resolver_is_not_yet(monkeypatch: pytest.MonkeyPatch, code: str, says: str) -> None:
    number = getattr(socket, code)
    asked: list[object] = []

    def getaddrinfo(*arguments: object, flags: int = 0, **others: object) -> object:
        if flags:
            raise socket.gaierror(socket.EAI_NONAME, "no number")
        asked.append(arguments)
        raise socket.gaierror(number, "Memory allocation failure")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(NotYet, match=f"^db:5432: {says}$") as raised:
        dial("db", 5432, 1)
    assert raised.value.probe == ("db", 5432)
    assert "misspelled name" in (raised.value.hint or "")
    assert len(asked) == 1


def test_a_resolver_that_does_not_answer_is_waited_for_within_the_time_and_asked_once(
    monkeypatch: pytest.MonkeyPatch, listener: socket.socket
) -> None:
    answer, asked = threading.Event(), []
    real = socket.getaddrinfo

    def getaddrinfo(host: bytes, port: int, flags: int = 0, **others: object) -> object:
        if flags:
            raise socket.gaierror(socket.EAI_NONAME, "no number")
        asked.append(host)
        answer.wait(10)
        return real("127.0.0.1", port, type=socket.SOCK_STREAM)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    began = time.monotonic()
    for _ in range(3):
        with pytest.raises(NotYet, match="the resolver does not answer"):
            dial("slow", listener.getsockname()[1], 0.1)
    assert time.monotonic() - began < 5
    assert asked == [b"slow"]
    answer.set()
    assert dial("slow", listener.getsockname()[1], 5) == "127.0.0.1"
    assert not dialling._pending


def test_connecting_that_is_not_permitted_never_heals(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(self: socket.socket, address: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(StepFailed, match="not permitted"):
        dial("127.0.0.1", 80, 1)


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EHOSTUNREACH, "no route to the host"),
        (errno.ENETUNREACH, "network unreachable"),
        (errno.EHOSTDOWN, "host is down"),
        (errno.ECONNRESET, "connection reset"),
        (errno.ETIMEDOUT, "no answer"),
    ],
)
def test_what_the_network_says_is_not_yet(monkeypatch: pytest.MonkeyPatch, number: int, says: str) -> None:
    def connect(self: socket.socket, address: object) -> None:
        raise OSError(number, "whatever the system calls it")

    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(NotYet, match=f"^10.0.0.1:80: {says}$") as raised:
        dial("10.0.0.1", 80, 1)
    assert raised.value.probe == ("10.0.0.1", 80)


def test_an_address_that_swallows_packets_leaves_time_for_the_next(
    monkeypatch: pytest.MonkeyPatch, listener: socket.socket
) -> None:
    port = listener.getsockname()[1]
    real = socket.getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM)[0]
    silent = (*real[:4], ("127.0.0.2", port))
    connect = socket.socket.connect

    def swallowing(self: socket.socket, address: tuple[str, int]) -> None:
        if address[0] == "127.0.0.2":
            time.sleep(self.gettimeout() or 0)
            raise TimeoutError
        connect(self, address)

    monkeypatch.setattr(dialling, "_resolve", lambda *_: [silent, real])
    monkeypatch.setattr(socket.socket, "connect", swallowing)
    began = time.monotonic()
    assert dial("both", port, 8.0) == "127.0.0.1"
    assert time.monotonic() - began < 8.0
