"""A Discord for tests: refuses each message the first FAIL_FIRST times, then keeps it. GET /posts shows them."""

from __future__ import annotations

import json
import os
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAIL_FIRST = int(os.environ.get("FAIL_FIRST", "1"))
posts: list[dict[str, Any]] = []
tries: Counter[str] = Counter()


class Discord(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        tries[message["nonce"]] += 1
        if tries[message["nonce"]] <= FAIL_FIRST:
            self.answer(503, {"message": "try again"})
            return
        channel = self.path.split("/")[-2]
        posts.append({"channel": channel, "tries": tries[message["nonce"]], **message})
        self.answer(200, {"id": str(len(posts))})

    def do_GET(self) -> None:
        self.answer(200, posts)

    def answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    address = (os.environ.get("HOST", "0.0.0.0"), int(os.environ.get("PORT", "8080")))
    ThreadingHTTPServer(address, Discord).serve_forever()
