"""RabbitMQ's management API over HTTP: JSON in, JSON out."""

from __future__ import annotations

import base64
import html
import http.client
import json
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from inithold.errors import Interrupted, NotYet, Rejected, StepError, StepFailed
from inithold.net.bounds import TooSlow
from inithold.net.dial import describe, dial
from inithold.net.http import Request, exchange
from inithold.net.tls import handshake_error
from inithold.redaction.redact import SECRETS
from inithold.redaction.sanitize import one_line
from inithold.steps.address import Address
from inithold.steps.base import StepContext
from inithold.steps.rabbitmq.access import Login
from inithold.steps.rabbitmq.tls import TRUST, tls_context

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
_MOST = 1 << 26
"""Bytes of an answer: the definitions of a whole broker may be some MiB."""


class Management:
    """The management API of one broker.

    Args:
        address: of the API, `http` or `https`; its path is what comes before `/api`.
        login: who asks.
        context: of the step.
    """

    def __init__(self, address: Address, login: Login, context: StepContext) -> None:
        self._address = address
        self._context = context
        prefix = f"/{(address.database or '').strip('/')}".removesuffix("/api").rstrip("/")
        self._api = (
            f"{address._replace(user=None, password=None, database=None, query=()).url()}{quote(prefix)}/api/"
        )
        pair = base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
        SECRETS.add(pair)
        self._headers = {
            "Authorization": f"Basic {pair}",
            "Content-Type": "application/json",
            "Connection": "close",
        }
        self._tls = tls_context(address) if address.technology == "https" else None

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
        status, body = self._exchange("GET", path, query=query)
        if status == http.HTTPStatus.NOT_FOUND and isinstance(body, dict) and "error" in body:
            return None
        if status == http.HTTPStatus.OK and body is not None:
            return body
        raise self._refused(status, body, path)

    def send(self, path: tuple[str, ...], body: Mapping[str, Any], method: str = "PUT") -> None:
        """Make or replace what is at a path.

        Args:
            path: its parts, not yet percent-encoded.
            body: what it shall be.
            method: `PUT` or `POST`.

        Raises:
            NotYet: the API is not up or was lost.
            StepFailed: it does not want it.
        """
        status, answer = self._exchange(method, path, body)
        if status not in (http.HTTPStatus.CREATED, http.HTTPStatus.NO_CONTENT, http.HTTPStatus.OK):
            raise self._refused(status, answer, path)

    def _exchange(
        self, method: str, path: tuple[str, ...], body: Any = None, query: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        address, context = self._address, self._context
        target = "/".join(quote(part, safe="") for part in path) + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        dial(address.host, address.port, timeout=context.remaining(CONNECT_SECONDS))
        request = Request(method, self._api + target, self._headers, self._tls, _MOST, body=data)
        try:
            answer = exchange(request, context, context.remaining(ANSWER_SECONDS))
        except Interrupted as stopped:
            raise Interrupted(self._silent(method, target)) from stopped
        except TooSlow as error:
            raise NotYet(self._silent(method, target)) from error
        except (OSError, http.client.HTTPException) as error:
            raise self._lost(error) from error
        return answer.status, _json(answer.body)

    def _silent(self, method: str, target: str) -> str:
        return f"management API {self._address.place}: does not answer: {method} /api/{target}"

    def _lost(self, error: OSError | http.client.HTTPException) -> StepError:
        place = self._address.place
        if isinstance(error, ssl.SSLError):
            failure = handshake_error(f"management API {place}", error, trust=TRUST)
            if isinstance(failure, StepFailed):
                return failure
        hint = f"if it lasts, check the port of management_url: {_PORTS}"
        if isinstance(error, http.client.RemoteDisconnected | http.client.IncompleteRead | ssl.SSLError):
            return NotYet(f"management API {place}: the connection was closed", hint=hint)
        if isinstance(error, OSError):
            return NotYet(f"management API {place}: {describe(error)}", hint=hint)
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
_RIGHTS = {
    "Not management user": "give the user the tag management: rabbitmqctl set_user_tags USER management",
    "Not administrator user": "virtual hosts, users, permissions, policies and parameters need a user with the "
    "tag administrator: rabbitmqctl set_user_tags USER administrator",
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
