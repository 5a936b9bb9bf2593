"""No spelling of a secret gets past the scrubbing, and no harmless word is lost to it."""

from __future__ import annotations

import base64
import html
import json
import shlex
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from inithold.redaction.redact import MASK, Redactor
from inithold.steps.address import Address, parse

ODD = "p@ss:w/o?r#d%$&='\"\\ +<>~é€😀"


def _lower_escapes(text: str) -> str:
    head, *parts = text.split("%")
    return "%".join([head, *(part[:2].lower() + part[2:] for part in parts)])


def _go_json(text: str) -> str:
    escaped = json.dumps(text, ensure_ascii=False)
    return escaped.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


SPELLINGS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "percent-coded": lambda text: quote(text, safe=""),
    "percent-coded, slashes left": quote,
    "percent-coded, sub-delimiters left": lambda text: quote(text, safe="!$&'()*+,;="),
    "percent-coded in lower case": lambda text: _lower_escapes(quote(text, safe="")),
    "percent-coded, space as plus": quote_plus,
    "percent-coded twice": lambda text: quote(quote(text, safe=""), safe=""),
    "percent-coded, doubled for an INI file": lambda text: quote(text, safe="").replace("%", "%%"),
    "doubled for an INI file": lambda text: text.replace("%", "%%"),
    "repr": repr,
    "repr of bytes": lambda text: repr(text.encode()),
    "JSON": json.dumps,
    "JSON as it is": lambda text: json.dumps(text, ensure_ascii=False),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text, ensure_ascii=False), ensure_ascii=False),
    "JSON as Go writes it": _go_json,
    "HTML": html.escape,
    "shell": shlex.quote,
    "shell in JSON": lambda text: json.dumps(shlex.quote(text), ensure_ascii=False),
    "shell's set -x": lambda text: text.replace("'", "'\\''"),
    "SQL literal": lambda text: text.replace("'", "''"),
    "hex": lambda text: text.encode().hex(),
    "hex in upper case": lambda text: text.encode().hex().upper(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 of a pair": lambda text: base64.b64encode(f"app:{text}".encode()).decode(),
    "base64, shifted by one": lambda text: base64.b64encode(f"x{text}yz".encode()).decode(),
    "base64, shifted by two": lambda text: base64.b64encode(f"xx{text}y".encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(f"x{text}".encode()).decode().rstrip("="),
    "base64 in a URL": lambda text: quote(base64.b64encode(text.encode()).decode(), safe=""),
}


def _knows(*secrets: str) -> Redactor:
    redactor = Redactor()
    for secret in secrets:
        redactor.add(secret)
    return redactor


def _core(spelt: str, spelling: str) -> str:
    """What must be gone: in base64 some characters at each end are shared with what stands beside it."""
    return spelt.replace("%3D", "").rstrip("=")[4:-3] if "base64" in spelling else spelt.strip("'\"")


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize(
    "secret", ["hunter2-and-more", ODD, "under_score~tilde.dot-dash", "100%safe!", "a b c d e f"]
)
def test_every_spelling_is_masked(secret: str, spelling: str) -> None:
    spelt = SPELLINGS[spelling](secret)
    scrubbed = _knows(secret).scrub(f"before {spelt} after")
    assert _core(spelt, spelling) not in scrubbed
    assert MASK in scrubbed
    assert scrubbed.startswith("before ") and scrubbed.endswith(" after")


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=6, max_size=40)


@settings(deadline=None)
@given(
    secret=_TEXT, before=st.text(max_size=10), after=st.text(max_size=10), spelling=st.sampled_from([*SPELLINGS])
)
def test_any_text_is_masked_in_any_spelling(secret: str, before: str, after: str, spelling: str) -> None:
    secret = secret.strip()
    assume(len(secret) >= 6 and len(set(secret)) > 3)
    spelt = SPELLINGS[spelling](secret)
    core = _core(spelt, spelling)
    assume(len(core) >= 6 and core not in before + after)
    scrubbed = _knows(secret).scrub(f"{before}\n{spelt}\n{after}")
    assert MASK in scrubbed
    assert core not in scrubbed


@settings(deadline=None)
@given(secrets=st.lists(_TEXT, max_size=5), text=st.text(max_size=200))
def test_nothing_known_stays_and_the_rest_does(secrets: list[str], text: str) -> None:
    redactor = _knows(*secrets)
    learned = [line.strip() for secret in secrets for line in secret.splitlines() if len(line.strip()) >= 6]
    scrubbed = redactor.scrub(text)
    # Masking one of two that overlap leaves no whole one; the mask itself may be part of one.
    assert not any(secret in scrubbed for secret in learned if "*" not in secret)
    if not learned:
        assert scrubbed == text


