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
      QUEUE: queue
  app:
    build: .
    depends_on: {{init: {{condition: service_completed_successfully}}}}
"""


DRAFTS: list[str] = []
"""The texts of the drafts of a test."""


def steps(folder: Path, command: Any) -> list[dict[str, Any]]:
    """The steps of the draft behind the database's."""

    done = drafted(folder / "stack", STACK.format(command=json.dumps(command)))
    load(done.output, folder)
    assert "hunter2" not in done.output + done.errors
    DRAFTS.append(done.output)
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


GUARDS = {
    "npx prisma migrate deploy": "npx prisma migrate status",
    "npx --yes prisma migrate deploy": "npx --yes prisma migrate status",
    "pnpm prisma migrate deploy --schema x": "pnpm prisma migrate status --schema x",
    "pnpm exec prisma migrate deploy": "pnpm exec prisma migrate status",
    "yarn prisma migrate deploy": "yarn prisma migrate status",
    "bunx prisma migrate deploy": "bunx prisma migrate status",
    "./node_modules/.bin/prisma migrate deploy": "./node_modules/.bin/prisma migrate status",
    "python manage.py migrate --database other": "python manage.py migrate --check --database other",
    "poetry run python manage.py migrate --noinput": "poetry run python manage.py migrate --check --noinput",
    "django-admin migrate --settings=a.b": "django-admin migrate --check --settings=a.b",
    "bundle exec rake db:migrate": "bundle exec rake db:abort_if_pending_migrations",
    "bin/rails db:prepare": "bin/rails db:abort_if_pending_migrations",
    "flyway -url=jdbc:x migrate": "flyway -url=jdbc:x validate",
    "php artisan migrate --force": "php artisan migrate:status --pending=1",
    "dbmate --wait up": "dbmate --wait status --exit-code --quiet",
    "php bin/console doctrine:migrations:migrate -n": "php bin/console doctrine:migrations:up-to-date",
    "airflow db migrate": "airflow db check-migrations -t 1",
}


def test_flyway_gets_no_guard_where_a_variable_makes_it_ignore_what_is_pending(tmp_path: Path) -> None:
    variables = "{FLYWAY_IGNORE_MIGRATION_PATTERNS: '*:pending'}"
    init = f"{{image: 'flyway/flyway:10', command: migrate, environment: {variables}}}"
    app = "{image: x, depends_on: {init: {condition: service_completed_successfully}}}"
    done = drafted(tmp_path, f"services: {{init: {init}, app: {app}}}\n")
    assert yaml.safe_load(done.output)["steps"][0]["with"] == {"run": ["flyway", "migrate"]}


@pytest.mark.parametrize("command", GUARDS)
def test_migration_tools_are_guarded_by_their_own_question(command: str, tmp_path: Path) -> None:
    (step,) = steps(tmp_path, command)
    assert step["with"] == {"run": command.split(), "unless": GUARDS[command].split()}


@pytest.mark.parametrize(
    ("command", "todo"),
    [
        ("liquibase update", "liquibase status"),
        ("atlas migrate apply --url x", "atlas migrate status"),
        ("goose -dir x postgres up", "goose status"),
        ("migrate -path /m -database x up", "golang-migrate"),
        ("sqlx migrate run", "sqlx migrate info"),
        ("diesel migration run", "diesel migration pending"),
        ("npx knex migrate:latest", "knex migrate:status"),
        ("npx drizzle-kit migrate", "drizzle-kit check"),
        ("mix ecto.migrate", "ecto.migrations"),
        ("dotnet ef database update", "dotnet ef migrations list"),
        ("npx sequelize db:migrate", "db:migrate:status"),
        ("flask db upgrade", "flask db check"),
    ],
)
def test_a_tool_without_a_guard_gets_none_and_it_is_said(command: str, todo: str, tmp_path: Path) -> None:
    (step,) = steps(tmp_path, command)
    assert step["with"] == {"run": command.split()}
    comment = " ".join(line.strip(" #") for line in DRAFTS[-1].splitlines() if "#" in line)
    assert "TODO unless" in comment
    assert todo in comment


