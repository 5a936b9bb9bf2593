"""A scripted server that keeps JSON documents, for the shapes of APIs whose real servers cannot be had.

with JsonApi({"PUT /_index_template/{name}": put}) as api:
    url = f"{api.url}/_index_template/logs"

A handler gets the match of its path and the document that was sent, and returns a status and an answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self

Answer = tuple[int, Any]
Handler = Callable[[Mapping[str, str], Any], Answer]


class JsonApi:
    """The server, on a port of its own.

    Args:
        routes: `METHOD /path/{name}?query` to what answers.
        token: that an `Authorization` header must hold, if any.
    """

    def __init__(self, routes: Mapping[str, Handler], *, token: str = "") -> None:
        self.requests: list[str] = []
        compiled = [
            (method, re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/?&]+)", re.escape(path))), handler)
            for (method, _, path), handler in (
                (route.partition(" "), handler) for route, handler in routes.items()
            )
        ]
        api = self

        class _Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                api.requests.append(f"{self.command} {self.path}")
                status, answer = self.route(body)
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def route(self, body: bytes) -> Answer:
                if token and token not in self.headers.get("Authorization", ""):
                    return 401, {"message": "a token is needed"}
                for method, path, handler in compiled:
                    if method == self.command and (match := path.fullmatch(self.path)):
                        return handler(match.groupdict(), json.loads(body) if body else None)
                return 404, {"message": f"no route for {self.command} {self.path}"}

            do_GET = do_PUT = do_POST = do_PATCH = answer  # noqa: N815 - http.server's names

            def log_message(self, *arguments: object) -> None:
                """Silence."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
