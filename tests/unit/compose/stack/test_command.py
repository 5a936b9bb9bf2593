"""What a service's command does."""

from __future__ import annotations

from pathlib import Path

import pytest

from inithold.compose.read.project import load_project
from inithold.compose.stack.command import read_command


@pytest.mark.parametrize(
    ("script", "end"),
    [
        ("mc alias set s3 http://s3; mc mb s3/a; exit 0", "exit 0"),
        ("mc mb s3/a || true", "|| true"),
        ("mc mb s3/a || :", "|| :"),
        ("mc mb s3/a || exit 0", "|| exit 0"),
        ("mc mb s3/a || echo 'it exists'", "|| echo 'it exists'"),
        ("mc mb s3/a\nexit 0\n", "exit 0"),
        ("mc mb s3/a; exit 0; ", "exit 0"),
        ("mc mb s3/a; exit", None),  # with the code of the last command
        ("set +e; ./migrate; exit 0", "exit 0"),
        ("set -e; ./migrate; set +e; ./seed; exit 0", "exit 0"),
        ("set -e; ./migrate; ./seed || true", "|| true"),
        ("./migrate\n# done\necho done", "echo done"),
        ("./migrate; echo done; exit 0", "echo done; exit 0"),
        ("until mc alias set s3 http://s3; do sleep 1; done; mc mb s3/a; exit 0", "exit 0"),
        ("for each in a b; do mc mb s3/$$each; done; echo made", "echo made"),
        ("while read line; do ./load $$line; done < list; true", "true"),
        ("./migrate; touch /tmp/ready; sleep infinity", "touch /tmp/ready"),
        ("./migrate\necho ok > /tmp/ready\ntail -f /dev/null", "echo ok > /tmp/ready"),
        ("./migrate || true; touch /tmp/ready; sleep infinity", "touch /tmp/ready"),
        ("./load \\\n  echo", None),
        ("echo loading\n./load", None),
        ("./migrate", None),
        ("./migrate && echo done", None),
        ("./migrate && exit 0", None),
        ("set -e; ./migrate; echo done", None),
        ("set -eu\n./migrate\necho done", None),
        ("./migrate; code=$$?; echo done; exit $$code", None),
        ("./migrate || exit 1; echo done", None),
        ("if ./migrate; then echo done; else echo failed; exit 1; fi; exit 0", None),
        ("until ./ping; do sleep 1; done; echo up", None),
        ("while ! ./ping; do echo waiting; sleep 1; done\necho up", None),
        ("sleep 10; echo done", None),
        ("mkdir -p /state; ./migrate && touch /tmp/ready; sleep infinity", None),
        ("rm -f /tmp/ready; touch /tmp/ready; sleep infinity", None),
        ("set -e; ./migrate; touch /tmp/ready; sleep infinity", None),
    ],
)
def test_what_lets_a_script_succeed_though_its_work_fails(script: str, end: str | None, tmp_path: Path) -> None:
    # Under `inithold run` what sleeps for ever is never done.
    wrapped = [] if "sleep" in script or "tail" in script else ["[inithold, run, --, sh, -c]"]
    for shell in ("[sh, -c]", "[/bin/bash, -c]", "[env, A=b, sh, -xc]", *wrapped):
        assert _masked_by(tmp_path, shell, script) == end, shell
    assert _masked_by(tmp_path, "[sh, -ec]", script) in (None, end if "||" in script or "+e" in script else None)
    assert _masked_by(tmp_path, "[tool]", script) is None, "this is no shell"


def _masked_by(folder: Path, entrypoint: str, script: str) -> str | None:
    body = script.replace("\n", "\n        ")
    text = (
        f"services:\n  it:\n    image: x\n    entrypoint: {entrypoint}\n    command:\n      - |-\n        {body}\n"
    )
    (folder / "compose.yaml").write_text(text)
    return read_command(load_project(["compose.yaml"], folder=folder, environment={}).services["it"]).masked_by
