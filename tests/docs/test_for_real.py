"""Examples that need real servers, and those that no test can run: they are read as closely as can be."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from alembic_project import OWN_URL_ENV, AlembicProject, tables_in
from conftest import Vhost
from docs.pages import ROOT, Block, all_blocks, blocks
from docs.test_examples import RULES, test_a_command_exists_with_its_options
from servers.inithold import Inithold
from servers.postgresql import PostgreSQL

README = list(blocks(ROOT / "README.md"))
DOCKERFILES = [block for block in all_blocks() if block.language == "dockerfile"]
INSTRUCTIONS = {"FROM", "WORKDIR", "COPY", "RUN", "CMD", "ENTRYPOINT", "ENV", "USER", "ARG", "HEALTHCHECK"}
INSIDE = [
    pytest.param(command, id=f"{block}:{command[:50]}")
    for block in all_blocks()
    if block.language == "console" and not block.page.startswith(RULES)
    for command, _ in block.commands
    if re.match(r"docker compose (?:exec|run)\b.* inithold ", command)
]


def example(language: str, words: str) -> str:
    (found,) = (block.text for block in README if block.language == language and words in block.text)
    return found


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    """The application's own migrations, beside the plan."""
    made = AlembicProject(tmp_path)
    made.tables("users")
    return made


def test_the_readme_s_plan_on_real_servers(
    run_inithold: Inithold, project: AlembicProject, postgresql: PostgreSQL, database: str, vhost: Vhost
) -> None:
    (project.folder / "inithold.yaml").write_text(example("yaml", "# inithold.yaml"))
    env = {"DATABASE_URL": database, "RABBITMQ_URL": vhost.url}
    first, second = (run_inithold("run", "--once", env=env) for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert "queue bot_events" in first.stderr
    assert "users" in tables_in(postgresql, database)
    assert "game-scheduler: ready in " in second.stderr
    # Without its management API a broker cannot be asked for its bindings: they are declared each time.
    assert second.stderr.rstrip().endswith(": 3 unchanged, 1 ran (cannot be checked)")


def test_the_readme_s_plan_in_python(
    run_inithold: Inithold, project: AlembicProject, postgresql: PostgreSQL, database: str
) -> None:
    text = example("python", "plan = Plan(")
    assert text.count("postgresql://app@db/games") == 2
    (project.folder / "init.py").write_text(text.replace("postgresql://app@db/games", database))
    done = run_inithold("run", "--once", "init:plan")
    assert done.returncode == 0, done.stderr
    assert "users" in tables_in(postgresql, database)
    assert done.stderr.rstrip().endswith("1 unchanged, 1 changed, 1 ran (cannot be checked)")


def test_the_readme_s_one_line(
    run_inithold: Inithold, tmp_path: Path, postgresql: PostgreSQL, database: str
) -> None:
    AlembicProject(tmp_path, env=OWN_URL_ENV).tables("users")
    stack = yaml.safe_load(example("yaml", "services:"))
    url = "postgresql://postgres:example@db/postgres"
    command = stack["services"]["init"]["command"]
    assert url in command
    words = [word.replace(url, database) for word in command[1:]]
    own = database.replace("postgresql://", "postgresql+psycopg://")
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    done = run_inithold(words[0], "--once", *words[1:], env={"TEST_OWN_URL": own, "PATH": path})
    assert done.returncode == 0, done.stderr
    assert "users" in tables_in(postgresql, database)


@pytest.mark.parametrize("block", DOCKERFILES, ids=[str(block) for block in DOCKERFILES])
def test_a_dockerfile_is_one(block: Block) -> None:
    lines = [line for line in block.text.replace("\\\n", " ").splitlines() if line and not line.startswith("#")]
    assert next(line for line in lines if not line.startswith("ARG ")).startswith("FROM ")
    for line in lines:
        instruction, _, rest = line.partition(" ")
        assert instruction in INSTRUCTIONS, line
        if instruction == "RUN":
            rest = re.sub(r"^(--mount=\S+ +)+", "", rest)
            done = subprocess.run(["sh", "-n", "-c", rest], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        if instruction == "CMD":
            assert rest.startswith("["), "a shell as PID 1 hears no SIGTERM"


def test_every_extra_that_is_named_is_one() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {
        extra
        for block in all_blocks()
        for several in re.findall(r"inithold\[([\w,-]+)\]", block.text)
        for extra in several.split(",")
    }
    assert {"postgres", "rabbitmq"} <= named <= set(extras)


@pytest.mark.parametrize("command", INSIDE)
def test_a_command_inside_a_container_exists_with_its_options(command: str) -> None:
    test_a_command_exists_with_its_options(command[command.index(" inithold ") + 1 :])


def test_there_are_such_commands() -> None:
    assert len(INSIDE) >= 2
