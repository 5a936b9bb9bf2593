"""What a draft waits for, what it logs in with, and which services' work it has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from unit.compose.case import run as run_compose
from unit.compose.new.case import Outcome, drafted, load

DONE = "{condition: service_completed_successfully}"


def stack(**services: str) -> str:
    return "name: s\nservices:\n" + "".join(
        f"  {name.replace('_', '-')}: {text}\n" for name, text in services.items()
    )


def plan_of(done: Outcome, folder: Path) -> dict[str, Any]:
    """The draft, which loads where its variables are set."""
    assert done.code == 0, done.errors
    load(done.output, folder)
    return dict(yaml.safe_load(done.output))


def steps(plan: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(step["uses"], step["with"]) for step in plan["steps"]]


POSTGRES = '"postgres:17", environment: {POSTGRES_USER: app, POSTGRES_PASSWORD: pw-hunter2, POSTGRES_DB: shop}'
INIT = "{image: alpine, command: x, environment: {URL: 'postgresql://app:pw-hunter2@db/shop'}"


@pytest.mark.parametrize(
    "db",
    [
        f"depends_on: {{init: {DONE}}}",
        "depends_on: [init]",
        "depends_on: {init: {condition: service_healthy}}",
        "depends_on: [between]",
        'links: ["init:i"]',
        "network_mode: 'service:between'",
        "volumes_from: [between]",
    ],
)
def test_a_server_that_waits_for_init_is_not_waited_for(db: str, tmp_path: Path) -> None:
    text = stack(
        init=INIT + "}",
        between="{image: x, depends_on: [init]}",
        db=f"{{image: {POSTGRES}, {db}}}",
        app=f"{{image: x, depends_on: {{init: {DONE}}}}}",
    )
    done = drafted(tmp_path, text)
    plan = plan_of(done, tmp_path)
    assert steps(plan) == [("command.run", {"run": ["x"]})]
    assert "lock" not in plan
    assert "db: URL points to db, but it starts only after init: not waited for" in done.errors


@pytest.mark.parametrize(
    "db", ["container_name: known", "hostname: known", "networks: {default: {aliases: [known]}}"]
)
def test_nor_is_it_waited_for_by_another_name(db: str, tmp_path: Path) -> None:
    script = "wait-for-it known:5432 && x"
    text = stack(
        init=f"{{image: alpine, command: [sh, -c, '{script}']}}",
        db=f"{{image: {POSTGRES}, {db}, depends_on: [app]}}",
        app=f"{{image: x, depends_on: {{init: {DONE}}}}}",
    )
    plan = plan_of(drafted(tmp_path, text), tmp_path)
    assert steps(plan) == [("command.run", {"run": ["sh", "-c", script]})]


def test_a_server_that_waits_for_a_service_of_the_same_hook_is_not_waited_for(tmp_path: Path) -> None:
    web = "{image: x, environment: {URL: 'postgresql://app:pw-hunter2@db/shop'}, pre_start: [{command: x}]}"
    text = stack(web=web, worker=web, db=f"{{image: {POSTGRES}, depends_on: [worker]}}")
    plan = plan_of(drafted(tmp_path, text), tmp_path)
    assert steps(plan) == [("command.run", {"run": ["x"]})]
    assert "lock" not in plan


URLS = {
    # The server makes user and database by itself.
    "postgresql://app:pw-hunter2@db/shop": True,
    "postgresql+asyncpg://app:pw-hunter2@db:5432/shop?sslmode=disable": True,
    "postgresql://app:pw-hunter2@db/postgres": True,
    # Init may make them, so that a login fails before.
    "postgresql://app:pw-hunter2@db/other": False,
    "postgresql://web:pw-hunter2@db/shop": False,
    "postgresql://${DB_USER}:${DB_PASSWORD:?}@db/shop": False,
}


@pytest.mark.parametrize("url", URLS)
def test_a_login_must_work_on_the_first_start(url: str, tmp_path: Path) -> None:
    init = f"{{image: alpine, command: x, environment: {{URL: '{url}'}}, depends_on: [db]}}"
    text = stack(init=init, db=f"{{image: {POSTGRES}}}", app=f"{{image: x, depends_on: {{init: {DONE}}}}}")
    plan = plan_of(drafted(tmp_path, text), tmp_path)
    expected = ("database.ready", {"url": "${URL}"}) if URLS[url] else ("tcp.ready", {"address": "db:5432"})
    assert steps(plan)[0] == expected
    assert ("lock" in plan) is URLS[url]


def test_a_migration_presupposes_its_database(tmp_path: Path) -> None:
    init = "{image: alpine, command: alembic upgrade head, environment: {URL: 'postgresql://${U}:${P}@db/shop'}}"
    text = stack(init=init, db=f"{{image: {POSTGRES}}}", app=f"{{image: x, depends_on: {{init: {DONE}}}}}")
    plan = plan_of(drafted(tmp_path, text), tmp_path)
    assert steps(plan) == [
        ("database.ready", {"url": "${URL}"}),
        ("alembic.upgrade", {"config": "alembic.ini", "url": "${URL}"}),
    ]
    assert plan["lock"] == "${URL}"


@pytest.mark.parametrize(
    ("url", "database"),
    [
        ("jdbc:postgresql://db:5432/shop", "shop"),
        ("jdbc:postgresql://db:5432/${DB_NAME:-shop}", "${DB_NAME:-shop}"),
        ("jdbc:postgresql://${DB_HOST:-db}:${DB_PORT:-5432}/${DB_NAME:-shop}", "${DB_NAME:-shop}"),
        ("jdbc:postgresql://db:${DB_PORT}/shop", "shop"),
    ],
)
def test_a_jdbc_url_with_variables(url: str, database: str, tmp_path: Path) -> None:
    variables = f"FLYWAY_URL: '{url}', FLYWAY_USER: app, FLYWAY_PASSWORD: '${{DB_PASSWORD:?}}'"
    init = f"{{image: 'flyway/flyway:10', command: migrate, environment: {{{variables}}}, depends_on: [db]}}"
    text = stack(init=init, db=f"{{image: {POSTGRES}}}", app=f"{{image: x, depends_on: {{init: {DONE}}}}}")
    done = drafted(tmp_path, text)
    plan = plan_of(done, tmp_path)
    login = {"user": "${FLYWAY_USER}", "password": "${FLYWAY_PASSWORD}"}
    assert steps(plan)[0] == ("database.ready", {"host": "db", "port": 5432, **login, "database": database})
    assert "<" not in done.output
    assert steps(plan)[-1][1]["unless"] == ["flyway", "validate"]


@pytest.mark.parametrize("url", ["jdbc:postgresql://${DB_HOST}:5432/shop", "jdbc:postgresql://db:5432/${DB_NAME}"])
def test_a_jdbc_url_that_is_not_known_here(url: str, tmp_path: Path) -> None:
    variables = f"FLYWAY_URL: '{url}', FLYWAY_USER: app, FLYWAY_PASSWORD: x"
    init = f"{{image: 'flyway/flyway:10', command: migrate, environment: {{{variables}}}, depends_on: [db]}}"
    text = stack(init=init, db=f"{{image: {POSTGRES}}}", app=f"{{image: x, depends_on: {{init: {DONE}}}}}")
    plan = plan_of(drafted(tmp_path, text), tmp_path)
    assert steps(plan)[0] == ("tcp.ready", {"address": "db:5432"})
    assert "lock" not in plan


def test_a_server_that_may_not_start_is_not_waited_for(tmp_path: Path) -> None:
    text = stack(
        init="{image: alpine, command: x, environment: {A: 'redis://cache', B: 'redis://far', C: 'redis://gone'}}",
        cache="{image: redis, profiles: [more]}",
        far="{image: redis, networks: [other]}",
        app=f"{{image: x, depends_on: {{init: {DONE}}}}}",
    )
    assert steps(plan_of(drafted(tmp_path, f"{text}networks: {{other: {{}}}}\n"), tmp_path)) == [
        ("command.run", {"run": ["x"]})
    ]


CHAIN = {
    "chown": "{image: busybox, user: root, command: chown -R 1000 /data, volumes: ['data:/data']}",
    "createdb": f"{{image: {POSTGRES}, command: createdb x, working_dir: /w, depends_on: [db]}}",
    "migrate": f"{{image: a, command: alembic upgrade head, depends_on: {{chown: {DONE}, createdb: {DONE}}}}}",
    "db": f"{{image: {POSTGRES}}}",
    "app": f"{{image: x, depends_on: {{migrate: {DONE}}}}}",
}


def test_a_chain_of_one_shots_becomes_one_plan_in_its_order(tmp_path: Path) -> None:
    done = drafted(tmp_path, stack(**CHAIN) + "volumes: {data: {}}\n")
    plan = plan_of(done, tmp_path)
    assert [step["id"] for step in plan["steps"]] == ["db", "chown", "createdb", "migrate"]
    createdb = plan["steps"][2]["with"]
    assert (createdb["run"], createdb["cwd"]) == (["createdb", "x"], "/w")
    assert createdb["env"]["POSTGRES_PASSWORD"] == "${POSTGRES_PASSWORD}"
    for line in (
        "before it: chown, createdb, which it waits for",
        "what chown runs with: image busybox; user root; mounts /data",
        "variable POSTGRES_PASSWORD: createdb has it as plain text",
    ):
        assert line in done.errors
    assert "hunter2" not in done.output + done.errors


def test_what_a_server_waits_for_stays_before_it(tmp_path: Path) -> None:
    services = {**CHAIN, "db": f"{{image: {POSTGRES}, depends_on: {{chown: {DONE}}}}}"}
    done = drafted(tmp_path, stack(**services) + "volumes: {data: {}}\n")
    plan = plan_of(done, tmp_path)
    assert [step["id"] for step in plan["steps"]] == ["db", "createdb", "migrate"]
    assert "chown" in done.errors.split("left out:")[1].splitlines()[0]


def test_a_server_that_waits_for_a_link_of_the_chain_is_not_waited_for(tmp_path: Path) -> None:
    url = "postgresql://app:pw-hunter2@db/shop"
    text = stack(
        files="{image: alpine, command: chown -R 1 /data}",
        init=f"{{image: alpine, command: x, environment: {{URL: '{url}'}}, depends_on: {{files: {DONE}}}}}",
        db=f"{{image: {POSTGRES}, depends_on: {{files: {DONE}}}}}",
        app=f"{{image: x, depends_on: {{init: {DONE}}}}}",
    )
    done = drafted(tmp_path, text)
    plan = plan_of(done, tmp_path)
    assert [step["uses"] for step in plan["steps"]] == ["command.run", "command.run"]
    assert "lock" not in plan


def test_a_one_shot_of_a_servers_image_is_no_server(tmp_path: Path) -> None:
    text = stack(
        db_init=f"{{image: {POSTGRES}, command: load, depends_on: [db]}}",
        init="{image: alpine, command: x, depends_on: [db-init, db]}",
        db=f"{{image: {POSTGRES}}}",
        app=f"{{image: x, depends_on: {{init: {DONE}}}}}",
    )
    assert steps(plan_of(drafted(tmp_path, text), tmp_path)) == [
        ("tcp.ready", {"address": "db:5432"}),
        ("command.run", {"run": ["x"]}),
    ]


HOOKS = """
    pre_start:
      - {image: busybox, user: root, command: chown -R 1000 /data}
      - {command: alembic upgrade head}
      - {command: [sh, -c, 'x $$A ${B} || true'], environment: {A: '1'}}
