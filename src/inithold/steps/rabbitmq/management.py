"""RabbitMQ's management API over HTTP: JSON in, JSON out, on one connection that can be interrupted."""

from __future__ import annotations

import base64
import html
import http.client
import json
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

from inithold.errors import Interrupted, NotYet, Rejected, StepError, StepFailed
from inithold.net.dial import dial, seen
from inithold.redaction.redact import SECRETS
from inithold.redaction.sanitize import one_line
from inithold.steps.address import Address
from inithold.steps.base import StepContext
from inithold.steps.rabbitmq.access import Login
from inithold.steps.rabbitmq.tls import tls_context, tls_failed

CONNECT_SECONDS = 1.0
"""Connecting cannot be interrupted, and a stopping container must not wait for it."""
ANSWER_SECONDS = 30.0


class Management:
    """The management API of one broker; use as a context manager.

    Args:
        address: of the API, `http` or `https`; its path is what comes before `/api`.
        login: who asks.
        context: bounds every wait and ends it when the step is told to stop.
    """

    def __init__(self, address: Address, login: Login, context: StepContext) -> None:
        self._address = address
        self._login = login
        self._context = context
        self._connection: http.client.HTTPConnection | None = None
        self._socket: socket.socket | None = None
        prefix = f"/{(address.database or '').strip('/')}".removesuffix("/api").rstrip("/")
        self._prefix = f"{quote(prefix)}/api/"
        pair = base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
        SECRETS.add(pair)
        self._headers = {"Authorization": f"Basic {pair}", "Content-Type": "application/json"}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._hang_up()

    def get(self, *path: str, query: Mapping[str, str] | None = None) -> Any:
        """What the API has at a path; None where it has nothing.

        Args:
            path: its parts, not yet percent-encoded: `("queues", "/", "orders")`.
            query: parameters.

        Raises:
            NotYet: the API is not up or was lost.
            Rejected: it does not let the user in, or not at this.
            StepFailed: it is not RabbitMQ's management API.
        """
        target = self._prefix + "/".join(quote(part, safe="") for part in path)
        target += f"?{urlencode(query)}" if query else ""
        status, body = self._exchange("GET", target, None)
        if status == http.HTTPStatus.NOT_FOUND and isinstance(body, dict) and "error" in body:
            return None
        if status == http.HTTPStatus.OK and body is not None:
            return body
        raise self._refused(status, body, path)

    def put(self, path: tuple[str, ...], body: Mapping[str, Any]) -> None:
        """Make or replace what is at a path.

        Args:
            path: its parts, not yet percent-encoded.
            body: what it shall be.

        Raises:
            NotYet: the API is not up or was lost.
            StepFailed: it does not want it.
        """
        target = self._prefix + "/".join(quote(part, safe="") for part in path)
        status, answer = self._exchange("PUT", target, json.dumps(body).encode())
        if status not in (http.HTTPStatus.CREATED, http.HTTPStatus.NO_CONTENT, http.HTTPStatus.OK):
            raise self._refused(status, answer, path)

    # -- HTTP

    def _exchange(self, method: str, target: str, body: bytes | None) -> tuple[int, Any]:
        self._context.check_cancelled()
        with self._context.on_cancel(self._interrupt):
            try:
                connection = self._connection or self._open()
                connection.sock.settimeout(self._context.remaining(ANSWER_SECONDS))
                connection.request(method, target, body, self._headers)
                with connection.getresponse() as response:
                    content = response.read()
                    if response.will_close:
                        self._hang_up()
            except (OSError, http.client.HTTPException) as error:
                self._hang_up()
                self._say_if_stopped(f"{method} {target}")
                raise self._lost(error) from error
        return response.status, _json(content)

    def _say_if_stopped(self, doing: str) -> None:
        try:
            self._context.check_cancelled()
        except Interrupted as stopped:
            raise Interrupted(f"management API {self._address.place}: does not answer: {doing}") from stopped

    def _open(self) -> http.client.HTTPConnection:
        address = self._address
        seconds = self._context.remaining(CONNECT_SECONDS)
        host = dial(address.host, address.port, timeout=seconds)
        self._socket = socket.create_connection((host, address.port), timeout=seconds)
        self._context.check_cancelled()
        if address.technology == "https":
            self._socket = tls_context(address).wrap_socket(self._socket, server_hostname=address.host)
        self._connection = http.client.HTTPConnection(address.host, address.port)
        self._connection.sock = self._socket
        self._connection.auto_open = False
        return self._connection

    def _interrupt(self) -> None:
        connected = self._socket
        if connected is not None:
            # Past the TLS layer, whose own state belongs to the thread that reads.
            with suppress(OSError):
                socket.socket.shutdown(connected, socket.SHUT_RDWR)

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._socket is not None:
            self._socket.close()
        self._connection = self._socket = None

    # -- what went wrong

    def _lost(self, error: OSError | http.client.HTTPException) -> StepError:
        place = self._address.place
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return tls_failed(f"management API {place}", error)
        hint = f"if it lasts, check the port of management_url: {_PORTS}"
        if isinstance(error, http.client.RemoteDisconnected | http.client.IncompleteRead | ssl.SSLError):
            return NotYet(f"management API {place}: the connection was closed", hint=hint)
        if isinstance(error, OSError):
            return NotYet(f"management API {place}: {seen(error)}", hint=hint)
        return StepFailed(
            f"management API {place}: what answers there does not speak HTTP",
            hint=f"check the port of management_url: {_PORTS}",
        )

    def _refused(self, status: int, body: Any, path: tuple[str, ...]) -> StepError:
        shown, words = self._address.shown, _words(status, body)
        if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
            return NotYet(f"management API {self._address.place}: {words}")
        if status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
            return Rejected(f"management API {shown}: {words}: {'/'.join(path)}", hint=_RIGHTS.get(words, _CHECK))
        if not isinstance(body, dict):
            return StepFailed(
                f"management API {shown}: {words}, and not from RabbitMQ's management API",
                hint="check host and port of management_url: http://user:password@rabbitmq:15672",
            )
        return StepFailed(
            f"management API {shown} refuses {'/'.join(path)}: {words}",
            hint="correct what the plan or its definitions file says of it",
        )


_PORTS = "usually 15672, with TLS 15671"
_CHECK = "check user and password of management_url"
_POLICYMAKER = "policies and parameters need a user with the tag policymaker"
_RIGHTS = {
    "Not management user": "give the user the tag management: rabbitmqctl set_user_tags USER management",
    "Not administrator user": "users, permissions and virtual hosts need a user with the tag administrator",
    "Not policymaker user": _POLICYMAKER,
    "User not authorised to access object": _POLICYMAKER,
    "User not authorised to access virtual host": "give the user permissions in it; empty ones will do",
}


def _json(content: bytes) -> Any:
    try:
        return json.loads(content) if content else None
    except ValueError:
        return None


def _words(status: int, body: Any) -> str:
    """The reason that the API gives, or the status where it gives none."""
    reason = body.get("reason") if isinstance(body, dict) else None
    if isinstance(reason, list):
        reason = ": ".join(map(str, reason))
    if isinstance(reason, str) and reason:
        # The API escapes its own Erlang terms as if for a page.
        return one_line(html.unescape(reason)).strip()
    phrase = http.client.responses.get(status, "")
    return f"HTTP {status} {phrase}".strip()
