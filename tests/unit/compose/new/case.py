"""The data cases of the draft room: `tests/cases/new/NAME/{stack/, options, inithold.yaml, said}`."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from inithold.cli.new import new
from inithold.errors import InitholdError
from inithold.plan.load import load_text
from inithold.plan.model import CheckedPlan

ROOT = Path(__file__).parents[4]
CASES = ROOT / "tests" / "cases" / "new"
_URLS = (
    ("HOST$|SERVER$", "db"),
    ("REDIS|CELERY__?BROKER|CACHE", "redis://redis:6379/0"),
    ("RABBIT|AMQP|BROKER", "amqp://app:pw@rabbitmq/%2F"),
    ("MANAGEMENT|ENDPOINT", "http://app:pw@rabbitmq:15672"),
    ("URL|URI|CONN|DSN", "postgresql://app:pw@db/games"),
    ("PORT", "5432"),
)


@dataclass(frozen=True)
class Outcome:
    """What the command did."""

    code: int
    output: str
    errors: str


def _runner() -> CliRunner:
    # Before 8.2 click mixes the two outputs unless it is told not to.
    apart: Any = {"mix_stderr": False} if "mix_stderr" in signature(CliRunner).parameters else {}
    return CliRunner(**apart)


def run(folder: Path, *arguments: str) -> Outcome:
    """Run `inithold new ...` in a folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        result = _runner().invoke(new, list(arguments), standalone_mode=False)
    finally:
        os.chdir(before)
    if isinstance(result.exception, InitholdError):
        return Outcome(result.exception.exit_code, "", f"{result.exception}\n{result.exception.hint or ''}")
    if result.exception is not None:
        raise result.exception
    return Outcome(int(result.return_value or 0), result.stdout, result.stderr)


def lay_out(case: Path, folder: Path) -> Path:
    """A copy of the case's stack to work on."""
    return Path(shutil.copytree(case / "stack", folder / case.name))


def options_of(case: Path) -> list[str]:
    """The options a case is run with."""
    file = case / "options"
    return shlex.split(file.read_text()) if file.is_file() else []


def drafted(folder: Path, compose: str, *options: str) -> Outcome:
    """The draft of a stack given as text."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "compose.yaml").write_text(compose)
    return run(folder, "-o", "-", *options)


def environment_of(text: str, folder: Path) -> dict[str, str]:
    """An environment in which a draft loads: each variable and each secret file it refers to."""
    secrets = folder / "run-secrets"
    secrets.mkdir(exist_ok=True)
    for name in re.findall(r"\$\{secret:([\w.-]+)", text):
        (secrets / name).write_text("a p@ss/word\n")
    names = re.findall(r"(?<!\$)\$\{([A-Za-z_]\w*)", text)
    found = {name: next((value for part, value in _URLS if re.search(part, name)), "x") for name in names}
    return {**found, "INITHOLD_SECRETS_DIR": str(secrets)}


def load(text: str, folder: Path) -> CheckedPlan:
    """The draft as the plan loader takes it, in an environment of its own."""
    # It is looked for when the plan is loaded; here there is no container that has it.
    (folder / "definitions.json").write_text("{}")
    text = re.sub(r"definitions: \S*", f"definitions: {folder}/definitions.json", text)
    return load_text(text, "draft.yaml", environment_of(text, folder))
