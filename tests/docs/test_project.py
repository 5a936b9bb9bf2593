"""What a contributor meets before the code: workflows, forms, the security policy."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"


def test_the_workflows_have_no_security_findings() -> None:
    zizmor = Path(sys.executable).with_name("zizmor")
    done = subprocess.run([zizmor, "--offline", "--quiet", GITHUB], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_action_is_named_by_its_commit() -> None:
    for file in (GITHUB / "workflows").glob("*.yml"):
        for action in re.findall(r"uses: (\S+)", file.read_text()):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), f"{file.name}: {action}"


def test_the_workflow_tests_the_pythons_of_the_classifiers() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pythons = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    workflow = yaml.safe_load((GITHUB / "workflows" / "ci.yml").read_text())
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == pythons
    assert project["requires-python"] == f">={pythons[0]}"


def test_every_make_target_of_the_workflows_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for file in (GITHUB / "workflows").glob("*.yml"):
        for line in re.findall(r"\bmake ([a-z -]+)", file.read_text()):
            assert set(line.split()) <= targets, f"{file.name}: make {line}"


def test_a_bug_report_asks_for_the_version_and_the_status() -> None:
    form = yaml.safe_load((GITHUB / "ISSUE_TEMPLATE" / "bug.yml").read_text())
    required = {item["id"]: str(item) for item in form["body"] if item.get("validations", {}).get("required")}
    assert "inithold version" in required["version"]
    assert "inithold status --json" in required["status"]


def test_the_security_policy_says_how_to_report_and_who_may_write_the_plan() -> None:
    policy = (ROOT / "SECURITY.md").read_text()
    assert "Report a vulnerability" in policy
    assert "The plan is code" in policy


def test_the_links_of_the_pages_in_the_root_lead_somewhere() -> None:
    for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md"):
        for link in re.findall(r"\]\(([^)#]+)", (ROOT / name).read_text()):
            assert link.startswith("https://") or (ROOT / link).exists(), f"{name}: {link}"
