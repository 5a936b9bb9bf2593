"""No secret at a terminal, in arguments, in names and targets, in plans written in Python, in faults of plug-ins.

What commands, servers and telemetry say is in tests/integration/test_secrets.py.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import quote

import pytest

from servers.inithold import Completed, Inithold
from servers.otlp import Collector
from servers.ports import closed_port

SECRET = "zx9@Kettle:/%42"
"""With characters that URLs must have percent-coded."""
CODED = quote(SECRET, safe="")


def forms() -> list[str]:
    # What stands before the first odd character and behind the last gives it away in any spelling.
    coded = [base64.b64encode(b"\0" * shift + SECRET.encode())[4:16].decode() for shift in range(3)]
    return ["Kettle", "zx9@", "zx9%40", *coded]


def assert_hidden(run_inithold: Inithold, *done: Completed, sent: str = "") -> None:
    files = "".join(path.read_text(errors="replace") for path in run_inithold.folder.glob("init-complete*"))
    text = "".join(one.stdout + one.stderr for one in done) + files + sent
    for form in forms():
        assert form not in text, text[max(0, text.find(form) - 300) : text.find(form) + 100]


def write(run_inithold: Inithold, *steps: str, head: str = "name: secrets\n") -> None:
    text = f"version: 1\n{head}steps:\n" + "".join(f"  - {step}\n" for step in steps)
    (run_inithold.folder / "inithold.yaml").write_text(text)


COMMANDS = (["plan"], ["plan", "--json"], ["wait", "--timeout", "1s"])
AFTERWARDS = (["status"], ["status", "--json"], ["status", "--all"], ["status", "--watch"], ["health"])


@pytest.mark.parametrize("code", [0, 3])
@pytest.mark.parametrize("level", ["info", "debug"])
def test_at_a_terminal(run_inithold: Inithold, code: int, level: str) -> None:
    env: dict[str, str | None] = {"APP_PASSWORD": SECRET, "APP_URL": f"amqp://app:{CODED}@broker/x"}
    said = f"env; echo $APP_PASSWORD $APP_URL; printf %s $APP_PASSWORD | base64; exit {code}"
    write(run_inithold, f"{{id: says, uses: command.run, with: {{run: '{said}', env: {{X_TOKEN: '{SECRET}'}}}}}}")
    done = run_inithold("run", "--once", "--log-level", level, env=env, terminal=True)
    assert done.returncode == (1 if code else 0)
    assert "\x1b[" in done.stdout
    assert "amqp://app:***@broker/x" in done.stdout
    after = [run_inithold(*command, env=env, terminal=True) for command in (*COMMANDS, *AFTERWARDS)]
    assert_hidden(run_inithold, done, *after)


def test_in_names_targets_and_paths(run_inithold: Inithold, otlp: Collector) -> None:
    secrets = run_inithold.folder / "secrets"
    secrets.mkdir()
    (secrets / "one").write_text(SECRET + "\n")
    env: dict[str, str | None] = {"INITHOLD_SECRETS_DIR": str(secrets), "API_KEY": SECRET, **otlp.env()}
    write(
        run_inithold,
        "{id: path, uses: file.ready, timeout: 300ms, on_failure: continue, with: {path: '/x/${secret:one}'}}",
        "{id: made, uses: command.run, on_failure: continue, with: {run: 'true', creates: '/x/${API_KEY}'}}",
        "{id: cwd, uses: command.run, on_failure: continue, with: {run: 'true', cwd: '/x/${API_KEY}'}}",
        "{id: call, uses: python.call, on_failure: continue, with: {call: 'os:abc', args: {key: '${API_KEY}'}}}",
        head="name: 'games-${API_KEY}'\n",
    )
    done = [run_inithold(*command, env=env) for command in COMMANDS]
    ran = run_inithold("run", "--once", "--log-level", "debug", env=env)
    assert ran.returncode == 0, ran.stderr
    assert "games-***" in ran.stderr
    assert {export.signal for export in otlp.exports} == {"traces", "metrics", "logs"}
    sent = "".join(export.body.decode(errors="replace") for export in otlp.exports)
    after = [run_inithold(*command) for command in AFTERWARDS]
    assert_hidden(run_inithold, *done, ran, *after, sent=sent)


def test_in_every_field_that_is_refused(run_inithold: Inithold) -> None:
    env: dict[str, str | None] = {"APP_SECRET": SECRET}
    value = "'${APP_SECRET}'"
    write(
        run_inithold,
        f"{{id: {value}, uses: file.ready, with: {{path: /}}}}",
        f"{{id: a, uses: {value}, with: {{}}}}",
        f"{{id: b, uses: file.ready, needs: [{value}], when: {value}, on_failure: {value}, with: {{path: /}}}}",
        f"{{id: c, uses: tcp.ready, timeout: {value}, retry: {{attempts: {value}}}, with: {{address: {value}}}}}",
        f"{{id: d, uses: http.ready, with: {{url: {value}, method: {value}, status: {value}}}}}",
        f"{{id: e, uses: python.call, with: {{call: {value}}}}}",
        f"{{id: f, uses: database.ready, with: {{url: 'postgresql://app:{SECRET}@h:{SECRET}/x'}}}}",
        f"{{id: g, uses: rabbitmq.ready, with: {{url: 'amqp://a:{CODED}@b/', vhost: {value}}}}}",
        head=f"lock: 'postgresql://app:{SECRET}@db/x'\nhold: {{verify: {value}}}\n",
    )
    done = [run_inithold(*command, env=env) for command in (["run"], *COMMANDS)]
    assert [one.returncode for one in done] == [2] * len(done)
    assert done[0].stderr.count("inithold.yaml:") > 8
    assert_hidden(run_inithold, *done)


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "plan.yaml", f"postgresql://app:{CODED}@db/x"],
        ["run", f"postgresql://app:{CODED}@db/x"],
        ["run", "--wait", f"postgres://app:{SECRET}@db/x", "--", "true"],
        ["run", "--wait", f"ftp://app:{CODED}@db/x", "--", "true"],
        ["run", f"--unknown=postgresql://app:{CODED}@db/x"],
        ["wait", "--timeout", f"postgresql://app:{CODED}@db/x"],
        ["wait", f"postgresql://app:{CODED}@db/x", "plan.yaml"],
        ["wait", "--step", f"https://app:{CODED}@db/x", "file:///"],
        ["kinds", f"postgresql://app:{CODED}@db/x"],
        ["schema", f"postgresql://app:{CODED}@db/x"],
        [f"postgresql://app:{CODED}@db/x"],
        ["plan", "--json", f"module:{CODED}", f"amqp://app:{CODED}@db/x"],
        ["status", f"postgresql://app:{CODED}@db/x"],
        ["health", f"postgresql://app:{CODED}@db/x"],
    ],
)
def test_in_arguments_that_are_refused(run_inithold: Inithold, arguments: list[str]) -> None:
    done = run_inithold(*arguments)
    assert done.returncode == (1 if arguments[0] == "health" else 2), done.stderr
    assert_hidden(run_inithold, done)


@pytest.mark.parametrize("terminal", [True, False])
def test_in_the_arguments_of_a_command(run_inithold: Inithold, terminal: bool) -> None:
    url = f"postgresql://app:{CODED}@db/x"
    done = run_inithold("run", "--", "sh", "-c", "exit 3", url, f"--password={SECRET}", terminal=terminal)
    assert done.returncode == 1
    assert "postgresql://app:***@db/x" in done.stdout + done.stderr
    assert_hidden(run_inithold, done, *(run_inithold(*command) for command in AFTERWARDS))


def test_in_urls_that_are_waited_for(run_inithold: Inithold) -> None:
    with closed_port() as port:
        place = f"app:{CODED}@127.0.0.1:{port}"
        urls = [f"{scheme}://{place}/1" for scheme in ("postgresql", "mysql", "amqp", "redis", "http")]
        done = run_inithold("wait", "--timeout", "500ms", *urls, f"http://127.0.0.1:{port}/?token={CODED}")
    assert done.returncode == 1
    assert done.stderr.count("connection refused") >= 5
    assert_hidden(run_inithold, done)


PLAN = f"""
import os
from inithold import Plan, Step
from inithold.steps import database, http