@settings(deadline=None)
@given(
    password=_TEXT,
    user=st.text("abcxyz", min_size=1, max_size=5),
    scheme=st.sampled_from(["postgresql", "redis", "amqp", "http", "mysql"]),
)
def test_the_password_of_any_url_is_learned(password: str, user: str, scheme: str) -> None:
    assume(len(password.strip()) == len(password) and len(password.splitlines()) == 1)
    redactor = Redactor()
    url = f"{scheme}://{user}:{quote(password, safe='')}@db.internal:5432/games?x=1"
    redactor.add_url(url)
    assume(password not in (user, "db.internal", "games"))
    # A doubled colon or at sign is a spelling, too, and takes the delimiter beside it along.
    assume(not password.startswith(":") and not password.endswith("@"))
    assert redactor.scrub(f"fail {password} x") == f"fail {MASK} x"
    assert redactor.scrub(url) == f"{scheme}://{user}:{MASK}@db.internal:5432/games?x=1"
    assert redactor.scrub("db.internal games") == "db.internal games"


@pytest.mark.parametrize(
    ("url", "leaks"),
    [
        ("postgresql://app:pa/ssw0rd-of-app@db/games", ["pa/ssw0rd-of-app", "ssw0rd-of-app"]),
        ("postgresql://app:pa@ssw0rd-of-app@db/games", ["pa@ssw0rd-of-app", "ssw0rd-of-app"]),
        ("postgresql://app:a#b?c/secret-piece@db/games", ["a#b?c/secret-piece", "secret-piece"]),
        ("postgresql://app:50%off-secret@db/games", ["50%off-secret"]),
        ("postgresql://app:12345/secret-piece@db/games", ["12345/secret-piece", "secret-piece"]),
        ("postgresql//app:no-colon-secret@db/games", []),
        ("app:no-scheme-secret@db/games", ["no-scheme-secret"]),
        ("postgresql://app@server:unencoded-secret@db/games", ["unencoded-secret"]),
        (
            "postgresql://app@server:a:b@unencoded-secret@db:5432/games",
            ["a:b@unencoded-secret", "unencoded-secret"],
        ),
        ("jdbc:postgresql://db/games?user=app&password=jdbc-secret", ["jdbc-secret"]),
        ("http://app:pa/ssw0rd-of-app@web/", ["pa/ssw0rd-of-app", "ssw0rd-of-app"]),
        ("https://token-of-robot@web/", ["token-of-robot"]),
        ("redis://:just-a-password@cache", ["just-a-password"]),
        ("amqp://a:first-secret@r1,amqp://a:second-secret@r2", ["first-secret", "second-secret"]),
        ("postgresql://db/games?user=app&password=in-the-query", ["in-the-query"]),
        ("https://web/?api-key=key-in-query&x=1", ["key-in-query"]),
        ("https://web/?X-Amz-Signature=signed-query", ["signed-query"]),
    ],
)
def test_urls_that_cannot_be_parsed_give_up_their_secrets_too(url: str, leaks: list[str]) -> None:
    redactor = Redactor()
    redactor.add_url(url)
    for leak in leaks:
        assert leak not in redactor.scrub(f'could not translate host name "{leak}"'), leak
    assert (
        redactor.scrub('could not connect to "db", database "games"')
        == 'could not connect to "db", database "games"'
    )


def test_paths_of_the_web_with_at_signs_hold_no_secret() -> None:
    redactor = Redactor()
    redactor.add_url("http://registry:4873/packages/@scope/name")
    assert redactor.scrub("packages @scope") == "packages @scope"


@pytest.mark.parametrize(
    "url", ["postgresql://postgres:postgres@postgres/postgres", "amqp://rabbit:rabbit@rabbit"]
)
def test_a_password_that_is_its_own_user_host_or_database_is_none(url: str) -> None:
    redactor = Redactor()
    redactor.add_environment({"POSTGRES_PASSWORD": "postgres", "RABBITMQ_PASSWORD": "rabbit"})
    redactor.add_url(url)
    assert redactor.scrub(url) == url


def test_short_values_are_left_alone() -> None:
    redactor = _knows("abcde", "", "     x     ")
    redactor.add_url("redis://:short@cache")
    assert redactor.scrub("abcde short x cache") == "abcde short x cache"
    assert _knows("abcdef").scrub("abcdef") == MASK


def test_nothing_known_changes_nothing() -> None:
    assert Redactor().scrub("as it is") == "as it is"


