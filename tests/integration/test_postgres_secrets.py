"""Passwords of roles reach neither the server's log nor anything that inithold writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from servers.inithold import Completed, Inithold
from servers.otlp import Collector
from servers.postgresql import PostgreSQL

ODD = "@:/?#%&+ '\"\\$é"
PASSWORDS = {name: f"pl4nted-{name}{ODD}s3cret" for name in ("file", "variable", "literal", "changed", "url")}


@pytest.fixture(scope="module")
def talkative() -> Iterator[PostgreSQL]:
    """A server that writes into its log all that it can."""
    settings = {
        "log_statement": "all",
        "log_min_duration_statement": "0",
        "log_min_error_statement": "debug5",
        "log_parameter_max_length": "-1",
        "log_parameter_max_length_on_error": "-1",
        "log_error_verbosity": "verbose",
        "debug_print_parse": "on",
    }
    with PostgreSQL(password=PASSWORDS["url"].replace("é", "e"), settings=settings) as own:
        own.create_user("plain", "pw-of-plain")
        own.execute("ALTER ROLE plain CREATEROLE")
        yield own


def write_plan(folder: Path, server: PostgreSQL, *, user: str, password: str, more: str = "") -> None:
    literal = json.dumps(PASSWORDS["literal"].replace("$", "$$"))
    (folder / "inithold.yaml").write_text(
        f"""
version: 1
name: secrets
steps:
  - id: roles
    uses: postgres.roles
    with:
      host: 127.0.0.1
      port: {server.port}
      user: {user}
      password: {json.dumps(password.replace("$", "$$"))}
      database: postgres
      roles:
        - {{name: by_file, password: "${{secret:one}}"}}
        - {{name: by_variable, password: "${{APP_PASSWORD}}"}}
        - {{name: by_literal, password: {literal}}}
        {more}
"""
    )


def assert_in_none_of_it(text: str) -> None:
    for name, value in PASSWORDS.items():
        for form in (value.partition("@")[0], value, quote(value, safe=""), json.dumps(value)[1:-1]):
            assert form not in text, f"{name} as {form!r}"


def everything(folder: Path, done: Completed, otlp: Collector) -> str:
    sent = "\n".join(export.body.decode(errors="replace") for export in otlp.exports)
    written = "\n".join(path.read_text(errors="replace") for path in folder.glob("init-complete*"))
    return "\n".join([done.stdout, done.stderr, written, sent])


@pytest.mark.parametrize(("user", "log_format"), [("admin", "plain"), ("admin", "json"), ("plain", "plain")])
def test_no_password_is_shown(
    talkative: PostgreSQL, run_inithold: Inithold, tmp_path: Path, otlp: Collector, user: str, log_format: str
) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "one").write_text(PASSWORDS["file"])
    env = {"INITHOLD_SECRETS_DIR": str(secrets), "APP_PASSWORD": PASSWORDS["variable"], **otlp.env()}
    password = talkative.password if user == "admin" else "pw-of-plain"
    circle = "- {name: one, member_of: two}\n        - {name: two, member_of: one}"
    for role in ("by_file", "by_variable", "by_literal"):
        talkative.execute(f"DROP ROLE IF EXISTS {role}")
    before = len(talkative.log.read_text(errors="replace"))

    # Refused by the server within the transaction, made, changed, and held against the plan.
    for more, arguments, code in (
        (circle, ("run", "--once"), 1),
        ("", ("plan",), 0),
        ("", ("run", "--once"), 0),
        ("", ("plan", "--json", "--exit-code"), 0),
        ("- {name: by_url, pasword: x}", ("run", "--once"), 2),
    ):
        write_plan(tmp_path, talkative, user=user, password=password, more=more)
        talk = ("--log-level", "debug", "--log-format", log_format) if arguments[0] == "run" else ()
        done = run_inithold(*arguments, *talk, env=env)
        assert done.returncode == code, done.stderr
        said = everything(tmp_path, done, otlp)
        assert_in_none_of_it(said)
        assert "SCRAM-SHA-256$" not in said
    env["APP_PASSWORD"] = PASSWORDS["changed"]
    write_plan(tmp_path, talkative, user=user, password=password)
    done = run_inithold("run", "--once", "--log-level", "debug", "--log-format", log_format, env=env)
    assert done.returncode == 0, done.stderr
    assert "role by_variable: password another -> the plan's" in done.stderr + done.stdout
    assert_in_none_of_it(everything(tmp_path, done, otlp))

    logged = talkative.log.read_text(errors="replace")[before:]
    assert logged.count("PASSWORD 'SCRAM-SHA-256$4096:") > 4, "it has seen the statements"
    assert_in_none_of_it(logged)
