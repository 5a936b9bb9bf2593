"""`make demo` and `make test` where something is missing that only the machine's owner may install."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from servers.inithold import Completed, Inithold

ROOT = Path(__file__).parents[2]
TOOLS = ("bash", "sh", "env", "dirname", "cat", "grep", "uname", "mktemp", "rm", "mv", "tail", "touch", "make")
NOT_ROOT = "#!/bin/sh\necho 1000\n"
WITHOUT_VENV = "#!/bin/sh\necho \"No module named 'ensurepip'\" >&2\nexit 1\n"
TOO_OLD = "#!/bin/sh\nexit 1\n"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder of programs for somebody who is not root: the usual tools, and no Python."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in TOOLS:
        if found := shutil.which(name):
            (programs / name).symlink_to(found)
    add(programs, "id", NOT_ROOT)
    return programs


def add(programs: Path, name: str, script: str) -> None:
    (programs / name).write_text(script)
    (programs / name).chmod(0o755)


def run(machine: Path, *command: str, folder: Path = ROOT) -> Completed:
    done = subprocess.run(
        command,
        cwd=folder,
        env={"PATH": str(machine), "HOME": str(machine.parent)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return Completed(done.returncode, done.stdout, done.stderr, 0)


@pytest.mark.parametrize("python", ["none", "without venv", "too old"])
def test_a_python_that_will_not_do(machine: Path, tmp_path: Path, python: str) -> None:
    if python != "none":
        add(machine, "python3", WITHOUT_VENV if python == "without venv" else TOO_OLD)
    venv = tmp_path / "venv"
    done = run(machine, str(ROOT / "scripts" / "venv"), str(venv))
    assert done.returncode == 1
    assert "Python 3.11 or newer with its venv module is needed, and was not found" in done.stderr
    assert "apt-get install python3 python3-venv" in done.stderr
    assert "make PYTHON=/path/to/python3" in done.stderr
    assert not venv.exists()


@pytest.mark.parametrize("target", ["demo", "test"])
def test_make_says_it_too(machine: Path, tmp_path: Path, target: str) -> None:
    clone = tmp_path / "clone"
    (clone / "scripts").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "scripts/venv"):
        shutil.copy(ROOT / name, clone / name)
    done = run(machine, "make", target, folder=clone)
    assert done.returncode != 0
    assert "venv: install it (Debian, Ubuntu: apt-get install python3 python3-venv" in done.stderr
    assert not (clone / ".venv").exists(), "the next try begins anew"


def test_an_environment_that_was_left_half_made_is_made_anew(tmp_path: Path, run_inithold: Inithold) -> None:
    """As after Ctrl-C between `python -m venv` and pip; what pip does in it is not awaited."""
    venv = tmp_path / "venv"
    python = venv / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to("/bin/false")
    (venv / "left").touch()
    settings = {"PIP_NO_INDEX": "1", "HOME": str(tmp_path)}
    before = python.resolve()
    making = run_inithold.start(program=[str(ROOT / "scripts" / "venv"), str(venv)], env=settings)
    making.wait_until(lambda: python.exists() and python.resolve() != before, "Python in it", seconds=120)
    assert f"making {venv} with Python 3" in making.stdout
    assert not (venv / "left").exists()


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="Homebrew brings them on macOS")
def test_servers_are_named_to_whoever_may_not_install_them(machine: Path) -> None:
    done = run(machine, str(ROOT / "tests" / "install-servers"))
    assert done.returncode == 1
    for package in ("catatonit", "util-linux", "procps"):
        assert package in done.stderr
    assert "install-servers: install them and try again, for example: sudo apt-get install" in done.stderr
