"""`inithold new` as people run it: what it writes, what it never does, and its drafts run on real servers."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from alembic_project import AlembicProject, tables_in
from conftest import Vhost
from inithold.compose.new.render import write_new
from inithold.errors import UsageError
from servers.inithold import Inithold
from servers.postgresql import PostgreSQL
from servers.redis import Redis

STACK = """\
name: shop
services:
  db:
    image: postgres:17
    environment: {POSTGRES_PASSWORD: hunter22}
  init:
    build: .
    command: alembic upgrade head
    environment: {DATABASE_URL: "postgresql://postgres:hunter22@db/postgres"}
    depends_on: [db]
  api:
    build: .
    depends_on: {init: {condition: service_completed_successfully}}
"""


def compose(folder: Path, text: str = STACK) -> None:
    (folder / "compose.yaml").write_text(text)


def test_it_writes_a_plan_and_says_on_standard_error_what_it_guessed(run_inithold: Inithold) -> None:
    compose(run_inithold.folder)
    done = run_inithold("new")
    assert (done.returncode, done.stdout) == (0, "")
    written = run_inithold.folder / "inithold.yaml"
    assert "uses: alembic.upgrade" in written.read_text()
    assert "hunter22" not in written.read_text() + done.stderr
    assert stat.S_IMODE(written.stat().st_mode) == 0o644 & ~_umask()
    for title in ("init service:", "guessed:", "next:"):
        assert title in done.stderr
    assert "inithold compose fix --wrap inithold" in done.stderr
    assert [path.name for path in run_inithold.folder.glob(".inithold.yaml*")] == []


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def test_standard_output_gets_the_plan_alone(run_inithold: Inithold) -> None:
    compose(run_inithold.folder)
    printed = run_inithold("new", "-o", "-")
    run_inithold("new", "-o", "other.yaml")
    assert printed.returncode == 0
    assert printed.stdout == (run_inithold.folder / "other.yaml").read_text()
    assert not (run_inithold.folder / "inithold.yaml").exists()


@pytest.mark.parametrize("kind", ["file", "folder", "dangling link", "link"])
def test_it_overwrites_nothing(kind: str, run_inithold: Inithold) -> None:
    folder = run_inithold.folder
    compose(folder)
    target = folder / "inithold.yaml"
    if kind == "file":
        target.write_text("mine")
    elif kind == "folder":
        target.mkdir()
    else:
        target.symlink_to("elsewhere.yaml")
        if kind == "link":
            (folder / "elsewhere.yaml").write_text("mine")
    before = sorted(
        (path.name, path.read_bytes() if path.is_file() else b"")
        for path in folder.iterdir()
        if not path.name.startswith(".inithold-")
    )
    done = run_inithold("new")
    after = sorted(
        (path.name, path.read_bytes() if path.is_file() else b"")
        for path in folder.iterdir()
        if not path.name.startswith(".inithold-")
    )
    assert done.returncode == 2
    assert "inithold.yaml already exists; nothing was written" in done.stderr
    assert "-o" in done.stderr
    assert "Traceback" not in done.stderr
    assert after == before


def test_what_appears_meanwhile_is_not_overwritten_either(tmp_path: Path) -> None:

    (tmp_path / "plan.yaml").write_text("mine")
    with pytest.raises(UsageError, match="already exists; nothing was written"):
        write_new(str(tmp_path / "plan.yaml"), "ours")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("plan.yaml", "mine")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-f", "missing.yaml"], "missing.yaml"),
        (["--service", "inti"], "did you mean 'init'?"),
        (
            ["-o", "no/such/folder/x.yaml"],
            "cannot write no/such/folder/x.yaml: No such file or directory; nothing was",
        ),
        (["-o", ""], "-o needs the name of a file"),
        (["-o", "broken.yaml/x"], "cannot write broken.yaml/x: Not a directory; nothing was"),
        (["-f", "broken.yaml"], "broken.yaml"),
        (["extra"], "extra"),
    ],
)
def test_bad_input_is_exit_2(arguments: list[str], said: str, run_inithold: Inithold) -> None:
    compose(run_inithold.folder)
    (run_inithold.folder / "broken.yaml").write_text("services: [")
    done = run_inithold("new", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (run_inithold.folder / "inithold.yaml").exists()


def test_without_a_compose_file(run_inithold: Inithold) -> None:
    done = run_inithold("new")
    assert done.returncode == 2
    assert "no Compose file here or in a folder above" in done.stderr
    assert "name one with -f" in done.stderr


PROVEN = """\
name: proven
services:
  db:
    image: postgres:17
    environment: {POSTGRES_USER: app, POSTGRES_PASSWORD_FILE: /run/secrets/db_password}
  rabbitmq: {image: "rabbitmq:4-management"}
  cache: {image: "redis:7"}
  init:
    build: .
    command: >-
      sh -c "./wait-for-it.sh db:5432 && alembic upgrade head &&
      test -f alembic.ini && PYTHON seed.py"
    environment:
      DATABASE_URL: postgresql+asyncpg://app:${DB_PASSWORD:?}@db/app
      RABBITMQ_URL: amqp://app:${MQ_PASSWORD:?}@rabbitmq/%2F
      REDIS_URL: redis://cache:6379/0
    depends_on: [db, rabbitmq, cache]
  api:
    build: .
    depends_on: {init: {condition: service_completed_successfully}}
