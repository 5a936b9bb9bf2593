"""rabbitmq.ready on a real broker; what a real one cannot be made to do at will, a false one does."""

from __future__ import annotations

import json
import logging
import threading
from contextlib import closing
from urllib.error import HTTPError
from uuid import uuid4

import pytest

from conftest import Vhost
from fake_server import Behaviour, be_silent, fake_server, hang_up, hang_up_at_once, reset, speak_http
from golden import assert_golden
from inithold.errors import NotYet, Rejected
from inithold.steps.rabbitmq import Ready
from inithold.testing import check, drive
from promptness import PROMPTLY
from servers.certificates import Certificate, make_certificate
from servers.ports import closed_port, free_port
from servers.rabbitmq import RabbitMQ
from servers.sharing import shared
from stopping import stopped_when

ODD_PASSWORD = "p%40@s/:#? w%rd&+'\"\\é$x"
SECRET = "pw-nobody-may-see"


class GuardedRabbitMQ(RabbitMQ):
    """A broker that also speaks TLS and has, from its start on, a resource alarm."""

    tls_port = 0
    tls_management_port = 0
    certificate: Certificate

    def _create(self) -> None:
        super()._create()
        self.tls_port, self.tls_management_port = free_port(), free_port()
        self.certificate = make_certificate(self.folder)
        files = {
            "cacertfile": self.certificate.ca_file,
            "certfile": self.certificate.cert_file,
            "keyfile": self.certificate.key_file,
        }
        lines = [
            f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}",
            "management.ssl.ip = 127.0.0.1",
            f"management.ssl.port = {self.tls_management_port}",
            *(f"ssl_options.{name} = {path}" for name, path in files.items()),
            *(f"management.ssl.{name} = {path}" for name, path in files.items()),
            "vm_memory_high_watermark.absolute = 1MB",
        ]
        path = self.folder / "rabbitmq.conf"
        kept = [line for line in path.read_text().splitlines() if not line.startswith("vm_memory")]
        path.write_text("\n".join([*kept, *lines, ""]))

    def tls_url(self, query: str = "", *, port: int = 0) -> str:
        return self.url(scheme="amqps").replace(str(self.port), str(port or self.tls_port)) + query


@pytest.fixture(scope="module")
def guarded() -> GuardedRabbitMQ:
    """The run's own, shared: not to be stopped."""
    return shared(GuardedRabbitMQ)


def is_golden(case: str, step: Ready, **varying: str) -> str:
    """Drive a step that fails, compare what it says, and return that."""
    driven = drive(step)
    assert driven.outcome == "failed", driven
    assert driven.finished.attempts == 1
    assert SECRET not in "\n".join([driven.reason, *driven.log, *driven.waited_for])
    assert_golden(f"rabbitmq/{case}", driven.reason, driven.finished.hint, varying=varying)
    return driven.reason


def new_user(server: RabbitMQ, password: str = SECRET) -> str:
    name = f"user-{uuid4().hex[:8]}"
    server.create_user(name, password)
    return name


# -- ready


def test_ready(vhost: Vhost) -> None:
    driven = drive(Ready(url=vhost.url))
    assert (driven.outcome, driven.finished.attempts, driven.log) == ("unchanged", 1, ())


@pytest.mark.parametrize("path", ["", "/", "/%2F"])
def test_three_ways_to_write_the_default_virtual_host(rabbitmq: RabbitMQ, path: str) -> None:
    assert check(Ready(url=rabbitmq.url("/").removesuffix("/%2F") + path)) == ()


def test_parts_instead_of_a_url(rabbitmq: RabbitMQ, vhost: Vhost) -> None:
    step = Ready(
        host="127.0.0.1",
        port=rabbitmq.port,
        user=rabbitmq.user,
        password=rabbitmq.password,
        database=vhost.name,
    )
    assert check(step) == ()


