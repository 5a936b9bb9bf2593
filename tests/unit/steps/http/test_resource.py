"""http.resource: what is a part of an answer, and where in it the thing is."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inithold.steps.http import Resource
from inithold.steps.http.resource import differences, pointed_at

SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(st.text(max_size=3), JSON, max_size=3)


@pytest.mark.parametrize(
    ("desired", "current", "lines"),
    [
        ({"priority": 7}, {"priority": 5, "name": "x"}, ["priority 5 -> 7"]),
        ({"priority": 7}, {}, ["priority none -> 7"]),
        ({"a": {"b": {"c": "new"}}}, {"a": {"b": {"c": "old"}}}, ["a.b.c old -> new"]),
        ({"a": {"b": 1}}, {"a": "text"}, ['a text -> {"b": 1}']),
        ({"shards": 1, "on": True}, {"shards": "1", "on": "true"}, []),
        ({"on": True}, {"on": 1}, ["on 1 -> true"]),
        ({"gone": None}, {}, ["gone none -> null"]),
        ({"gone": None}, {"gone": None}, []),
        ({"list": [1, 2]}, {"list": [1, 2]}, []),
        ({"list": [1, 2]}, {"list": [2, 1]}, ["list[0] 2 -> 1", "list[1] 1 -> 2"]),
        ({"list": [1, 2]}, {"list": [1, 2, 3]}, ["list [1, 2, 3] -> [1, 2]"]),
        ({"list": [{"a": 1}]}, {"list": [{"a": 1, "b": 2}]}, []),
        ({}, {"a": 1}, []),
        ([1], {"a": 1}, ['it {"a": 1} -> [1]']),
    ],
)
def test_where_a_body_is_not_a_part_of_the_answer(desired: Any, current: Any, lines: list[str]) -> None:
    assert list(differences(desired, current)) == lines


def test_secrets_that_a_service_answers_are_not_shown() -> None:
    current = {"name": "a", "secret": "theirs-1", "auth": {"clientSecret": "theirs-2", "pass": "theirs-3"}}
    desired = {"name": "b", "secret": "ours-1", "auth": {"clientSecret": "ours-2", "pass": "ours-3"}}
    assert list(differences(desired, current)) == [
        "name a -> b",
        "secret: another value",
        "auth.clientSecret: another value",
        "auth.pass: another value",
    ]


def test_lists_as_sets() -> None:
    desired = {"roles": ["b", {"name": "a"}]}
    current = {"roles": [{"name": "a", "id": 1}, "c", "b"]}
    assert list(differences(desired, current, unordered=True)) == []
    assert list(differences({"roles": ["d"]}, current, unordered=True)) == ["roles lacks d"]


@given(JSON, st.booleans())
def test_everything_is_a_part_of_itself(value: Any, unordered: bool) -> None:
    assert list(differences(value, value, unordered=unordered)) == []


@given(
    st.dictionaries(st.text(max_size=3), JSON, max_size=3), st.dictionaries(st.text(max_size=3), JSON, max_size=3)
)
def test_what_an_answer_has_besides_does_not_matter(desired: dict[str, Any], more: dict[str, Any]) -> None:
    assert list(differences(desired, {**more, **desired})) == []


@pytest.mark.parametrize(
    ("pointer", "thing"),
    [
        ("", {"data": [{"a/b": 1, "c~d": 2}]}),
        ("/data/0/a~1b", 1),
        ("/data/0/c~0d", 2),
    ],
)
def test_a_pointer(pointer: str, thing: Any) -> None:
    assert pointed_at({"data": [{"a/b": 1, "c~d": 2}]}, pointer) == thing


@pytest.mark.parametrize("pointer", ["/data/1", "/other", "/data/x", "/data/0/a/b", "/data/-1"])
def test_a_pointer_that_leads_nowhere(pointer: str) -> None:
    assert repr(pointed_at({"data": [{"a": 1}]}, pointer)).startswith("<object")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"at": "data"}, "begins with /"),
        ({"expect": []}, "expected a status"),
        ({"update": {}}, "without body nothing can differ"),
        ({"create": {"url": "ftp://x/"}}, "create.url"),
        ({"url": "app:80"}, "url"),
    ],
)
def test_what_cannot_be_right_is_refused(fields: dict[str, Any], words: str) -> None:
    step = msgspec.convert({"url": "http://app/x", **fields}, Resource)
    assert words in "\n".join(f"{field} {message}" for field, message in step.validate())


def test_passwords_in_a_body_are_secrets() -> None:
    from inithold.redaction.redact import scrub

    msgspec.convert(
        {"url": "http://app/x", "create": {"body": {"secureJsonData": {"basicAuthPassword": "hunter2-hunter2"}}}},
        Resource,
    )
    assert scrub("it said hunter2-hunter2") == "it said ***"