"""


def test_a_draft_runs(
    run_inithold: Inithold, database: str, postgresql: PostgreSQL, vhost: Vhost, redis_server: Redis
) -> None:
    folder = run_inithold.folder
    AlembicProject(folder).tables("users", "orders")
    (folder / "seed.py").write_text("import pathlib\npathlib.Path('seeded').write_text('yes')\n")
    compose(folder, PROVEN.replace("PYTHON", sys.executable))
    assert run_inithold("new").returncode == 0
    env = {"DATABASE_URL": database, "RABBITMQ_URL": vhost.url, "REDIS_URL": redis_server.url()}

    before = run_inithold("plan", "--json", env=env)
    pending = {step["id"]: step["status"] for step in json.loads(before.stdout)["steps"]}
    assert pending["migrate"] == "pending", before.stdout
    done = run_inithold("run", "--once", env=env)
    assert done.returncode == 0, done.stderr
    assert {"users", "orders"} <= tables_in(postgresql, database)
    assert (folder / "seeded").read_text() == "yes"

    after = {
        step["id"]: step["status"] for step in json.loads(run_inithold("plan", "--json", env=env).stdout)["steps"]
    }
    assert {name for name, status in after.items() if status == "satisfied"} == set(after) - {"init"}
    assert run_inithold("run", "--once", env=env).returncode == 0


def test_a_draft_of_parts_and_secret_files_runs(
    run_inithold: Inithold, database: str, postgresql: PostgreSQL
) -> None:
    folder = run_inithold.folder
    AlembicProject(folder).tables("users")
    text = STACK.replace(
        '{DATABASE_URL: "postgresql://postgres:hunter22@db/postgres"}',
        "{PGHOST: db, PGPORT: 5432, PGUSER: u, PGDATABASE: d, PGPASSWORD_FILE: /run/secrets/pg}",
    )
    compose(folder, text)
    assert run_inithold("new").returncode == 0
    url = urlsplit(database)
    secrets = folder / "secrets"
    secrets.mkdir()
    (secrets / "pg").write_text(f"{unquote(url.password or 'unused')}\n")
    env = {
        "PGHOST": url.hostname or "",
        "PGPORT": str(url.port),
        "PGUSER": url.username or "",
        "PGDATABASE": url.path[1:],
        "INITHOLD_SECRETS_DIR": str(secrets),
    }
    done = run_inithold("run", "--once", env=env)
    assert done.returncode == 0, done.stderr
    assert "users" in tables_in(postgresql, database)


def test_a_draft_without_its_variables_says_which(run_inithold: Inithold) -> None:
    compose(
        run_inithold.folder, STACK.replace("alembic upgrade head", "sh -c 'x --password hunter22 --to $WHERE'")
    )
    drafted = run_inithold("new")
    assert "variable POSTGRES_PASSWORD: db has it as plain text" in drafted.stderr
    assert "variable WHERE (empty if not set): Compose takes it" in drafted.stderr
    done = run_inithold("plan", env={"DATABASE_URL": "postgresql://a@b/c"})
    assert done.returncode == 2
    assert "${POSTGRES_PASSWORD}: the variable is not set" in done.stderr
    assert "WHERE" not in done.stderr


STAND_IN = """#!/bin/sh
# A stand-in for {name}: no engine of Prisma's, no Django and no Rails is needed to see what the guard decides.
case "$*" in
  *"migrate status"*|*--check*|*abort_if_pending*|*validate*|*--pending=1*) test -f applied ;;
  *) echo x >> applied ;;
esac
"""


@pytest.mark.parametrize(
    "command",
    [
        *(f"{runner} prisma migrate deploy" for runner in ("npx", "pnpm", "pnpm exec", "yarn", "bunx")),
        *("./manage.py migrate --noinput", "bin/rails db:prepare", "flyway migrate", "./artisan migrate --force"),
    ],
)
def test_a_migration_runs_where_its_guard_says_that_it_is_needed(command: str, run_inithold: Inithold) -> None:
    folder = run_inithold.folder
    name = command.partition(" ")[0]
    program = folder / name
    program.parent.mkdir(exist_ok=True)
    program.write_text(STAND_IN.replace("{name}", name))
    program.chmod(0o755)
    stack = f"services: {{init: {{image: x, command: {command}}}, app: {{image: x, depends_on: {{init: DONE}}}}}}"
    compose(folder, stack.replace("DONE", "{condition: service_completed_successfully}"))
    assert run_inithold("new").returncode == 0
    env = {"PATH": f"{folder}:{os.environ['PATH']}"}
    for status in ("pending", "satisfied"):
        steps = json.loads(run_inithold("plan", "--json", env=env).stdout)["steps"]
        assert [step["status"] for step in steps] == [status]
        assert run_inithold("run", "--once", env=env).returncode == 0
    assert (folder / "applied").read_text() == "x\n", "it ran once"