def test_each_line_of_a_secret_is_one() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nAQEFAASCBKcwggSjAgEAAo\n-----END KEY-----\n"
    redactor = _knows(key)
    assert redactor.scrub("read MIIEvQIBADANBgkqhkiG9w0, and no more") == f"read {MASK}, and no more"
    assert "MIIEvQ" not in redactor.scrub(repr(key))


def test_the_longer_of_two_is_masked_whole() -> None:
    redactor = _knows("secret", "secret-longer")
    assert redactor.scrub("secret-longer secret") == f"{MASK} {MASK}"


@pytest.mark.parametrize(
    ("name", "value", "learned"),
    [
        ("POSTGRES_PASSWORD", "value-one", True),
        ("password", "value-one", True),
        ("MYSQL_ROOT_PASSWD", "value-one", True),
        ("CLIENT_SECRET_2", "value-one", True),
        ("GITHUB_TOKEN", "value-one", True),
        ("STRIPE_KEY", "value-one", True),
        ("X-Api-Key", "value-one", True),
        ("RABBITMQ_DEFAULT_PASS", "value-one", True),
        ("MYSQL_PWD", "value-one", True),
        ("SENTRY_DSN", "value-one", True),
        ("GPG_PASSPHRASE", "value-one", True),
        ("AWS_CREDENTIALS", "value-one", True),
        ("SENDGRID_APIKEY", "value-one", True),
        ("REDIS_AUTH", "value-one", True),
        ("APP_PW", "value-one", True),
        ("SERVICE_JWT", "value-one", True),
        ("POSTGRES_AUTH", "required", False),
        ("SMTP_AUTH", "LOGINPLAIN", False),
        ("REDIS_AUTH", "short-1", False),
        ("DB_PASS", "Password", False),
        ("AUTHOR", "value-one", False),
        ("KEYBOARD", "value-one", False),
        ("KEY_ID", "value-one", False),
        ("PWD", "value-one", False),
        ("HOME", "value-one", False),
        ("POSTGRES_PASSWORD_FILE", "/run/secrets/one", False),
        ("MANAGER__CREDENTIALS_KEY_FILEPATH", "/keys/private_key.pem", False),
        ("INITHOLD_SECRETS_DIR", "/run/secrets", False),
        ("DB_PASSWORD_FILE", "not-a-path", True),
    ],
)
def test_variables_are_secret_by_their_names(name: str, value: str, learned: bool) -> None:
    redactor = Redactor()
    redactor.add_environment({name: value})
    assert (redactor.scrub(f"x {value} x") != f"x {value} x") == learned


@pytest.mark.parametrize(
    "name", ["DATABASE_URL", "DATABASE_DSN", "BROKER", "HTTPS_PROXY", "CELERY_RESULT_BACKEND"]
)
def test_of_a_url_in_a_variable_only_the_user_info_is_secret(name: str) -> None:
    redactor = Redactor()
    redactor.add_environment({name: "amqp://service:value-of-password@broker.internal/games"})
    assert redactor.scrub("value-of-password@broker.internal/games") == f"{MASK}@broker.internal/games"


@pytest.mark.parametrize(
    ("value", "password"),
    [
        ("host=db user=app password=keyword-secret dbname=games", "keyword-secret"),
        ("host=db password='quoted secret' dbname=games", "quoted secret"),
        ("app:go-secret@tcp(db:3306)/games", "go-secret"),
        ("Server=db;User Id=app;Password=ado-secret;Database=games", "ado-secret"),
    ],
)
def test_connection_strings_that_are_no_urls(value: str, password: str) -> None:
    redactor = Redactor()
    redactor.add_environment({"APP_DSN": value})
    assert redactor.scrub(f"login with {password} failed") == f"login with {MASK} failed"
    assert redactor.scrub(value) == MASK


@pytest.mark.parametrize("name", ["ConnectionStrings__Default", "CONNECTIONSTRINGS__GAMES"])
def test_of_a_connection_string_the_password_alone_is_secret(name: str) -> None:
    redactor = Redactor()
    redactor.add_environment({name: "Server=db;User Id=app;Password=ado-secret;Database=games"})
    assert redactor.scrub("Server=db;Password=ado-secret;") == f"Server=db;Password={MASK};"


def test_of_a_url_without_a_scheme_the_password_alone_is_secret() -> None:
    redactor = Redactor()
    redactor.add_environment({"DATABASE_URL": "app@server:value-of-password@db/games"})
    assert redactor.scrub("app@server:value-of-password@db/games") == f"app@server:{MASK}@db/games"


