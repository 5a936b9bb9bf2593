"""`inithold status`: records of other versions, files that are none, flags and their variables."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from inithold.record.status import main

GOLDEN = Path(__file__).parents[2] / "golden" / "record"


def test_a_record_of_the_first_version_is_read_forever(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main([f"--record={GOLDEN / 'version-1.json'}", f"--marker={tmp_path / 'marker'}"]) == 0
    shown = capsys.readouterr().out
    present, headline = shown.splitlines()[:2]
    assert re.fullmatch(r"failed at .*, nobody holds now", present)
    assert headline == "games: failed after 2.50 s: 1 unchanged, 1 changed, 2 failed, 1 skipped"
    assert "+ queue bot_events and 1 more" in shown
    assert "failed, tolerated" in shown
    assert "step seed (command.run on python -m app.seed) failed\n  seen:  exited 3\n" in shown
    assert "  next:  look at the log" in shown
    assert "not started, because of that: last" in shown


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "it is not JSON"),
        ("[]", "is not an inithold record"),
        ("{}", "is not an inithold record"),
        ('{"steps": []}', "is not an inithold record"),
        ('{"version": 1, "steps": []}', "is not an inithold record"),
        ('{"version": 1, "steps": [{}]}', "is not an inithold record"),
        ('{"version": 1, "steps": [3]}', "is not an inithold record"),
        ('{"version": 2, "steps": []}', "was written by a newer inithold (version 2 of the format)"),
    ],
)
def test_what_is_no_record(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, said: str) -> None:
    (tmp_path / "r.json").write_text(content)
    for flags in ([], ["--json"], ["--watch"], ["--all"]):
        assert main([*flags, "--record", str(tmp_path / "r.json")]) == 1
        assert said in capsys.readouterr().err


def test_a_folder_is_no_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--record", str(tmp_path)]) == 1
    assert "Is a directory" in capsys.readouterr().err


def test_flags_have_variables(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INITHOLD_RECORD", str(GOLDEN / "version-1.json"))
    monkeypatch.setenv("INITHOLD_JSON", "1")
    assert main([]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "games"
    monkeypatch.setenv("INITHOLD_JSON", "0")
    monkeypatch.setenv("INITHOLD_ALL", "yes")
    assert main([]) == 0
    assert "    topology: + queue bot_events\n" in capsys.readouterr().out


def test_bad_usage_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--jsn"]) == 2
    assert main(["--record"]) == 2
    assert "unknown argument" in capsys.readouterr().err
