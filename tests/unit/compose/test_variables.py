"""What Compose fills in is filled in before it is judged, and stays as it is written in the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from inithold.compose.read.interpolation import fill, interpolate
from unit.compose.case import findings, run, run_json


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("$$A ${A} $A", "$A one one"),
        ("${EMPTY}-${EMPTY:-b}-${EMPTY-b}", "-b-"),
        ("${NONE:-${ALSO_NONE:-deep}}", "deep"),
        ("${A:+${NONE-x}}${NONE:+y}${EMPTY+z}", "xz"),
        ("${A:?must}", "one"),
        ("${NONE:?must} ${A}", "${NONE:?must} one"),
        ("${NONE} $NONE ${NONE:-${NONE}}", "${NONE} $NONE ${NONE:-${NONE}}"),
        ("${", "${"),
        ("$ $1 ${1} ${A", "$ $1 ${1} ${A"),
        ("${A:-{}}", "one"),
        ("${NONE:-{a}}", "{a}"),
    ],
)
def test_fill(text: str, result: str) -> None:
    assert fill(text, {"A": "one", "EMPTY": ""}) == result


def test_a_file_name_that_cannot_be_told() -> None:
    assert interpolate("${DIR}/a.yaml", {}) is None
    assert interpolate("${DIR:-.}/a.yaml", {}) == "./a.yaml"


STACK = """\
services:
  store: {image: x}
  init: {image: x, command: "${INIT:-inithold run}", restart: "${POLICY:-unless-stopped}"}
  app:
    image: x
    depends_on:
      - ${STORE:-store}
"""


def test_the_environment_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "compose.yaml").write_text(STACK)
    assert findings(tmp_path, []) == []
    monkeypatch.setenv("STORE", "nowhere")
    (finding,) = run_json(tmp_path, [])
    assert (finding["id"], finding["line"], finding["related"]) == ("unknown-dependency", 7, "nowhere")
    (tmp_path / ".env").write_text("STORE=init\nPOLICY=always\n")
    monkeypatch.delenv("STORE")
    assert [each["id"] for each in run_json(tmp_path, [])] == ["init-restart-policy", "init-not-awaited"]


def test_a_list_with_a_variable_keeps_its_form(tmp_path: Path) -> None:
    """Compose fills in the items of a list, but no keys."""
    stack = STACK.replace("${STORE:-store}", "${STORE:-init}").replace(
        "unless-stopped}",
        'unless-stopped}", healthcheck: {test: [CMD, inithold, health], start_period: 15m, '
        'start_interval: 1s}, x-a: "',
    )
    (tmp_path / "compose.yaml").write_text(stack)
    outcome = run(tmp_path, "fix")
    assert outcome.code == 1
    assert "depends_on has a variable in it" in outcome.output
    assert (tmp_path / "compose.yaml").read_text() == stack


def test_the_keys_of_depends_on_are_not_filled_in(tmp_path: Path) -> None:
    """Compose refuses such a file."""
    (tmp_path / "compose.yaml").write_text("""\
services:
  store: {image: x}
  app: {image: x, depends_on: {"${STORE:-store}": {condition: service_started}}}
""")
    assert findings(tmp_path, []) == ["compose.yaml:3:32 error unknown-dependency"]
