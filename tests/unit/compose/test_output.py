"""The formats: text for people and problem matchers, JSON, SARIF 2.1.0, GitHub workflow commands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as SarifLog

from inithold.compose.rules import RULES
from inithold.version import DOCUMENTATION
from unit.compose.case import run

STACK = """\
services:
  init:
    image: app
    command: inithold run
    restart: "no"
    healthcheck:
      test: ["CMD", "inithold", "health"]
      start_period: 15m
      start_interval: 500ms
  web:
    image: web
    depends_on: {init: {condition: service_healthy, restart: true}, gone: {condition: service_started}}
  sté,ge:%:
    image: web
    command: a && b
""".replace("sté,ge:%", '"sté,ge:%"')
ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "compose.yaml").write_text(STACK)
    (tmp_path / "compose.prod.yaml").write_text("services: {}\n")
    return tmp_path


def test_text(folder: Path) -> None:
    outcome = run(folder, "check")
    lines = outcome.output.splitlines()
    assert outcome.code == 1
    assert lines[0].startswith("compose.yaml:5:14: warning: restart: no: init stays down after a failure")
    assert lines[0].endswith("[init-restart-policy]")
    assert lines[1] == "    fix: init.restart: unless-stopped"
    assert lines[2] == "    why: inithold compose rule init-restart-policy"
    assert lines[-1] == "4 findings, 2 that `inithold compose fix` fixes, 1 more with --unsafe"
    assert "note: compose.prod.yaml is not checked" in outcome.errors


def test_the_problem_matcher_reads_the_text(folder: Path) -> None:
    matcher = json.loads((ROOT / "docs" / "how-to" / "compose-problem-matcher.json").read_text())
    (pattern,) = matcher["problemMatcher"][0]["pattern"]
    found = [re.match(pattern["regexp"], line) for line in run(folder, "check").output.splitlines()]
    places = [
        tuple(match[pattern[part]] for part in ("file", "line", "column", "severity", "code"))
        for match in found
        if match
    ]
    assert places == [
        ("compose.yaml", "5", "14", "warning", "init-restart-policy"),
        ("compose.yaml", "12", "62", "warning", "restart-with-init"),
        ("compose.yaml", "12", "69", "error", "unknown-dependency"),
        ("compose.yaml", "15", "14", "error", "unshelled-command"),
    ]


def test_json(folder: Path) -> None:
    data = json.loads(run(folder, "check", "--format", "json").output)
    assert data["version"] == 1
    assert data["notes"] == ["compose.prod.yaml is not checked: give it with -f where it is used"]
    first, second, third, fourth = data["findings"]
    assert first == {
        "id": "init-restart-policy",
        "severity": "warning",
        "message": "restart: no: init stays down after a failure, and after a reboot its dependents come back "
        "without it",
        "file": "compose.yaml",
        "line": 5,
        "column": 14,
        "end_line": 5,
        "end_column": 18,
        "service": "init",
        "related": None,
        "documentation": f"{DOCUMENTATION}reference/rules/init-restart-policy.html",
        "fix": [{"service": "init", "path": ["restart"], "value": "unless-stopped"}],
        "unsafe": False,
        "by_hand": None,
    }
    assert second["fix"] == [{"service": "web", "path": ["depends_on", "init", "restart"], "remove": True}]
    assert third["by_hand"] and not third["fix"]
    assert fourth["unsafe"] and fourth["service"] == "sté,ge:%"


def test_github(folder: Path) -> None:
    lines = run(folder, "check", "--format", "github").output.splitlines()
    assert lines[0].startswith(
        "::warning file=compose.yaml,line=5,endLine=5,col=14,endColumn=18,title=inithold init-restart-policy::"
    )
    assert lines[3].startswith("::error file=compose.yaml,line=15,")
    assert "sté,ge:%25 runs without" in lines[3]
    assert lines[4].startswith("::notice::compose.prod.yaml is not checked")


def test_sarif(folder: Path) -> None:
    log = json.loads(run(folder, "check", "--format", "sarif").output)
    (each,) = log["runs"]
    assert log["version"] == "2.1.0"
    assert [rule["id"] for rule in each["tool"]["driver"]["rules"]] == [rule.id for rule in RULES]
    for rule in each["tool"]["driver"]["rules"]:
        assert rule["helpUri"] == f"{DOCUMENTATION}reference/rules/{rule['id']}.html"
    for result in each["results"]:
        assert each["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        (location,) = result["locations"]
        assert location["physicalLocation"]["artifactLocation"] == {"uri": "compose.yaml"}
    assert each["results"][0]["locations"][0]["physicalLocation"]["region"] == {
        "startLine": 5,
        "startColumn": 14,
        "endLine": 5,
        "endColumn": 18,
    }
    assert [result["level"] for result in each["results"]] == ["warning", "warning", "error", "error"]
    (said,) = each["invocations"][0]["toolExecutionNotifications"]
    assert said["message"]["text"].startswith("compose.prod.yaml is not checked")
    # Made from the schema of SARIF 2.1.0: unknown properties are refused.
    SarifLog.model_validate(log)
    with pytest.raises(ValidationError):
        SarifLog.model_validate({**log, "runs": [{**each, "result": []}]})


def test_sarif_names_files_of_other_folders_as_uris(tmp_path: Path) -> None:
    (tmp_path / "a b%").mkdir()
    (tmp_path / "a b%" / "é.yaml").write_text(STACK)
    log = json.loads(run(tmp_path, "check", "-f", "a b%/é.yaml", "--format", "sarif").output)
    SarifLog.model_validate(log)
    places = [result["locations"][0]["physicalLocation"] for result in log["runs"][0]["results"]]
    assert {place["artifactLocation"]["uri"] for place in places} == {"a%20b%25/%C3%A9.yaml"}


def test_comments_that_silence_nothing_are_named(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("services:\n  base:\n    # inithold: ignore[one-shot]\n    image: x\n")
    (tmp_path / "compose.yaml").write_text(
        "services:\n"
        "  a: {image: x}   # inithold: ignore[busy-prob, one-shot-init]\n"
        "  b: {extends: {file: base.yaml, service: base}}   # inithold: ignore\n"
    )
    outcome = run(tmp_path, "check")
    assert outcome.code == 0
    assert outcome.errors.splitlines() == [
        "note: compose.yaml:2: there is no rule 'busy-prob' to ignore; did you mean busy-probe?",
        "note: compose.yaml:3: nothing is silenced: write ignore[RULE]",
        "note: base.yaml:3: there is no rule 'one-shot' to ignore; did you mean one-shot-init?",
    ]


def test_a_comment_in_an_extended_file_silences(tmp_path: Path) -> None:
    text = "services:\n  base:\n    image: x\n    command: a && b\n"
    (tmp_path / "base.yaml").write_text(text)
    (tmp_path / "compose.yaml").write_text("services:\n  a: {extends: {file: base.yaml, service: base}}\n")
    assert run(tmp_path, "check").output.startswith("base.yaml:4:14: error: Compose starts no shell")
    (tmp_path / "base.yaml").write_text(text.replace("b\n", "b # inithold: ignore[unshelled-command]\n"))
    assert run(tmp_path, "check").code == 0


def test_nothing_found_in_every_format(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {a: {image: x}}\n")
    assert run(tmp_path, "check").output == "no findings\n"
    assert json.loads(run(tmp_path, "check", "--format", "json").output)["findings"] == []
    assert json.loads(run(tmp_path, "check", "--format", "sarif").output)["runs"][0]["results"] == []
    assert run(tmp_path, "check", "--format", "github").output == ""
    assert run(tmp_path, "check", "--format", "github").code == 0


SECRET_STACK = """\
services:
  init:
    image: app
    entrypoint: [mc, alias, set, local, "http://minio", admin, minio-secret-1]
    environment:
      POSTGRES_PASSWORD: "pg-secret-2"
      OPEN: shown
      DATABASE_URL: postgresql://app:url-secret-3@db/app
      FROM_OUTSIDE_PASSWORD: ${FROM_OUTSIDE_PASSWORD}
    restart: "no"
  web:
    image: web
    environment: [API_TOKEN=token-secret-4, "X=y"]
    depends_on:
      init: {condition: service_completed_successfully}
    command: [serve, --password, word-secret-5]
