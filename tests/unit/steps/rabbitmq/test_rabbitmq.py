"""What is wrong with a topology is found before a broker is asked; and what two of its objects differ in."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from inithold.errors import PlanError, StepFailed
from inithold.plan.load import load_text
from inithold.redaction.redact import scrub
from inithold.runner.context import Context
from inithold.runner.events import Span
from inithold.runner.stream import Stream
from inithold.steps.address import parse
from inithold.steps.rabbitmq import Ready, Topology
from inithold.steps.rabbitmq.access import login, virtual_host
from inithold.steps.rabbitmq.arguments import difference, same, sent
from inithold.steps.rabbitmq.definitions import read
from inithold.steps.rabbitmq.objects import Binding, Exchange, Queue
from inithold.steps.rabbitmq.verdicts import passes

URL = "amqp://app@127.0.0.1:1/"
API = "http://app:pw-of-the-api@127.0.0.1:2"


def faults(**fields: Any) -> list[tuple[str, str]]:
    return list(Topology(url=URL, **fields).validate())


def definitions(folder: Path, document: Any) -> str:
    path = folder / "definitions.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(path)


# -- addresses


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("amqp://h", "/"),
        ("amqp://h/", "/"),
        ("amqp://h/%2F", "/"),
        ("amqp://h/%2f", "/"),
        ("amqp://h/games", "games"),
        ("amqp://h/a%2Fb%25", "a/b%"),
        ("amqps://u:p@h:1/games?cacertfile=/ca.pem", "games"),
    ],
)
def test_the_virtual_host_is_the_path(url: str, expected: str) -> None:
    assert virtual_host(parse(url)) == expected


def test_an_address_shows_the_virtual_host_as_it_is_written() -> None:
    assert Ready(url="amqp://app:secret-pw@h/%2F").subject() == "amqp://app@h:5672/%2F"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("amqp://h", ("guest", "guest")),
        ("amqp://app:p%40ss@h", ("app", "p@ss")),
        ("amqp://app@h", ("app", "")),
    ],
)
def test_guest_logs_in_where_nobody_is_named(url: str, expected: tuple[str, str]) -> None:
    assert login(parse(url)) == expected


def test_the_virtual_host_may_be_given_as_database() -> None:
    step = Ready(host="h", user="app", password="pw-of-the-app", database="games")
    assert virtual_host(step.address()) == "games"


# -- what a broker says


@pytest.mark.parametrize(
    ("code", "words", "expected"),
    [
        (320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'", True),
        (541, "INTERNAL_ERROR", True),
        (404, "NOT_FOUND - home node 'rabbit@b' of durable queue 'q' in vhost '/' is down or inaccessible", True),
        (404, "NOT_FOUND - queue 'q' in vhost '/' process is stopped by supervisor", True),
        (404, "NOT_FOUND - no queue 'q' in vhost '/'", False),
        (406, "PRECONDITION_FAILED - inequivalent arg 'durable'", False),
    ],
)
def test_a_no_that_passes(code: int, words: str, expected: bool) -> None:
    assert passes(code, words) is expected


# -- arguments


def test_numbers_given_as_text_are_sent_as_numbers() -> None:
    given = {"x-message-ttl": "60000", "x-max-length": " 5", "x-single-active-consumer": "true", "x-expires": 5.0}
    assert sent(given) == {
        "x-message-ttl": 60000,
        "x-max-length": " 5",
        "x-single-active-consumer": True,
        "x-expires": 5,
    }


@pytest.mark.parametrize("name", ["x-dead-letter-routing-key", "x-match", "version", "x-queue-mode"])
def test_digits_that_mean_text_stay_text(name: str) -> None:
    assert sent({name: "12"}) == {name: "12"}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        ("1", 1, False),
        ([1, {"a": True}], [1, {"a": True}], True),
        ([1, {"a": True}], [1, {"a": 1}], False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        (None, None, True),
        (None, 0, False),
    ],
)
def test_equal_is_what_the_broker_takes_for_equal(one: Any, other: Any, expected: bool) -> None:
    assert same(one, other) is expected


def test_a_difference_names_both_sides() -> None:
    seen = Queue("q", durable=False, arguments={"x-message-ttl": 1000, "x-expires": 5}).properties()
    wanted = Queue("q", arguments={"x-message-ttl": "2000", "x-expires": "5", "x-overflow": ""}).properties()
    assert difference(seen, wanted) == (
        "durable=false, x-message-ttl=1000, no x-overflow",
        'durable=true, x-message-ttl=2000, x-overflow=""',
    )
    assert difference(wanted, wanted) is None


def test_the_type_of_a_queue_is_one_property_wherever_it_is_given() -> None:
    short = Queue("q", type="quorum").properties()
    assert short == Queue("q", arguments={"x-queue-type": "quorum"}).properties()
    assert short["type"] == "quorum"


# -- a plan in Python


def test_plain_dictionaries_will_do() -> None:
    exchanges: Any = [{"name": "e", "type": "topic"}]
    queues: Any = [{"name": "q"}]
    step = Topology(url=URL, exchanges=exchanges, queues=queues)
    assert list(step.validate()) == []
    assert list(Topology(url=URL, queues=[*queues, {"name": ""}]).validate()) == [
        ("queues[1].name", "a queue that the broker names is new in each run: give it a name")
    ]
    assert queues == [{"name": "q"}], "what was given is left as it is"


def test_an_unknown_key_in_a_dictionary_is_an_error() -> None:
    bindings: Any = [{"exchange": "e", "queue": "q", "key": "k"}]
    with pytest.raises(ValueError, match="bindings: Object contains unknown field `key`"):
        Topology(url=URL, bindings=bindings)


# -- faults


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"exchanges": [Exchange("e", "topik")]},
            ("exchanges[0].type", "unknown type 'topik'; did you mean 'topic'?"),
        ),
        (
            {"exchanges": [Exchange("e", "zzz")]},
            (
                "exchanges[0].type",
                "unknown type 'zzz'; known are direct, topic, fanout, headers, and x-... of a plug-in",
            ),
        ),
        (
            {"exchanges": [Exchange("")]},
            ("exchanges[0].name", "the default exchange is always there: leave it out"),
        ),
        (
            {"exchanges": [Exchange("a"), Exchange("amq.topic", "topic")]},
            (
                "exchanges[1].name",
                "amq.topic: names that start with amq. are the broker's own; bindings may use them as they are",
            ),
        ),
        (
            {"queues": [Queue("")]},
            ("queues[0].name", "a queue that the broker names is new in each run: give it a name"),
        ),
        ({"queues": [Queue("é" * 128)]}, ("queues[0].name", "is 256 bytes long; RabbitMQ takes up to 255")),
        ({"queues": [Queue("a\nb")]}, ("queues[0].name", "has a line break or NUL in it")),
        (
            {"queues": [Queue("a", exclusive=True)]},
            (
                "queues[0].exclusive",
                "an exclusive queue ends with the connection that declares it: leave it to its service",
            ),
        ),
        (
            {"queues": [Queue("a", type="quorum", arguments={"x-queue-type": "classic"})]},
            ("queues[0].type", "type quorum and x-queue-type classic contradict one another"),
        ),
        (
            {"queues": [Queue("a", arguments={"x-queue-type": "quorom"})]},
            ("queues[0].arguments", "x-queue-type: expected classic or quorum or stream, got quorom"),
        ),
        (
            {"queues": [Queue("a", type="quorum", durable=False)]},
            ("queues[0].durable", "a quorum queue is always durable"),
        ),
        (
            {"queues": [Queue("a", type="stream", auto_delete=True)]},
            ("queues[0].auto_delete", "a stream queue cannot be auto-deleted"),
        ),
        (
            {"queues": [Queue("a", arguments={"x-message-ttl": "10s"})]},
            ("queues[0].arguments", "x-message-ttl: expected a whole number, got 10s"),
        ),
        (
            {"queues": [Queue("a", arguments={"x-max-length": True})]},
            ("queues[0].arguments", "x-max-length: expected a whole number, got true"),
        ),
        (
            {"queues": [Queue("a", arguments={"x-single-active-consumer": "maybe"})]},
            ("queues[0].arguments", "x-single-active-consumer: expected true or false, got maybe"),
        ),
        (
            {"queues": [Queue("a", arguments={"deep": [{"n": 2**63}]})]},
            (
                "queues[0].arguments",
                "deep: expected text, a number (whole ones of 64 bits), true or false, "
                "or a list or mapping of them",
            ),
        ),
        (
            {"bindings": [Binding("e", "q", "x")]},
            ("bindings[0]", "expected queue or destination_exchange, got both"),
        ),
        ({"bindings": [Binding("e")]}, ("bindings[0]", "expected queue or destination_exchange, got neither")),
        (
            {"bindings": [Binding("", "q")]},
            (
                "bindings[0].exchange",
                "every queue is bound to the default exchange by its name already: leave the binding out",
            ),
        ),
        (
            {"bindings": [Binding("e", destination_exchange="")]},
            ("bindings[0].destination_exchange", "nothing can be bound to the default exchange"),
        ),
        (
            {"bindings": [Binding("e", "q", routing_key="k" * 256)]},
            ("bindings[0].routing_key", "is 256 bytes long; RabbitMQ takes up to 255"),
        ),
        (
            {"queues": [Queue("a"), Queue("b"), Queue("a", durable=False)]},
            ("queues[2]", "queue a is declared twice: with durable=true and with durable=false"),
        ),
        (
            {"management_url": "rabbitmq:15672"},
            ("management_url", "management_url is not a URL: expected http://... or https://..."),
        ),
        (
            {"definitions": "/nowhere/definitions.json"},
            ("definitions", "/nowhere/definitions.json: No such file or directory"),
        ),
    ],
)
def test_faults(fields: dict[str, Any], expected: tuple[str, str]) -> None:
    assert faults(**fields) == [expected]


def test_numbers_with_a_fraction_go_through_the_management_api(tmp_path: Path) -> None:
    queues = [Queue("a", arguments={"weight": [1.5], "x-expires": 5.0})]
    assert faults(queues=queues, management_url=API) == []
    says = "a number with a fraction goes through the management API: give management_url"
    assert faults(queues=queues) == [("queues[0].arguments", says)]
    assert faults(queues=[Queue("a", arguments={"weight": float("nan")})], management_url=API) != []
    path = definitions(tmp_path, {"queues": [{"name": "q", "arguments": {"weight": 1.5}}]})
    assert faults(definitions=path) == [("definitions", f"queue q: arguments: {says}")]


def test_what_may_already_be_there_may_be_bound() -> None:
    assert faults(bindings=[Binding("amq.topic", "of-another-team"), Binding("x", destination_exchange="y")]) == []


def test_the_same_declared_twice_is_no_fault() -> None:
    assert faults(queues=[Queue("a", type="quorum"), Queue("a", arguments={"x-queue-type": "quorum"})]) == []


def test_all_faults_of_a_plan_are_reported_together_at_their_lines() -> None:
    plan = """\
