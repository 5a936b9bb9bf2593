"""Each rule on its own bad, good and fixed files, and its page.

`UPDATE_CASES=1` writes what is expected anew; read the difference before you commit it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from inithold.compose import rules
from inithold.compose.read.project import load_project
from inithold.compose.rules import RULES, Rule
from inithold.compose.stack.roles import read_stack
from unit.compose.case import CASES, contents, for_check, options_of, run, run_json

IDS = [rule.id for rule in RULES]


def _stack(rule: str, kind: str, folder: Path) -> Path:
    for path in sorted((CASES / "rules" / rule).glob(f"{kind}*.yaml")):
        (folder / path.name.replace(kind, "compose", 1)).write_bytes(path.read_bytes())
    return folder


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")


@pytest.mark.parametrize("rule", IDS)
def test_bad_is_found_and_fixed(rule: str, tmp_path: Path) -> None:
    case = CASES / "rules" / rule
    folder, options = _stack(rule, "bad", tmp_path), options_of(case)
    before = contents(folder)
    found = [each for each in run_json(folder, options) if each["id"] == rule]
    assert found, "the bad file is not found"
    lines = [
        f"{each['file']}:{each['line']}:{each['column']} {each['severity']} {each['message']}" for each in found
    ]

    run(folder, "fix", *options)
    after = contents(folder)
    changed = {name: data for name, data in after.items() if data != before[name]}
    left = [each for each in run_json(folder, options) if each["id"] == rule]
    if os.environ.get("UPDATE_CASES"):
        _write(case, lines, changed)
    assert lines == (case / "findings").read_text().splitlines()
    expected = {path.name.replace("fixed", "compose", 1): path.read_bytes() for path in case.glob("fixed*.yaml")}
    assert changed == expected
    # A check knows no --wrap: it is `fix` that has the way out for a one-shot.
    stays = 0 if "--wrap" in options else sum(not each["fix"] for each in found)
    assert len(left) == stays, "what has a fix is gone, the rest stays"
    assert all(each["by_hand"] for each in left)

    run(folder, "fix", *options)
    assert contents(folder) == after, "a second fix changed something"


@pytest.mark.parametrize("rule", IDS)
def test_good_is_clean(rule: str, tmp_path: Path) -> None:
    folder = _stack(rule, "good", tmp_path)
    outcome = run(folder, "check", *for_check(options_of(CASES / "rules" / rule)))
    assert outcome.output == "no findings\n", outcome.output


@pytest.mark.parametrize("rule", IDS)
def test_silenced_by_a_comment(rule: str, tmp_path: Path) -> None:
    folder, options = _stack(rule, "bad", tmp_path), options_of(CASES / "rules" / rule)
    found = [each for each in run_json(folder, options) if each["id"] == rule]
    for name in sorted({str(each["file"]) for each in found}):
        lines = (folder / name).read_text().splitlines()
        wanted = sorted({int(str(each["line"])) for each in found if each["file"] == name}, reverse=True)
        for line in wanted:
            indent = re.match(r"\s*", lines[line - 1])
            assert indent is not None
            lines.insert(line - 1, f"{indent[0]}# inithold: ignore[{rule}]")
        (folder / name).write_text("\n".join(lines) + "\n")
    assert [each for each in run_json(folder, options) if each["id"] == rule] == []


@pytest.mark.parametrize("rule", RULES, ids=IDS)
def test_page_examples(rule: Rule, tmp_path: Path) -> None:
    """The page says what happens and shows before and after; what it shows is YAML of a stack."""
    page = rule.page
    assert {"## What happens", "## Before"} <= set(page.splitlines())
    examples = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert len(examples) == 2
    for number, example in enumerate(examples):
        path = tmp_path / f"{number}.yaml"
        path.write_text(example)
        read_stack(load_project([path.name], folder=tmp_path, environment={}))


def test_every_rule_has_its_page_and_its_cases() -> None:
    pages = Path(rules.__file__).with_name("pages")
    assert {path.stem for path in pages.iterdir()} == set(IDS)
    assert {path.name for path in (CASES / "rules").iterdir()} == set(IDS)


def _write(case: Path, lines: list[str], changed: dict[str, bytes]) -> None:
    (case / "findings").write_text("\n".join(lines) + "\n")
    for name, data in changed.items():
        (case / name.replace("compose", "fixed", 1)).write_bytes(data)