"""


def test_secrets_are_masked(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(SECRET_STACK)
    for arguments in (["fix", "--wrap", "shell", "--diff"], ["check"], ["fix", "--wrap", "inithold"]):
        outcome = run(tmp_path, *arguments)
        shown = outcome.output + outcome.errors
        assert not re.findall(r"\w+-secret-\d", shown), shown
        if "--diff" in arguments:
            assert "OPEN: shown" in shown
            assert "${FROM_OUTSIDE_PASSWORD}" in shown
            assert "service_healthy" in shown
    assert "minio-secret-1" in (tmp_path / "compose.yaml").read_text()


def test_rule_explains_each_rule(tmp_path: Path) -> None:
    listed = run(tmp_path, "rule").output.splitlines()
    assert [line.split()[0] for line in listed] == [each.id for each in RULES]
    page = run(tmp_path, "rule", "one-shot-init").output
    assert page.startswith("# one-shot-init\n\nA one-shot init service runs again on every `up`\n")
    assert "## After" in page
    for name, near in (
        ("one-shoot-init", "did you mean 'one-shot-init'?"),
        ("restart", "known are init-restart-policy, restart-with-init"),
    ):
        assert near in run(tmp_path, "rule", name).errors
    assert run(tmp_path, "rule", "nosuch").errors == "there is no rule 'nosuch': inithold compose rule lists them"
    wrong = run(tmp_path, "rule", "one-shot")
    assert (wrong.code, wrong.errors) == (2, "there is no rule 'one-shot'; did you mean 'one-shot-init'?")


def test_what_was_fixed_is_told_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        "services:\n"
        "  db: {image: 'postgres:17', healthcheck: {test: pg_isready}}\n"
        "  create-db: {image: x, command: psql -h db, depends_on: {db: {condition: service_healthy}}}\n"
        "  web: {image: x, depends_on: {db: {condition: service_healthy}}}\n"
    )
    outcome = run(tmp_path, "fix", "--unsafe")
    told = outcome.output + outcome.errors
    assert "fixed: web.depends_on.create-db: {condition: service_completed_successfully}" in told


SHARED = """\
x-app: &app
  image: app
  depends_on:
    - db
    - init
