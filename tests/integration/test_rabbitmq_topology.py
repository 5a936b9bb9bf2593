"""rabbitmq.topology on a real broker, without and with its management API."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pika
import pytest

from conftest import Vhost
from fake_server import Behaviour, be_silent, fake_server, hang_up, hang_up_at_once, reset
from golden import assert_golden
from inithold.errors import NotYet, Rejected
from inithold.steps.http import Resource
from inithold.steps.rabbitmq import Ready, Topology
from inithold.testing import Driven, check, drive
from promptness import PROMPTLY
from relay import relay
from servers.inithold import Inithold
from servers.ports import closed_port
from servers.rabbitmq import RabbitMQ
from stopping import stopped_when

SECRET = "pw-nobody-may-see"

GAMES: dict[str, Any] = {
    "exchanges": [
        {"name": "game_events", "type": "topic"},
        {"name": "game_events.dlx", "type": "fanout"},
        {"name": "audit", "type": "headers", "internal": True},
    ],
    "queues": [
        {
            "name": "bot_events",
            "arguments": {"x-message-ttl": "60000", "x-dead-letter-exchange": "game_events.dlx"},
        },
        {"name": "dead_letters", "type": "quorum"},
        {"name": "short", "durable": False, "auto_delete": True},
    ],
    "bindings": [
        {"exchange": "game_events", "queue": "bot_events", "routing_key": "game.*"},
        {"exchange": "game_events.dlx", "queue": "dead_letters"},
        {"exchange": "game_events", "destination_exchange": "audit", "routing_key": "#"},
        {"exchange": "audit", "queue": "short", "arguments": {"x-match": "all", "version": "2"}},
        {"exchange": "amq.topic", "queue": "bot_events", "routing_key": "x"},
    ],
}
MADE = (
    "+ exchange game_events",
    "+ exchange game_events.dlx",
    "+ exchange audit",
    "+ queue bot_events",
    "+ queue dead_letters",
    "+ queue short",
    "+ binding game_events -> bot_events (game.*)",
    "+ binding game_events.dlx -> dead_letters",
    "+ binding game_events -> exchange audit (#)",
    "+ binding audit -> short (x-match=all, version=2)",
    "+ binding amq.topic -> bot_events (x)",
)
UNVERIFIED = tuple(
    line.replace("+ exchange", "? properties of exchange")
    .replace("+ queue", "? properties of queue")
    .replace("+ binding", "? binding")
    for line in MADE
)


def topology(vhost: Vhost, *, managed: bool, **fields: Any) -> Topology:
    return Topology(url=vhost.url, management_url=vhost.management_url if managed else None, **fields)


def present(vhost: Vhost) -> dict[str, list[Any]]:
    """What the virtual host has, but for what every one has."""
    host = quote(vhost.name, safe="")
    columns = "columns=name,type,durable,auto_delete,internal,exclusive,arguments"
    exchanges = vhost.server.api("GET", f"/api/exchanges/{host}?{columns}")
    queues = vhost.server.api("GET", f"/api/queues/{host}?{columns}")
    bindings = vhost.server.api("GET", f"/api/bindings/{host}")
    for queue in queues:
        if queue["arguments"].get("x-queue-type") == "classic":
            del queue["arguments"]["x-queue-type"]  # RabbitMQ 4 adds it
    return {
        "exchanges": [each for each in exchanges if each["name"] and not each["name"].startswith("amq.")],
        "queues": queues,
        "bindings": [each for each in bindings if each["source"]],
    }


def names(vhost: Vhost) -> set[str]:
    found = present(vhost)
    return {each["name"] for each in (*found["exchanges"], *found["queues"])}


def is_golden(case: str, driven: Driven, vhost: Vhost, **varying: str) -> None:
    assert driven.outcome == "failed", driven
    assert driven.finished.attempts == 1
    said = "\n".join([driven.reason, *driven.log, *driven.waited_for])
    assert SECRET not in said
    assert vhost.server.password not in said
    ports = {str(vhost.server.port): "PORT", str(vhost.server.management_port): "API", vhost.name: "VHOST"}
    assert_golden(f"rabbitmq/{case}", driven.reason, driven.finished.hint, varying={**ports, **varying})


def limited_user(vhost: Vhost, *, tags: str = "", nothing: bool = True, everywhere: bool = True) -> str:
    """A user that may open the virtual host, and nothing in it."""
    name = f"user-{uuid4().hex[:8]}"
    vhost.server.create_user(name, SECRET, tags=tags)
    if everywhere:
        pattern = "^$" if nothing else ".*"
        vhost.server.allow(name, vhost.name, configure=pattern, write=pattern, read=pattern)
    return name


# -- made once, and found again


def test_declared_without_the_management_api(vhost: Vhost) -> None:
    step = topology(vhost, managed=False, **GAMES)
    assert tuple(map(str, check(step))) == MADE
    assert names(vhost) == set(), "check makes nothing"
    driven = drive(step)
    assert (driven.outcome, driven.changes, driven.log) == ("changed", MADE, ())
    # It cannot be told over AMQP whether all is as it should be: declared again in each run, to no effect.
    assert tuple(map(str, check(step))) == UNVERIFIED
    before = present(vhost)
    driven = drive(step)
    assert (driven.outcome, driven.changes) == ("changed", UNVERIFIED)
    assert present(vhost) == before
    assert drive(step, wait=True).outcome == "unchanged", "what exists is enough for a gate"


def test_declared_with_the_management_api(vhost: Vhost) -> None:
    step = topology(vhost, managed=True, **GAMES)
    assert tuple(map(str, check(step))) == MADE
    assert names(vhost) == set(), "check makes nothing"
    assert drive(step, wait=True, timeout=0.5).outcome == "failed"
    assert drive(step).changes == MADE
    assert check(step) == ()
    assert drive(step).outcome == "unchanged"
    assert drive(step, wait=True).outcome == "unchanged"


def test_what_is_declared_is_what_was_asked_for(vhost: Vhost) -> None:
    drive(topology(vhost, managed=False, **GAMES))
    found = present(vhost)
    queues = {queue["name"]: queue for queue in found["queues"]}
    assert queues["bot_events"]["durable"] is True
    assert queues["bot_events"]["arguments"] == {
        "x-message-ttl": 60000,
        "x-dead-letter-exchange": "game_events.dlx",
    }
    assert queues["dead_letters"]["type"] == "quorum"
    assert (queues["short"]["durable"], queues["short"]["auto_delete"]) == (False, True)
    exchanges = {exchange["name"]: exchange for exchange in found["exchanges"]}
    assert [(exchange["type"], exchange["internal"]) for exchange in exchanges.values()] == [
        ("headers", True),
        ("topic", False),
        ("fanout", False),
    ]
    assert all(exchange["durable"] for exchange in exchanges.values())
    bound = {
        (each["source"], each["destination_type"], each["destination"], each["routing_key"])
        for each in found["bindings"]
    }
    assert bound == {
        ("game_events", "queue", "bot_events", "game.*"),
        ("game_events.dlx", "queue", "dead_letters", ""),
        ("game_events", "exchange", "audit", "#"),
        ("audit", "queue", "short", ""),
        ("amq.topic", "queue", "bot_events", "x"),
    }
    headers = next(each["arguments"] for each in found["bindings"] if each["source"] == "audit")
    assert headers == {"x-match": "all", "version": "2"}, "a header of digits stays text"


@pytest.mark.parametrize("managed", [False, True])
def test_only_what_is_missing_is_made(vhost: Vhost, managed: bool) -> None:
    drive(topology(vhost, managed=False, exchanges=GAMES["exchanges"], queues=GAMES["queues"][:2]))
    driven = drive(topology(vhost, managed=managed, **GAMES))
    made = [change for change in driven.changes if change.startswith("+")]
    assert "+ queue short" in made
    assert "+ queue bot_events" not in made
    assert ("+ binding game_events -> bot_events (game.*)" in made) is managed
    assert "+ binding audit -> short (x-match=all, version=2)" in made, "it binds a queue that was not there"
    assert check(topology(vhost, managed=True, **GAMES)) == ()


def test_details_say_what_is_not_as_usual(vhost: Vhost) -> None:
    changes = {change.what: change.details for change in check(topology(vhost, managed=True, **GAMES))}
    assert changes["queue bot_events"] == ("x-message-ttl=60000, x-dead-letter-exchange=game_events.dlx",)
    assert changes["queue short"] == ("durable=false, auto_delete=true",)
    assert changes["exchange audit"] == ("type=headers, internal=true",)


def test_bindings_differ_by_their_arguments(vhost: Vhost) -> None:
    binding = {"exchange": "amq.headers", "queue": "q", "arguments": {"x-match": "all", "a": "1"}}
    other = {**binding, "arguments": {"x-match": "all", "a": 1}}
    drive(topology(vhost, managed=True, queues=[{"name": "q"}], bindings=[binding, binding]))
    assert len(present(vhost)["bindings"]) == 1
    driven = drive(topology(vhost, managed=True, queues=[{"name": "q"}], bindings=[binding, other]))
    assert driven.changes == ("+ binding amq.headers -> q (x-match=all, a=1)",)
    assert len(present(vhost)["bindings"]) == 2


def test_numbers_with_a_fraction(vhost: Vhost) -> None:
    fields: dict[str, Any] = {
        "exchanges": [{"name": "e", "type": "headers", "arguments": {"x-weight": 0.5}}],
        "queues": [{"name": "q", "arguments": {"x-weight": 1.5, "x-deep": [{"n": -0.25}]}}, {"name": "r"}],
        "bindings": [
            {"exchange": "e", "queue": "q", "arguments": {"x-match": "all", "v": 2.5}},
            {"exchange": "e", "queue": "q"},
            {"exchange": "amq.headers", "destination_exchange": "e", "arguments": {"v": 0.125}},
        ],
    }
    step = topology(vhost, managed=True, **fields)
    assert list(step.validate()) == []
    assert len(drive(step).changes) == 6
    assert present(vhost)["queues"][0]["arguments"] == {"x-weight": 1.5, "x-deep": [{"n": -0.25}]}
    assert drive(step).outcome == "unchanged"


def test_odd_names(vhost: Vhost) -> None:
    odd = "ä/ö ?#%2F+&=. 'q\""
    fields: dict[str, Any] = {
        "exchanges": [{"name": odd}],
        "queues": [{"name": odd, "arguments": {"x-dead-letter-routing-key": odd, "x-dead-letter-exchange": odd}}],
        "bindings": [{"exchange": odd, "queue": odd, "routing_key": odd}],
    }
    assert drive(topology(vhost, managed=True, **fields)).outcome == "changed"
    assert drive(topology(vhost, managed=True, **fields)).outcome == "unchanged"


def test_in_an_odd_virtual_host(rabbitmq: RabbitMQ) -> None:
    name = rabbitmq.create_vhost(f"odd/ %?#é-{uuid4().hex[:8]}")
    try:
        step = Topology(url=rabbitmq.url(name), management_url=rabbitmq.management_url(), **GAMES)
        assert drive(step).outcome == "changed"
        assert drive(step).outcome == "unchanged"
    finally:
        rabbitmq.delete_vhost(name)


def test_a_classic_queue_is_classic_whether_it_says_so_or_not(vhost: Vhost) -> None:
    drive(topology(vhost, managed=True, queues=[{"name": "said", "type": "classic"}, {"name": "unsaid"}]))
    turned = [{"name": "said"}, {"name": "unsaid", "type": "classic"}]
    assert drive(topology(vhost, managed=True, queues=turned)).outcome == "unchanged"
    assert drive(topology(vhost, managed=False, queues=turned)).outcome == "changed"


def test_the_virtual_hosts_default_type_is_no_difference(rabbitmq: RabbitMQ) -> None:
    name = f"vhost-{uuid4().hex[:12]}"
    kind = {"default_queue_type": "quorum", "defaultqueuetype": "quorum"}
    rabbitmq.api("PUT", f"/api/vhosts/{name}", kind)
    rabbitmq.allow(rabbitmq.user, name)
    queues: Any = [{"name": "q"}]
    try:
        step = Topology(url=rabbitmq.url(name), management_url=rabbitmq.management_url(), queues=queues)
        assert drive(step).outcome == "changed"
        assert rabbitmq.api("GET", f"/api/queues/{name}/q")["type"] == "quorum"
        assert drive(step).outcome == "unchanged"
        # So it is for a user who may not look at the virtual host itself.
        user = f"user-{uuid4().hex[:8]}"
        rabbitmq.create_user(user, SECRET, tags="management")
        rabbitmq.allow(user, name, configure="^$", write="^$", read="^$")
        api = rabbitmq.management_url(user=user, password=SECRET)
        assert check(Topology(url=rabbitmq.url(name), management_url=api, queues=queues)) == ()
    finally:
        rabbitmq.delete_vhost(name)


@pytest.mark.parametrize("managed", [False, True])
def test_replicas_side_by_side(vhost: Vhost, managed: bool) -> None:
    outcomes: list[str] = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(drive(topology(vhost, managed=managed, **GAMES)).outcome))
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(outcomes) <= {"changed", "unchanged"}
    assert len(outcomes) == 10
    assert check(topology(vhost, managed=True, **GAMES)) == ()


@pytest.mark.parametrize("managed", [False, True])
def test_consumers_and_messages_are_left_alone(vhost: Vhost, managed: bool) -> None:
    drive(topology(vhost, managed=False, **GAMES))
    connection = pika.BlockingConnection(pika.URLParameters(vhost.url))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_publish("game_events", "game.started", b"before", mandatory=True)
    received: list[bytes] = []
    channel.basic_consume("bot_events", lambda *delivered: received.append(delivered[3]), auto_ack=True)
    fields = {**GAMES, "queues": [*GAMES["queues"], {"name": "new"}]}
    assert drive(topology(vhost, managed=managed, **fields)).outcome == "changed"
    channel.basic_publish("game_events", "game.over", b"after", mandatory=True)
    connection.process_data_events(time_limit=0.5)
    connection.close()
    assert received == [b"before", b"after"]


def test_connections_carry_the_name_of_the_step(vhost: Vhost) -> None:
    from inithold.steps.rabbitmq.broker import connected

    class Asked(Exception):
        pass

    step = Ready(url=vhost.url)
    seen: list[Any] = []

    class Context:
        step_id = "broker"

        def remaining(self, most: float) -> float:
            return most

        def check_cancelled(self) -> None:
            return

        def on_cancel(self, action: Callable[[], object]) -> Any:
            from contextlib import nullcontext

            return nullcontext()

    context: Any = Context()
    with connected(step.address(), context) as broker:
        broker.channel()
        deadline = threading.Event()
        for _ in range(100):
            seen = vhost.server.api("GET", f"/api/vhosts/{vhost.name}/connections")
            if seen and seen[0].get("client_properties"):
                break
            deadline.wait(0.1)
    assert [each["client_properties"]["connection_name"] for each in seen] == ["inithold broker"]


# -- what exists and is something else

OTHERWISE: dict[str, Any] = {
    "exchanges": [{"name": "game_events", "type": "fanout"}, {"name": "new_exchange"}],
    "queues": [
        {"name": "bot_events", "durable": False},
        {"name": "dead_letters"},
        {"name": "new_queue"},
    ],
}


@pytest.mark.parametrize("managed", [False, True])
def test_conflicts_are_named_together_and_nothing_is_made(vhost: Vhost, managed: bool) -> None:
    drive(topology(vhost, managed=False, **GAMES))
    before = present(vhost)
    driven = drive(topology(vhost, managed=managed, **OTHERWISE))
    is_golden(f"conflicts-{'managed' if managed else 'amqp'}", driven, vhost)
    assert present(vhost) == before


@pytest.mark.parametrize("managed", [False, True])
def test_one_conflict_is_one_line(vhost: Vhost, managed: bool) -> None:
    drive(topology(vhost, managed=False, queues=[{"name": "bot_events", "arguments": {"x-message-ttl": 1000}}]))
    driven = drive(topology(vhost, managed=managed, queues=[{"name": "bot_events"}]))
    is_golden(f"conflict-{'managed' if managed else 'amqp'}", driven, vhost)


@pytest.mark.parametrize("managed", [False, True])
def test_a_queue_of_another_connection(vhost: Vhost, managed: bool) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(vhost.url))
    connection.channel().queue_declare("bot_events", exclusive=True)
    driven = drive(topology(vhost, managed=managed, queues=[{"name": "bot_events"}]))
    connection.close()
    is_golden(f"exclusive-{'managed' if managed else 'amqp'}", driven, vhost)


# -- what the broker does not want


def test_an_argument_the_broker_refuses(vhost: Vhost) -> None:
    step = topology(vhost, managed=False, queues=[{"name": "q", "arguments": {"x-message-ttl": -1}}])
    is_golden("refused-argument", drive(step), vhost)


def test_an_exchange_type_without_its_plug_in(vhost: Vhost) -> None:
    step = topology(vhost, managed=False, exchanges=[{"name": "delayed", "type": "x-delayed-message"}])
    is_golden("unknown-exchange-type", drive(step), vhost)


@pytest.mark.parametrize("managed", [False, True])
def test_a_binding_of_something_that_is_not_there(vhost: Vhost, managed: bool) -> None:
    step = topology(vhost, managed=managed, bindings=[{"exchange": "nowhere", "queue": "nothing"}])
    is_golden("binding-of-nothing", drive(step), vhost)


# -- rights


def test_the_check_over_amqp_needs_no_permissions(vhost: Vhost) -> None:
    drive(topology(vhost, managed=False, **GAMES))
    user = limited_user(vhost)
    url = vhost.server.url(vhost.name, user=user, password=SECRET)
    step = Topology(url=url, **{**GAMES, "queues": [*GAMES["queues"], {"name": "zz"}]})
    assert {change.op for change in check(step)} == {"?", "+"}
    is_golden("may-not-compare", drive(step), vhost, **{user: "USER"})
    is_golden("may-not-declare", drive(Topology(url=url, queues=[{"name": "zz"}])), vhost, **{user: "USER"})  # type: ignore[list-item]
    binding: Any = [{"exchange": "game_events", "queue": "bot_events"}]
    is_golden("may-not-bind", drive(Topology(url=url, bindings=binding)), vhost, **{user: "USER"})


def test_the_check_over_the_management_api_needs_one_tag(vhost: Vhost) -> None:
    drive(topology(vhost, managed=False, **GAMES))
    user = limited_user(vhost, tags="management")
    api = vhost.server.management_url(user=user, password=SECRET)
    assert check(Topology(url=vhost.url, management_url=api, **GAMES)) == ()
    quorum = [*GAMES["queues"][:1], {"name": "dead_letters"}]
    assert drive(Topology(url=vhost.url, management_url=api, queues=quorum)).outcome == "failed"


NEEDED = {"configure": "^(events|work)$", "write": "^(work|dead)$", "read": "^(events|work)$"}
LESS = {
    "configure": ("^events$", "exchange 'events'|queue 'work'"),
    "write": ("^dead$", "queue 'work'"),
    "read": ("^work$", "exchange 'events'"),
}


@pytest.mark.parametrize("managed", [False, True])
@pytest.mark.parametrize("lacking", [None, *NEEDED])
def test_the_rights_of_the_apply(vhost: Vhost, managed: bool, lacking: str | None) -> None:
    user = limited_user(vhost, tags="management" if managed else "")
    given = {**NEEDED, **({lacking: LESS[lacking][0]} if lacking else {})}
    vhost.server.allow(user, vhost.name, **given)
    step = Topology(
        url=vhost.server.url(vhost.name, user=user, password=SECRET),
        management_url=vhost.server.management_url(user=user, password=SECRET) if managed else None,
        exchanges=[{"name": "events", "type": "topic"}],  # type: ignore[list-item]
        queues=[{"name": "work", "arguments": {"x-dead-letter-exchange": "dead"}}],  # type: ignore[list-item]
        bindings=[{"exchange": "events", "queue": "work"}],  # type: ignore[list-item]
    )
    driven = drive(step)
    assert driven.outcome == ("failed" if lacking else "changed"), driven.reason
    if lacking:
        assert re.search(rf"ACCESS_REFUSED - (\w+ )?access to ({LESS[lacking][1]})", driven.reason), driven.reason
        assert lacking in (driven.finished.hint or "")


def test_the_rights_of_a_resource_behind_the_management_api(vhost: Vhost) -> None:
    user = limited_user(vhost, tags="management")
    url = f"{vhost.server.management_url(user=user, password=SECRET)}/api/queues/{vhost.name}/made"
    step = Resource(url=url, body={"durable": True})
    assert [str(change) for change in check(step)] == [f"+ api/queues/{vhost.name}/made"]
    assert "Access refused" in drive(step).reason
    vhost.server.allow(user, vhost.name, configure="^made$", write="^$", read="^$")
    assert drive(step).outcome == "changed"
    assert check(step) == ()


@pytest.mark.parametrize(
    ("case", "tags", "everywhere", "password"),
    [
        ("api-rejected-password", "management", True, "pw-that-is-wrong"),
        ("api-without-tag", "", True, SECRET),
        ("api-without-virtual-host", "management", False, SECRET),
    ],
)
def test_the_management_api_says_no(vhost: Vhost, case: str, tags: str, everywhere: bool, password: str) -> None:
    user = limited_user(vhost, tags=tags, everywhere=everywhere)
    api = vhost.server.management_url(user=user, password=password)
    step = Topology(url=vhost.url, management_url=api, **GAMES)
    driven = drive(step)
    is_golden(case, driven, vhost, **{user: "USER"})
    assert password not in driven.reason
    with pytest.raises(Rejected):
        check(step)


def test_the_broker_says_no_to_the_login(vhost: Vhost) -> None:
    step = Topology(url=vhost.server.url(vhost.name, password=SECRET), **GAMES)
    is_golden("rejected-password-topology", drive(step), vhost)
    with pytest.raises(Rejected):
        check(step)


# -- where the management API is


@pytest.mark.parametrize("path", ["", "/", "/api", "/api/"])
def test_the_management_url_may_end_as_it_likes(vhost: Vhost, path: str) -> None:
    step = Topology(url=vhost.url, management_url=vhost.management_url + path, **GAMES)
    assert tuple(map(str, check(step))) == MADE


def test_the_management_url_takes_the_user_of_the_brokers(vhost: Vhost) -> None:
    step = Topology(url=vhost.url, management_url=f"http://127.0.0.1:{vhost.server.management_port}", **GAMES)
    assert drive(step).outcome == "changed"
    assert drive(step).outcome == "unchanged"


def answering(status: str, body: bytes = b"") -> Behaviour:
    def behaviour(connection: Any) -> None:
        connection.recv(4096)
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode() + body)

    return behaviour


def truncated(connection: Any) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (hang_up, "the connection was closed"),
        (hang_up_at_once, "connection reset|the connection was closed"),
        (reset, "connection reset"),
        (truncated, "the connection was closed"),
        (answering("503 Service Unavailable"), "HTTP 503 Service Unavailable"),
        (answering("500 X", b'{"error": "x", "reason": "mnesia is starting"}'), "mnesia is starting"),
    ],
)
def test_a_management_api_that_is_not_up_yet(vhost: Vhost, behaviour: Behaviour, words: str) -> None:
    with fake_server(behaviour) as port:
        step = Topology(url=vhost.url, management_url=f"http://u:{SECRET}@127.0.0.1:{port}", **GAMES)
        with pytest.raises(NotYet, match=rf"^management API 127\.0\.0\.1:{port}: ({words})"):
            check(step)


def test_a_management_api_that_refuses_connections_is_probed(vhost: Vhost) -> None:
    with closed_port() as port:
        with pytest.raises(NotYet) as caught:
            check(Topology(url=vhost.url, management_url=f"http://127.0.0.1:{port}", **GAMES))
        assert caught.value.probe == ("127.0.0.1", port)
        driven = drive(Topology(url=f"amqp://127.0.0.1:{port}", **GAMES), timeout=0.3)
        assert "connection refused" in driven.reason


@pytest.mark.parametrize(
    ("case", "behaviour"),
    [
        ("api-another-web-server", answering("404 Not Found", b"<html>nothing here</html>")),
        ("api-redirects", answering("301 Moved Permanently")),
        ("api-another-answer", answering("200 OK", b"<html>hello</html>")),
        ("api-no-http", lambda connection: (connection.recv(9), connection.sendall(b"+PONG\r\n"))),
    ],
)
def test_what_is_no_management_api(vhost: Vhost, case: str, behaviour: Behaviour) -> None:
    with fake_server(behaviour) as port:
        step = Topology(url=vhost.url, management_url=f"http://u:{SECRET}@127.0.0.1:{port}", **GAMES)
        is_golden(case, drive(step), vhost, **{str(port): "WRONG"})


def test_no_tls_at_the_management_api(vhost: Vhost) -> None:
    step = Topology(url=vhost.url, management_url=vhost.management_url.replace("http:", "https:"), **GAMES)
    is_golden("api-no-tls", drive(step), vhost)


# -- in the middle


@pytest.mark.parametrize("managed", [False, True])
def test_a_connection_lost_half_way_is_tried_again(vhost: Vhost, managed: bool) -> None:
    with relay(vhost.server.port, b"dead_letters", "cut") as between:
        url = vhost.url.replace(str(vhost.server.port), str(between.port))
        step = Topology(url=url, management_url=vhost.management_url if managed else None, **GAMES)
        driven = drive(step)
    assert between.failed.is_set()
    assert (driven.outcome, driven.finished.attempts) == ("changed", 2)
    assert driven.waited_for == (f"127.0.0.1:{between.port}: the connection was lost",)
    assert check(topology(vhost, managed=True, **GAMES)) == ()


def test_a_management_api_lost_half_way_is_tried_again(vhost: Vhost) -> None:
    with relay(vhost.server.management_port, b"dead_letters", "cut") as between:
        api = vhost.management_url.replace(str(vhost.server.management_port), str(between.port))
        driven = drive(Topology(url=vhost.url, management_url=api, **GAMES))
    assert between.failed.is_set()
    assert (driven.outcome, driven.finished.attempts) == ("changed", 2)


def test_a_connection_that_the_broker_closes_is_tried_again(vhost: Vhost) -> None:
    from inithold.runner.context import Context
    from inithold.runner.events import Span
    from inithold.runner.stream import Stream
    from inithold.steps.rabbitmq.broker import connected
    from inithold.steps.rabbitmq.objects import Queue

    context = Context("step", Span("0" * 31 + "1", "0" * 15 + "1"), Stream([]), None)
    with connected(Ready(url=vhost.url).address(), context) as broker, pytest.raises(NotYet) as caught:
        broker.channel()
        path = f"/api/vhosts/{vhost.name}/connections"
        while not (found := vhost.server.api("GET", path)):
            threading.Event().wait(0.1)
        vhost.server.api("DELETE", f"/api/connections/{quote(found[0]['name'], safe='')}")
        broker.declare(Queue("q"), passive=True)
    assert "CONNECTION_FORCED" in caught.value.message


def test_cancel_while_declaring(vhost: Vhost) -> None:
    with relay(vhost.server.port, b"dead_letters", "freeze") as between:
        url = vhost.url.replace(str(vhost.server.port), str(between.port))
        step = Topology(url=url, management_url=vhost.management_url, **GAMES)
        result, seconds = stopped_when(step, between.failed.is_set)
    assert result.steps[0].outcome == "cancelled"
    assert not result.stuck
    assert seconds < PROMPTLY
    drive(topology(vhost, managed=True, **GAMES))
    assert check(topology(vhost, managed=True, **GAMES)) == ()


def test_cancel_while_the_management_api_is_silent(vhost: Vhost) -> None:
    with relay(vhost.server.management_port, b"dead_letters", "freeze") as between:
        api = vhost.management_url.replace(str(vhost.server.management_port), str(between.port))
        result, seconds = stopped_when(Topology(url=vhost.url, management_url=api, **GAMES), between.failed.is_set)
    assert result.steps[0].outcome == "cancelled"
    assert seconds < PROMPTLY


def test_the_steps_time_bounds_every_wait(vhost: Vhost) -> None:
    with relay(vhost.server.port, b"dead_letters", "freeze") as between:
        url = vhost.url.replace(str(vhost.server.port), str(between.port))
        driven = drive(Topology(url=url, **GAMES), timeout=1.0)
    assert driven.outcome == "failed"
    assert driven.reason == (f"its time (1s) is up: 127.0.0.1:{between.port}: does not answer: queue dead_letters")
    with fake_server(be_silent) as port:
        step = Topology(url=vhost.url, management_url=f"http://127.0.0.1:{port}", **GAMES)
        driven = drive(step, timeout=0.5)
    assert driven.outcome == "failed"
    assert "does not answer: GET /api/exchanges/" in driven.reason


# -- names that would move the cursor

ESCAPES = "\x1b[2J\x1b]0;title\x07\x9b31mred\u202e\x08"
ACTIVE = ("\x1b[2J", "\x1b]0;", "\x07", "\x9b", "\u202e", "\x08")


def texts(value: Any) -> str:
    """Every text of a JSON document, as a program would print it."""
    if isinstance(value, dict):
        return "\n".join(f"{name}\n{texts(item)}" for name, item in value.items())
    return "\n".join(map(texts, value)) if isinstance(value, list) else str(value)


@pytest.mark.parametrize("managed", [False, True])
def test_a_name_of_escape_sequences_is_inert_wherever_it_is_shown(
    vhost: Vhost, run_inithold: Inithold, managed: bool
) -> None:
    fields: dict[str, Any] = {
        "url": vhost.url,
        "exchanges": [{"name": f"e{ESCAPES}", "type": "topic"}],
        "queues": [{"name": f"q{ESCAPES}", "arguments": {"x-dead-letter-exchange": f"e{ESCAPES}"}}],
        "bindings": [{"exchange": f"e{ESCAPES}", "queue": f"q{ESCAPES}", "routing_key": ESCAPES}],
    }
    if managed:
        fields["management_url"] = vhost.management_url
    plan = {"name": "hostile", "steps": [{"id": "topology", "uses": "rabbitmq.topology", "with": fields}]}
    file = run_inithold.folder / "inithold.yaml"
    file.write_text(json.dumps(plan))
    done = [run_inithold("plan", terminal=True), run_inithold("plan", "--json")]
    done += [run_inithold("run", "--once", terminal=True)]
    assert done[-1].returncode == 0, done[-1].stdout
    assert {f"q{ESCAPES}"} == {queue["name"] for queue in present(vhost)["queues"]}, "the broker has it as it is"
    # And in the words of the broker, which does not alter a queue.
    fields["queues"][0]["durable"] = False
    file.write_text(json.dumps(plan))
    for options in ({"terminal": True}, {}):
        done += [run_inithold("run", "--once", **options), run_inithold("status", **options)]
        assert "exists with" in done[-1].stdout + done[-1].stderr
    json_lines = run_inithold("run", "--once", "--log-format", "json")
    status = run_inithold("status", "--json")
    assert run_inithold("report", "-o", "report.html").returncode == 0
    shown = [one.stdout + one.stderr for one in done]
    shown += [texts(json.loads(line)) for line in json_lines.stderr.splitlines() if line.startswith("{")]
    shown += [texts(json.loads(text)) for text in (status.stdout, done[1].stdout)]
    shown += [path.read_text() for path in run_inithold.folder.glob("*.record*.json")]
    shown += [(run_inithold.folder / "report.html").read_text()]
    assert len(shown) > 10
    for text in shown:
        assert [repr(each) for each in ACTIVE if each in text] == [], text
    assert all("red" in text for text in shown[:7])
