"""The data cases of the compose room, and how one is run."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

from inithold.cli.compose import compose
from inithold.errors import InitholdError

CASES = Path(__file__).parents[2] / "cases" / "compose"
_ONLY_FIX = ("--unsafe", "--wrap")


@dataclass(frozen=True)
class Outcome:
    """What a command did."""

    code: int
    output: str
    errors: str


def run(folder: Path, *arguments: str) -> Outcome:
    """Run `inithold compose ...` in a folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        result = CliRunner().invoke(compose, list(arguments), standalone_mode=False)
    finally:
        os.chdir(before)
    if isinstance(result.exception, InitholdError):
        return Outcome(result.exception.exit_code, "", str(result.exception))
    if result.exception is not None:
        raise result.exception
    return Outcome(int(result.return_value or 0), result.stdout, result.stderr)


def findings(folder: Path, options: list[str]) -> list[str]:
    """`file:line:column severity rule` of each finding."""
    listed = [*run_json(folder, options)]
    return [f"{each['file']}:{each['line']}:{each['column']} {each['severity']} {each['id']}" for each in listed]


def run_json(folder: Path, options: list[str]) -> list[dict[str, object]]:
    """The findings of a check."""
    outcome = run(folder, "check", *for_check(options), "--format", "json")
    assert outcome.code in (0, 1), outcome.errors
    found = json.loads(outcome.output)["findings"]
    assert outcome.code == (1 if found else 0)
    return list(found)


def for_check(options: list[str]) -> list[str]:
    """Options without those that only `fix` knows."""
    kept, skip = [], False
    for option in options:
        if skip:
            skip = False
        elif option in _ONLY_FIX:
            skip = option == "--wrap"
        else:
            kept.append(option)
    return kept


def options_of(case: Path) -> list[str]:
    """The options a case is run with."""
    return shlex.split((case / "options").read_text())


def contents(folder: Path) -> dict[str, bytes]:
    """Every file under a folder, by its relative name."""
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def lay_out(case: Path, folder: Path) -> Path:
    """A copy of the case's stack to work on."""
    return Path(shutil.copytree(case / "bad", folder / "stack"))


ENGINE = Path(__file__).parents[4] / "shared" / "engine" / "engine"
COMPOSE_VERSIONS = ("2.40.3", "5.6.1") if ENGINE.exists() else ("",)
"""The versions of Compose to be held against, as far as they can be had; "" for the one that is there."""


@cache
def docker_environment(version: str = "") -> dict[str, str] | None:
    """The environment in which `docker compose` runs; None where there is none.

    Args:
        version: of Compose, one of COMPOSE_VERSIONS; where empty this machine's own, else the test engine's.
    """
    environments = [] if version else [dict(os.environ)]
    if ENGINE.exists():
        asked = [ENGINE, "env", *(["--compose", version] if version else [])]
        exports = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60).stdout
        pairs = [line.removeprefix("export ").partition("=") for line in exports.splitlines() if "=" in line]
        given = {name: os.path.expandvars(" ".join(shlex.split(value))) for name, _, value in pairs}
        environments.append({**os.environ, **given})
    for environment in environments:
        if _version(environment):
            # Variables of this machine's own must not change the stack.
            return {name: value for name, value in environment.items() if not name.startswith("COMPOSE_")}
    return None


def major(environment: dict[str, str]) -> int:
    """The first number of the version of `docker compose` in an environment."""
    return int(_version(environment).lstrip("v").partition(".")[0])


def _version(environment: dict[str, str]) -> str:
    """The version of `docker compose` in an environment; empty where there is none."""
    command = [*_compose(environment), "version", "--short"]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _compose(environment: dict[str, str]) -> list[str]:
    """`docker compose`: without `docker`, which starts Compose twice, where Compose itself is found."""
    configuration = environment.get("DOCKER_CONFIG") or f"{environment.get('HOME', '')}/.docker"
    plugin = Path(configuration, "cli-plugins", "docker-compose")
    if plugin.is_file():
        return [str(plugin)]
    return [shutil.which("docker", path=environment.get("PATH")) or "docker", "compose"]


def compose_config(folder: Path, files: list[str], environment: dict[str, str], *options: str) -> dict[str, Any]:
    """What `docker compose config` makes of a stack."""
    named = [part for name in files for part in ("-f", name)]
    answer = subprocess.run(
        [*_compose(environment), *named, "config", *options],
        cwd=folder,
        env={**environment, "GOGC": "off"},  # a quarter of its time goes into garbage that it need not collect
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert answer.returncode == 0, answer.stderr
    return dict(yaml.safe_load(answer.stdout))
