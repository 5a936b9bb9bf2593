"""A distinct secret in every place one can be; none of them in anything that leaves the process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fake_server import fake_server
from planted import PLANTED, Stage, assert_nothing_of_them, everything, make_stage, url_coded
from servers.inithold import Inithold
from servers.otlp import Collector
from servers.postgresql import PostgreSQL
from servers.redis import Redis


@pytest.fixture
def stage(tmp_path: Path, run_inithold: Inithold) -> Stage:
    return make_stage(tmp_path, run_inithold)


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
          timeout: 4s
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
