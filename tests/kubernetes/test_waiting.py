"""The commands that wait: each returns on both outcomes. kubectl is a stand-in that knows one outcome."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from docs.pages import DOCS, ROOT, blocks

EXAMPLE = ROOT / "examples" / "kubernetes"
GUIDE = DOCS / "how-to" / "kubernetes.md"
KUBECTL = """#!/bin/sh
# Waits for one outcome forever, and sees the other at once. The Pod is there when it is asked for a second time;
# before that, `wait` ends with an error, as the real one does.
pod="$0.pod"
case "$*" in
  *"get pod"*) if [ -e "$pod" ]; then echo pod/init-1; else touch "$pod"; fi; exit ;;
  *" pod "*) [ -e "$pod" ] || exit 1 ;;
esac
case "$*" in
  *{seen}*) exit 0 ;;
esac
exec sleep 600
"""
SIGNS = {
    "wait-for-job.sh": {"ready": "condition=complete", "failed": "condition=failed"},
    "wait-for-deployment.sh": {"ready": "rollout status", "failed": "terminated.reason"},
}


@pytest.mark.parametrize("outcome", ["ready", "failed"])
@pytest.mark.parametrize("script", SIGNS)
def test_returns_on_both_outcomes(script: str, outcome: str, tmp_path: Path) -> None:
    file = EXAMPLE / script
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(KUBECTL.format(seen=SIGNS[script][outcome].replace(" ", r"\ ")))
    kubectl.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", file], env=environment, timeout=60, check=False)
    assert (done.returncode == 0) is (outcome == "ready")


@pytest.mark.parametrize("script", SIGNS)
def test_the_guide_shows_it_and_the_readme_calls_it(script: str) -> None:
    (block,) = (block for block in blocks(GUIDE) if block.file == script)
    assert block.text == (EXAMPLE / script).read_text()
    assert f"sh {script}" in (EXAMPLE / "README.md").read_text()
