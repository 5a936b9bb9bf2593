"""Addresses: read as stacks write them, shown without their secrets, refused without quoting them."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from inithold.redaction.redact import scrub
from inithold.steps.address import DEFAULT_PORTS, Address, parse
from inithold.steps.addressed import Addressed

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("url", "technology", "host", "port", "user", "password", "database"),
    [
        ("postgres://app:pw@db/games", "postgresql", "db", 5432, "app", "pw", "games"),
        ("postgresql+asyncpg://app:p%40w@db:6000/games", "postgresql", "db", 6000, "app", "p@w", "games"),
        ("POSTGRESQL://Db.Example/Games", "postgresql", "Db.Example", 5432, None, None, "Games"),
        ("mariadb+pymysql://db", "mysql", "db", 3306, None, None, None),
        ("amqp://mq", "amqp", "mq", 5672, None, None, None),
        ("amqp://mq/", "amqp", "mq", 5672, None, None, ""),
        ("amqp://mq/%2F", "amqp", "mq", 5672, None, None, "/"),
        ("amqps://mq/a%2Fb", "amqps", "mq", 5671, None, None, "a/b"),
        ("redis://:pw@cache/3", "redis", "cache", 6379, "", "pw", "3"),
        ("rediss://[::1]:7000", "rediss", "::1", 7000, None, None, None),
        ("http://web:8080/@scope/x", "http", "web", 8080, None, None, "@scope/x"),
        ("https://user:pw@web/p?x=1", "https", "web", 443, "user", "pw", "p"),
        ("https://web/p?x=a@b", "https", "web", 443, None, None, "p"),
        ("tcp://db:5432", "tcp", "db", 5432, None, None, None),
    ],
)
def test_urls_as_stacks_have_them(
    url: str, technology: str, host: str, port: int, user: str | None, password: str | None, database: str | None
) -> None:
    address = parse(url)
    assert (address.technology, address.host, address.port) == (technology, host, port)
    assert (address.user, address.password, address.database) == (user, password, database)


@settings(deadline=None)
@given(
    user=TEXT,
    password=TEXT,
    database=TEXT,
    technology=st.sampled_from(["postgresql", "mysql", "amqp", "redis"]),
    host=st.sampled_from(["db", "10.0.0.1", "::1", "Db.Example.org"]),
    port=st.integers(1, 65535),
)
def test_what_is_written_is_read_back(
    user: str, password: str, database: str, technology: str, host: str, port: int
) -> None:
    address = Address(technology, "", host, port, user, password, database, (("a", "b c"), ("d", "")))
    assert parse(address.url()) == address


@settings(deadline=None)  # learning a secret costs more than the test of it
@given(password=TEXT)
def test_no_way_to_show_an_address_shows_its_password(password: str) -> None:
    assume(len(password.strip()) >= 6 and password not in "postgresql://app@db:5432/games<Address >")
    address = Address("postgresql", "", "db", 5432, "app", password, "games", (("sslpassword", password),))
    for shown in (address.shown, address.place, repr(address), str(address)):
        assert password not in shown


@settings(deadline=None)
@given(
    password=st.text("abc%@/:?#[]\\ é", min_size=1, max_size=20),
    scheme=st.sampled_from(["postgresql", "amqp", "redis", "http", "mysql"]),
)
def test_a_password_as_it_is_makes_a_url_that_is_read_or_refused_without_being_quoted(
    password: str, scheme: str
) -> None:
    password = f"secret{password}pass"
    try:
        address = parse(f"{scheme}://app:{password}@db/games")
    except ValueError as error:
        assert password not in str(error)
        assert "secret" not in str(error)
    else:
        # Nothing of it may have become part of what is shown.
        assert "secret" not in address.shown
        assert "pass" not in scrub(address.shown)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("db:5432", "is not a URL: expected postgresql://..."),
        ("app:planted@db", "is not a URL: expected postgresql://..."),
        ("my planted://db", "is not a URL: expected postgresql://..."),
        ("redis://planted@db", "has the scheme 'redis': expected postgresql://..."),
        ("postgresql://app:plan/ted@db/games", "percent-encode the characters"),
        ("postgresql://app:plan@ted@db/games", "percent-encode the characters"),
        ("postgresql://app:planted#@db/games", "percent-encode the characters"),
        ("postgresql://app:plan?ted@db/games", "percent-encode the characters"),
        ("postgresql://app:planted%@db/games", "must be written %25"),
        ("postgresql://app:planted%zz@db/games", "must be written %25"),
        ("postgresql://db:planted/games", "its port is not a number"),
        ("postgresql://db:70000/games", "its port is out of range: expected 1 to 65535"),
        (f"postgresql://db:{'9' * 5000}/games", "its port is out of range: expected 1 to 65535"),
        ("postgresql://[::1/planted", "its host is not one"),
    ],
)
def test_a_url_that_cannot_be_read_says_why_and_never_what(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        parse(url, ["postgresql"])
    assert says in str(raised.value)
    assert "planted" not in str(raised.value)
    assert "plan" not in str(raised.value)


def test_on_the_web_a_user_alone_is_a_token() -> None:
    address = parse("https://robot-token-1@web/health")
    assert address.shown == "https://***@web:443/health"
    assert scrub("robot-token-1") == "***"


class Kind(Addressed, frozen=True, kw_only=True):
    kind = "test.kind"
    technologies = ("postgresql", "redis")


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({}, "url", "is missing"),
        ({"url": "postgresql://db", "host": "db", "port": 1}, "host", "not both"),
        ({"url": "http://db"}, "url", "url has the scheme 'http'"),
        ({"host": "postgresql://planted@db"}, "host", "a whole URL goes into url"),
        ({"host": "app:planted@db"}, "host", "a whole URL goes into url"),
        ({"host": " "}, "host", "name or address"),
        ({"host": "db", "port": 0}, "port", "1 to 65535"),
        ({"host": "db", "port": 65536}, "port", "1 to 65535"),
    ],
)
def test_fields_that_do_not_fit(fields: dict[str, object], field: str, says: str) -> None:
    found = list(Kind(**fields).validate())  # type: ignore[arg-type]
    assert [name for name, _ in found] == [field]
    assert says in found[0][1]
    assert "planted" not in found[0][1]


def test_parts_are_as_good_as_a_url() -> None:
    parts = Kind(host="db", user="app", password="p@ss/w%rd", database="games")
    assert list(parts.validate()) == []
    assert parts.address() == parse("postgresql://app:p%40ss%2Fw%25rd@db/games")
    assert parts.subject() == "postgresql://app@db:5432/games"
    assert Kind(host="db").address().port == DEFAULT_PORTS["postgresql"]


def test_a_step_tells_its_secrets_to_the_redactor_when_it_is_made() -> None:
    step = Kind(host="db", user="app", password="as-a-part-1", database="games")
    other = Kind(url="postgresql://app:inside-url-1@db/games")
    assert scrub("as-a-part-1 inside-url-1") == "*** ***"
    for shown in (repr(step), str(step), f"{step}", repr(other), str(other.__rich_repr__())):
        assert "as-a-part-1" not in shown
        assert "inside-url-1" not in shown