services:
  db: {image: postgres}
  init: {image: app, command: inithold run, healthcheck: {test: inithold health, start_period: 15m}}
  web: *app
  api: *app
  cron: *app
"""


def test_what_services_share_is_said_once(tmp_path: Path) -> None:
    """JSON, for programs, has a finding for each service."""
    (tmp_path / "compose.yaml").write_text(SHARED)
    where = "compose.yaml:5:7: error: web starts as soon as init runs, before the environment is ready; "
    text = run(tmp_path, "check").output.splitlines()
    (line,) = [line for line in text if "[init-not-awaited]" in line]
    assert line == f"{where}the same for api, cron [init-not-awaited]"
    changed = text[text.index(line) + 1]
    assert all(f"{name}.depends_on.init.condition: service_healthy" in changed for name in ("web", "api", "cron"))
    for form in ("github", "sarif"):
        assert run(tmp_path, "check", "--format", form).output.count("the same for api, cron") == 1
    listed = json.loads(run(tmp_path, "check", "--format", "json").output)["findings"]
    assert [each["service"] for each in listed if each["id"] == "init-not-awaited"] == ["web", "api", "cron"]
    named = run(tmp_path, "check", "--service", "cron").output
    assert "cron starts as soon as init runs, before the environment is ready [init-not-awaited]" in named
