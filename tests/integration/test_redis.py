"""redis.ready against a real Redis, over TLS too, and against servers that misbehave in one way each."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from cancelling import cancelled
from fake_server import be_silent, fake_server, hang_up, hang_up_at_once, reset, speak_http
from golden import assert_golden
from inithold.errors import NotYet, Rejected, StepFailed
from inithold.steps.redis import Ready
from inithold.testing import check, drive
from promptness import PROMPTLY
from servers.certificates import Certificate, make_certificate
from servers.ports import accepts, closed_port, free_port, release_port
from servers.process import kill, start, wait_until
from servers.programs import program
from servers.redis import Redis
from servers.run import new_folder

Raises = type[NotYet] | type[StepFailed]


def says(step: Ready, kind: Raises, case: str, port: int, **varying: str) -> NotYet | StepFailed:
    with pytest.raises(kind) as raised:
        check(step)
    assert type(raised.value) is kind
    replaced = {str(port): "PORT"} | {value: name.upper() for name, value in varying.items()}
    assert_golden(f"redis/{case}", raised.value.message, raised.value.hint, varying=replaced)
    assert isinstance(raised.value, NotYet | StepFailed)
    return raised.value


def answer(text: bytes) -> Callable[[Any], None]:
    """Answer every command with the same line."""

    def behaviour(connection: Any) -> None:
        with suppress(OSError):
            while connection.recv(1024):
                connection.sendall(text)

    return behaviour


# -- a real server


def test_a_server_that_lets_us_in_is_ready(redis_server: Redis) -> None:
    step = Ready(url=redis_server.url())
    assert check(step) == ()
    assert drive(step).outcome == "unchanged"
    assert step.subject() == f"redis://127.0.0.1:{redis_server.port}/0"


def test_parts_are_as_good_as_a_url(redis_server: Redis) -> None:
    step = Ready(host="127.0.0.1", port=redis_server.port, password=redis_server.password, database="3")
    assert check(step) == ()


@pytest.mark.parametrize(
    "form",
    ["unix://:{password}@{path}?db=1", "redis+socket://:{password}@{path}?virtual_host=1", "redis://{coded}/1"],
)
def test_a_socket(form: str, tmp_path: Path) -> None:
    password = "pw-of-socket"
    with Redis(password=password) as server:
        import redis

        path = server.folder / "redis.sock"
        with redis.Redis.from_url(server.url()) as client:
            assert client.config_get("unixsocket") == {"unixsocket": str(path)}
        coded = f":{password}@{quote(str(path), safe='')}"
        step = Ready(url=form.format(password=password, path=path, coded=coded))
        assert check(step) == ()
        assert str(path) in step.subject()
        assert check(Ready(host=str(path), password=password)) == ()
        wrong = Ready(url=form.format(password="planted-1", path=path, coded=coded.replace(password, "planted-1")))
        says(wrong, Rejected, "socket-password", 99999, path=str(path))
    says(Ready(url=f"unix://{path}"), NotYet, "socket-absent", 99999, path=str(path))


def test_users_of_an_access_control_list(redis_server: Redis) -> None:
    import redis

    password = "p@ss:w/o?r#d%$&='\"é"
    with redis.Redis.from_url(redis_server.url()) as client:
        client.execute_command("ACL", "SETUSER", "us@er", "on", f">{password}", "+ping", "+select")
        client.execute_command("ACL", "SETUSER", "mute", "on", f">{password}")
        try:
            assert check(Ready(url=redis_server.url(user="us%40er", password=password))) == ()
            url = redis_server.url(user="mute", password=password)
            says(Ready(url=url), Rejected, "no-permission", redis_server.port)
        finally:
            client.execute_command("ACL", "DELUSER", "us@er", "mute")


def test_who_is_not_let_in(redis_server: Redis) -> None:
    port = redis_server.port
    says(Ready(url=redis_server.url(password="planted-wrong")), Rejected, "wrong-password", port)
    says(Ready(url=redis_server.url(user="nobody")), Rejected, "unknown-user", port)
    says(Ready(url=f"redis://127.0.0.1:{port}"), Rejected, "no-password", port)
    says(Ready(url=redis_server.url(4711)), Rejected, "unknown-database", port)


def test_a_rejected_password_fails_at_once_and_is_waited_for_where_wanted(redis_server: Redis) -> None:
    url = redis_server.url(password="planted-wrong")
    began = time.monotonic()
    assert drive(Ready(url=url), timeout=20).outcome == "failed"
    assert time.monotonic() - began < 5
    result = drive(Ready(url=url, retry_auth=True), timeout=0.5)
    assert result.reason.startswith("its time (500ms) is up: ")
    assert result.finished.attempts > 1
    assert "planted" not in str(result.events)
    assert drive(Ready(url=url), timeout=0.5, wait=True).finished.attempts > 1


def test_a_password_that_nobody_wants() -> None:
    with plain_redis() as port:
        assert check(Ready(url=f"redis://127.0.0.1:{port}")) == ()
        says(Ready(url=f"redis://:planted-password@127.0.0.1:{port}"), Rejected, "password-not-wanted", port)


def test_too_many_clients_are_not_yet() -> None:
    with plain_redis("--maxclients", "4") as port:
        url = f"redis://127.0.0.1:{port}"
        clients: list[socket.socket] = []
        for _ in range(10):
            clients.append(socket.create_connection(("127.0.0.1", port)))
            clients[-1].sendall(b"PING\r\n")
            clients[-1].recv(100)
        says(Ready(url=url), NotYet, "too-many-clients", port)
        for client in clients:
            client.close()
        assert drive(Ready(url=url)).outcome == "unchanged"


def test_a_replica_without_its_master() -> None:
    options = ("--replicaof", "127.0.0.1 1", "--replica-serve-stale-data", "no")
    with plain_redis(*options) as port:
        says(Ready(url=f"redis://127.0.0.1:{port}"), NotYet, "stale-replica", port)


def test_a_server_that_comes_up_late_is_noticed() -> None:
    port = free_port()
    server: list[Any] = []

    def begin() -> None:
        own = plain_redis(port=port)
        own.__enter__()
        server.append(own)

    thread = threading.Timer(0.5, begin)
    thread.start()
    result = drive(Ready(url=f"redis://127.0.0.1:{port}"))
    thread.join()
    server[0].__exit__(None, None, None)
    release_port(port)
    assert result.outcome == "unchanged"
    assert result.waited_for == (f"127.0.0.1:{port}: connection refused",)


# -- not yet, in every way


def test_a_refused_connection_is_not_yet_and_probed() -> None:
    with closed_port() as port:
        error = says(Ready(url=f"redis://127.0.0.1:{port}"), NotYet, "refused", port)
        assert isinstance(error, NotYet)
        assert error.probe == ("127.0.0.1", port)


@pytest.mark.parametrize(
    ("case", "behaviour"),
    [
        ("reset", reset),
        ("hung-up", hang_up),
        ("loading", answer(b"-LOADING Redis is loading the dataset in memory\r\n")),
        ("master-down", answer(b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is 'no'.\r\n")),
        ("max-clients", answer(b"-ERR max number of clients reached\r\n")),
        ("busy", answer(b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL.\r\n")),
        ("misconf", answer(b"-MISCONF Redis is configured to save RDB snapshots, but is unable to.\r\n")),
        ("try-again", answer(b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n")),
        ("cluster-down", answer(b"-CLUSTERDOWN The cluster is down\r\n")),
    ],
)
def test_what_may_heal_is_not_yet(case: str, behaviour: Callable[[Any], None]) -> None:
    with fake_server(behaviour) as port:
        says(Ready(url=f"redis://:planted-password@127.0.0.1:{port}/1"), NotYet, case, port)


def test_a_connection_closed_before_a_word_is_not_yet() -> None:
    with fake_server(hang_up_at_once) as port, pytest.raises(NotYet):
        check(Ready(url=f"redis://127.0.0.1:{port}"))


def test_a_server_that_never_answers_is_not_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inithold.steps.redis.PATIENCE", 0.3)
    with fake_server(be_silent) as port:
        says(Ready(url=f"redis://127.0.0.1:{port}"), NotYet, "silent", port)
        says(Ready(url=f"rediss://127.0.0.1:{port}"), NotYet, "silent-tls", port)


def test_time_that_is_up_says_what_it_was_doing() -> None:
    with fake_server(be_silent) as port:
        began = time.monotonic()
        result = drive(Ready(url=f"redis://127.0.0.1:{port}"), timeout=0.3)
        assert time.monotonic() - began < PROMPTLY
        assert_golden("redis/time-is-up", result.reason, result.finished.hint, varying={str(port): "PORT"})


def test_cancelling_interrupts_a_server_that_never_answers() -> None:
    connected = threading.Event()

    def silent(connection: Any) -> None:
        # The first connection is the bare one.
        if connection.recv(1024):
            connected.set()
            be_silent(connection)

    with fake_server(silent) as port:
        result, seconds = cancelled(Ready(url=f"redis://127.0.0.1:{port}"), connected.is_set)
    assert result.outcome == "cancelled"
    assert seconds < PROMPTLY, "it was interrupted, not given up"


# -- never


def test_what_is_no_redis_is_never_ready() -> None:
    with fake_server(speak_http) as port:
        says(Ready(url=f"redis://127.0.0.1:{port}"), StepFailed, "not-redis", port)
    with fake_server(answer(b"-DENIED Redis is running in protected mode\r\n")) as port:
        says(Ready(url=f"redis://127.0.0.1:{port}"), StepFailed, "denied", port)


# -- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def tls_port(certificate: Certificate) -> Iterator[int]:
    """A Redis that speaks TLS alone."""
    options = ["--tls-cert-file", certificate.cert_file, "--tls-key-file", certificate.key_file]
    options += ["--tls-ca-cert-file", certificate.ca_file, "--tls-auth-clients", "no"]
    port = free_port()
    with plain_redis("--port", "0", "--tls-port", str(port), *map(str, options), port=port) as own:
        yield own
    release_port(port)


def test_a_trusted_certificate_is_ready(certificate: Certificate, tls_port: int) -> None:
    url = f"rediss://127.0.0.1:{tls_port}/0"
    assert check(Ready(url=f"{url}?ssl_ca_certs={certificate.ca_file}")) == ()
    assert check(Ready(url=f"{url}?ssl_cert_reqs=CERT_NONE&health_check_interval=30")) == ()


def test_an_untrusted_certificate_is_never_ready(tls_port: int) -> None:
    url = f"rediss://127.0.0.1:{tls_port}"
    says(Ready(url=url), StepFailed, "untrusted", tls_port)
    says(Ready(url=f"{url}?ssl_ca_certs=/no/such/file"), StepFailed, "ca-file-absent", tls_port)


def test_a_plain_client_on_a_port_that_speaks_tls(tls_port: int) -> None:
    with pytest.raises((NotYet, StepFailed)) as raised:
        check(Ready(url=f"redis://127.0.0.1:{tls_port}"))
    assert raised.value.message.startswith(f"127.0.0.1:{tls_port}: ")


def test_a_port_that_does_not_speak_tls() -> None:
    with fake_server(speak_http) as port:
        says(Ready(url=f"rediss://127.0.0.1:{port}"), StepFailed, "not-tls", port)
    with fake_server(hang_up) as port:
        says(Ready(url=f"rediss://127.0.0.1:{port}"), NotYet, "handshake-hung-up", port)


# -- plans


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "url"),
        ({"url": "http://x"}, "url"),
        ({"url": "redis://x/abc"}, "url"),
        ({"url": "redis://x?ssl_cert_reqs=perhaps"}, "url"),
        ({"host": "x", "database": "games"}, "database"),
    ],
)
def test_fields_that_do_not_fit(fields: dict[str, str], field: str) -> None:
    assert [name for name, _ in Ready(**fields).validate()] == [field]  # type: ignore[arg-type]


class plain_redis:  # noqa: N801 - used like a function
    """A Redis without a password, with options of the test's own; entered, its port."""

    def __init__(self, *options: str, port: int = 0) -> None:
        self.options = options
        self.port = port or free_port()
        self.pid = 0

    def __enter__(self) -> int:
        folder: Path = new_folder("redis")
        command = [program("redis-server"), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        if "--tls-port" not in self.options:
            command += ["--port", str(self.port)]
        self.pid = start([*command, *self.options], log=folder / "log")
        wait_until(lambda: accepts(self.port), pid=self.pid, log=folder / "log")
        return self.port

    def __exit__(self, *error: object) -> None:
        kill(self.pid)
