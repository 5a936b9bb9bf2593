"""A distinct secret in every place one can be; none of them in anything that leaves the process."""

from __future__ import annotations

import base64
import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from fake_server import fake_server
from servers.inithold import Completed, Inithold
from servers.otlp import Collector
from servers.postgresql import PostgreSQL
from servers.redis import Redis

# Odd characters, so that raw, percent-coded and escaped forms differ.
ODD = "@:/?#%&+ '\"\\"
PLACES = (
    "url-password",
    "url-query",
    "url-parts",
    "environment-password",
    "environment-token",
    "environment-key",
    "environment-url",
    "environment-dsn",
    "secret-file",
    "command-env",
    "command-argument",
    "header",
    "server-error",
    "exception",
    "import",
    "printed",
    "logged",
    "unparsable-url",
)
PLANTED = {place: f"pl4nted-{place}{ODD}s3cret" for place in PLACES}


def url_coded(place: str) -> str:
    return quote(PLANTED[place], safe="")


SAYS_EVERYTHING = """
import base64, json, os, sys
from urllib.parse import quote, quote_plus
values = json.load(open("planted.json"))
for value in values:
    pair = base64.b64encode(f"user:{value}".encode()).decode()
    for form in (value, repr(value), json.dumps(value), quote(value, safe=""), quote_plus(value), pair):
        print("said:", form)
    print(f"postgresql://app:{quote(value, safe='')}@db/games", file=sys.stderr)
print(dict(os.environ))
sys.exit(int(sys.argv[1]))
"""

FUNCTIONS = """
import json, logging
values = json.load(open("planted.json"))
log = logging.getLogger("functions")

def prints(ctx):
    for value in values:
        print("printed:", value, [value])
        log.warning("logged: %s", value)
        ctx.log(f"said: {value}")
        ctx.log(f"said: {value}", level="debug")

def raises():
    raise ValueError("raised: " + " ".join(values) + repr(values))

def holds():
    return [f"+ user {value}" for value in values]
"""

IMPORTS = """
import json
raise RuntimeError("while importing: " + " ".join(json.load(open("planted.json"))))
"""


@dataclass
class Stage:
    """A folder with a plan, and the environment it is run in."""

    folder: Path
    run_inithold: Inithold
    env: dict[str, str]

    def write(self, steps: str) -> None:
        (self.folder / "inithold.yaml").write_text(
            "version: 1\nname: secrets\nsteps:\n" + textwrap.indent(textwrap.dedent(steps), "  ")
        )

    def run(self, *arguments: str, **env: str) -> Completed:
        return self.run_inithold(*arguments, env={**self.env, **env}, cwd=self.folder)

    def files(self) -> str:
        """Everything that was written beside the plan."""
        texts = [path.read_text(errors="replace") for path in self.folder.glob("init-complete*")]
        return "\n".join(texts)


@pytest.fixture
def stage(tmp_path: Path, run_inithold: Inithold) -> Stage:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "one").write_text(PLANTED["secret-file"] + "\n")
    (tmp_path / "planted.json").write_text(json.dumps(list(PLANTED.values())))
    (tmp_path / "says_everything.py").write_text(SAYS_EVERYTHING)
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    (tmp_path / "imports.py").write_text(IMPORTS)
    names = {
        "APP_PASSWORD": "environment-password",
        "APP_TOKEN": "environment-token",
        "APP_KEY": "environment-key",
        "ARGUMENT_SECRET": "command-argument",
        "SERVER_SECRET": "server-error",
        "EXCEPTION_SECRET": "exception",
        "IMPORT_SECRET": "import",
        "PRINTED_SECRET": "printed",
        "LOGGED_SECRET": "logged",
    }
    env = {name: PLANTED[place] for name, place in names.items()}
    env["BROKER_URL"] = f"amqp://app:{url_coded('environment-url')}@broker/games"
    env["SENTRY_DSN"] = f"https://key:{url_coded('environment-dsn')}@sentry/1"
    env["INITHOLD_SECRETS_DIR"] = str(secrets)
    env["PYTHONPATH"] = str(tmp_path)
    return Stage(tmp_path, run_inithold, env)


