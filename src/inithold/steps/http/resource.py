"""`http.resource`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urljoin

import msgspec

from inithold.errors import NotYet, Rejected, StepError, StepFailed
from inithold.redaction.find import is_secret_name
from inithold.redaction.redact import SECRETS
from inithold.redaction.sanitize import one_line
from inithold.steps.address import WEB, Address, parse
from inithold.steps.base import Change, StepContext, convert_fields
from inithold.steps.http.service import Service, answered, counts, decoded, excerpt

if TYPE_CHECKING:
    from inithold.net.http import Answer

_ABSENT = (404, 410)
_DENIED = (401, 403)
_NOTHING = object()
"""The target of a pointer that matches nothing; JSON's null is a value."""

Method = Literal["POST", "PUT", "PATCH"]
Status = Annotated[int, msgspec.Meta(ge=200, le=599)]


class Write(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request that creates or changes the resource.

    Args:
        method: `POST`, `PUT` or `PATCH`.
        url: URL to send it to; may be relative to the step's `url`, which is the default.
        body: what to send, as JSON; the step's `body` if absent. Put values here that the service never returns,
            such as a password, not in the step's `body`.
    """

    method: Method = "PUT"
    url: str | None = None
    body: Any | msgspec.UnsetType = msgspec.UNSET


class Resource(Service, frozen=True, kw_only=True):
    """Create or update a resource behind an HTTP API: an index template, a realm, a data source.

    GET of `url` shows the current state: 404 or 410 means absent, 2xx present. The resource is in place if `body`
    is part of the response: every field in `body` must match, and other fields are ignored. Lists must have the
    same items in the same order; with `unordered`, the response's list must contain each item. A number or boolean
    also matches its text, because some services return `"1"` for 1.

    A missing resource is created; one that differs is updated if the plan has `update`; then it is requested
    again. Nothing is ever deleted. 401 and 403 fail at once. 408, 425, 429, 502 to 504, a lost connection, and 500
    in answer to a GET are retried.

    Args:
        body: the expected content, as JSON. If absent, it is enough that the resource exists.
        at: where in the response the resource is, a JSON Pointer (RFC 6901) such as `/data/0`. If the pointer
            matches nothing, the resource is absent.
        create: the request that creates it; PUT of `body` to `url` if absent.
        update: the request that changes it; if absent, a difference is a failure that shows both sides.
        expect: the status, such as `201`, or list of statuses, that a write may return; 200 to 299 if absent.
        unordered: compare lists as sets.

    Example:
        ```yaml
        - id: metrics
          uses: http.resource
          with:
            url: http://admin:${GRAFANA_PASSWORD}@grafana:3000/api/datasources/name/metrics
            body: {type: prometheus, url: "http://prometheus:9090"}
            create:
              method: POST
              url: /api/datasources
              body: {name: metrics, type: prometheus, access: proxy, url: "http://prometheus:9090"}
        ```
    """

    kind = "http.resource"
    rights = "GET on `url`"
    apply_rights = "the requests in `create` and `update`"

    body: Any | msgspec.UnsetType = msgspec.UNSET
    at: str = ""
    create: Write | None = None
    update: Write | None = None
    expect: Status | list[Status] | None = None
    unordered: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        convert_fields(self, create=Write | None, update=Write | None)
        writes = [write for write in (self.create, self.update) if write is not None]
        SECRETS.add_document([self.body, *(part for write in writes for part in (write.body, write.url))])

    def validate(self) -> Iterator[tuple[str, str]]:
        yield from super().validate()
        if self.at and not self.at.startswith("/"):
            yield "at", "expected a JSON Pointer, which begins with /: /data/0"
        if self.expect == []:
            yield "expect", "expected a status such as 201, or a list of them"
        if self.update is not None and self.body is msgspec.UNSET:
            yield "update", "without body nothing can differ: give body, or leave update out"
        for name, write in (("create", self.create), ("update", self.update)):
            if write is not None and write.url is not None:
                try:
                    parse(urljoin(self.url, write.url), WEB)
                except ValueError as error:
                    yield f"{name}.url", f"url {error}"

    def check(self, context: StepContext) -> Sequence[Change]:
        thing = self._get(context)
        if thing is _NOTHING:
            return (Change("+", parse(self.url, WEB).database or "/"),)
        if self.body is msgspec.UNSET:
            return ()
        op: Literal["~", "!"] = "!" if self.update is None else "~"
        return tuple(Change(op, line) for line in differences(self.body, thing, unordered=self.unordered))

    def apply(self, context: StepContext, changes: Sequence[Change]) -> None:
        creating = any(change.op == "+" for change in changes)
        write = (self.create if creating else self.update) or Write()
        url = self.url if write.url is None else urljoin(self.url, write.url)
        body = self.body if write.body is msgspec.UNSET else write.body
        payload = None if body is msgspec.UNSET else json.dumps(body).encode()
        answer = self.ask(write.method, url, context, json=payload)
        if counts(answer.status, self.expect):
            return
        if answer.status == 409 and creating and self._get(context) is not _NOTHING:
            # Something else created it at the same moment; the check that follows compares it.
            return
        raise _refused(parse(url, WEB), answer, f"{write.method} ")

    def _get(self, context: StepContext) -> Any:
        """Get the service's current resource; `_NOTHING` if there is none."""
        address = self.dialled(context)
        answer = self.ask("GET", self.url, context)
        if answer.status in _ABSENT:
            return _NOTHING
        if not counts(answer.status, None):
            raise _refused(address, answer, "")
        if self.body is msgspec.UNSET and not self.at:
            return None
        try:
            document = json.loads(decoded(answer))
        except ValueError as error:
            raise StepFailed(
                f"{answered(address, answer)}, which is not JSON{excerpt(answer)}",
                hint="check the URL: it may be that of a page for people",
            ) from error
        return pointed_at(document, self.at)


def pointed_at(document: Any, pointer: str) -> Any:
    """Resolve a JSON Pointer (RFC 6901) in a document; `_NOTHING` if it matches nothing."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, Mapping) and name in document:
            document = document[name]
        elif isinstance(document, list) and name.isdecimal() and int(name) < len(document):
            document = document[int(name)]
        else:
            return _NOTHING
    return document


def differences(desired: Any, current: Any, *, unordered: bool = False, path: str = "") -> Iterator[str]:
    """Yield a line for each desired value that differs, such as `priority 5 -> 7`.

    Args:
        desired: JSON from the plan.
        current: JSON from the service; its additional fields are ignored.
        unordered: whether to compare lists as sets.
        path: of these values, for the lines.
    """
    if isinstance(desired, Mapping) and isinstance(current, Mapping):
        for name, value in desired.items():
            inner = f"{path}.{name}" if path else str(name)
            yield from differences(value, current.get(name, _NOTHING), unordered=unordered, path=inner)
    elif isinstance(desired, list) and isinstance(current, list):
        if unordered:
            for item in desired:
                if all(any(differences(item, other, unordered=True)) for other in current):
                    yield f"{path or 'the list'} lacks {_text(item)}"
        elif len(desired) != len(current):
            yield f"{path or 'the list'} {_text(current)} -> {_text(desired)}"
        else:
            for index, (value, other) in enumerate(zip(desired, current, strict=True)):
                yield from differences(value, other, path=f"{path}[{index}]")
    elif not _same(desired, current) and is_secret_name(f"_{path.rpartition('.')[2]}"):
        # Do not show the values: some services return their secrets.
        yield f"{path}: another value"
    elif not _same(desired, current):
        yield f"{path or 'it'} {_text(current)} -> {_text(desired)}"


def _same(desired: Any, current: Any) -> bool:
    """Whether two values are equal; a number or boolean also equals its text, but 1 does not equal true."""
    if isinstance(desired, bool) is isinstance(current, bool) and desired == current:
        return True
    if not isinstance(desired, int | float | str) or not isinstance(current, int | float | str):
        return False
    one, other = (value if isinstance(value, str) else json.dumps(value) for value in (desired, current))
    return one == other


def _text(value: Any) -> str:
    if value is _NOTHING:
        return "none"
    return one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 120)


def _refused(address: Address, answer: Answer, method: str) -> StepError:
    from inithold.net.http import may_pass  # noqa: PLC0415 - heavy

    message = f"{method}{answered(address, answer)}{excerpt(answer)}"
    if answer.status in _DENIED:
        return Rejected(message, hint="check headers, or user and password in the URL, and what they may do")
    # In answer to a write, 500 is how many services refuse its content.
    if may_pass(answer.status) and not (method and answer.status == 500):
        return NotYet(message)
    if 300 <= answer.status <= 399:
        location = one_line(answer.headers.get("location", "nowhere"), 120)
        return StepFailed(f"{message}, a redirect to {location}", hint="give the URL that it leads to")
    if answer.status == 400 and not method:
        return StepFailed(message, hint="where 400 means absent, ask for the list and say with at where it is")
    return StepFailed(message, hint="compare the request with the documentation of the service")
