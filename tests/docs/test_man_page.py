"""The manual page says what the commands do, and is one that troff reads without a warning."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib

import pytest

from docs.pages import ROOT
from inithold.cli import COMMANDS, options

PAGE = ROOT / "docs" / "reference" / "inithold.1"


def test_every_command_variable_and_exit_code_is_in_it() -> None:
    text = PAGE.read_text().replace("\\-", "-")
    assert set(re.findall(r"^\.SS inithold ([a-z]+)", text, re.M)) == set(COMMANDS)
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "EXIT STATUS", "ENVIRONMENT", "FILES"):
        assert f".SH {section}\n" in text
    assert all(variable in text.partition(".SH ENVIRONMENT")[2] for variable in options.VARIABLES)
    assert "/run/secrets/NAME" in text.partition(".SH FILES")[2]
    assert ".TP\n.B 126, 127\nwait: the command cannot be run, does not exist" in text


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff")
def test_troff_reads_it() -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", PAGE], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    assert "inithold run --wait postgresql://app@db/games -- alembic upgrade head" in re.sub(
        "\x1b\\[[0-9;]*m|.\b", "", done.stdout
    )


def test_it_is_installed_where_man_looks() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["shared-data"] == {"docs/reference/inithold.1": "share/man/man1/inithold.1"}