def forms(value: str) -> Iterator[str]:
    """What must be in no output: the value as it may be written, and the part of it that gives it away."""
    yield value
    yield repr(value)[1:-1]
    yield json.dumps(value)[1:-1]
    yield quote(value, safe="")
    # All that stands before the first odd character: in no form is it changed.
    yield value.partition("@")[0]
    yield base64.b64encode(value.encode()).decode()[:20]
    yield base64.b64encode(b"user:" + value.encode()).decode()[10:30]


def assert_nothing_of_them(text: str) -> None:
    for place, value in PLANTED.items():
        for form in forms(value):
            assert form not in text, (
                f"{place} as {form!r}:\n{text[max(0, text.find(form) - 300) : text.find(form) + 100]}"
            )


def everything(stage: Stage, done: Completed, otlp: Collector | None = None) -> str:
    sent = "\n".join(export.body.decode(errors="replace") for export in otlp.exports) if otlp else ""
    return "\n".join([done.stdout, done.stderr, stage.files(), sent])


@pytest.fixture
def answering() -> Iterator[str]:
    """A web server that answers with every secret in its error."""

    def behaviour(connection: Any) -> None:
        if connection.recv(65536):
            body = " ".join(PLANTED.values()).encode()
            head = f"HTTP/1.1 500 Oh {PLANTED['server-error']}\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)

    with fake_server(behaviour) as port:
        yield f"127.0.0.1:{port}"


LEVELS = pytest.mark.parametrize(
    ("level", "log_format"), [("info", "plain"), ("debug", "plain"), ("debug", "json")]
)


@LEVELS
def test_at_success(
    stage: Stage, database: str, redis_server: Redis, otlp: Collector, level: str, log_format: str
) -> None:
    parts = f"{{host: 127.0.0.1, port: {redis_server.port}, password: {redis_server.password}}}"
    stage.write(
        f"""
        - id: database
          uses: database.ready
          with: {{url: "{database}?application_name=x&sslpassword={url_coded("url-query")}"}}
        - {{id: cache, uses: redis.ready, with: {parts}}}
        - id: says-everything
          uses: command.run
          with:
            run: [python, says_everything.py, "0", "${{APP_PASSWORD}}", "${{secret:one}}", "${{ARGUMENT_SECRET}}"]
            env:
              OTHER_PASSWORD: {json.dumps(PLANTED["command-env"])}
              OTHER_URL: "redis://:{url_coded("url-password")}@cache"
              PARTS_PASSWORD: {json.dumps(PLANTED["url-parts"])}
              HEADER_TOKEN: {json.dumps(PLANTED["header"])}
              UNPARSABLE_SECRET: {json.dumps(PLANTED["unparsable-url"])}
        - {{id: prints, uses: python.call, with: {{call: "functions:prints"}}}}
        """
    )
    done = stage.run("run", "--once", "--log-level", level, "--log-format", log_format, **otlp.env())
    assert done.returncode == 0, done.stderr
    assert "said:" in done.stderr + done.stdout, "the commands have spoken"
    assert "printed:" in done.stderr + done.stdout
    assert len(stage.files()) > 500
    assert {export.signal for export in otlp.exports} == {"traces", "metrics", "logs"}
    assert_nothing_of_them(everything(stage, done, otlp))


@LEVELS
def test_at_failure(
    stage: Stage,
    postgresql: PostgreSQL,
    redis_server: Redis,
    answering: str,
    otlp: Collector,
    level: str,
    log_format: str,
) -> None:
    place = f"127.0.0.1:{postgresql.port}"
    stage.write(
        f"""
        - id: database
          uses: database.ready
          needs: []
          with: {{url: "postgresql://app:{url_coded("url-password")}@{place}/games?sslpassword={url_coded("url-query")}"}}
        - id: cache
          uses: redis.ready
          needs: []
          with: {{host: 127.0.0.1, port: {redis_server.port}, password: {json.dumps(PLANTED["url-parts"])}}}
        - id: web
          uses: http.ready
          needs: []
          timeout: 1s
          with:
            url: "http://app:{url_coded("unparsable-url")}@{answering}/?token={url_coded("url-query")}"
            headers: {{X-Api-Key: {json.dumps(PLANTED["header"])}}}
        - id: says-everything
          uses: command.run
          needs: []
          with:
            run: [python, says_everything.py, "3", "${{APP_PASSWORD}}", "${{secret:one}}", "${{ARGUMENT_SECRET}}"]
            env: {{OTHER_PASSWORD: {json.dumps(PLANTED["command-env"])}}}
        - id: guarded
          uses: command.run
          needs: []
          with: {{run: "true", unless: "python says_everything.py 127"}}
        - {{id: raises, uses: python.call, needs: [], with: {{call: "functions:raises"}}}}
        - {{id: imports, uses: python.call, needs: [], with: {{call: "imports:main"}}}}
        - {{id: holds, uses: python.call, needs: [], with: {{call: "functions:prints", check: "functions:holds"}}}}
        """
    )
    done = stage.run("run", "--log-level", level, "--log-format", log_format, **otlp.env())
    assert done.returncode == 1, done.stderr
    failed = done.stderr + done.stdout
    for said in ("raised:", "while importing:", "exited 3", "answered 500", "said:"):
        assert said in failed, said
    assert {export.signal for export in otlp.exports} == {"traces", "metrics", "logs"}
    assert_nothing_of_them(everything(stage, done, otlp))


