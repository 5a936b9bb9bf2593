"""rabbitmq.topology from a file in RabbitMQ's own definitions format, on a real broker."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from conftest import Vhost
from golden import assert_golden
from inithold.steps.rabbitmq import Ready, Topology
from inithold.testing import Driven, check, drive
from servers.rabbitmq import RabbitMQ

PLANTED = "planted-Pässword-%40"


class Stage:
    """A definitions file for a virtual host, another one, and users of a test's own."""

    def __init__(self, vhost: Vhost, folder: Path) -> None:
        self.server: RabbitMQ = vhost.server
        self.vhost = vhost.name
        self.other = f"{vhost.name}-other"
        self.user = f"user-{uuid4().hex[:8]}"
        self.hashed = f"user-{uuid4().hex[:8]}"
        self.parameter = f"parameter-{uuid4().hex[:8]}"
        self.hash = password_hash(PLANTED)
        self.step = Topology(
            url=vhost.url, management_url=vhost.management_url, definitions=str(folder / "definitions.json")
        )
        self.path = folder / "definitions.json"
        self.document: dict[str, Any] = {
            "rabbit_version": "3.10.8",
            "vhosts": [{"name": self.other, "metadata": {"default_queue_type": "quorum"}}],
            "users": [
                {"name": self.user, "password": PLANTED, "tags": "monitoring"},
                {
                    "name": self.hashed,
                    "password_hash": self.hash,
                    "hashing_algorithm": "rabbit_password_hashing_sha256",
                    "tags": ["management"],
                    "limits": {"max-connections": 7},
                },
            ],
            "permissions": [
                {"user": self.user, "vhost": self.vhost, "configure": "^$", "write": ".*", "read": ".*"},
            ],
            "topic_permissions": [
                {"user": self.user, "vhost": self.vhost, "exchange": "e", "write": "^a", "read": ".*"},
                {"user": self.user, "vhost": self.vhost, "exchange": "f", "write": "^b", "read": ".*"},
            ],
            "parameters": [
                {
                    "component": "operator_policy",
                    "vhost": self.vhost,
                    "name": "op",
                    "value": {
                        "pattern": "^q",
                        "apply-to": "queues",
                        "definition": {"max-length": 10},
                        "priority": 0,
                    },
                },
                {
                    "component": "vhost-limits",
                    "vhost": self.vhost,
                    "name": "limits",
                    "value": {"max-connections": 100},
                },
            ],
            "global_parameters": [{"name": self.parameter, "value": {"url": f"amqp://u:{PLANTED}@h"}}],
            "policies": [
                {
                    "name": "p",
                    "vhost": self.vhost,
                    "pattern": "^q",
                    "apply-to": "queues",
                    "definition": {"max-length": 10, "dead-letter-exchange": "e"},
                    "priority": 1,
                }
            ],
            "exchanges": [{"name": "e", "vhost": self.vhost, "type": "topic", "durable": True, "arguments": {}}],
            "queues": [
                {"name": "q", "vhost": self.vhost, "durable": True, "arguments": {"x-message-ttl": 1000}},
                {"name": "q", "vhost": self.other, "durable": True, "arguments": {}},
            ],
            "bindings": [
                {
                    "source": "e",
                    "vhost": self.vhost,
                    "destination": "q",
                    "destination_type": "queue",
                    "routing_key": "#",
                    "arguments": {},
                }
            ],
        }

    def drive(self) -> Driven:
        self.path.write_text(json.dumps(self.document))
        assert list(self.step.validate()) == []
        driven = drive(self.step)
        said = "\n".join([driven.reason, *driven.changes, *driven.log, *driven.waited_for])
        assert PLANTED not in said
        assert self.hash not in said
        return driven

    def names(self) -> dict[str, str]:
        return {self.other: "OTHER", self.vhost: "VHOST", self.user: "USER", self.hashed: "HASHED"}


@pytest.fixture
def stage(vhost: Vhost, tmp_path: Path) -> Iterator[Stage]:
    opened = Stage(vhost, tmp_path)
    yield opened
    for user in (opened.user, opened.hashed):
        if any(each["name"] == user for each in opened.server.api("GET", "/api/users")):
            opened.server.api("DELETE", f"/api/users/{user}")
    if any(each["name"] == opened.other for each in opened.server.api("GET", "/api/vhosts")):
        opened.server.delete_vhost(opened.other)


