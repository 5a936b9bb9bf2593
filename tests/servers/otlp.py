"""A real OTLP receiver in this process: http/protobuf (also gzip) and gRPC, decoded for reading back.

    with Collector() as collector:
        run(env=collector.env("grpc"))
        assert collector.span("init.environment").attributes["init.outcome"] == "ready"

It can misbehave: answer with an error (`status`, `message`), take only a part (`rejects`), or come up late
(`Collector(start=False)`, then `listen()`). `deaf_collector()` accepts connections and never answers,
`dribbling_collector()` answers a byte at a time, `garbage_collector()` with what is no protocol; for a port that
refuses see `servers.ports.closed_port`.
"""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from servers.otlp_records import LogRecord, Metric, Span, log_records, metrics, spans
from servers.ports import free_port, release_port

Protocol = Literal["http/protobuf", "grpc"]
Found = TypeVar("Found")


@dataclass(frozen=True)
class Export:
    """One request as it came in: bodies to look for secrets in, headers for compression and credentials."""

    signal: str
    """traces, metrics or logs"""
    protocol: Protocol
    headers: dict[str, str]
    body: bytes
    """the message, uncompressed"""
    received_at: float
    """seconds since the epoch"""


@dataclass
class Collector:
    """Receives traces, metrics and logs on 127.0.0.1 over both protocols."""

    start: bool = True
    """listen at once; otherwise both ports refuse connections until `listen()`"""
    status: int = 200
    """what HTTP requests are answered with; anything but 200 stores nothing (gRPC answers with the like of it)"""
    message: str = ""
    """said with an error or a partial success"""
    rejects: int = 0
    """how many items of each request it says it did not take, while it stores them all the same"""
    headers: dict[str, str] = field(default_factory=dict)
    """HTTP headers of every answer, such as `Retry-After`"""
    says: bytes | None = None
    """the body of every HTTP answer, instead of the message that OTLP promises"""
    asked: int = 0
    """how many requests came in, answered well or not"""
    exports: list[Export] = field(default_factory=list)
    http_port: int = 0
    grpc_port: int = 0
    _serving: bool = False
    _timer: threading.Timer | None = None
    _grpc: Any = None
    _http: _HttpServer = field(init=False)

    def env(self, protocol: Protocol = "http/protobuf") -> dict[str, str]:
        """The variables that make an OpenTelemetry SDK send everything here."""
        port = self.grpc_port if protocol == "grpc" else self.http_port
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}

    @property
    def spans(self) -> list[Span]:
        """Every span received so far, in the order of their ends."""
        return sorted(self._records("traces", spans), key=lambda span: span.end)

    @property
    def metrics(self) -> list[Metric]:
        """Every metric received so far; one that was exported twice is here twice."""
        return self._records("metrics", metrics)

    @property
    def logs(self) -> list[LogRecord]:
        """Every log record received so far."""
        return self._records("logs", log_records)

    def span(self, name: str) -> Span:
        """The one span of this name; raises `AssertionError` with the names there are."""
        named = [span for span in self.spans if span.name == name]
        assert len(named) == 1, (
            f"{len(named)} spans are named {name}; there are {[span.name for span in self.spans]}"
        )
        return named[0]

    def metric(self, name: str) -> Metric:
        """The last metric received under this name; raises `AssertionError` with the names there are."""
        named = [metric for metric in self.metrics if metric.name == name]
        assert named, f"no metric is named {name}; there are {sorted({metric.name for metric in self.metrics})}"
        return named[-1]

    def wait_for(self, look: Callable[[Self], Found], *, seconds: float = 10) -> Found:
        """Look again until something true is found, such as `wait_for(lambda c: c.spans)`, and return it."""
        deadline = time.monotonic() + seconds
        while not (found := look(self)):
            seen = [(export.signal, export.protocol) for export in self.exports]
            assert time.monotonic() < deadline, f"not received within {seconds:g} s; exports so far: {seen}"
            time.sleep(0.02)
        return found

    def clear(self) -> None:
        """Forget what was received."""
        self.exports.clear()

    def listen(self) -> None:
        """Accept connections from now on."""
        self._http.server_activate()
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self._serving = True
        self._grpc = _grpc_server(self)

    def listen_after(self, seconds: float) -> None:
        """Refuse connections for so long, then accept them."""
        self._timer = threading.Timer(seconds, self.listen)
        self._timer.daemon = True
        self._timer.start()

    def __enter__(self) -> Self:
        self._http = _HttpServer(self)
        self._http.server_bind()  # bound and not listening: the port is ours and refuses
        self.http_port = self._http.server_address[1]
        self.grpc_port = free_port()
        if self.start:
            self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()
        if self._serving:
            self._http.shutdown()
        self._http.server_close()
        if self._grpc is not None:
            self._grpc.stop(grace=None).wait()
        release_port(self.grpc_port)

    def receive(self, signal: str, protocol: Protocol, headers: dict[str, str], body: bytes) -> None:
        """Store one export."""
        self.exports.append(Export(signal, protocol, headers, body, time.time()))

    def answer(self, signal: str) -> bytes:
        """The message of a success: an empty one is a whole success."""
        if not self.rejects:
            return b""
        # Of the three messages, field 1 is `partial_success`; in it 1 is the count and 2 the message.
        message = self.message.encode()
        partial = bytes((0x08, self.rejects, 0x12, len(message))) + message
        return bytes((0x0A, len(partial))) + partial

    def _records(self, signal: str, decode: Callable[[bytes], list[Found]]) -> list[Found]:
        bodies = [export.body for export in list(self.exports) if export.signal == signal]
        return [record for body in bodies for record in decode(body)]


