"""With nothing installed but what the core requires: what works, and what is refused with the command to run."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest

import inithold
from inithold.steps.registry import KINDS
from servers.inithold import Inithold
from servers.ports import closed_port

ROOT = Path(__file__).parents[2]
REFUSED: dict[str, tuple[str, str]] = {
    "database.ready": ("{url: 'postgresql://db/games'}", "postgres"),
    "database.tables": ("{url: 'mysql://db/games', tables: [users]}", "mysql"),
    "database.sql": ("{url: 'postgresql://db/games', sql: SELECT 1}", "postgres"),
    "alembic.upgrade": ("{config: alembic.ini, url: 'postgresql://db/games'}", "alembic,postgres"),
    "rabbitmq.ready": ("{url: 'amqp://mq'}", "rabbitmq"),
    "rabbitmq.topology": ("{url: 'amqp://mq', queues: [{name: jobs}]}", "rabbitmq"),
    "redis.ready": ("{url: 'redis://cache'}", "redis"),
    "postgres.roles": ("{url: 'postgresql://db/games', roles: [{name: app}]}", "postgres"),
    "postgres.database": ("{url: 'postgresql://db/games', owner: app}", "postgres"),
    "mysql.database": ("{url: 'mysql://db/games'}", "mysql"),
    "s3.bucket": ("{bucket: uploads}", "s3"),
}
NEED_NONE = {"tcp.ready", "http.ready", "http.resource", "file.ready", "command.run", "python.call"}


@pytest.fixture(scope="session")
def core(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with inithold and what `pip install inithold` would bring, and nothing else."""
    folder = tmp_path_factory.mktemp("core") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name in required(project["dependencies"]):
        for file in {Path(file.parts[0]) for file in distribution(name).files or () if file.parts[0] != ".."}:
            there = Path(str(distribution(name).locate_file(file)))
            if there.exists() and not (packages / file).exists():
                (packages / file).symlink_to(there)
    (packages / "inithold").symlink_to(Path(inithold.__file__).parent)  # the tree's, or an installed wheel's
    return folder / "bin" / "python"


def required(requirements: list[str]) -> Iterator[str]:
    """The distributions that these need, and what those need in turn; none of their extras."""
    for requirement in requirements:
        if "extra ==" not in requirement:
            name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
            try:
                needed = distribution(name).requires or []
            except importlib.metadata.PackageNotFoundError:
                continue  # for another platform or an older Python
            yield name
            yield from required(needed)


def program(core: Path) -> tuple[str, ...]:
    return (str(core), "-m", "inithold")


def test_every_kind_is_looked_at() -> None:
    assert set(REFUSED) | NEED_NONE == set(KINDS)


@pytest.mark.parametrize("kind", REFUSED)
def test_a_kind_is_refused_before_any_step(core: Path, run_inithold: Inithold, tmp_path: Path, kind: str) -> None:
    fields, extras = REFUSED[kind]
    (tmp_path / "inithold.yaml").write_text(
        "version: 1\nname: core\nsteps:\n  - {id: first, uses: command.run, with: {run: touch ran}}\n"
        f"  - {{id: second, uses: {kind}, with: {fields}}}\n"
    )
    # All three load the plan alike, which is what refuses it.
    for command in ("run", "plan", "wait") if kind == "database.ready" else ("run",):
        init = run_inithold.start(command, program=program(core))
        assert init.wait() == 2, init.output
        said = re.search(r"pip install 'inithold\[(.*)\]'", init.stderr)
        assert said and set(said[1].split(",")) == set(extras.split(",")), init.stderr
        assert "inithold.yaml:5:" in init.stderr and "step 'second'" in init.stderr
        assert "Traceback" not in init.output
    assert not (tmp_path / "ran").exists()


URLS = {
    "postgresql://db/games": "postgres",
    "mysql://db/games": "mysql",
    "amqp://mq": "rabbitmq",
    "redis://c": "redis",
}


@pytest.mark.parametrize("url", URLS)
def test_a_url_that_is_waited_for_is_refused_alike(core: Path, run_inithold: Inithold, url: str) -> None:
    for arguments in (("wait", url), ("run", "--wait", url, "--", "touch", "ran")):
        init = run_inithold.start(*arguments, program=program(core))
        assert init.wait() == 2, init.output
        assert f"pip install 'inithold[{URLS[url]}]'" in init.stderr
        assert "Traceback" not in init.output
    assert not (run_inithold.folder / "ran").exists()


def test_what_needs_no_extra_works(core: Path, run_inithold: Inithold, tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text("def work(): print('worked')\n")
    (tmp_path / "inithold.yaml").write_text(
        "version: 1\nname: core\nhold: {verify: 1s}\nsteps:\n"
        "  - {id: file, uses: file.ready, with: {path: work.py}}\n"
        "  - {id: tables, uses: database.sql, with: {url: 'sqlite:///x.db', sql: CREATE TABLE t (n int), "
        "unless: SELECT 1 FROM sqlite_master}}\n"
        "  - {id: command, uses: command.run, with: {run: touch made, creates: made}}\n"
        "  - {id: work, uses: python.call, with: {call: 'work:work'}}\n"
    )
    env = {"PYTHONPATH": str(tmp_path)}
    for arguments, code in (("kinds",), 0), (("schema",), 0), (("plan", "--exit-code"), 3), (("run", "--once"), 0):
        done = run_inithold.start(*arguments, program=program(core), env=env)
        assert done.wait() == code, done.output
    init = run_inithold.start("run", program=program(core), env=env)
    init.wait_for_output("holding")
    (tmp_path / "made").unlink()
    init.wait_for_output("again: command: + made")
    for arguments in (("health",), ("status",)):
        init.wait_until(lambda: run_inithold.start(*arguments, program=program(core)).wait() == 0, arguments[0])  # noqa: B023


def test_telemetry_that_cannot_be_sent_is_one_warning(core: Path, run_inithold: Inithold) -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{closed_port()}"}
    init = run_inithold.start("run", "--once", "--", "true", program=program(core), env=env)
    assert init.wait() == 0, init.output
    assert init.stderr.count("pip install") == 1
    assert "pip install 'inithold[otel]'" in init.stderr
