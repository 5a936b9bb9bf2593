"""http.ready against real HTTP servers, over TLS too."""

from __future__ import annotations

import http.server
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from cancelling import cancelled
from fake_server import be_silent, fake_server, hang_up, hang_up_at_once, reset
from golden import assert_golden
from inithold.errors import NotYet, StepFailed
from inithold.redaction.redact import SECRETS
from inithold.steps.http import Ready
from inithold.testing import check, drive
from inithold.text.duration import Duration
from promptness import PROMPTLY
from servers.certificates import Certificate, make_certificate
from servers.ports import closed_port

Answers = Callable[["Handler"], None]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as the test says; remembers what was asked."""

    protocol_version = "HTTP/1.1"
    answers: Answers
    asked: list[Handler]

    def _answer(self) -> None:
        type(self).asked.append(self)
        with suppress(OSError):
            type(self).answers(self)

    do_GET = do_HEAD = do_POST = do_OPTIONS = _answer  # noqa: N815 - the library's names

    def reply(self, status: int, body: str | bytes = b"", **headers: str) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in {"Content_Type": "text/plain", "Content_Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *arguments: Any) -> None:
        return


@contextmanager
def server(answers: Answers, tls: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[Handler]]]:
    """A web server; yields its URL and the requests it got."""
    asked: list[Handler] = []
    kind = type("Own", (Handler,), {"answers": staticmethod(answers), "asked": asked})

    class Quiet(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *arguments: Any) -> None:
            return

    own = Quiet(("127.0.0.1", 0), kind)
    if tls:
        own.socket = tls.wrap_socket(own.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=own.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{own.server_port}", asked
    finally:
        own.shutdown()
        own.server_close()


def always(status: int, body: str | bytes = b"", **headers: str) -> Answers:
    return lambda handler: handler.reply(status, body, **headers)


def not_yet(step: Ready, case: str, url: str) -> NotYet:
    with pytest.raises(NotYet) as raised:
        check(step)
    assert_golden(
        f"http/{case}", raised.value.message, raised.value.hint, varying={url.rpartition(":")[2]: "PORT"}
    )
    return raised.value


# -- what counts


@pytest.mark.parametrize("status", [200, 204, 299])
def test_success_is_ready(status: int) -> None:
    with server(always(status)) as (url, asked):
        assert check(Ready(url=f"{url}/health")) == ()
        assert drive(Ready(url=url)).outcome == "unchanged"
        assert [(handler.command, handler.path) for handler in asked] == [("GET", "/health"), ("GET", "/")]
        assert asked[0].headers["User-Agent"].startswith("inithold/")
        assert asked[0].headers["Host"] == url.removeprefix("http://")


def test_other_statuses_are_not_yet_and_told() -> None:
    with server(always(503, "starting, 3 of 7 caches warm")) as (url, _):
        not_yet(Ready(url=f"{url}/health"), "503", url)
    page = "<html><style>b{}</style><h1>502 Bad Gateway</h1>\n<hr>nginx</html>"
    with server(always(502, page, Content_Type="text/html")) as (url, _):
        not_yet(Ready(url=url), "502-page", url)
    with server(always(404)) as (url, _):
        not_yet(Ready(url=url), "404", url)
    with server(always(401, '{"error": "who?"}', Content_Type="application/json")) as (url, _):
        not_yet(Ready(url=url), "401", url)
    with server(always(500, b"\x00\x01\x02", Content_Type="application/octet-stream")) as (url, _):
        not_yet(Ready(url=url), "500-binary", url)


def test_the_expected_status_may_be_named() -> None:
    with server(always(401)) as (url, _):
        assert check(Ready(url=url, status=401)) == ()
        assert check(Ready(url=url, status=[200, 401])) == ()
        with pytest.raises(NotYet):
            check(Ready(url=url, status=403))


def test_a_text_may_be_expected() -> None:
    with server(always(200, '{"database": "ok"}')) as (url, _):
        assert check(Ready(url=url, contains='"database": "ok"')) == ()
        not_yet(Ready(url=url, contains='"broker": "ok"'), "without-text", url)
    with server(always(200, "grün".encode("latin-1"), Content_Type="text/plain; charset=latin-1")) as (url, _):
        assert check(Ready(url=url, contains="grün")) == ()


def test_a_body_that_is_compressed_though_nobody_asked_for_it() -> None:
    import gzip
    import zlib

    text = b'{"database": "ok"}'
    for coding, body in (("gzip", gzip.compress(text)), ("deflate", zlib.compress(text))):
        with server(always(200, body, Content_Encoding=coding)) as (url, _):
            assert check(Ready(url=url, contains='"database": "ok"')) == ()
    with server(always(200, b"\x0b\x08\x80", Content_Encoding="br")) as (url, _):
        assert check(Ready(url=url)) == ()
        never(Ready(url=url, contains="ok"), "compressed", url)


def test_a_text_is_looked_for_in_the_first_mebibyte() -> None:
    with server(always(200, "x" * 1_000_000 + "found")) as (url, _):
        assert check(Ready(url=url, contains="found")) == ()
    with server(always(200, "x" * 1_100_000 + "found")) as (url, _), pytest.raises(NotYet):
        check(Ready(url=url, contains="found"))


def endless(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"5\r\nready\r\n")
    handler.wfile.flush()
    time.sleep(5)


def test_an_answer_that_never_ends_is_read_as_far_as_needed() -> None:
    with server(endless) as (url, _):
        began = time.monotonic()
        assert check(Ready(url=url)) == ()
        assert check(Ready(url=url, contains="ready")) == ()
        assert time.monotonic() - began < PROMPTLY


def test_methods_headers_and_query() -> None:
    with server(always(200)) as (url, asked):
        check(Ready(url=f"{url}/a b/ü?x=y z&token=planted-in-query", headers={"X-Name": "grün", "accept": "a/b"}))
        check(Ready(url=url, method="HEAD"))
        check(Ready(url=url, method="POST"))
    assert asked[0].path == "/a%20b/%C3%BC?x=y%20z&token=planted-in-query"
    assert asked[0].headers["X-Name"].encode("latin-1").decode() == "grün"
    assert asked[0].headers.get_all("Accept") == ["a/b"]
    assert [handler.command for handler in asked[1:]] == ["HEAD", "POST"]
    assert asked[2].headers["Content-Length"] == "0"


# -- secrets


def test_user_and_password_become_basic_authentication() -> None:
    with server(lambda handler: handler.reply(500, handler.headers["Authorization"])) as (url, _):
        own = url.replace("//", "//us%40er:planted-p%40ss@")
        error = not_yet(Ready(url=f"{own}/x?key=planted-in-query"), "basic", url)
    assert "planted" not in error.message
    assert "cGxhbnRlZC1wQHNz" not in error.message
    with server(lambda handler: handler.reply(200, handler.headers["Authorization"])) as (url, _):
        own = url.replace("//", "//us%40er:planted-p%40ss@")
        assert check(Ready(url=own, contains="Basic dXNAZXI6cGxhbnRlZC1wQHNz")) == ()
        assert check(Ready(url=own, headers={"authorization": "Bearer x"}, contains="Bearer x")) == ()


def test_secrets_of_headers_are_in_no_message() -> None:
    headers = {
        "Authorization": "Bearer planted-bearer",
        "X-Api-Key": "planted-api-key",
        "Cookie": "session=planted-cookie; theme=dark",
        "Proxy-Authorization": "Basic YXBwOnBsYW50ZWQtcHJveHk=",
    }
    body = " ".join([*headers.values(), "planted-proxy"])
    with server(always(500, body)) as (url, _):
        result = drive(Ready(url=url, headers=headers), timeout=0.3)
    assert "planted" not in "".join(map(str, result.events))
    assert "answered 500" in result.reason


# -- redirects


def redirecting(handler: Handler) -> None:
    if handler.path == "/end":
        handler.reply(200, "the end")
    elif handler.path.startswith("/303"):
        handler.reply(303, Location="end")
    else:
        handler.reply(307, Location=handler.path.removeprefix("/to"))


def test_redirects_are_followed() -> None:
    with server(redirecting) as (url, asked):
        assert check(Ready(url=f"{url}/to/to/end", contains="the end")) == ()
        assert check(Ready(url=f"{url}/303", method="POST")) == ()
    assert [(handler.command, handler.path) for handler in asked] == [
        ("GET", "/to/to/end"),
        ("GET", "/to/end"),
        ("GET", "/end"),
        ("POST", "/303"),
        ("GET", "/end"),
    ]


def test_a_redirect_may_be_what_is_expected() -> None:
    with server(redirecting) as (url, asked):
        assert check(Ready(url=f"{url}/to/end", status=307)) == ()
        assert len(asked) == 1


def test_redirects_in_a_circle_and_to_nowhere() -> None:
    with server(always(302, Location="/again")) as (url, asked):
        not_yet(Ready(url=url), "redirects-in-a-circle", url)
        assert len(asked) == 6
    with server(always(302, Location="ftp://planted:planted@x/")) as (url, _):
        not_yet(Ready(url=url), "redirect-to-nowhere", url)


def test_credentials_do_not_go_elsewhere() -> None:
    with server(always(200)) as (other, there), server(always(302, Location=f"{other}/there")) as (url, _):
        own = url.replace("//", "//user:planted-p@")
        assert check(Ready(url=own, headers={"X-Api-Key": "planted-key"})) == ()
    assert "Authorization" not in there[0].headers
    assert "X-Api-Key" not in there[0].headers


# -- not yet, in every way


def test_refused_and_lost_connections() -> None:
    with closed_port() as port:
        error = not_yet(Ready(url=f"http://127.0.0.1:{port}/x"), "refused", f":{port}")
        assert error.probe == ("127.0.0.1", port)
    for behaviour, case in ((reset, "reset"), (hang_up, "hung-up")):
        with fake_server(behaviour) as port:
            not_yet(Ready(url=f"http://127.0.0.1:{port}/x"), case, f":{port}")
    # An end of file or a reset: the request may come before or after the end.
    with fake_server(hang_up_at_once) as port, pytest.raises(NotYet):
        check(Ready(url=f"http://127.0.0.1:{port}/x"))


def test_an_answer_that_is_cut_short() -> None:
    def cut(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"ff\r\nshort")
        handler.close_connection = True

    with server(cut) as (url, _):
        not_yet(Ready(url=url, contains="something else"), "cut-short", url)


def trickle(handler: Handler) -> None:
    for _ in range(100):
        handler.wfile.write(b"H")
        handler.wfile.flush()
        time.sleep(0.05)


@pytest.mark.parametrize("answers", [trickle, lambda handler: time.sleep(5)], ids=["trickling", "silent"])
def test_the_whole_exchange_is_bounded(answers: Answers) -> None:
    with server(answers) as (url, _):
        began = time.monotonic()
        not_yet(Ready(url=f"{url}/x", request_timeout=Duration(0.3)), "too-slow", url)
        assert time.monotonic() - began < PROMPTLY


def test_time_that_is_up_says_what_it_was_doing() -> None:
    with fake_server(be_silent) as port:
        began = time.monotonic()
        result = drive(Ready(url=f"http://127.0.0.1:{port}/x"), timeout=0.3)
        assert time.monotonic() - began < PROMPTLY
        assert_golden("http/time-is-up", result.reason, result.finished.hint, varying={str(port): "PORT"})


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_cancelling_interrupts_an_exchange(scheme: str) -> None:
    connected = threading.Event()

    def silent(connection: Any) -> None:
        # The first connection is the bare one.
        if connection.recv(1024):
            connected.set()
            be_silent(connection)

    with fake_server(silent) as port:
        result, seconds = cancelled(Ready(url=f"{scheme}://127.0.0.1:{port}/x"), connected.is_set)
    assert result.outcome == "cancelled"
    assert seconds < PROMPTLY, "it was interrupted, not given up"


def test_a_service_that_comes_up_late_is_noticed() -> None:
    up = threading.Event()
    with server(lambda handler: handler.reply(200 if up.is_set() else 503)) as (url, _):
        threading.Timer(0.4, up.set).start()
        result = drive(Ready(url=url))
    assert result.outcome == "unchanged"
    assert result.waited_for[0].endswith("answered 503 Service Unavailable")


# -- never


def test_what_does_not_speak_http() -> None:
    def greet(connection: Any) -> None:
        connection.sendall(b"220 mail.example ESMTP\r\n")
        connection.recv(1024)

    with fake_server(greet) as port:
        with pytest.raises(StepFailed) as raised:
            check(Ready(url=f"http://127.0.0.1:{port}"))
        assert_golden("http/not-http", raised.value.message, raised.value.hint, varying={str(port): "PORT"})


# -- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


def server_context(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert_file, certificate.key_file)
    return context


@pytest.fixture
def tls(certificate: Certificate) -> ssl.SSLContext:
    return server_context(certificate)


def never(step: Ready, case: str, url: str, **varying: str) -> None:
    with pytest.raises(StepFailed) as raised:
        check(step)
    replaced = {url.rpartition(":")[2]: "PORT"} | {value: name.upper() for name, value in varying.items()}
    assert_golden(f"http/{case}", raised.value.message, raised.value.hint, varying=replaced)


def test_a_trusted_certificate_is_ready(certificate: Certificate, tls: ssl.SSLContext) -> None:
    with server(always(200, "ok"), tls) as (url, asked):
        assert check(Ready(url=url, ca_file=str(certificate.ca_file), contains="ok")) == ()
        assert check(Ready(url=url, verify=False)) == ()
        assert asked[0].headers["Host"] == url.removeprefix("https://")


def test_an_untrusted_certificate_is_never_ready(tls: ssl.SSLContext) -> None:
    with server(always(200), tls) as (url, _):
        never(Ready(url=url), "untrusted", url)
        assert drive(Ready(url=url), timeout=10).outcome == "failed"


def test_an_expired_certificate_is_never_ready(tmp_path: Path) -> None:
    expired = make_certificate(tmp_path, expired=True)
    with server(always(200), server_context(expired)) as (url, _):
        never(Ready(url=url, ca_file=str(expired.ca_file)), "expired", url)


def test_a_certificate_for_another_name_is_never_ready(certificate: Certificate, tls: ssl.SSLContext) -> None:
    own = http.server.ThreadingHTTPServer(("127.0.0.3", 0), Handler)
    own.socket = tls.wrap_socket(own.socket, server_side=True, do_handshake_on_connect=False)
    own.handle_error = lambda *_: None  # type: ignore[method-assign]
    threading.Thread(target=own.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    url = f"https://127.0.0.3:{own.server_port}"
    never(Ready(url=url, ca_file=str(certificate.ca_file)), "other-name", url)
    own.shutdown()
    own.server_close()


def test_a_plain_port_is_never_ready_for_https() -> None:
    with server(always(200)) as (url, _):
        never(Ready(url=url.replace("http", "https")), "plain-port", url)


def test_a_connection_lost_in_the_handshake_is_not_yet() -> None:
    with fake_server(hang_up) as port:
        not_yet(Ready(url=f"https://127.0.0.1:{port}"), "handshake-hung-up", f":{port}")
    with fake_server(reset) as port:
        not_yet(Ready(url=f"https://127.0.0.1:{port}"), "handshake-reset", f":{port}")


def test_a_ca_file_that_is_none(tmp_path: Path, tls: ssl.SSLContext) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate\n")
    with server(always(200), tls) as (url, _):
        never(Ready(url=url, ca_file=str(wrong)), "ca-file-wrong", url, folder=str(tmp_path))
        never(Ready(url=url, ca_file=str(tmp_path / "no")), "ca-file-absent", url, folder=str(tmp_path))


# -- plans


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"url": "ftp://x"}, "url"),
        ({"url": "http://"}, "url"),
        ({"url": "http://app:pa/ss@x"}, "url"),
        ({"url": "http://x/#fragment"}, "url"),
        ({"url": "http://x", "headers": {"a b": "c"}}, "headers"),
        ({"url": "http://x", "headers": {"A": "b\r\nC: d"}}, "headers"),
        ({"url": "http://x", "status": []}, "status"),
        ({"url": "http://x", "contains": ""}, "contains"),
        ({"url": "http://x", "contains": "x", "method": "HEAD"}, "contains"),
        ({"url": "http://x", "ca_file": "x", "verify": False}, "ca_file"),
        ({"url": "http://x", "request_timeout": Duration(0)}, "request_timeout"),
    ],
)
def test_fields_that_do_not_fit(fields: dict[str, Any], field: str) -> None:
    assert [name for name, _ in Ready(**fields).validate()] == [field]


def test_what_is_shown_of_a_url() -> None:
    step = Ready(url="https://app:planted-user-info@web/health?token=planted-token")
    assert step.subject() == "https://app@web:443/health"
    assert "planted" not in repr(step)
    assert SECRETS.scrub("planted-user-info planted-token") == "*** ***"