version: 1
name: test
steps:
  - id: topology
    uses: rabbitmq.topology
    with:
      url: amqp://h/
      exchanges:
        - {name: ok}
        - name: amq.mine
          type: topik
      queues:
        - name: a
          durable: false
          type: quorum
"""
    with pytest.raises(PlanError) as caught:
        load_text(plan, "inithold.yaml", {})
    lines = {fault.line: fault.message for fault in caught.value.faults}
    assert list(lines) == [10, 11, 14]
    assert lines[14] == "queues[0].durable: a quorum queue is always durable"


def test_a_type_that_does_not_exist_is_refused_with_the_nearest() -> None:
    plan = (
        "version: 1\nname: t\nsteps:\n  - id: a\n    uses: rabbitmq.topology\n    with:\n"
        "      url: amqp://h/\n      queues: [{name: q, type: quorom}]\n"
    )
    with pytest.raises(PlanError, match="did you mean 'quorum'"):
        load_text(plan, "inithold.yaml", {})


# -- definitions


def test_definitions_of_a_whole_broker_and_of_one_virtual_host(tmp_path: Path) -> None:
    whole = {
        "rabbit_version": "3.10.8",
        "exchanges": [{"name": "e", "vhost": "games", "type": "topic", "durable": True}],
        "queues": [{"name": "q", "vhost": "other", "type": "classic", "arguments": {}}],
        "bindings": [
            {"source": "e", "vhost": "games", "destination": "x", "destination_type": "exchange"},
            {"source": "", "vhost": "games", "destination": "q", "destination_type": "queue", "routing_key": "q"},
        ],
    }
    found = read(definitions(tmp_path, whole), "games")
    assert found.faults == ()
    assert [placed.label for placed in found.objects] == [
        "exchange e",
        "queue q in other",
        "binding e -> exchange x",
    ]
    assert [placed.virtual_host for placed in found.objects] == ["games", "other", "games"]
    one = {
        "queues": [{"name": "q"}],
        "policies": [{"name": "p", "pattern": "^q$", "definition": {"max-length": 1}}],
    }
    found = read(definitions(tmp_path, one), "games")
    assert [placed.label for placed in found.objects] == ["queue q"]
    assert [resource.label for resource in found.resources] == ["policy p in games"]


def test_a_type_the_export_adds_to_a_queue_is_no_wish(tmp_path: Path) -> None:
    document = {"queues": [{"name": "a", "type": "classic"}, {"name": "b", "type": "quorum"}]}
    queues = [placed.item for placed in read(definitions(tmp_path, document), "/").objects]
    assert [queue.sent().get("x-queue-type") for queue in queues if isinstance(queue, Queue)] == [None, "quorum"]


def test_the_cluster_a_file_came_from_is_left_out(tmp_path: Path) -> None:
    document = {"global_parameters": [{"name": "internal_cluster_id", "value": "x"}, {"name": "mine", "value": 1}]}
    found = read(definitions(tmp_path, document), "/")
    assert [resource.label for resource in found.resources] == ["global parameter mine"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "not JSON: expecting property name enclosed in double quotes in line 1"),
        ('{\n"queues": [}', "not JSON: expecting value in line 2"),
        ("[]", "not RabbitMQ's definitions: expected an object with queues, exchanges, bindings"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_definitions_file(tmp_path: Path, text: str, expected: str) -> None:
    path = definitions(tmp_path, text)
    with pytest.raises(StepFailed) as caught:
        read(path, "/")
    assert caught.value.message == f"{path}: {expected}"


def test_a_binary_file_is_no_definitions_file(tmp_path: Path) -> None:
    path = tmp_path / "definitions.json"
    path.write_bytes(b"\xff\xfe\x00{")
    assert faults(definitions=str(path)) == [("definitions", f"{path}: not UTF-8 text")]


def test_faults_of_definitions_are_found_together(tmp_path: Path) -> None:
    document = {
        "queues": [{"name": "amq.gen-x"}, {"durable": True}, {"name": "q", "durable": "yes"}],
        "exchanges": {"name": "e"},
        "queuez": [{"name": "q"}],
        "users": [
            {"name": "u"},
            {"name": "v", "password_hash": "%%%"},
            {"name": "w", "hashing_algorithm": "rot13"},
        ],
    }
    found = [message for _, message in faults(definitions=definitions(tmp_path, document), management_url=API)]
    assert found == [
        "unknown section 'queuez'; did you mean 'queues'?",
        "exchanges: expected a list",
        "queues[1]: object missing required field name",
        "queues[2] (q): expected bool, got str - at $.durable",
        "queue amq.gen-x: name: amq.gen-x: names that start with amq. are the broker's own; bindings may use them "
        "as they are",
        "user u has neither password nor password_hash",
        "user v has a password_hash that is not in base64",
        "user w has neither password nor password_hash",
        "user w has an unknown hashing_algorithm: rot13",
    ]


def test_a_queue_of_the_plan_and_another_of_the_definitions(tmp_path: Path) -> None:
    path = definitions(tmp_path, {"queues": [{"name": "q", "vhost": "/", "durable": False}]})
    found = faults(queues=[Queue("q")], definitions=path)
    assert found == [("definitions", "queue q is declared twice: with durable=true and with durable=false")]
    assert faults(queues=[Queue("q")], definitions=definitions(tmp_path, {"queues": [{"name": "q"}]})) == []


@pytest.mark.parametrize(
    "section",
    ["vhosts", "users", "permissions", "topic_permissions", "parameters", "global_parameters", "policies"],
)
def test_what_amqp_cannot_make_needs_the_management_api(tmp_path: Path, section: str) -> None:
    entry = {
        "name": "n",
        "user": "u",
        "password": "pw-of-a-user",
        "configure": "",
        "write": "",
        "read": "",
        "exchange": "e",
        "component": "c",
        "value": 1,
        "pattern": "",
        "definition": {},
    }
    path = definitions(tmp_path, {section: [entry]})
    assert faults(definitions=path) == [
        (
            "definitions",
            f"{path} has {section.replace('_', ' ')}, which AMQP cannot make: give management_url "
            "(http://user:password@rabbitmq:15672), or take them out",
        )
    ]
    assert faults(definitions=path, management_url=API) == []


def test_empty_sections_need_no_management_api(tmp_path: Path) -> None:
    path = definitions(tmp_path, {"users": [], "policies": [], "queues": [{"name": "q"}]})
    assert faults(definitions=path) == []


def test_secrets_of_definitions_are_learned(tmp_path: Path) -> None:
    hashed = base64.b64encode(b"salt" + hashlib.sha256(b"saltof-a-user").digest()).decode()
    document = {
        "users": [{"name": "a", "password": "planted-in-a-user"}, {"name": "b", "password_hash": hashed}],
        "parameters": [
            {
                "component": "shovel",
                "vhost": "/",
                "name": "s",
                "value": {"src-uri": ["amqp://u:planted-in-a-shovel@h"], "dest-password": "planted-in-a-value"},
            }
        ],
    }
    assert faults(definitions=definitions(tmp_path, document), management_url=API) == []
    shown = scrub(f"planted-in-a-user {hashed} planted-in-a-shovel planted-in-a-value pw-of-the-api")
    assert shown == "*** *** *** *** ***"


def test_a_definitions_file_that_goes_bad_after_the_plan_was_read(tmp_path: Path) -> None:
    step = Topology(url=URL, definitions=definitions(tmp_path, {"queues": [{"name": "q"}]}))
    assert list(step.validate()) == []
    context = Context("step", Span.root(), Stream(()), None)
    definitions(tmp_path, {"queues": [{"nme": "q"}]})
    with pytest.raises(StepFailed, match="object missing required field name"):
        step.check(context)
    (tmp_path / "definitions.json").unlink()
    with pytest.raises(StepFailed, match="No such file"):
        step.check(context)


# -- what the kinds say of themselves


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"bindings": [Binding("e", "q")]}, False),
        ({"bindings": [Binding("e", "q")], "management_url": API}, True),
        ({"queues": [Queue("q")]}, True),
    ],
)
def test_bindings_alone_cannot_be_verified_over_amqp(fields: dict[str, Any], expected: bool) -> None:
    assert Topology(url=URL, **fields).verifiable is expected


def test_empty_is_the_same_as_absent() -> None:
    assert faults(management_url="", definitions="", queues=[Queue("q")]) == []
    assert not Topology(url=URL, management_url="", bindings=[Binding("e", "q")]).verifiable


def test_a_repr_holds_no_secret() -> None:
    step = Topology(url="amqp://app:planted-secret@h/", management_url=API)
    assert repr(step) == "<rabbitmq.topology amqp://app@h:5672/>"


def test_neither_pika_nor_ssl_is_imported_before_it_is_used() -> None:
    program = (
        "import sys\nfrom inithold.steps.rabbitmq import Ready, Topology\n"
        "list(Topology(url='amqp://h/', queues=[{'name': 'q'}]).validate())\n"
        "step = Ready(url='amqp://127.0.0.1:1/')\n"
        "print({'pika', 'ssl', 'http.client', 'difflib'} & set(sys.modules))\n"
        "step.preload()\nprint('pika' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["set()", "True"]