@pytest.mark.parametrize(
    ("name", "value", "secrets"),
    [
        ("Authorization", "Bearer abcdef.123456", ["abcdef.123456"]),
        ("authorization", f"Basic {base64.b64encode(b'app:basic-secret').decode()}", ["basic-secret"]),
        ("Proxy-Authorization", "token proxy-secret", ["proxy-secret"]),
        ("Cookie", "session=cookie-secret; theme=dark-theme", ["cookie-secret"]),
        ("X-Api-Key", "header-secret", ["header-secret"]),
        ("X-Vault-Token", "header-secret", ["header-secret"]),
        ("X-Auth", "required", []),
        ("Accept", "application/json", []),
    ],
)
def test_headers_are_secret_by_their_names(name: str, value: str, secrets: list[str]) -> None:
    redactor = Redactor()
    redactor.add_headers({name: value})
    for secret in secrets:
        assert secret not in redactor.scrub(f"sent {secret} and {value}")
    if not secrets:
        assert redactor.scrub(value) == value


LITERALS = [
    ["app", "--password", "literal-one"],
    ["app", "--password=literal-one"],
    ["app", "--db-password", "literal-one"],
    ["app", "-password", "literal-one"],
    ["app", "--token", "literal-one"],
    ["app", "--api-key=literal-one"],
    ["app", "--pass", "literal-one"],
    ["curl", "-u", "user:literal-one", "http://web"],
    ["curl", "-uuser:literal-one", "http://web"],
    ["wget", "--header=X-Api-Key: literal-one", "http://web"],
    ["wget", "--header=Authorization:literal-one", "http://web"],
    ["curl", "-HCookie: sid=literal-one", "http://web"],
    ["curl", "--user", "user:literal-one"],
    ["curl", "-H", "Authorization: Bearer literal-one"],
    ["curl", "-H", "X-Api-Key: literal-one"],
    ["env", "APP_SECRET=literal-one", "app"],
    ["app", "--database=postgresql://app:literal-one@db/games"],
    ["psql", "host=db password=literal-one dbname=games"],
]


@pytest.mark.parametrize("words", LITERALS, ids=" ".join)
@pytest.mark.parametrize("shell", ["argv", "sh", "line", "nested"])
def test_literals_on_command_lines(words: list[str], shell: str) -> None:
    line = f"cd /app && {shlex.join(words)}; echo done"
    command = {
        "argv": words,
        "sh": ["sh", "-c", line],
        "line": [line],
        "nested": ["su", "-c", shlex.join(["sh", "-c", line])],
    }[shell]
    redactor = Redactor()
    redactor.add_arguments(command)
    assert redactor.scrub("it said literal-one") == f"it said {MASK}"
    assert (
        redactor.scrub("app curl user db games http://web /app done")
        == "app curl user db games http://web /app done"
    )


@pytest.mark.parametrize(
    "words",
    [
        ["app", "--password-file", "/run/secrets/one"],
        ["app", "--password", "--verbose"],
        ["app", "--tls-key", "/etc/ssl/server.key"],
        ["app", "--author", "somebody-else"],
        ["psql", "-U", "application", "-d", "games:one"],
        ["wait", "db.internal:5432"],
        ["sh", "-c", "unbalanced ' quote --verbose"],
    ],
    ids=" ".join,
)
def test_words_of_command_lines_that_are_no_secrets(words: list[str]) -> None:
    redactor = Redactor()
    redactor.add_arguments(words)
    assert redactor.scrub(" ".join(words)) == " ".join(words)


def test_bytes_that_are_no_text() -> None:
    secret = b"sec\xffret-\xfe".decode("utf-8", "surrogateescape")
    redactor = _knows(secret)
    printed = b"x sec\xffret-\xfe y".decode("utf-8", "replace")
    assert redactor.scrub(printed) == f"x {MASK} y"
    assert redactor.scrub(quote(secret, errors="surrogateescape")) == MASK


@pytest.mark.parametrize(
    "secret", ["'" * 30, "\\" * 30, "%" * 30, "\"'" * 20, "&<" * 20, " " * 10 + "x" * 6 + " " * 10]
)
def test_repeated_characters_take_no_endless_time(secret: str) -> None:
    redactor = _knows(secret)
    began = time.monotonic()
    for character in ("'", "\\", "%", "\"'", "&<", "25", "%25"):
        redactor.scrub(character * 400 + "!")
    assert time.monotonic() - began < 20


def test_an_address_shows_its_secrets_nowhere() -> None:
    address = parse("postgresql://app:planted-in-url@db/games?sslpassword=planted-in-query")
    for shown in (repr(address), str(address), f"{address}", address.shown, address.place):
        assert "planted" not in shown
    assert isinstance(address, Address)