@contextmanager
def deaf_collector() -> Iterator[int]:
    """The port of a server that accepts connections, swallows what is sent and never answers."""
    stopping = threading.Event()
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        listener.settimeout(0.1)
        thread = threading.Thread(target=_swallow, args=(listener, stopping), daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            stopping.set()
            thread.join()


@contextmanager
def dribbling_collector() -> Iterator[int]:
    """The port of a server whose answer never ends, a byte at a time: no timeout of reads helps."""
    stopping = threading.Event()

    def dribble(connection: socket.socket) -> None:
        with closing(connection), suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not stopping.wait(0.1):
                connection.sendall(b"x")

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=dribble, args=(listener.accept()[0],), daemon=True).start()

    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            stopping.set()
            listener.shutdown(socket.SHUT_RDWR)


@contextmanager
def garbage_collector() -> Iterator[int]:
    """The port of a server that answers everything with what is neither HTTP nor gRPC."""

    def answer() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with closing(connection):
                connection.recv(1 << 16)
                connection.sendall(b"\x00\xffgarbage\r\n\r\n" * 100)

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        threading.Thread(target=answer, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def _swallow(listener: socket.socket, stopping: threading.Event) -> None:
    connections: list[socket.socket] = []
    while not stopping.is_set():
        with suppress(TimeoutError):
            connections.append(listener.accept()[0])
        for connection in connections:
            connection.setblocking(False)
            try:
                connection.recv(1 << 20)
            except OSError:
                continue
    for connection in connections:
        connection.close()


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, collector: Collector) -> None:
        super().__init__(("127.0.0.1", 0), _HttpHandler, bind_and_activate=False)
        self.collector = collector

    def server_bind(self) -> None:
        socket.socket.bind(self.socket, self.server_address)  # without asking DNS for a name
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]


class _HttpHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _HttpServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        signal = self.path.removeprefix("/v1/")
        collector = self.server.collector
        collector.asked += 1
        status = collector.status
        if signal not in ("traces", "metrics", "logs"):
            status = 404
        if status == 200:
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            collector.receive(signal, "http/protobuf", dict(self.headers), body)
        answer = collector.answer(signal) if status == 200 else _status(collector.message)
        if collector.says is not None:
            answer = collector.says
        self.send_response(status)
        for name, value in collector.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # its name there
        """Keep it out of the test's output."""


def _grpc_server(collector: Collector) -> Any:
    """A gRPC server with the three OTLP services; messages come as bytes: nothing is lost."""
    import grpc

    server = grpc.server(ThreadPoolExecutor(max_workers=4), options=[("grpc.so_reuseport", 0)])
    for signal, service in (("traces", "trace"), ("metrics", "metrics"), ("logs", "logs")):
        export = grpc.unary_unary_rpc_method_handler(_grpc_export(collector, signal))
        name = f"opentelemetry.proto.collector.{service}.v1.{service.capitalize()}Service"
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {"Export": export}),))
    server.add_insecure_port(f"127.0.0.1:{collector.grpc_port}")
    server.start()
    return server


def _grpc_export(collector: Collector, signal: str) -> Callable[[bytes, Any], bytes]:
    import grpc

    def export(body: bytes, context: Any) -> bytes:
        collector.asked += 1
        if collector.status != 200:
            code = _GRPC_CODES.get(collector.status, "UNAVAILABLE")
            context.abort(getattr(grpc.StatusCode, code), collector.message or "told to refuse")
        headers = {key: str(value) for key, value in context.invocation_metadata()}
        collector.receive(signal, "grpc", headers, body)
        return collector.answer(signal)

    return export


_GRPC_CODES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "UNIMPLEMENTED"}


def _status(message: str) -> bytes:
    """A google.rpc.Status, which is how OTLP over HTTP words an error."""
    from google.rpc.status_pb2 import Status

    return bytes(Status(message=message).SerializeToString())
