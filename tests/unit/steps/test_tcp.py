"""tcp.ready"""

from __future__ import annotations

import socket
import threading
import time

import pytest

from golden import assert_golden
from inithold.errors import NotYet
from inithold.net.dial import host_and_port
from inithold.steps.tcp import Ready
from inithold.testing import check, drive
from servers.ports import closed_port, free_port, release_port


def test_an_accepting_port_is_ready() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        step = Ready(address=f"127.0.0.1:{server.getsockname()[1]}")
        assert check(step) == ()
        assert drive(step).outcome == "unchanged"


def test_a_port_that_opens_later_is_noticed() -> None:
    port = free_port()
    servers: list[socket.socket] = []
    opened: list[float] = []

    def open_it() -> None:
        servers.append(socket.create_server(("127.0.0.1", port)))
        opened.append(time.monotonic())

    threading.Timer(0.5, open_it).start()
    result = drive(Ready(address=f"127.0.0.1:{port}"))
    noticed = time.monotonic()
    assert result.outcome == "unchanged"
    assert result.waited_for == (f"127.0.0.1:{port}: connection refused",)
    assert noticed - opened[0] < 2
    servers[0].close()
    release_port(port)


def test_a_refused_port_is_not_yet() -> None:
    with closed_port() as port:
        with pytest.raises(NotYet) as raised:
            check(Ready(address=f"127.0.0.1:{port}"))
        assert_golden("tcp/refused", raised.value.message, raised.value.hint, varying={str(port): "PORT"})


def test_time_that_is_up_says_what_was_seen() -> None:
    with closed_port() as port:
        result = drive(Ready(address=f"127.0.0.1:{port}"), timeout=0.3)
        assert result.outcome == "failed"
        assert_golden("tcp/time-is-up", result.reason, result.finished.hint, varying={str(port): "PORT"})


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [("db:5432", "db", 5432), ("[::1]:1", "::1", 1), ("10.0.0.1:65535", "10.0.0.1", 65535), (" db:1 ", "db", 1)],
)
def test_addresses(address: str, host: str, port: int) -> None:
    assert host_and_port(address) == (host, port)
    assert list(Ready(address=address).validate()) == []


@pytest.mark.parametrize(
    "address",
    ["db", "db:", ":5432", "db:x", "db:²", "tcp://db:1", "app:planted@db:1", "a b:1"],
)
def test_what_is_no_address(address: str) -> None:
    (field, message) = next(iter(Ready(address=address).validate()))
    assert field == "address"
    assert message.startswith("expected host:port")
    assert "planted" not in message
    assert "planted" not in repr(Ready(address=address))


@pytest.mark.parametrize("port", ["0", "65536", "99999", "9" * 5000])
def test_a_port_out_of_range(port: str) -> None:
    assert list(Ready(address=f"db:{port}").validate()) == [
        ("address", "the port is out of range: expected 1 to 65535")
    ]


def test_ipv6_without_brackets_is_told_to_have_them() -> None:
    assert "brackets" in next(iter(Ready(address="::1:5432").validate()))[1]


def test_subject() -> None:
    assert Ready(address=" [::1]:80").subject() == "[::1]:80"
    assert Ready(address="db:80").subject() == "db:80"
