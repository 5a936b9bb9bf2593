"""Values are filled in as Compose does, with the differences the design states."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inithold.plan.interpolate import Interpolation
from inithold.redaction.redact import scrub

ENVIRONMENT = {"SET": "value", "EMPTY": "", "ODD": "p@ss/w:rd%", "OTHER": "second"}


@pytest.mark.parametrize(
    ("written", "filled"),
    [
        ("plain", "plain"),
        ("${SET}", "value"),
        ("a${SET}b${SET}c", "avaluebvaluec"),
        ("${EMPTY}", ""),
        ("${UNSET:-x}", "x"),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY-x}", ""),
        ("${UNSET-x}", "x"),
        ("${SET:-x}", "value"),
        ("${SET:+yes}", "yes"),
        ("${EMPTY:+yes}", ""),
        ("${EMPTY+yes}", "yes"),
        ("${UNSET:+yes}", ""),
        ("${UNSET:-${OTHER}}", "second"),
        ("${UNSET:-${EMPTY:-deep}}", "deep"),
        ("${SET:?no}", "value"),
        ("$$", "$"),
        ("$${SET}", "${SET}"),
        ("$SET", "$SET"),
        ("100$", "100$"),
        ("${ODD|url}", "p%40ss%2Fw%3Ard%25"),
        ("${UNSET|url:-a b}", "a%20b"),
        ("${UNSET:-a:-b}", "a:-b"),
        ("{${SET}}", "{value}"),
    ],
)
def test_forms(written: str, filled: str) -> None:
    assert Interpolation(ENVIRONMENT).fill(written) == filled


def test_secret_file_less_one_newline(tmp_path: Path) -> None:
    (tmp_path / "db-password").write_text("s3cret-value\n\n")
    interpolation = Interpolation({"INITHOLD_SECRETS_DIR": str(tmp_path)})
    assert interpolation.fill("${secret:db-password}") == "s3cret-value\n"
    assert "s3cret-value" not in scrub("it said s3cret-value\n")


def test_secret_with_odd_characters_in_a_url(tmp_path: Path) -> None:
    (tmp_path / "db").write_text("pa/ss@word\n")
    assert (
        Interpolation({"INITHOLD_SECRETS_DIR": str(tmp_path)}).fill("x://u:${secret:db|url}@h")
        == "x://u:pa%2Fss%40word@h"
    )


def test_secret_with_a_default(tmp_path: Path) -> None:
    assert Interpolation({"INITHOLD_SECRETS_DIR": str(tmp_path)}).fill("${secret:absent:-fallback}") == "fallback"


def test_a_secret_that_is_a_pipe_is_an_error_and_no_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "db")
    with pytest.raises(ValueError, match=r"cannot read .*/db: it is a named pipe, not a file"):
        Interpolation({"INITHOLD_SECRETS_DIR": str(tmp_path)}).fill("${secret:db}")


def test_a_secret_with_a_nul_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "db").write_bytes(b"a\0b\n")
    with pytest.raises(ValueError, match=r"\$\{secret:db\}: .*/db has a NUL character"):
        Interpolation({"INITHOLD_SECRETS_DIR": str(tmp_path)}).fill("${secret:db}")


def test_values_are_never_parsed_as_yaml() -> None:
    from inithold.plan.load import load_text

    plan = load_text(
        "version: 1\nsteps:\n  - {id: a, uses: file.ready, with: {path: '${X}'}}\n", "x", {"X": "a: [b\n#}"}
    )
    assert plan.steps[0].step.path == "a: [b\n#}"  # type: ignore[attr-defined]
