"""Every example of the documents is what inithold takes, and does what the page says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from docs.pages import DOCS, ROOT, Block, all_blocks, blocks, documents
from docs.session import Session
from inithold.cli import cli
from inithold.plan.load import load_text
from unit.compose.case import run

RULES = "docs/reference/rules/"  # show stacks with faults; tests/unit/compose looks after them
BLOCKS = [block for block in all_blocks() if not block.page.startswith(RULES)]


def of(*languages: str) -> list[Block]:
    return [block for block in BLOCKS if block.language in languages]


KNOWN: Mapping[str, str] = {
    "DATABASE_URL": "postgresql://app@db/games",
    "RABBITMQ_URL": "amqp://app@rabbitmq/%2F",
    "RABBITMQ_MANAGEMENT_URL": "http://app@rabbitmq:15672",
    "REDIS_URL": "redis://redis:6379/0",
}
"""What variables of the examples hold; any other that has no default holds `x`."""


def variables_of(text: str) -> dict[str, str]:
    named = re.findall(r"\$\{([A-Za-z_]\w*)(?:\|url)?(?:\}|:?\?)", text)
    return {name: KNOWN.get(name, "x") for name in named}


@cache
def value_of(text: str) -> Any:
    """What a block of YAML holds; not to be changed."""
    return yaml.safe_load(text)


def plan_of(block: Block) -> str:
    """The plan a block is, or is a part of; empty if it is something else."""
    value = value_of(block.text)
    if isinstance(value, dict) and isinstance(value.get("steps"), list):
        return block.text
    if (
        isinstance(value, list)
        and value
        and isinstance(value[0], dict)
        and "uses" in value[0]
        and "id" in value[0]
    ):
        return f"version: 1\nname: part\nsteps:\n{block.text}"
    return ""


def is_stack(block: Block) -> bool:
    value = value_of(block.text)
    return isinstance(value, dict) and "services" in value


def names(found: list[Block]) -> list[str]:
    return [str(block) for block in found]


# Its kind is made by the page itself, which runs the plan.
PLANS = [block for block in of("yaml") if plan_of(block) and not block.page.endswith("write-a-kind.md")]
STACKS = [block for block in of("yaml") if is_stack(block)]


@pytest.mark.parametrize("block", PLANS, ids=names(PLANS))
def test_a_plan_loads(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in re.findall(r"\$\{secret:([\w.-]+)", block.text):
        (secrets / name).write_text("a-secret\n")
    (tmp_path / "seed.sql").write_text("SELECT 1")
    monkeypatch.chdir(tmp_path)
    text = plan_of(block)
    if text is not block.text:  # what a part needs stands elsewhere
        text = re.sub(r"needs: \[[^\]]+\]", "needs: []", text)
    plan = load_text(text, str(block), {**variables_of(text), "INITHOLD_SECRETS_DIR": str(secrets)})
    assert plan.steps


@pytest.mark.parametrize("block", STACKS, ids=names(STACKS))
def test_a_stack_has_no_findings(block: Block, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(block.text)
    for name in re.findall(r"file: (\S+?)[,}\s]", block.text):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    done = run(tmp_path, "check", "--engine", "25")
    assert done.code == 0, done.output + done.errors


def test_yaml_of_other_tools_is_yaml() -> None:
    for block in of("yaml"):
        assert value_of(block.text) is not None, str(block)


def test_python_compiles() -> None:
    for block in of("python"):
        compile(block.text, str(block), "exec")


COMMANDS = [
    pytest.param(command, id=f"{block}:{command[:40]}")
    for block in of("console")
    for command, _ in block.commands
    if re.match(r"inithold \w", command)
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_exists_with_its_options(command: str) -> None:
    words = shlex.split(re.split(r" (?:&|\||>|2>|;)", command, maxsplit=1)[0], comments=True)[1:]
    words = words[: words.index("--")] if "--" in words else words
    found: click.Command = cli
    context = click.Context(cli, info_name="inithold")
    while isinstance(found, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        inner = found.get_command(context, name)
        assert inner is not None, f"there is no command {name!r}"
        found = inner
    given = {word.partition("=")[0] for word in words if word.startswith("-")}
    known = {option for parameter in found.params for option in parameter.opts} | {"--help", "--version"}
    assert given <= known, f"unknown: {given - known}"


RUNNABLE = [path for path in documents() if any(block.order.startswith(("run", "hold")) for block in blocks(path))]


@pytest.mark.parametrize("path", RUNNABLE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_does_what_it_says(path: Path, tmp_path: Path) -> None:
    session = Session(tmp_path)
    try:
        for block in blocks(path):
            if block.file:
                target = tmp_path / block.file
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(block.text)
                if target.name == "pyproject.toml":
                    _install(tmp_path)
            elif block.order.startswith("run") and block.language == "python":
                _run_script(block, tmp_path)
            elif block.order.startswith("run"):
                if block.order == "run after the hold":
                    session.end()
                session.run(block)
            elif block.order == "hold":
                session.hold(block)
    finally:
        session.end()


def _install(folder: Path) -> None:
    """What `pip install .` does, into a folder of the page's own and without an index."""
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    install = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder / "site"), str(folder)]
    done = subprocess.run(install, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def _run_script(block: Block, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", block.text], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == block.exit_code, f"{block}\n{done.stdout}{done.stderr}"


def test_links_between_documents_lead_somewhere() -> None:
    # The site's builder looks at these, too; the README is not a page of it.
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target


def test_every_example_is_looked_at() -> None:
    """A fence of a language that no test here reads would rot."""
    known = {
        "yaml",
        "console",
        "python",
        "toml",
        "dockerfile",
        "json",
        "js",
        "ini",
        "sh",
        "text",
        "{toctree}",
        "{literalinclude}",
    }
    unknown = [f"{block} {block.language!r}" for block in BLOCKS if block.language not in known]
    assert not unknown
    assert DOCS.is_dir()