def test_in_plan_status_and_wait(stage: Stage, redis_server: Redis, answering: str) -> None:
    stage.write(
        f"""
        - id: cache
          uses: redis.ready
          with: {{host: 127.0.0.1, port: {redis_server.port}, password: {json.dumps(PLANTED["url-parts"])}}}
        - id: says-everything
          uses: command.run
          needs: []
          with:
            run: [python, says_everything.py, "0", "${{APP_PASSWORD}}", "${{secret:one}}", "${{ARGUMENT_SECRET}}"]
            env:
              OTHER_PASSWORD: {json.dumps(PLANTED["command-env"])}
              UNPARSABLE_SECRET: {json.dumps(PLANTED["unparsable-url"])}
              QUERY_SECRET: {json.dumps(PLANTED["url-query"])}
              URL_SECRET: {json.dumps(PLANTED["url-password"])}
              HEADER_SECRET: {json.dumps(PLANTED["header"])}
        - {{id: holds, uses: python.call, needs: [], with: {{call: "functions:prints", check: "functions:holds"}}}}
        """
    )
    for arguments in (["plan"], ["plan", "--json"]):
        done = stage.run(*arguments)
        assert done.returncode == 1, done.stderr
        assert "user" in done.stdout
        assert_nothing_of_them(everything(stage, done))
    done = stage.run("run")
    assert done.returncode == 1
    for arguments in (["status"], ["status", "--json"]):
        assert_nothing_of_them(everything(stage, stage.run(*arguments)))
    known = {f"SECRET_{number}": value for number, value in enumerate(PLANTED.values())}
    done = stage.run("wait", "--timeout", "1s", f"http://app:{url_coded('unparsable-url')}@{answering}/", **known)
    assert done.returncode == 1
    assert_nothing_of_them(everything(stage, done))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:{}@db/games",
        "redis://:{}@cache",
        "amqp://app:{}@broker/%2F",
        "http://app:{}@web/",
        "mysql+pymysql://app:{}@db:3306/games",
    ],
)
def test_in_a_url_that_cannot_be_read_because_of_it(stage: Stage, url: str) -> None:
    kinds = {"postgresql": "database.ready", "mysql+pymysql": "database.ready", "redis": "redis.ready"}
    kinds |= {"amqp": "rabbitmq.ready", "http": "http.ready"}
    bad = url.format(PLANTED["unparsable-url"])
    fields = json.dumps({"url": bad})
    stage.write(f"- {{id: bad, uses: {kinds[url.partition(':')[0]]}, with: {fields}}}")
    for arguments in (["run"], ["plan"], ["wait"]):
        done = stage.run(*arguments)
        assert done.returncode == 2, done.stderr
        assert "percent-encode" in done.stderr
        assert_nothing_of_them(everything(stage, done))
    for arguments in (["wait", bad], ["run", "--wait", bad, "--", "true"]):
        done = stage.run(*arguments)
        assert done.returncode == 2, done.stderr
        assert_nothing_of_them(everything(stage, done))
    # A variable that a command is given is read by nobody here, and printed by the command.
    stage.write(
        '- {id: env, uses: command.run, with: {run: "echo to $APP_URL; exit 1", env: '
        + json.dumps({"APP_URL": bad})
        + "}}"
    )
    done = stage.run("run")
    assert done.returncode == 1
    assert_nothing_of_them(everything(stage, done))