class Faulty(Step, frozen=True, kw_only=True):
    kind = "test.faulty"
    password: str
    def check(self, context):
        context.log(repr(self) + str(self) + f"{{self!r}}")
        raise KeyError(f"no idea what to do with {{os.environ['APP_TOKEN']}} in {{self}}")

url = "postgresql://app:{CODED}@127.0.0.1:1/x"
plan = Plan("python")
plan.add(database.Ready(url=url), id="database", timeout=0.3, needs=[])
web = http.Ready(url="http://127.0.0.1:1/", headers={{"Authorization": "Bearer {SECRET}"}})
plan.add(web, timeout=0.3, needs=[])
plan.add(Faulty(password=os.environ["APP_TOKEN"]), needs=[])

@plan.step(needs=[])
def seed(ctx):
    print([planned.step for planned in plan._steps], plan)
    raise ValueError(f"cannot reach {{url}} as {{os.environ['APP_TOKEN']}}")
"""


def test_in_a_plan_written_in_python(run_inithold: Inithold, tmp_path: Path) -> None:
    (tmp_path / "init.py").write_text(PLAN)
    env: dict[str, str | None] = {"APP_TOKEN": SECRET}
    for form in ("plain", "json"):
        done = run_inithold("run", "init:plan", "--log-level", "debug", "--log-format", form, env=env)
        assert done.returncode == 1
        assert "no idea what to do with ***" in done.stderr
        assert "cannot reach postgresql://app:***@127.0.0.1:1/x" in done.stderr
        others = [run_inithold(*command[:1], "init:plan", *command[1:], env=env) for command in COMMANDS]
        assert_hidden(run_inithold, done, *others, *(run_inithold(*command) for command in AFTERWARDS))


def test_in_a_plan_in_python_that_cannot_be_imported(run_inithold: Inithold, tmp_path: Path) -> None:
    (tmp_path / "init.py").write_text("import os\nraise ValueError(f\"{os.environ['APP_URL']}\")\n")
    env: dict[str, str | None] = {"APP_URL": f"postgresql://app:{CODED}@db/x"}
    done = [run_inithold(command, "init:plan", env=env) for command in ("run", "plan", "wait")]
    assert all("cannot import: ValueError: postgresql://app:***@db/x" in one.stderr for one in done), done[
        0
    ].stderr
    assert_hidden(run_inithold, *done)


def test_in_definitions_of_a_broker(run_inithold: Inithold, tmp_path: Path) -> None:
    definitions = {
        "users": [{"name": "app", "password": SECRET, "tags": ""}],
        "permissions": [{"user": "app", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}],
    }
    (tmp_path / "definitions.json").write_text(json.dumps(definitions))
    with closed_port() as port:
        write(
            run_inithold,
            f"{{id: t, uses: rabbitmq.topology, timeout: 500ms, with: {{url: 'amqp://a:{CODED}@127.0.0.1:{port}/',"
            f" management_url: 'http://a:{CODED}@127.0.0.1:{port}', definitions: definitions.json}}}}",
        )
        done = [run_inithold(*command) for command in (["run", "--log-level", "debug"], *COMMANDS, *AFTERWARDS)]
    assert done[0].returncode == 1
    assert "connection refused" in done[0].stderr
    assert_hidden(run_inithold, *done)


def test_in_the_headers_of_telemetry(run_inithold: Inithold) -> None:
    write(run_inithold, "{id: there, uses: file.ready, with: {path: /}}")
    with closed_port() as port:
        env: dict[str, str | None] = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://app:{CODED}@127.0.0.1:{port}",
            "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={CODED},authorization=Bearer%20{CODED}",
        }
        done = run_inithold("run", "--once", "--log-level", "debug", env=env)
    assert done.returncode == 0
    assert "telemetry" in done.stderr
    assert_hidden(run_inithold, done)


@pytest.mark.parametrize(
    "words",
    [
        ["--password", SECRET],
        [f"--api-token={SECRET}"],
        ["-u", f"user:{SECRET}"],
        ["-H", f"Authorization: Bearer {SECRET}"],
        [f"postgresql://app@server:{SECRET}@db/games"],
    ],
)
def test_literals_on_the_command_line(run_inithold: Inithold, words: list[str]) -> None:
    script = "printf '%s\n' \"$@\"; printf %s \"$*\" | od -An -tx1 | tr -d ' \n'; exit 3"
    done = run_inithold("run", "--once", "--", "sh", "-c", script, "sh", *words)
    assert done.returncode == 1
    own = done.stderr  # standard output is the command's own, passed through
    files = "".join(path.read_text() for path in run_inithold.folder.glob("init-complete*"))
    after = [run_inithold(*command) for command in AFTERWARDS]
    text = own + files + "".join(one.stdout + one.stderr for one in after)
    assert SECRET not in text
    assert SECRET.encode().hex() not in text


def test_plain_words_and_short_values_stay(run_inithold: Inithold) -> None:
    write(run_inithold, "{id: says, uses: command.run, with: {run: 'echo a login is required; echo user admin'}}")
    env = {"POSTGRES_AUTH": "required", "ADMIN_PASSWORD": "admin", "SMTP_AUTH": "plain", "X_PASS": "a-b-c-d"}
    done = run_inithold("run", "--once", env=env)
    assert "a login is required" in done.stderr
    assert "user admin" in done.stderr