@pytest.mark.parametrize(
    "command",
    [
        # What the guard would skip, or cannot see.
        "bin/rails db:migrate db:seed",
        "python manage.py migrate --run-syncdb",
        "python manage.py migrate --fake",
        "php artisan migrate --seed",
        "flyway -target=3 migrate",
        "flyway -ignoreMigrationPatterns=*:pending migrate",
        "npx prisma migrate dev",
        # An entrypoint of the image's own does what nobody here knows; a check must not.
        "docker-entrypoint.sh bin/rails db:migrate",
    ],
)
def test_other_forms_of_these_tools_get_no_guard(command: str, tmp_path: Path) -> None:
    (step,) = steps(tmp_path, command)
    assert step["with"] == {"run": command.split()}


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("until pg_isready -h db -U postgres; do sleep 1; done; x", []),
        ("while ! nc -z -w 1 queue 5672; do sleep 1; done; x", [("tcp.ready", {"address": "queue:5672"})]),
        (
            "until curl -s http://search:9200/_health; do sleep 1; done; x",
            [("tcp.ready", {"address": "search:9200"})],
        ),
        ("until nc -z $$QUEUE 5672; do sleep 1; done; x", [("tcp.ready", {"address": "queue:5672"})]),
        ("wait-for-it --host=cache --port=6379 --strict && x", [("tcp.ready", {"address": "cache:6379"})]),
        ("./wait-for.sh db:5432 mq:5672 -t 60 -- x", [("tcp.ready", {"address": "mq:5672"})]),
        # More than an answer, or nobody's answer here.
        ("until (echo > /dev/tcp/db/5432) 2>/dev/null; do sleep 1; done; x", None),
        ("until psql \"$$DATABASE_URL\" -c 'select 1'; do sleep 1; done; x", None),
        ("until curl -sf -H a:b http://search:9200/; do sleep 1; done; x", None),
        ("until curl -s -X POST http://search:9200/; do sleep 1; done; x", None),
        ("until nc -z localhost 5672; do sleep 1; done; x", None),
        ("until nc -z $$NOWHERE 5672; do sleep 1; done; x", None),
        ("until nc -z queue 5672; do ./repair; sleep 1; done; x", None),
        ("dockerize -wait tcp://queue:5672 x", None),
        # It starts only after init.
        ("until nc -z app 80; do sleep 1; done; x", None),
    ],
)
def test_waits(script: str, expected: list[tuple[str, dict[str, Any]]] | None, tmp_path: Path) -> None:
    *waits, last = [(step["uses"], step["with"]) for step in steps(tmp_path, shell(script))]
    whole = ("command.run", {"run": ["sh", "-c", script]})
    assert (waits, last) == (([], whole) if expected is None else (expected, ("command.run", {"run": ["x"]})))


def test_an_answer_without_an_error_is_waited_for(tmp_path: Path) -> None:
    wait, _ = steps(tmp_path, shell("until curl -sf http://search:9200/_health; do sleep 1; done; x"))
    assert wait["uses"] == "http.ready"
    assert wait["with"]["url"] == "http://search:9200/_health"
    assert {200, 301} <= set(wait["with"]["status"]), "curl takes a redirection for an answer"


def test_a_command_behind_waits_and_behind_other_shells(tmp_path: Path) -> None:
    script = "wait-for-it.sh db:5432 -- wait-for-it mq:5672 -- bash -c 'alembic upgrade head && python x.py'"
    found = steps(tmp_path, shell(script))
    assert [step["uses"] for step in found] == ["tcp.ready", "alembic.upgrade", "command.run"]
    assert found[2]["with"] == {"run": ["python", "x.py"]}


SECRETS = {
    "psql postgresql://postgres:pg-hunter2@db/x": "psql postgresql://postgres:${POSTGRES_PASSWORD|url}@db/x",
    "psql postgresql://me:hunter2@other/x": "psql postgresql://me:${POSTGRESQL_PASSWORD|url}@other/x",
    "PGPASSWORD=hunter2 psql -h db": "PGPASSWORD=${PGPASSWORD} psql -h db",
    "mysql -h other -u root -phunter2 -e 'select 1'": "mysql -h other -u root -p${MYSQL_PASSWORD} -e 'select 1'",
    "redis-cli -h r -a hunter2 PING": "redis-cli -h r -a ${REDIS_PASSWORD} PING",
    "t --api-token hunter2 --my-secret='hunter2 3'": "t --api-token ${API_TOKEN} --my-secret='${MY_SECRET}'",
    "curl -u admin:hunter2 -X PUT http://x/y": "curl -u admin:${HTTP_PASSWORD} -X PUT http://x/y",
    "curl -H 'Authorization: Bearer hunter2' x": "curl -H 'Authorization: Bearer ${AUTHORIZATION}' x",
    "tool login pg-hunter2": "tool login ${POSTGRES_PASSWORD}",
    "x --password hunter2 --token-file /t": "x --password ${PASSWORD} --token-file /t",
    "mc alias set m http://m:9000 me hunter2": "mc alias set m http://m:9000 me ${MINIO_ROOT_PASSWORD}",
}


@pytest.mark.parametrize("script", SECRETS)
def test_passwords_of_a_script_are_never_copied(script: str, tmp_path: Path) -> None:
    (step,) = steps(tmp_path, shell(script))
    assert step["with"]["run"] == ["sh", "-c", SECRETS[script]]