def test_odd_names_and_passwords(rabbitmq: RabbitMQ) -> None:
    name = f"odd/ %?#é-{uuid4().hex[:8]}"
    user = new_user(rabbitmq, ODD_PASSWORD)
    rabbitmq.create_vhost(name, user=user)
    try:
        assert check(Ready(url=rabbitmq.url(name, user=user, password=ODD_PASSWORD))) == ()
    finally:
        rabbitmq.delete_vhost(name)


def test_empty_permissions_will_do(vhost: Vhost) -> None:
    user = new_user(vhost.server)
    vhost.server.allow(user, vhost.name, configure="^$", write="^$", read="^$")
    assert check(Ready(url=vhost.server.url(vhost.name, user=user, password=SECRET))) == ()


def test_a_resource_alarm_does_not_matter(guarded: GuardedRabbitMQ) -> None:
    with pytest.raises(HTTPError) as caught:
        guarded.api("GET", "/api/health/checks/alarms")
    assert {alarm["resource"] for alarm in json.load(caught.value)["alarms"]} == {"memory"}
    assert check(Ready(url=guarded.url())) == ()


# -- not yet


@pytest.mark.parametrize(
    ("scheme", "behaviour"),
    [
        ("amqp", hang_up),
        ("amqp", hang_up_at_once),
        ("amqp", reset),
        ("amqp", speak_http),
        ("amqps", hang_up),
        ("amqps", hang_up_at_once),
        ("amqps", reset),
    ],
)
def test_a_connection_closed_in_the_handshake_is_not_yet(scheme: str, behaviour: Behaviour) -> None:
    with fake_server(behaviour) as port, pytest.raises(NotYet) as caught:
        check(Ready(url=f"{scheme}://app:{SECRET}@127.0.0.1:{port}/"))
    assert caught.value.message == f"127.0.0.1:{port}: the connection was closed during the handshake"
    assert "check that the port speaks AMQP 0-9-1" in (caught.value.hint or "")
    assert caught.value.probe is None, "a port that accepts is not probed"


def closing_with(code: int, words: str) -> Behaviour:
    """A broker that says good-bye in the place of a welcome, after the start of a handshake."""
    start = b"\x00\x0a\x00\x0a\x00\x09" + b"\x00\x00\x00\x00" + b"\x00\x00\x00\x05PLAIN" + b"\x00\x00\x00\x05en_US"
    text = words.encode()
    close = b"\x00\x0a\x00\x32" + code.to_bytes(2, "big") + bytes([len(text)]) + text + b"\x00\x00\x00\x00"

    def frame(payload: bytes) -> bytes:
        return b"\x01\x00\x00" + len(payload).to_bytes(4, "big") + payload + b"\xce"

    def behaviour(connection: object) -> None:
        connection.recv(8)  # type: ignore[attr-defined]
        connection.sendall(frame(start))  # type: ignore[attr-defined]
        connection.recv(4096)  # type: ignore[attr-defined]
        connection.sendall(frame(close))  # type: ignore[attr-defined]
        connection.recv(4096)  # type: ignore[attr-defined]

    return behaviour


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"),
        (541, "INTERNAL_ERROR - the broker is in trouble"),
        (530, "NOT_ALLOWED - access to vhost '/' refused for user 'app': vhost '/' is down"),
        (530, "NOT_ALLOWED - connection refused for user 'app': user connection limit (2) is reached"),
    ],
)
def test_a_broker_that_sends_us_away_for_now(code: int, words: str) -> None:
    with fake_server(closing_with(code, words)) as port, pytest.raises(NotYet) as caught:
        check(Ready(url=f"amqp://app:{SECRET}@127.0.0.1:{port}/"))
    assert caught.value.message.startswith(f"127.0.0.1:{port}: the broker ")
    assert caught.value.message.endswith(words)


def test_a_broker_without_passwords_fails_at_once() -> None:
    def behaviour(connection: object) -> None:
        start = b"\x00\x0a\x00\x0a\x00\x09\x00\x00\x00\x00\x00\x00\x00\x06GSSAPI\x00\x00\x00\x05en_US"
        connection.recv(8)  # type: ignore[attr-defined]
        frame = b"\x01\x00\x00" + len(start).to_bytes(4, "big") + start + b"\xce"
        connection.sendall(frame)  # type: ignore[attr-defined]
        connection.recv(4096)  # type: ignore[attr-defined]

    with fake_server(behaviour) as port:
        is_golden("no-mechanism", Ready(url=f"amqp://app:{SECRET}@127.0.0.1:{port}/"), **{str(port): "PORT"})


