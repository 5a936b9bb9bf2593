"""A client of RabbitMQ's management API."""

from __future__ import annotations

import base64
import html
import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from inithold.errors import NotYet, Rejected, StepError, StepFailed
from inithold.net.dial import dial
from inithold.net.http import Request, fetch, may_pass
from inithold.redaction.redact import SECRETS
from inithold.redaction.sanitize import one_line
from inithold.steps.address import Address
from inithold.steps.base import StepContext
from inithold.steps.rabbitmq.access import TRUST, tls_context

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 30.0
_MOST = 1 << 26
"""Maximum bytes of a response: the definitions of a whole broker may be several MiB."""
_HINTS = {
    "Not management user": "give the user the tag management: rabbitmqctl set_user_tags USER management",
    "Not administrator user": "virtual hosts, users, permissions, policies and parameters need a user with the "
    "tag administrator: rabbitmqctl set_user_tags USER administrator",
    "User not authorised to access virtual host": "give the user permissions in it; empty ones will do",
}


class Management:
    """The management API of one broker; the path of its address is the prefix before `/api`."""

    def __init__(self, address: Address, login: tuple[str, str], context: StepContext) -> None:
        self._address = address
        self._context = context
        prefix = f"/{(address.database or '').strip('/')}".removesuffix("/api").rstrip("/")
        server = address._replace(user=None, password=None, database=None, query=()).url()
        self._api = f"{server}{quote(prefix)}/api/"
        pair = base64.b64encode(":".join(login).encode()).decode()
        SECRETS.add(pair)
        self._headers = {
            "Authorization": f"Basic {pair}",
            "Content-Type": "application/json",
            "Connection": "close",
        }
        self._tls = tls_context(address) if address.technology == "https" else None

    def get(self, *path: str, query: Mapping[str, str] | None = None) -> Any:
        """Get what is at a path such as `("queues", "/", "orders")`; None if nothing is there.

        Raises:
            NotYet, Rejected, StepFailed: the request was refused, or nothing like the management API answered.
        """
        status, body = self._fetch("GET", path, query=query)
        if status == 404 and isinstance(body, dict) and "error" in body:
            return None
        if status == 200 and body is not None:
            return body
        raise self._refused(status, body, path)

    def send(self, path: tuple[str, ...], body: Mapping[str, Any], method: str = "PUT") -> None:
        """Create or replace what is at a path; raises as `get` does."""
        status, answer = self._fetch(method, path, body)
        if status not in (200, 201, 204):
            raise self._refused(status, answer, path)

    def _fetch(
        self, method: str, path: tuple[str, ...], body: Any = None, query: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        address, context = self._address, self._context
        target = "/".join(quote(part, safe="") for part in path) + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        dial(address.host, address.port, timeout=context.remaining(CONNECT_SECONDS))
        answer = fetch(
            Request(method, self._api + target, self._headers, self._tls, _MOST, body=data),
            context,
            ANSWER_SECONDS,
            who=f"management API {address.place}",
            trust=TRUST,
            silent=f"does not answer: {method} /api/{target}",
            hint="check the port of management_url: usually 15672, with TLS 15671",
        )
        try:
            return answer.status, json.loads(answer.body) if answer.body else None
        except ValueError:
            return answer.status, None

    def _refused(self, status: int, body: Any, path: tuple[str, ...]) -> StepError:
        shown = f"management API {self._address.shown}"
        message = f"HTTP {status} {http.client.responses.get(status, '')}".strip()
        reason = body.get("reason") if isinstance(body, dict) else None
        reason = ": ".join(map(str, reason)) if isinstance(reason, list) else reason
        if isinstance(reason, str) and reason:
            # The API HTML-escapes its Erlang terms.
            reason = html.unescape(reason)
            if reason.startswith('<<"') and reason.endswith('">>'):
                # RabbitMQ 4 gives some reasons as the source text of an Erlang binary.
                reason = reason[3:-3].replace("\\n", "\n").replace('\\"', '"')
            message = one_line(reason).strip()
        if may_pass(status):
            return NotYet(f"management API {self._address.place}: {message}")
        if status in (401, 403):
            hint = _HINTS.get(message, "check user and password of management_url")
            return Rejected(f"{shown}: {message}: {'/'.join(path)}", hint=hint)
        if not isinstance(body, dict):
            return StepFailed(
                f"{shown}: {message}, and not from RabbitMQ's management API",
                hint="check host and port of management_url: http://user:password@rabbitmq:15672",
            )
        return StepFailed(
            f"{shown} refuses {'/'.join(path)}: {message}",
            hint="correct what the plan or its definitions file says of it",
        )
