"""Whatever a step kind gives up on, it says what to do next."""

from __future__ import annotations

import ast
from pathlib import Path

import inithold
from inithold.plan.model import Retry
from inithold.steps.tcp import Ready
from inithold.testing import drive
from inithold.text.duration import Duration

SOURCE = Path(inithold.__file__).parent
GOLDEN = Path(__file__).parents[2] / "golden"
FINAL = ("StepFailed", "Rejected")
NOT_FINAL = {
    "file": {"absent", "dangling-link"},
    "http": {
        *(
            "500-binary",
            "502-page",
            "503",
            "basic",
            "cut-short",
            "handshake-hung-up",
            "handshake-reset",
            "hung-up",
        ),
        *("redirect-to-nowhere", "redirects-in-a-circle", "refused", "reset", "too-slow", "without-text"),
    },
    "redis": {
        *("busy", "cluster-down", "handshake-hung-up", "hung-up", "loading", "master-down", "max-clients"),
        *(
            "misconf",
            "refused",
            "reset",
            "silent",
            "socket-absent",
            "stale-replica",
            "too-many-clients",
            "try-again",
        ),
    },
    "tcp": {"refused"},
}
"""What is tried again; when the time is up, the runner says what to do next."""


def test_no_kind_gives_up_without_a_hint() -> None:
    seen, bare = 0, []
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FINAL:
                seen += 1
                if not any(keyword.arg == "hint" for keyword in node.keywords):
                    bare.append(f"{path.relative_to(SOURCE)}:{node.lineno}")
    assert seen > 60
    assert bare == []


def test_every_message_on_file_that_is_final_has_one() -> None:
    bare = {
        f"{path.parent.name}/{path.name.partition('.')[0]}"  # whatever the version it is of
        for path in GOLDEN.glob("*/*.txt")
        if path.parent.name != "log" and "\nhint: " not in path.read_text()
    }
    assert bare == {f"{technology}/{case}" for technology, cases in NOT_FINAL.items() for case in cases}


def test_attempts_that_are_used_up_have_one() -> None:
    result = drive(Ready(address="127.0.0.1:1"), retry=Retry(attempts=2, delay=Duration(0.01)))
    assert result.reason == "127.0.0.1:1: connection refused"
    assert result.finished.hint
    assert "leave attempts out of retry" in result.finished.hint