@pytest.mark.parametrize("script", [each for each in SECRETS if not each.startswith("PGPASSWORD")])
def test_passwords_of_a_list_of_words_are_never_copied(script: str, tmp_path: Path) -> None:
    (step,) = steps(tmp_path, shlex.split(script))
    assert step["with"]["run"] == shlex.split(SECRETS[script])


ENDLESS = {
    "set -e; python a.py; exec gunicorn app.wsgi": "set -e; python a.py",
    "python a.py && touch /tmp/ready && sleep infinity": "python a.py",
    "python a.py; touch /tmp/ready; tail -f /dev/null": "python a.py; touch /tmp/ready",
    "python a.py || exit 1\nwhile true; do sleep 60; done\n": "python a.py || exit 1",
}


@pytest.mark.parametrize("script", ENDLESS)
def test_what_goes_on_for_ever_is_left_out_and_it_is_said(script: str, tmp_path: Path) -> None:
    web = json.dumps({"image": "alpine", "command": shell(script)})
    done = drafted(tmp_path, f"name: s\nservices: {{web: {web}}}\n", "--service", "web")
    plan = yaml.safe_load(done.output)
    assert [step["with"] for step in plan["steps"]] == [{"run": ["sh", "-c", ENDLESS[script]]}]
    assert "left out `" in done.errors
    assert "it runs forever" in done.errors


@pytest.mark.parametrize(
    "script", ["x && node dist/index.js", "set -e; x; exec java -jar setup.jar", "x; npm start"]
)
def test_one_that_is_awaited_as_completed_keeps_its_last_command(script: str, tmp_path: Path) -> None:
    (step,) = steps(tmp_path, shell(script))
    assert step["with"] == {"run": ["sh", "-c", script]}


def test_one_that_cannot_be_left_out_is_said(tmp_path: Path) -> None:
    script = "if true; then gunicorn app.wsgi; fi"
    web = json.dumps({"image": "alpine", "command": shell(f"flask db upgrade\n{script} && nginx")})
    done = drafted(tmp_path, f"name: s\nservices: {{web: {web}}}\n", "--service", "web")
    assert "it runs forever" in done.errors
    web = json.dumps({"image": "alpine", "command": shell("x & gunicorn app.wsgi")})
    done = drafted(tmp_path, f"name: s\nservices: {{web: {web}}}\n", "--service", "web")
    assert "seems to go on forever" in done.errors


@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_a_script_that_only_a_shell_can_run_stays_whole(end: str, tmp_path: Path) -> None:
    script = f'A=$$(date)\nfor f in *.sql; do psql -f "$$f" -v at="$$A"; done\n\n  # done{end}'
    (step,) = steps(tmp_path, ["bash", "-c", script])
    assert step["with"]["run"] == ["bash", "-c", script]
    text = (tmp_path / "stack" / "compose.yaml").read_text()
    planned = load(drafted(tmp_path / "again", text).output, tmp_path).steps[-1].step
    # What the plan runs is what Compose gives to the container.
    assert getattr(planned, "run") == ["bash", "-c", script.replace("$$", "$")]  # noqa: B009


@pytest.mark.parametrize(
    "script",
    [
        "chown -R 1000 /data",
        "mkdir -p /data && cp -r /seed/. /data && chmod 700 /data",
        "for d in a b; do if [ ! -d /data/$$d ]; then mkdir /data/$$d; fi; done; exec touch /data/done",
        "addgroup -S app && adduser -S app && setfacl -R -m u:1000:rwx /data",
        "sudo chown 1000 /data; cp -r /seed $$(pwd)/seed || busybox touch /data/failed",
    ],
)
def test_an_init_that_only_changes_files_asks_for_no_database(script: str, tmp_path: Path) -> None:
    done = drafted(tmp_path, STACK.format(command=json.dumps(shell(script))))
    plan = yaml.safe_load(done.output)
    assert [step["uses"] for step in plan["steps"]] == ["command.run"]
    assert "lock" not in plan
    assert "give to init" not in done.errors


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("tini -- x y", "x y"),
        ("/sbin/tini -g -- x -- y", "x -- y"),
        ("dumb-init x -- y", "x -- y"),
        ("tini -- catatonit -- x", "x"),
        ("tini -p SIGTERM x", "tini -p SIGTERM x"),
        ("tini -s x", "tini -s x"),
        ("tini", "tini"),
    ],
)
def test_a_reaper_before_the_command_is_left_out(words: str, expected: str, tmp_path: Path) -> None:
    (step,) = steps(tmp_path, words.split())
    assert step["with"] == {"run": expected.split()}
