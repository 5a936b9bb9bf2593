"""What single commands become in a plan: forms beyond those of the cases."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from unit.compose.new.case import drafted, load

STACK = """
name: one
services:
  db: {{image: "postgres:17", environment: {{POSTGRES_PASSWORD: pg-hunter2}}}}
  init:
    build: .
    command: {command}
    environment:
      DATABASE_URL: postgresql://postgres:pg-hunter2@db/postgres
      WAIT_HOSTS: mongo:27017, db:5432
  app:
    build: .
    depends_on: {{init: {{condition: service_completed_successfully}}}}
"""


def steps(folder: Path, command: Any) -> list[dict[str, Any]]:
    """The steps of the draft behind the database's."""

    done = drafted(folder / "stack", STACK.format(command=json.dumps(command)))
    load(done.output, folder)
    assert "hunter" not in done.output + done.errors
    found = list(yaml.safe_load(done.output)["steps"])
    assert found[0]["uses"] == "database.ready"
    return found[1:]


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


@pytest.mark.parametrize(
    ("command", "fields"),
    [
        ("alembic upgrade head", {"config": "alembic.ini"}),
        (
            "python -m alembic -c x/alembic.ini -n other upgrade heads",
            {"config": "x/alembic.ini", "target": "heads", "name": "other"},
        ),
        (
            "uv run --no-dev alembic --config=a.ini -x a=b -x c=d upgrade 3f2a",
            {"config": "a.ini", "target": "3f2a", "x": ["a=b", "c=d"]},
        ),
        (shell("cd backend && poetry run alembic upgrade head"), {"config": "backend/alembic.ini"}),
        (shell("exec alembic upgrade head"), {"config": "alembic.ini"}),
        (["bash", "-eo", "pipefail", "-c", "alembic upgrade head"], {"config": "alembic.ini"}),
    ],
)
def test_alembic(command: Any, fields: dict[str, Any], tmp_path: Path) -> None:
    (step,) = steps(tmp_path, command)
    assert step["uses"] == "alembic.upgrade"
    assert step["with"] == {**fields, "url": "${DATABASE_URL}"}


@pytest.mark.parametrize(
    "command", ["alembic upgrade +1", "alembic upgrade head --sql", "alembic stamp head", "alembic upgrade a:b"]
)
def test_what_else_alembic_is_asked_to_do_stays_a_command(command: str, tmp_path: Path) -> None:
    (step,) = steps(tmp_path, command)
    assert step["with"] == {"run": command.split()}


def test_a_url_on_the_command_line_is_env_pys_own_and_conceals_its_password(tmp_path: Path) -> None:
    (step,) = steps(tmp_path, "alembic -x url=postgresql://postgres:pg-hunter2@db/postgres upgrade head")
    assert step["with"] == {"config": "alembic.ini", "x": ["url=${DATABASE_URL}"]}


@pytest.mark.parametrize(
    ("command", "guard"),
    [
        (
            "python manage.py migrate --database other",
            ["python", "manage.py", "migrate", "--check", "--database", "other"],
        ),
        ("django-admin migrate --settings=a.b", ["django-admin", "migrate", "--check", "--settings=a.b"]),
        ("bundle exec rake db:migrate", ["bundle", "exec", "rake", "db:abort_if_pending_migrations"]),
        ("npx prisma migrate deploy --schema x", ["npx", "prisma", "migrate", "status", "--schema", "x"]),
        ("dbmate --wait up", ["dbmate", "--wait", "status", "--exit-code", "--quiet"]),
        (
            "php bin/console doctrine:migrations:migrate -n",
            ["php", "bin/console", "doctrine:migrations:up-to-date"],
        ),
        ("airflow db migrate", ["airflow", "db", "check-migrations", "-t", "0"]),
    ],
)
def test_migration_tools_are_guarded_by_their_own_question(command: str, guard: list[str], tmp_path: Path) -> None:
    (step,) = steps(tmp_path, command)
    assert step["with"] == {"run": command.split(), "unless": guard}


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (shell("until pg_isready -h db -U postgres; do sleep 1; done"), []),
        (shell("while ! nc -z -w 1 queue 5672; do sleep 1; done"), [("tcp.ready", {"address": "queue:5672"})]),
        (shell("until (echo > /dev/tcp/db/5432) 2>/dev/null; do sleep 1; done"), None),
        (
            shell("until curl -sf http://user:hunter2@search:9200/_health; do sleep 1; done"),
            [("http.ready", {"url": "http://search:9200/_health"})],
        ),
        (shell("until psql \"$$DATABASE_URL\" -c 'select 1'; do sleep 1; done"), []),
        (
            ["./wait-for.sh", "https://id.example.com/ready", "-t", "60"],
            [("http.ready", {"url": "https://id.example.com/ready"})],
        ),
        (["wait-for-it", "--host=cache", "--port=6379", "--strict"], [("tcp.ready", {"address": "cache:6379"})]),
        (
            ["dockerize", "-wait", "file:///certs/ca.pem", "-timeout", "1m"],
            [("file.ready", {"path": "/certs/ca.pem"})],
        ),
        (
            ["wait4x", "redis", "redis://store:6379", "--timeout", "60s"],
            [("redis.ready", {"host": "store", "port": 6379})],
        ),
        (shell("/wait"), [("tcp.ready", {"address": "mongo:27017"})]),
    ],
)
def test_waits(command: Any, expected: list[tuple[str, dict[str, Any]]] | None, tmp_path: Path) -> None:
    found = [(step["uses"], step.get("with")) for step in steps(tmp_path, command)]
    if expected is None:
        # A group is the shell's; what it does is kept.
        assert [uses for uses, _ in found] == ["command.run"]
    else:
        assert found == expected


