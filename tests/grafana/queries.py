"""The names that queries use: PromQL by a library, LogQL and TraceQL as far as the dashboard speaks them.

The readers of LogQL and TraceQL refuse what they do not know, so that no name passes unseen. The languages are
https://grafana.com/docs/loki/latest/query/ and https://grafana.com/docs/tempo/latest/traceql/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import promql_parser

Kind = Literal["metric", "label", "stream label", "body", "intrinsic", "span", "resource"]


class Name(NamedTuple):
    """One name in a query.

    Attributes:
        kind: what it is a name of; `body` is a pattern that the text of a log record is to match.
        name: as the query has it; empty for a body.
        operator: of a comparison; empty where the name is only grouped by or shown.
        value: what it is compared with.
        of: of a label in PromQL: the metrics that one of is to have it.
    """

    kind: Kind
    name: str
    operator: str = ""
    value: str = ""
    of: frozenset[str] = frozenset()


class NotRead(Exception):
    """The query has something that its reader does not know."""


# -- PromQL


def promql(text: str) -> list[Name]:
    """The metrics and labels of a PromQL query; raises `ValueError` where it is none."""
    found: list[Name] = []
    _of_promql(promql_parser.parse(text), found)
    return found


def _of_promql(expr: Any, found: list[Name]) -> frozenset[str]:
    """Add the names of an expression, and return the metrics that its labels come from."""
    if isinstance(expr, promql_parser.VectorSelector):
        of = frozenset([expr.name])
        found.append(Name("metric", expr.name))
        for matcher in expr.matchers.matchers:
            operator = _PROMQL_OPERATORS[str(matcher.op).rpartition(".")[2]]
            found.append(Name("label", matcher.name, operator, matcher.value, of))
        return of
    if isinstance(expr, promql_parser.MatrixSelector):
        return _of_promql(expr.vector_selector, found)
    if isinstance(expr, promql_parser.AggregateExpr):
        of = _of_promql(expr.expr, found)
        found.extend(Name("label", label, of=of) for label in expr.modifier.labels)
        return of
    if isinstance(expr, promql_parser.Call):
        return frozenset().union(*(_of_promql(argument, found) for argument in expr.args))
    if isinstance(expr, promql_parser.BinaryExpr):
        left, right = _of_promql(expr.lhs, found), _of_promql(expr.rhs, found)
        matching = expr.modifier.matching if expr.modifier else None
        for side in (left, right) if matching else ():
            found.extend(Name("label", label, of=side) for label in matching.labels)
        return left
    if isinstance(expr, promql_parser.NumberLiteral):
        return frozenset()
    raise NotRead(type(expr).__name__)


_PROMQL_OPERATORS = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}


# -- what LogQL and TraceQL share


class _Tokens:
    """A query in pieces, read one after the other."""

    def __init__(self, text: str, pattern: re.Pattern[str]) -> None:
        self._text = text
        self._pieces: list[str] = []
        at = 0
        while at < len(text.rstrip()):
            piece = pattern.match(text, at)
            if piece is None:
                raise NotRead(f"at {text[at:]!r}")
            self._pieces.append(piece[1])
            at = piece.end()

    @property
    def next(self) -> str:
        """The piece that comes; empty at the end."""
        return self._pieces[0] if self._pieces else ""

    def take(self, *wanted: str, like: str = "") -> str:
        """Go past the next piece, which is one of `wanted` or matches `like`."""
        if not self._pieces or not (self.next in wanted or (like and re.fullmatch(like, self.next))):
            raise NotRead(f"{self.next!r} where {wanted or like} is expected in {self._text!r}")
        return self._pieces.pop(0)

    def took(self, wanted: str) -> bool:
        """Go past the next piece if it is `wanted`."""
        return self.next == wanted and bool(self.take(wanted))

    def listed(self, like: str) -> Iterator[str]:
        """The pieces of `(a, b, c)`."""
        self.take("(")
        yield self.take(like=like)
        while self.took(","):
            yield self.take(like=like)
        self.take(")")


_STRING = r'"(?:[^"\\]|\\.)*"'
_NUMBER = r"-?[0-9.]+(?:ms|[smhdw])?"
_COMPARISON = r"=~|!~|!=|>=|<=|=|>|<"


def _unquoted(piece: str) -> str:
    return re.sub(r"\\(.)", r"\1", piece[1:-1]) if piece.startswith('"') else piece


# -- LogQL

_LOGQL = re.compile(rf"\s*({_STRING}|{_NUMBER}|[A-Za-z_]\w*|\|=|\|~|{_COMPARISON}|[|{{}}()\[\],])\s*")
_LABEL = r"[A-Za-z_]\w*"


def logql(text: str) -> list[Name]:
    """The labels and line filters of a LogQL query; raises `NotRead` where it is more than is read here."""
    tokens = _Tokens(text, _LOGQL)
    found = _logql_metric(tokens) if tokens.next != "{" else _logql_lines(tokens)
    if tokens.next:
        raise NotRead(f"{tokens.next!r} after the end of {text!r}")
    return found


def _logql_metric(tokens: _Tokens) -> list[Name]:
    found: list[Name] = []
    if tokens.took("count_over_time"):
        tokens.take("(")
        found += _logql_lines(tokens)
        tokens.take("[")
        tokens.take(like=_NUMBER)
        tokens.take("]")
        tokens.take(")")
        return found
    tokens.take("sum", "max", "min", "avg", "count")
    if tokens.took("by"):
        found += [Name("label", label) for label in tokens.listed(_LABEL)]
    tokens.take("(")
    found += _logql_metric(tokens)
    tokens.take(")")
    return found


def _logql_lines(tokens: _Tokens) -> list[Name]:
    found: list[Name] = []
    tokens.take("{")
    while True:
        found.append(Name("stream label", *_logql_comparison(tokens)))
        if not tokens.took(","):
            break
    tokens.take("}")
    while tokens.next in ("|", "|=", "|~"):
        stage = tokens.take("|", "|=", "|~")
        if stage == "|":
            found.append(Name("label", *_logql_comparison(tokens)))
        else:
            found.append(Name("body", "", stage, _unquoted(tokens.take(like=_STRING))))
    return found


def _logql_comparison(tokens: _Tokens) -> tuple[str, str, str]:
    label, operator = tokens.take(like=_LABEL), tokens.take(like=_COMPARISON)
    return label, operator, _unquoted(tokens.take(like=rf"{_STRING}|{_NUMBER}"))


# -- TraceQL

_TRACEQL = re.compile(rf"\s*({_STRING}|{_NUMBER}|[A-Za-z_][\w.]*|&&|\|\||>>|{_COMPARISON}|[|{{}}(),])\s*")
_FIELD = r"[A-Za-z_][\w.]*"
_INTRINSICS = ("name", "duration", "status")
_OVER_TIME = ("rate", "count_over_time", "max_over_time", "min_over_time", "avg_over_time", "quantile_over_time")


def traceql(text: str) -> list[Name]:
    """The fields of a TraceQL query; raises `NotRead` where it is more than is read here."""
    tokens = _Tokens(text, _TRACEQL)
    found = _traceql_spans(tokens)
    while tokens.next in (">", ">>", "&&", "||"):
        tokens.take(tokens.next)
        found += _traceql_spans(tokens)
    while tokens.took("|"):
        found += _traceql_stage(tokens)
    if tokens.next:
        raise NotRead(f"{tokens.next!r} after the end of {text!r}")
    return found


def _traceql_spans(tokens: _Tokens) -> list[Name]:
    found: list[Name] = []
    tokens.take("{")
    while True:
        field, operator = _field(tokens.take(like=_FIELD)), tokens.take(like=_COMPARISON)
        value = tokens.take(like=rf"{_STRING}|{_NUMBER}|error|ok|unset")
        found.append(field._replace(operator=operator, value=_unquoted(value)))
        if tokens.next not in ("&&", "||"):
            break
        tokens.take(tokens.next)
    tokens.take("}")
    return found


def _traceql_stage(tokens: _Tokens) -> list[Name]:
    if tokens.took("select"):
        return [_field(field) for field in tokens.listed(_FIELD)]
    tokens.take(*_OVER_TIME)
    arguments = list(tokens.listed(rf"{_FIELD}|{_NUMBER}"))
    grouped = list(tokens.listed(_FIELD)) if tokens.took("by") else []
    return [_field(piece) for piece in (*arguments, *grouped) if not re.fullmatch(_NUMBER, piece)]


def _field(piece: str) -> Name:
    scope, _, name = piece.partition(".")
    if scope == "span" and name:
        return Name("span", name)
    if scope == "resource" and name:
        return Name("resource", name)
    if piece in _INTRINSICS:
        return Name("intrinsic", piece)
    raise NotRead(f"{piece!r} is neither span., resource. nor one of {_INTRINSICS}")


READERS = {"prometheus": promql, "loki": logql, "tempo": traceql}


def names(datasource: str, text: str) -> Sequence[Name]:
    """The names of a query in the language of a kind of data source."""
    return READERS[datasource](text)
