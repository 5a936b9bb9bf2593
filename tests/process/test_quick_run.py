"""`inithold run [PLAN.yaml]` runs without the command-line framework, and as with it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from servers.inithold import Completed, Inithold

SLOW = {"INITHOLD_UNLESS": ""}
"""A variable that the quick path leaves to the full command, which ignores it."""
ONCE = {"INITHOLD_ONCE": "yes"}
PLANS = {
    "inithold.yaml": 'version: 1\nsteps: [{id: a, uses: command.run, with: {run: "echo done"}}]\n',
    "fails.yml": 'version: 1\nsteps: [{id: a, uses: command.run, with: {run: "exit 3"}}]\n',
    "wrong.yaml": "version: 1\nsteps: [{id: a, uses: comand.run}]\n",
}
CASES: list[tuple[list[str], dict[str, str], int]] = [
    ([], {}, 0),
    (["inithold.yaml"], {}, 0),
    (["./fails.yml"], {}, 1),
    (["wrong.yaml"], {}, 2),
    (["missing.yaml"], {}, 2),
    (["a b.yaml"], {}, 2),
    (["missing:plan"], {}, 2),
    (["inithold.yaml", "fails.yml"], {}, 2),
    (["--nonsense"], {}, 2),
    (["--help"], {}, 0),
    (["--", "echo", "passed on"], {}, 0),
    ([], {"INITHOLD_PLAN": "fails.yml"}, 1),
    ([], {"INITHOLD_LOG_LEVEL": "warning"}, 0),
    ([], {"INITHOLD_LOG_LEVEL": "warn"}, 2),
    ([], {"INITHOLD_LOG_FORMAT": ""}, 0),
    ([], {"INITHOLD_VERIFY": "never"}, 0),
    ([], {"INITHOLD_VERIFY": "sometimes"}, 2),
    ([], {"INITHOLD_RECORD": "a/new/folder/record.json"}, 0),
    ([], {"INITHOLD_MARKR": "x"}, 0),
    ([], {"INITHOLD_WAIT": "file:///no/such/scheme tcp://"}, 2),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in PLANS.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def alike(done: Completed) -> tuple[int, str, list[str]]:
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", done.stderr)
    text = re.sub(r" *\d+(\.\d+)? (ms|s)\b *", "DURATION", text)
    return done.returncode, done.stdout, text.splitlines()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("arguments", "variables", "code"), CASES)
def test_is_as_the_full_command(
    run_inithold: Inithold, arguments: list[str], variables: dict[str, str], code: int
) -> None:
    quick, full = (
        alike(run_inithold("run", *arguments, env={**ONCE, **variables, **more})) for more in ({}, SLOW)
    )
    assert quick == full
    assert quick[0] == code


@pytest.mark.parametrize(("arguments", "imported"), [([], False), (["--once"], True)])
def test_what_it_imports(folder: Path, arguments: list[str], imported: bool) -> None:
    script = (
        "import os, sys\nfrom inithold.__main__ import _answered\ncode = _answered(sys.argv[1:])\n"
        "print(code, 'click' in sys.modules)\nsys.stdout.flush()\nos._exit(0)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, "run", *arguments],
        cwd=folder,
        env={**ONCE, "INITHOLD_MARKER": str(folder / "marker")},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.splitlines()[-1] == f"0 {imported}", done.stderr