def test_a_full_virtual_host_is_not_yet(vhost: Vhost) -> None:
    path = f"/api/vhost-limits/{vhost.name}/max-connections"
    vhost.server.api("PUT", path, {"value": 0})
    with pytest.raises(NotYet, match=r"connection limit \(0\) is reached"):
        check(Ready(url=vhost.url))
    threading.Timer(0.5, vhost.server.api, ("DELETE", path)).start()
    assert drive(Ready(url=vhost.url)).outcome == "unchanged"


def test_a_user_with_too_many_channels_is_not_yet(vhost: Vhost) -> None:
    user = new_user(vhost.server)
    vhost.server.allow(user, vhost.name)
    vhost.server.api("PUT", f"/api/user-limits/{user}/max-channels", {"value": 0})
    with pytest.raises(NotYet, match="number of channels"):
        check(Ready(url=vhost.server.url(vhost.name, user=user, password=SECRET)))


def test_a_refused_port_is_probed() -> None:
    with closed_port() as port, pytest.raises(NotYet) as caught:
        check(Ready(url=f"amqp://app:{SECRET}@127.0.0.1:{port}/"))
    assert caught.value.probe == ("127.0.0.1", port)


def test_an_unresolved_name_is_not_yet() -> None:
    with pytest.raises(NotYet) as caught:
        check(Ready(url=f"amqp://app:{SECRET}@no-such-broker.invalid/"))
    assert caught.value.probe == ("no-such-broker.invalid", 5672)


def test_no_answer_is_bounded_by_the_steps_time() -> None:
    with fake_server(be_silent) as port:
        driven = drive(Ready(url=f"amqp://app:{SECRET}@127.0.0.1:{port}/"), timeout=0.6)
    assert driven.outcome == "failed"
    assert driven.reason == (f"its time (600ms) is up: 127.0.0.1:{port}: accepts connections and does not answer")


@pytest.mark.parametrize("scheme", ["amqp", "amqps"])
def test_cancel_while_connecting(scheme: str) -> None:
    connected = threading.Event()

    def behaviour(connection: object) -> None:
        connected.set()
        be_silent(connection)  # type: ignore[arg-type]

    with fake_server(behaviour) as port:
        result, seconds = stopped_when(Ready(url=f"{scheme}://a:b@127.0.0.1:{port}/"), connected.is_set)
    assert result.steps[0].outcome == "cancelled"
    assert seconds < PROMPTLY


def test_a_broker_that_starts_and_stops_is_waited_for_and_noticed() -> None:
    with closing(RabbitMQ()) as server:
        server.start_without_waiting()
        step = Ready(url=server.url())
        driven = drive(step, timeout=120)
        assert driven.outcome == "unchanged"
        assert any("connection refused" in reason for reason in driven.waited_for)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        # Whatever a broker says while it stops, none of it is final.
        while stopping.is_alive():
            try:
                assert check(step) == ()
            except NotYet:
                continue
        stopping.join()
        with pytest.raises(NotYet):
            check(step)


# -- never


def test_rejected_password(rabbitmq: RabbitMQ) -> None:
    url = rabbitmq.url("/", password=SECRET)
    is_golden("rejected-password", Ready(url=url), **{str(rabbitmq.port): "PORT"})


def test_rejected_guest(rabbitmq: RabbitMQ) -> None:
    is_golden("rejected-guest", Ready(url=f"amqp://127.0.0.1:{rabbitmq.port}"), **{str(rabbitmq.port): "PORT"})


def test_unknown_virtual_host(rabbitmq: RabbitMQ) -> None:
    is_golden("unknown-virtual-host", Ready(url=rabbitmq.url("no/where")), **{str(rabbitmq.port): "PORT"})