def password_hash(password: str, salt: bytes = b"salt") -> str:
    """As RabbitMQ's "Credential Storage" guide computes it."""
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def test_a_whole_file_is_made_once(stage: Stage) -> None:
    driven = stage.drive()
    assert driven.outcome == "changed", driven
    shown = list(driven.changes)
    for name, stands_for in stage.names().items():
        shown = [line.replace(name, stands_for) for line in shown]
    assert [line.replace(stage.parameter, "PARAMETER") for line in shown] == [
        "+ virtual host OTHER",
        "+ user USER",
        "+ user HASHED",
        "+ permissions of USER in VHOST",
        "+ topic permissions of USER on e in VHOST",
        "+ topic permissions of USER on f in VHOST",
        "+ parameter operator_policy op in VHOST",
        "+ parameter vhost-limits limits in VHOST",
        "+ global parameter PARAMETER",
        "+ policy p in VHOST",
        "+ exchange e",
        "+ queue q",
        "+ queue q in OTHER",
        "+ binding e -> q (#)",
    ]
    assert stage.drive().outcome == "unchanged"
    assert check(stage.step) == ()


def test_what_was_made_is_what_was_asked_for(stage: Stage) -> None:
    stage.drive()
    server, vhost = stage.server, stage.vhost
    assert server.api("GET", f"/api/users/{stage.user}")["tags"] == ["monitoring"]
    hashed = server.api("GET", f"/api/users/{stage.hashed}")
    assert (hashed["password_hash"], hashed["limits"]) == (stage.hash, {"max-connections": 7})
    assert server.api("GET", f"/api/permissions/{vhost}/{stage.user}")["configure"] == "^$"
    assert server.api("GET", f"/api/policies/{vhost}/p")["definition"]["max-length"] == 10
    assert server.api("GET", f"/api/operator-policies/{vhost}/op")["definition"] == {"max-length": 10}
    assert server.api("GET", f"/api/queues/{stage.other}/q")["type"] == "quorum"
    # Both kinds of password let their users in.
    assert check(Ready(url=server.url(vhost, user=stage.user, password=PLANTED))) == ()
    server.allow(stage.hashed, vhost)
    assert check(Ready(url=server.url(vhost, user=stage.hashed, password=PLANTED))) == ()


def test_check_changes_nothing(stage: Stage) -> None:
    stage.path.write_text(json.dumps(stage.document))
    before = stage.server.api("GET", "/api/definitions")
    assert len(check(stage.step)) == 14
    after = stage.server.api("GET", "/api/definitions")
    mine = (stage.vhost, stage.other, stage.user, stage.hashed, stage.parameter)
    assert [name for name in mine if name in json.dumps(after)] == [
        name for name in mine if name in json.dumps(before)
    ]


def test_what_differs_is_replaced_and_tags_are_added(stage: Stage) -> None:
    stage.drive()
    document = stage.document
    document["users"][0]["tags"] = ["policymaker"]
    document["users"][1]["limits"] = {"max-connections": 9}
    document["permissions"][0]["configure"] = ".*"
    document["topic_permissions"][1]["read"] = "^c"
    document["parameters"][1]["value"] = {"max-connections": 200}
    document["policies"][0]["definition"] = {"max-length": 20}
    document["global_parameters"][0]["value"] = {"url": f"amqp://v:{PLANTED}@h"}
    driven = stage.drive()
    shown = [line.replace(stage.parameter, "PARAMETER") for line in driven.changes]
    for name, stands_for in stage.names().items():
        shown = [line.replace(name, stands_for) for line in shown]
    assert shown == [
        "~ user USER: with tag policymaker",
        "~ user HASHED: with max-connections=9",
        "~ permissions of USER in VHOST: configure=^$ -> configure=.*",
        "~ topic permissions of USER on f in VHOST: read=.* -> read=^c",
        "~ parameter vhost-limits limits in VHOST: another value",
        "~ global parameter PARAMETER: another value",
        "~ policy p in VHOST: max-length=10, dead-letter-exchange=e -> max-length=20, no dead-letter-exchange",
    ]
    assert stage.drive().outcome == "unchanged"
    user = stage.server.api("GET", f"/api/users/{stage.user}")
    assert sorted(user["tags"]) == ["monitoring", "policymaker"], "tags are added, not taken away"
    assert check(Ready(url=stage.server.url(stage.vhost, user=stage.user, password=PLANTED))) == ()


def test_the_password_of_a_user_that_exists_is_never_changed(stage: Stage) -> None:
    stage.drive()
    before = stage.server.api("GET", "/api/definitions")["users"]
    stage.document["users"][0]["password"] = "planted-elsewhere"
    stage.document["users"][1]["password_hash"] = password_hash(PLANTED, salt=b"SALT")
    stage.document["users"][1]["tags"] = "administrator"
    driven = stage.drive()
    assert driven.outcome == "failed"
    assert "planted-elsewhere" not in driven.reason
    assert_golden("rabbitmq/another-password", driven.reason, driven.finished.hint, varying=stage.names())
    assert stage.server.api("GET", "/api/definitions")["users"] == before