def test_a_command_behind_waits_and_behind_other_shells(tmp_path: Path) -> None:
    behind = "bash -c 'alembic upgrade head && python x.py'"
    script = f"wait-for-it.sh db:5432 -- dockerize -wait tcp://mq:5672 -timeout 20s {behind}"
    found = steps(tmp_path, shell(script))
    assert [step["uses"] for step in found] == ["tcp.ready", "alembic.upgrade", "command.run"]
    assert found[2]["with"] == {"run": ["python", "x.py"]}


SECRETS: list[tuple[str, Any]] = [
    (
        "psql postgresql://postgres:pg-hunter2@db/x -f a.sql",
        ["psql", "postgresql://postgres:${POSTGRES_PASSWORD|url}@db/x", "-f", "a.sql"],
    ),
    ("PGPASSWORD=hunter2 psql -h db", "PGPASSWORD=${PGPASSWORD} psql -h db"),
    (
        "mysql -h other -u root -phunter2 -e 'select 1'",
        ["mysql", "-h", "other", "-u", "root", "-p${MYSQL_PASSWORD}", "-e", "select 1"],
    ),
    (
        "redis-cli -h r -a hunter2 CONFIG SET x y",
        ["redis-cli", "-h", "r", "-a", "${REDIS_PASSWORD}", "CONFIG", "SET", "x", "y"],
    ),
    (
        "tool --api-token hunter2 --client-secret='hunter2 3' go",
        ["tool", "--api-token", "${API_TOKEN}", "--client-secret=${CLIENT_SECRET}", "go"],
    ),
    (
        "curl -u admin:hunter2 -X PUT http://x/y",
        ["curl", "-u", "admin:${HTTP_PASSWORD}", "-X", "PUT", "http://x/y"],
    ),
    (
        "curl -H 'Authorization: Bearer hunter2' http://x/y",
        ["curl", "-H", "Authorization: Bearer ${AUTHORIZATION}", "http://x/y"],
    ),
    ("tool login pg-hunter2", ["tool", "login", "${POSTGRES_PASSWORD}"]),
    ('sh -c "x --password hunter2 --token-file /t"', ["x", "--password", "${PASSWORD}", "--token-file", "/t"]),
]
READ_BY_A_SHELL_ALONE = [each for each in SECRETS if "'hunter2 3'" in each[0] or each[0].startswith("PGPASSWORD")]


@pytest.mark.parametrize(("script", "run"), SECRETS)
def test_passwords_of_a_script_are_never_copied(script: str, run: Any, tmp_path: Path) -> None:
    (step,) = steps(tmp_path, shell(script))
    assert step["with"]["run"] == run


@pytest.mark.parametrize(("script", "run"), [each for each in SECRETS if each not in READ_BY_A_SHELL_ALONE])
def test_passwords_of_a_list_of_words_are_never_copied(script: str, run: Any, tmp_path: Path) -> None:
    (step,) = steps(tmp_path, shlex.split(script))
    assert step["with"]["run"] == run


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    script = "set -eux; echo start; sleep 10; python a.py; touch /tmp/ready; exec gunicorn app.wsgi"
    (step,) = steps(tmp_path, shell(script))
    assert step["with"] == {"run": ["python", "a.py"]}
    said = drafted(tmp_path / "again", STACK.format(command=f"[sh, -c, '{script}']")).errors
    for text in ("`sleep 10`", "`touch /tmp/ready`", "`exec gunicorn app.wsgi`"):
        assert f"left out {text}" in said


def test_a_script_that_only_a_shell_can_run_stays_whole(tmp_path: Path) -> None:
    script = 'A=$$(date)\nfor f in *.sql; do psql -f "$$f" -v at="$$A"; done\n  # done\n'
    (step,) = steps(tmp_path, ["bash", "-c", script])
    assert step["with"]["run"] == ["bash", "-c", script.strip("\n")]
    text = (tmp_path / "stack" / "compose.yaml").read_text()
    planned = load(drafted(tmp_path / "again", text).output, tmp_path).steps[-1].step
    # What the plan runs is what Compose gives to the container.
    assert getattr(planned, "run") == ["bash", "-c", script.strip("\n").replace("$$", "$")]  # noqa: B009
