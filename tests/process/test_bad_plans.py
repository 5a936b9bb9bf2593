"""A plan that is wrong is refused whole, before any step: exit 2, file and line, what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from servers.inithold import Inithold

HEAD = "version: 1\nname: bad\nsteps:\n  - {id: first, uses: command.run, with: {run: touch ran}}\n"
BAD: dict[str, tuple[str | bytes, str]] = {
    "unset variable": (
        HEAD + "  - {id: a, uses: file.ready, with: {path: '${NOT_SET}'}}\n",
        "inithold.yaml:5:44: ${NOT_SET}: the variable is not set; set it",
    ),
    "unset variable with a message": (
        HEAD + "  - {id: a, uses: file.ready, with: {path: '${NOT_SET:?the path of the data}'}}\n",
        "inithold.yaml:5:44: ${NOT_SET}: the path of the data",
    ),
    "missing secret file": (
        HEAD + "  - {id: a, uses: file.ready, with: {path: '${secret:absent}'}}\n",
        "inithold.yaml:5:44: ${secret:absent}: there is no file /run/secrets/absent",
    ),
    "unknown key": (
        HEAD + "  - {id: a, uses: file.ready, neds: [], with: {path: /}}\n",
        "inithold.yaml:5:31: step 'a': unknown key 'neds'; did you mean 'needs'?",
    ),
    "unknown kind": (
        HEAD + "  - {id: a, uses: file.raedy, with: {path: /}}\n",
        "inithold.yaml:5:13: step 'a': uses: unknown kind 'file.raedy'; did you mean 'file.ready'?",
    ),
    "duplicate id": (
        HEAD + "  - {id: first, uses: file.ready, with: {path: /}}\n",
        "inithold.yaml:5:6: step 'first': id: there is another step 'first' in line 4",
    ),
    "cycle": (
        HEAD
        + "  - {id: a, uses: file.ready, needs: [b], with: {path: /}}\n"
        + "  - {id: b, uses: file.ready, needs: [a], with: {path: /}}\n",
        "circular needs: a -> b -> a",
    ),
    "need of an unknown step": (
        HEAD + "  - {id: a, uses: file.ready, needs: [frist], with: {path: /}}\n",
        "inithold.yaml:5:39: step 'a': needs[0]: there is no step 'frist'; did you mean 'first'?",
    ),
    "wrong type": (
        HEAD + "  - {id: a, uses: file.ready, with: {path: [1]}}\n",
        "inithold.yaml:5:38: step 'a': path: expected a text, got a list",
    ),
    "bad duration": (
        HEAD + "  - {id: a, uses: file.ready, timeout: 5, with: {path: /}}\n",
        "inithold.yaml:5:31: step 'a': timeout: expected a duration with a unit, such as 5s",
    ),
    "bad retry": (
        HEAD + "  - {id: a, uses: file.ready, retry: {attempts: 0}, with: {path: /}}\n",
        "step 'a': retry.attempts: expected a whole number >= 1",
    ),
    "empty": ("", "inithold.yaml:1: the plan is empty"),
    "no steps": ("version: 1\nsteps: []\n", "inithold.yaml:2:1: steps: the plan has no steps"),
    "not YAML": ("version: 1\nsteps: [\n", "inithold.yaml:3:1: not valid YAML"),
    "NUL": (b'name: "a\\0b"\ntimeout: "\\0"\nsteps: []\n', "inithold.yaml:1:7: it has a NUL character"),
    "binary": (b"\x7fELF\x00\x01", "inithold.yaml: not a text file: it has NUL bytes in it"),
    "10 MB": ("# " + "x" * 10_000_000, "inithold.yaml: larger than 8 MiB, the most that is read"),
    "aliases that explode": (
        "version: 1\nx-a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
        + "".join(
            f"x-{n}: &{n} [{', '.join(f'*{o}' for _ in range(10))}]\n"
            for o, n in zip("abcdefgh", "bcdefghi", strict=True)
        )
        + "steps: []\n",
        "values once its aliases are followed",
    ),
    "another version": (HEAD.replace("version: 1", "version: 2"), "inithold.yaml:1:1: version: expected 1"),
}


TO_ALL = ("unset variable", "cycle", "not YAML", "binary")
"""Faults of each sort: of a value, of the whole, of a file that cannot be read. All commands load a plan alike."""


@pytest.mark.parametrize("name", BAD)
def test_is_refused(run_inithold: Inithold, tmp_path: Path, name: str) -> None:
    content, said = BAD[name]
    (tmp_path / "inithold.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    for command in ("run", "plan", "wait") if name in TO_ALL else ("run",):
        done = run_inithold(command)
        assert done.returncode == 2, done.stderr
        assert said in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout == ""
    assert not (tmp_path / "ran").exists(), "no step has run"
    assert not (tmp_path / "init-complete.record.json").exists()


def test_all_faults_come_together(run_inithold: Inithold, tmp_path: Path) -> None:
    (tmp_path / "inithold.yaml").write_text(
        "version: 1\n"
        "nmae: x\n"
        "steps:\n"
        "  - {id: a, uses: file.raedy, neds: [], timeout: 5, when: maybe, with: {path: /}}\n"
        "  - {id: b, uses: file.ready, on_failure: go-on, with: {pth: '${NOT_SET}'}, needs: [c]}\n"
    )
    done = run_inithold("run")
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    said = ("nmae", "file.raedy", "neds", "timeout", "when", "on_failure", "pth", "NOT_SET", "'path' is missing")
    for what in (*said, "no step 'c'"):
        assert any(what in line for line in lines), (what, done.stderr)
    places = [line.split(":")[1] for line in lines if line.startswith("inithold.yaml:")]
    assert places == sorted(places)
    assert lines[-1] == "inithold: the plan is refused; nothing was run"


def test_yaml_1_1_traps_are_read_as_yaml_1_2(run_inithold: Inithold, tmp_path: Path) -> None:
    (tmp_path / "inithold.yaml").write_text(
        "version: 1\nname: no\nsteps:\n"
        "  - {id: on, uses: command.run, with: {run: [echo, 0o17, 1:30, no, 012, 1e3, 2001-01-01]}}\n"
    )
    done = run_inithold("run", "--once")
    assert done.returncode == 0, done.stderr
    assert "| 0o17 1:30 no 012 1e3 2001-01-01" in done.stderr
    assert "no: ready in" in done.stderr


def test_a_file_that_is_not_there_says_what_to_do(run_inithold: Inithold, tmp_path: Path) -> None:
    done = run_inithold("run")
    assert done.returncode == 2
    assert f"there is no inithold.yaml in {tmp_path}" in done.stderr
    assert "next: put or mount one there, or name a plan as the argument" in done.stderr
    assert "absent.yaml: cannot read: No such file or directory" in run_inithold("run", "absent.yaml").stderr


def test_another_ending_is_noticed(run_inithold: Inithold, tmp_path: Path) -> None:
    (tmp_path / "inithold.yml").write_text(HEAD)
    for command in ("run", "plan", "wait"):
        done = run_inithold(command)
        assert done.returncode == 2
        assert "next: inithold.yml is here: rename it, name it as the argument, or set INITHOLD" in done.stderr


@pytest.mark.parametrize("command", [("run",), ("run", "--only", "x"), ("plan",)])
def test_a_url_is_no_plan(run_inithold: Inithold, command: tuple[str, ...]) -> None:
    done = run_inithold(*command, "postgresql://app:hunter2-hunter2@db/games")
    assert done.returncode == 2
    assert "postgresql://app:***@db/games is a URL, not a plan" in done.stderr
    assert "next: wait for a URL with inithold wait URL" in done.stderr
    assert "hunter2" not in done.stdout + done.stderr