"""


def test_hooks_become_a_plan(tmp_path: Path) -> None:
    text = f"""
name: s
services:
  db: {{image: {POSTGRES}}}
  web: &web
    image: python
    environment: {{DATABASE_URL: "postgresql://app:pw-hunter2@db/shop"}}
    depends_on: [db]
{HOOKS}
  worker: *web
  other: {{image: x, pre_start: [{{command: y}}]}}
"""
    done = drafted(tmp_path, text)
    plan = plan_of(done, tmp_path)
    assert steps(plan) == [
        ("database.ready", {"url": "${DATABASE_URL}"}),
        ("command.run", {"run": ["chown", "-R", "1000", "/data"]}),
        ("alembic.upgrade", {"config": "alembic.ini", "url": "${DATABASE_URL}"}),
        ("command.run", {"run": ["sh", "-c", "x $$A ${B:-} || true"], "env": {"A": "1"}}),
    ]
    for line in (
        "the pre_start hooks of web, which are those of worker",
        "left out: those of other; draft them with --service",
        "what the hook of web runs with: image busybox; user root",
        "add a service init with its image",
        "set entrypoint: [inithold, run] in init and remove its command",
    ):
        assert line in done.errors


def test_a_hook_has_its_services_entrypoint(tmp_path: Path) -> None:
    text = stack(web="{image: python, entrypoint: [tool, run], pre_start: [{image: busybox, command: one}]}")
    assert steps(plan_of(drafted(tmp_path, text), tmp_path)) == [("command.run", {"run": ["tool", "run", "one"]})]


@pytest.mark.parametrize(
    ("own", "word", "expected"),
    [
        ("fast", "${MODE}", "${COMPOSE_MODE:-}"),
        ("${MODE}", "${MODE:-slow}", "${MODE:-slow}"),
        ("$MODE", "$MODE", "${MODE:-}"),
        ("${MODE:-slow}", "${MODE:-slow}", "${MODE:-slow}"),
        ("${MODE:-fast}", "${MODE:-slow}", "${COMPOSE_MODE:-slow}"),
        ("${OTHER}", "${MODE:?say}", "${COMPOSE_MODE:?say}"),
    ],
)
def test_a_variable_of_compose_and_one_of_the_container(
    own: str, word: str, expected: str, tmp_path: Path
) -> None:
    init = f"{{image: alpine, command: ['x', '{word}'], environment: {{MODE: '{own}'}}}}"
    done = drafted(tmp_path, stack(init=init, app=f"{{image: x, depends_on: {{init: {DONE}}}}}"))
    plan = plan_of(done, tmp_path)
    assert steps(plan) == [("command.run", {"run": ["x", expected]})]
    assert ("Compose's value of ${MODE}; the container has a different one" in done.errors) is (
        "COMPOSE" in expected
    )


@pytest.mark.parametrize(
    ("service", "advice"),
    [
        ("image: alpine, command: x", "give init the command: inithold run"),
        ("image: x, entrypoint: [], command: x", "give init the command: inithold run"),
        ("image: x, command: x", "set entrypoint: [inithold, run] in init and remove its command"),
        ("image: x, entrypoint: x", "set entrypoint: [inithold, run] in init and remove its command"),
        ("build: ., command: x", "set entrypoint: [inithold, run] in init and remove its command"),
    ],
)
def test_the_advice_minds_the_entrypoint(service: str, advice: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text('FROM alpine\nENTRYPOINT ["/start"]\n')
    done = drafted(tmp_path, stack(init=f"{{{service}}}", app=f"{{image: x, depends_on: {{init: {DONE}}}}}"))
    assert advice in done.errors


def test_an_engine_is_asked_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    docker = tmp_path / "bin" / "docker"
    docker.write_text('#!/bin/sh\necho \'{"Entrypoint": ["/built"], "Cmd": ["one"]}\'\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    (tmp_path / "Dockerfile").write_text('FROM alpine\nENTRYPOINT ["/start"]\n')
    done = drafted(tmp_path, stack(init="{build: .}", app=f"{{image: x, depends_on: {{init: {DONE}}}}}"))
    assert steps(plan_of(done, tmp_path)) == [("command.run", {"run": ["/built", "one"]})]
    assert "what the image of init runs: from the engine" in done.errors


def test_a_script_that_the_dockerfile_writes_is_taken_apart(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM alpine\nCOPY --chmod=755 <<'EOF' /start\n#!/bin/sh -e\n"
        "until nc -z mq 5672; do sleep 1; done\nx\ny $A\nEOF\n"
        'ENTRYPOINT ["/start"]\n'
    )
    done = drafted(tmp_path, stack(init="{build: .}", app=f"{{image: x, depends_on: {{init: {DONE}}}}}"))
    assert steps(plan_of(done, tmp_path)) == [
        ("tcp.ready", {"address": "mq:5672"}),
        ("command.run", {"run": ["/bin/sh", "-e", "-c", "x\ny $$A"]}),
    ]


def test_it_begins_with_the_schema_for_editors(tmp_path: Path) -> None:
    done = drafted(
        tmp_path, stack(init="{image: a, command: x}", app=f"{{image: x, depends_on: {{init: {DONE}}}}}")
    )
    first = done.output.splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=https://")
    assert first.endswith("/plan.schema.json")


WAITS = "#!/bin/sh\nwait-for-it mq:5672 && right\n"
TAKEN_APART = [("tcp.ready", {"address": "mq:5672"}), ("command.run", {"run": ["right"]})]


@pytest.mark.parametrize(
    ("dockerfile", "script"),
    [
        ('COPY docker/other.sh /init.sh\nENTRYPOINT ["/init.sh"]', "docker/other.sh"),
        ('WORKDIR /app\nCOPY docker/start.sh init.sh\nENTRYPOINT ["./init.sh"]', "docker/start.sh"),
        ('WORKDIR /app\nCOPY . .\nCOPY docker/*.sh ./\nENTRYPOINT ["sh", "init.sh"]', "docker/init.sh"),
        ('COPY ["docker/init.sh", "/usr/local/bin/"]\nCMD ["init.sh"]', "docker/init.sh"),
        ('COPY docker /opt\nENTRYPOINT ["/opt/init.sh"]', "docker/init.sh"),
    ],
)
def test_a_script_is_the_one_that_the_dockerfile_copies(dockerfile: str, script: str, tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    (tmp_path / "init.sh").write_text("#!/bin/sh\nwait-for-it other:1 && wrong\n")
    (tmp_path / script).write_text(WAITS)
    (tmp_path / "Dockerfile").write_text(f"FROM alpine\n{dockerfile}\n")
    done = drafted(tmp_path, stack(init="{build: .}", app=f"{{image: x, depends_on: {{init: {DONE}}}}}"))
    assert steps(plan_of(done, tmp_path)) == TAKEN_APART


@pytest.mark.parametrize(
    "dockerfile",
    [
        "COPY . /\nCOPY --from=tools /init.sh /init.sh",
        # The build fills in variables.
        "COPY <<EOF /init.sh\n#!/bin/sh\nwait-for-it mq:5672 && right $A\nEOF",
        "COPY ${NOWHERE} /init.sh",
        "RUN make-init /init.sh",
    ],
)
def test_a_script_that_is_not_known_here_stays_whole(dockerfile: str, tmp_path: Path) -> None:
    (tmp_path / "init.sh").write_text("#!/bin/sh\nwait-for-it other:1 && wrong\n")
    (tmp_path / "Dockerfile").write_text(f'FROM alpine\n{dockerfile}\nENTRYPOINT ["sh", "/init.sh"]\n')
    done = drafted(tmp_path, stack(init="{build: .}", app=f"{{image: x, depends_on: {{init: {DONE}}}}}"))
    assert steps(plan_of(done, tmp_path)) == [("command.run", {"run": ["sh", "/init.sh"]})]


def test_an_init_that_reaches_its_dependent_is_to_be_split(tmp_path: Path) -> None:
    text = stack(
        setup="{image: x, command: \"sh -c './certs; until curl http://search; do sleep 1; done; echo ok'\","
        " healthcheck: {test: '[ -f certs/ca.crt ]'}}",
        search="{image: search, depends_on: {setup: {condition: service_healthy}}}",
    )
    errors = drafted(tmp_path, text).errors
    assert "make two of it, since its command needs search, which waits for it" in errors
    assert "--wrap" not in errors


def test_the_way_without_a_plan_may_need_the_image(tmp_path: Path) -> None:
    text = stack(init="{image: x, command: ./migrate}", app=f"{{image: y, depends_on: {{init: {DONE}}}}}")
    assert (
        "--wrap inithold   # once docker has its image: runs the command, then holds"
        in drafted(tmp_path, text).errors
    )


@pytest.mark.parametrize(
    ("init", "awaited", "options"),
    [
        ("entrypoint: [./migrate]", True, "--wrap inithold"),
        ("entrypoint: [./migrate], restart: 'no'", False, "--wrap inithold --unsafe"),
        ("entrypoint: [./migrate], restart: 'no', profiles: [setup]", False, ""),
        ("entrypoint: [inithold, run, --only, a]", True, ""),
        ("entrypoint: [inithold, run, --, ./migrate]", True, ""),
        ("entrypoint: [alembic, upgrade, head], restart: always, ports: ['1:1']", False, ""),
    ],
)
def test_the_way_without_a_plan_works(init: str, awaited: bool, options: str, tmp_path: Path) -> None:
    needs = f", depends_on: {{init: {DONE}}}" if awaited else ""
    text = stack(init=f"{{image: x, {init}}}", app=f"{{image: y{needs}}}")
    errors = drafted(tmp_path, text).errors
    assert ("or without a plan" in errors) == bool(options)
    if options:
        assert f"inithold compose fix {options}   #" in errors
        run_compose(tmp_path, "fix", *options.split())
        init_service = yaml.safe_load((tmp_path / "compose.yaml").read_text())["services"]["init"]
        assert (init_service["entrypoint"][:2], init_service["restart"]) == (["inithold", "run"], "unless-stopped")


def test_a_command_that_may_run_on_and_one_that_is_only_options_have_a_todo(tmp_path: Path) -> None:
    """A service that migrates before it serves, and arguments of an ENTRYPOINT that nobody here knows."""
    web = stack(web="{image: x, command: \"sh -c './x db migrate && alembic upgrade head && ./x go'\"}")
    assert "TODO run: leave out what keeps running" in drafted(tmp_path / "web", web).output
    init = stack(
        init="{image: ory/x, command: -c x.yml migrate}", app=f"{{image: x, depends_on: {{init: {DONE}}}}}"
    )
    draft = drafted(tmp_path / "init", init).output
    assert "TODO run: the ENTRYPOINT of ory/x goes before `-c`" in draft
    assert "leave out what keeps running" not in draft