def test_a_user_without_a_password_does_not_get_one(stage: Stage) -> None:
    stage.server.api("PUT", f"/api/users/{stage.user}", {"password_hash": "", "tags": ""})
    assert stage.drive().outcome == "failed"
    stage.document["users"][0] = {"name": stage.user, "password_hash": "", "tags": ""}
    assert stage.drive().outcome == "changed"
    assert stage.server.api("GET", f"/api/users/{stage.user}")["password_hash"] == ""


def test_conflicts_of_users_and_queues_stand_together(stage: Stage) -> None:
    stage.drive()
    stage.document["users"][0]["password"] = "planted-elsewhere"
    stage.document["queues"][0]["durable"] = False
    stage.document["queues"][1]["arguments"] = {"x-queue-type": "classic"}
    driven = stage.drive()
    assert_golden("rabbitmq/conflicts-definitions", driven.reason, driven.finished.hint, varying=stage.names())


def test_the_broker_holds_what_it_exported_itself(vhost: Vhost, tmp_path: Path) -> None:
    fields: dict[str, Any] = {
        "exchanges": [{"name": "e", "type": "topic", "arguments": {"alternate-exchange": "amq.fanout"}}],
        "queues": [{"name": "q", "type": "quorum"}, {"name": "c", "arguments": {"x-max-priority": 3}}],
        "bindings": [{"exchange": "e", "queue": "q", "routing_key": "#"}],
    }
    drive(Topology(url=vhost.url, **fields))
    vhost.server.api("PUT", f"/api/policies/{vhost.name}/p", {"pattern": "^q", "definition": {"max-length": 5}})
    path = tmp_path / "definitions.json"
    exported = vhost.server.api("GET", f"/api/definitions/{vhost.name}")
    path.write_text(json.dumps(exported))
    step = Topology(url=vhost.url, management_url=vhost.management_url, definitions=str(path))
    assert list(step.validate()) == []
    assert drive(step).outcome == "unchanged"
    # And another virtual host becomes the same by it.
    for policy in exported["policies"]:
        policy.pop("vhost", None)  # RabbitMQ 3.10 names it there, although it leaves it out everywhere else
    path.write_text(json.dumps(exported))
    other = vhost.server.create_vhost()
    try:
        step = Topology(url=vhost.server.url(other), management_url=vhost.management_url, definitions=str(path))
        made = {f"+ policy p in {other}", "+ exchange e", "+ queue q", "+ queue c", "+ binding e -> q (#)"}
        assert set(drive(step).changes) == made
        assert drive(step).outcome == "unchanged"
    finally:
        vhost.server.delete_vhost(other)


def test_a_file_of_objects_alone_needs_no_management_api(vhost: Vhost, tmp_path: Path) -> None:
    other = vhost.server.create_vhost()
    path = tmp_path / "definitions.json"
    path.write_text(json.dumps({"queues": [{"name": "q"}, {"name": "q", "vhost": other}]}))
    step = Topology(url=vhost.url, definitions=str(path))
    try:
        assert drive(step).changes == ("+ queue q", f"+ queue q in {other}")
        assert drive(step).changes == ("? properties of queue q", f"? properties of queue q in {other}")
        for name in (vhost.name, other):
            assert vhost.server.api("GET", f"/api/queues/{name}/q")["durable"] is True
    finally:
        vhost.server.delete_vhost(other)


def test_users_need_an_administrator(stage: Stage) -> None:
    stage.path.write_text(json.dumps(stage.document))
    name = f"user-{uuid4().hex[:8]}"
    stage.server.create_user(name, "pw-of-a-manager", tags="management")
    stage.server.allow(name, stage.vhost)
    api = stage.server.management_url(user=name, password="pw-of-a-manager")
    step = Topology(url=stage.server.url(stage.vhost), management_url=api, definitions=str(stage.path))
    driven = drive(step)
    assert driven.outcome == "failed"
    varying = {**stage.names(), name: "MANAGER", str(stage.server.management_port): "API"}
    assert_golden("rabbitmq/api-no-administrator", driven.reason, driven.finished.hint, varying=varying)


def test_what_the_api_refuses(stage: Stage) -> None:
    stage.document["policies"][0]["definition"] = {"max-lenght": 10}
    driven = stage.drive()
    assert driven.outcome == "failed"
    varying = {**stage.names(), str(stage.server.management_port): "API"}
    assert_golden("rabbitmq/api-refuses-a-policy", driven.reason, driven.finished.hint, varying=varying)
    stage.document["policies"][0]["definition"] = {"max-length": 10}
    assert stage.drive().outcome == "changed", "what was made before is found again"