def test_virtual_host_without_permissions(vhost: Vhost) -> None:
    user = new_user(vhost.server)
    step = Ready(url=vhost.server.url(vhost.name, user=user, password=SECRET))
    is_golden("no-access", step, **{str(vhost.server.port): "PORT", vhost.name: "VHOST", user: "USER"})


def test_retry_auth_waits_for_a_late_user_and_its_permissions(vhost: Vhost) -> None:
    server, user = vhost.server, f"late-{uuid4().hex[:8]}"
    url = server.url(vhost.name, user=user, password=SECRET)
    with pytest.raises(Rejected):
        check(Ready(url=url))
    threading.Timer(0.4, server.create_user, (user, SECRET)).start()
    threading.Timer(1.6, server.allow, (user, vhost.name)).start()
    driven = drive(Ready(url=url, retry_auth=True))
    assert driven.outcome == "unchanged"
    said = "\n".join(driven.waited_for)
    assert "ACCESS_REFUSED" in said
    assert SECRET not in said


def test_wait_tries_on_where_run_gives_up(rabbitmq: RabbitMQ) -> None:
    user = f"late-{uuid4().hex[:8]}"
    step = Ready(url=rabbitmq.url("/", user=user, password=SECRET))
    assert drive(step).outcome == "failed"

    def create() -> None:
        rabbitmq.create_user(user, SECRET)
        rabbitmq.allow(user, "/")

    threading.Timer(0.4, create).start()
    assert drive(step, wait=True).outcome == "unchanged"


# -- TLS


def test_tls_is_verified(guarded: GuardedRabbitMQ) -> None:
    assert check(Ready(url=guarded.tls_url(f"?cacertfile={guarded.certificate.ca_file}"))) == ()
    assert check(Ready(url=guarded.tls_url("?verify=verify_none"))) == ()
    port = {str(guarded.tls_port): "PORT"}
    is_golden("unknown-authority", Ready(url=guarded.tls_url()), **port)
    elsewhere = guarded.tls_url(f"?cacertfile={guarded.certificate.ca_file}&server_name_indication=rabbitmq")
    is_golden("another-host", Ready(url=elsewhere), **port)


def test_a_certificate_of_our_own_is_sent(guarded: GuardedRabbitMQ) -> None:
    own = guarded.certificate
    query = f"?cacertfile={own.ca_file}&certfile={own.cert_file}&keyfile={own.key_file}"
    assert check(Ready(url=guarded.tls_url(query))) == ()


def test_certificate_files_that_are_not_there_or_not_what_they_should_be(guarded: GuardedRabbitMQ) -> None:
    missing = guarded.tls_url("?cacertfile=/nowhere/ca.pem")
    is_golden("no-certificate-file", Ready(url=missing))
    wrong = guarded.folder / "rabbitmq.conf"
    varying = {str(guarded.folder): "FOLDER"}
    is_golden("no-certificate", Ready(url=guarded.tls_url(f"?cacertfile={wrong}")), **varying)


def test_tls_where_none_is_spoken(guarded: GuardedRabbitMQ) -> None:
    is_golden("no-tls", Ready(url=guarded.url(scheme="amqps")), **{str(guarded.port): "PORT"})


def test_no_tls_where_it_is_spoken(guarded: GuardedRabbitMQ) -> None:
    with pytest.raises(NotYet) as caught:
        check(Ready(url=guarded.url().replace(str(guarded.port), str(guarded.tls_port))))
    assert "check that the port speaks AMQP 0-9-1 without TLS" in (caught.value.hint or "")


# -- what else is said


def test_pika_is_quiet_and_left_as_it_was(
    rabbitmq: RabbitMQ, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    logger = logging.getLogger("pika")
    logger.setLevel(logging.DEBUG)
    try:
        with pytest.raises(Rejected):
            check(Ready(url=rabbitmq.url("/", password=SECRET)))
        assert [record for record in caplog.records if record.name.startswith("pika")] == []
        assert logger.level == logging.DEBUG
    finally:
        logger.setLevel(logging.NOTSET)
    assert capfd.readouterr() == ("", "")
