"""`inithold status`: the table, the critical path, following a run, and past runs."""

from __future__ import annotations

import json
import os
import re
import signal
from itertools import pairwise
from pathlib import Path

import pytest

from records import ready, write
from servers.inithold import Inithold

PLAN = "version: 1\nname: shown\nsteps:\n"
BESIDE = """\
  - {id: slow, uses: command.run, with: {run: sleep 0.7; touch slow, creates: slow}}
  - {id: behind, uses: command.run, with: {run: touch behind, creates: behind}}
  - {id: quick, uses: file.ready, needs: [], with: {path: /}}
"""
WAITS = "  - {id: waits, uses: file.ready, with: {path: there}}\n"


def plan(run_inithold: Inithold, steps: str) -> None:
    (run_inithold.folder / "inithold.yaml").write_text(PLAN + steps)


def rows(table: str) -> dict[str, tuple[bool, list[str]]]:
    """Each step's row: whether it is marked, and its cells."""
    found = {}
    for line in table.splitlines():
        if match := re.match(r"([* ]) (\S.*)", line):
            cells = re.split(r" {2,}", match[2])
            found[cells[0]] = (match[1] == "*", cells[1:])
    return found


def seconds(text: str) -> float:
    number, unit = text.split()
    return float(number) / (1000 if unit == "ms" else 1)


def test_the_critical_path_is_marked_and_after_is_when_needs_were_met(run_inithold: Inithold) -> None:
    plan(run_inithold, BESIDE)
    assert run_inithold("run", "--once").returncode == 0
    status = run_inithold("status").stdout
    found = rows(status)
    assert found["STEP"][1] == ["OUTCOME", "CHANGES", "ATTEMPTS", "AFTER", "TIME"]
    assert {step: on_path for step, (on_path, _) in found.items() if step != "STEP"} == {
        "slow": True,
        "behind": True,
        "quick": False,
    }
    assert found["behind"][1][:3] == ["changed", "+ behind", "1"]
    after, took = (seconds(found["behind"][1][3]), seconds(found["slow"][1][4]))
    assert after >= 0.7
    assert after >= took
    assert seconds(found["quick"][1][3]) < after


def test_json_is_the_record_itself(run_inithold: Inithold, tmp_path: Path) -> None:
    plan(run_inithold, BESIDE)
    assert run_inithold("run", "--once").returncode == 0
    written = json.loads((tmp_path / "init-complete.record.json").read_text())
    shown = json.loads(run_inithold("status", "--json").stdout)
    assert shown.pop("present")["state"] == "over"
    assert shown == written


def test_watch_follows_a_run_to_its_end(run_inithold: Inithold, tmp_path: Path) -> None:
    plan(run_inithold, WAITS)
    watch = run_inithold.start("status", "--watch")
    watch.wait_for_output("waiting for a run to begin")
    run = run_inithold.start("run", "--once")
    watch.wait_for_output("waits waits: ")
    (tmp_path / "there").touch()
    assert run.wait() == 0
    assert watch.wait() == 0
    assert "shown: ready in " in watch.stdout.partition("STEP")[2].splitlines()[-5]
    assert watch.stdout.count("waiting for a run to begin") == 1


def test_watch_tells_a_pipe_news_only(run_inithold: Inithold, tmp_path: Path) -> None:
    plan(run_inithold, "  - {id: sleeps, uses: command.run, with: {run: sleep 2}}\n")
    watch = run_inithold.start("status", "--watch")
    watch.wait_for_output("waiting for a run to begin")
    assert run_inithold("run", "--once").returncode == 0
    assert watch.wait() == 0
    # Begun, checked, applying, ended, marker: far fewer than a table each quarter of a second.
    assert 2 <= watch.stdout.count("STEP") <= 6


def test_watch_at_a_terminal_keeps_the_times_going(run_inithold: Inithold, tmp_path: Path) -> None:
    plan(run_inithold, WAITS)
    run = run_inithold.start("run", "--once")
    run.wait_for_output("does not exist")
    watch = run_inithold.start("status", "--watch", terminal=True, env={"TERM": "xterm-256color"})
    watch.wait_until(lambda: watch.stdout.count("\x1b[H\x1b[J") >= 4, "four pictures")
    watch.signal(signal.SIGINT)
    assert watch.wait() == 130
    assert len(set(re.findall(r"running for ([^:]+):", watch.stdout))) >= 3


def test_watch_as_json_is_a_line_for_each_change(run_inithold: Inithold, tmp_path: Path) -> None:
    plan(run_inithold, WAITS)
    watch = run_inithold.start("status", "--watch", "--json")
    run = run_inithold.start("run", "--once")
    watch.wait_for_output('"waiting_for": "there does not exist"')
    (tmp_path / "there").touch()
    assert run.wait() == 0
    assert watch.wait() == 0
    records = [json.loads(line) for line in watch.stdout.splitlines()]
    assert [record["outcome"] for record in records[:-1]] == [None] * (len(records) - 1)
    assert records[-1]["outcome"] == "ready"
    assert all(one != two for one, two in pairwise(records))


def test_watch_of_a_run_that_is_over_shows_it_once(run_inithold: Inithold) -> None:
    plan(run_inithold, BESIDE)
    assert run_inithold("run", "--once").returncode == 0
    done = run_inithold("status", "--watch")
    assert (done.returncode, done.stdout.count("STEP")) == (0, 1)


def test_watch_of_what_is_no_record_ends(run_inithold: Inithold, tmp_path: Path) -> None:
    (tmp_path / "init-complete.record.json").write_text("{}")
    done = run_inithold("status", "--watch")
    assert done.returncode == 1
    assert done.stderr.count("is not an inithold record") == 1


def test_all_lists_runs_newest_first_with_outcome_time_and_changes(run_inithold: Inithold, tmp_path: Path) -> None:
    plan(run_inithold, BESIDE)
    for _ in range(2):
        assert run_inithold("run", "--once").returncode == 0
    plan(run_inithold, "  - {id: bad, uses: command.run, with: {run: [sh, -c, 'exit 3']}}\n")
    assert run_inithold("run", "--once").returncode == 1
    done = run_inithold("status", "--all")
    assert done.returncode == 0
    heads = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert [re.split(r" in | after ", head.partition("shown: ")[2])[0] for head in heads] == [
        "failed",
        "ready",
        "ready",
    ]
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d  shown: ", head) for head in heads)
    assert done.stdout.splitlines()[-2:] == ["    slow: + slow", "    behind: + behind"]
    assert [run["outcome"] for run in json.loads(run_inithold("status", "--all", "--json").stdout)] == [
        "failed",
        "ready",
        "ready",
    ]


@pytest.mark.parametrize("arguments", [["--all"], ["--json"], []])
def test_where_nothing_has_run_it_says_so(run_inithold: Inithold, arguments: list[str]) -> None:
    done = run_inithold("status", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no run here yet" in done.stderr


def test_all_tells_what_failed_and_which_run_was_broken_off(run_inithold: Inithold, tmp_path: Path) -> None:
    plan(run_inithold, "  - {id: bad, uses: command.run, with: {run: 'exit 3'}}\n")
    assert run_inithold("run", "--once").returncode == 1
    plan(run_inithold, WAITS)
    killed = run_inithold.start("run", "--once")
    killed.wait_for_output("does not exist")
    killed.wait_until(lambda: "waits waits" in run_inithold("status").stdout, "its record")
    killed.signal(signal.SIGKILL)
    killed.wait()
    plan(run_inithold, "  - {id: good, uses: file.ready, with: {path: /}}\n")
    assert run_inithold("run", "--once").returncode == 0
    newest, broken, failed, why = run_inithold("status", "--all").stdout.splitlines()
    assert "shown: ready in " in newest
    assert re.search(r"shown: broken off \(killed, or the machine went down\) after \d", broken)
    assert broken.endswith(": 1 waiting")
    assert "shown: failed after " in failed
    assert why == "    bad: failed: exited 3, with no output"


def first_line(run_inithold: Inithold) -> str:
    return run_inithold("status").stdout.partition("\n")[0]


def test_the_first_line_is_the_present_of_a_plain_hold(run_inithold: Inithold, tmp_path: Path) -> None:
    plan(run_inithold, BESIDE.replace("  - {id: quick", WAITS + "  - {id: quick"))
    init = run_inithold.start("run")
    init.wait_for_output("there does not exist")
    init.wait_until(lambda: "waits" in first_line(run_inithold), "the step that waits")
    assert re.fullmatch(r"running for \S+ m?s, step [34] of 4: waits", first_line(run_inithold))
    assert json.loads(run_inithold("status", "--json").stdout)["present"]["state"] == "running"
    (tmp_path / "there").touch()
    init.wait_for_hold()
    assert re.fullmatch(r"holding since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d", first_line(run_inithold))
    assert run_inithold("health").returncode == 0
    init.signal(signal.SIGKILL)
    init.wait()
    assert run_inithold("health").returncode == 1
    gone = first_line(run_inithold)
    assert gone.startswith("was ready at ")
    assert f"nobody holds now: the marker {init.marker} is stale: its process {init.pid} is gone" in gone


def test_the_present_of_a_verifying_hold(run_inithold: Inithold, tmp_path: Path) -> None:
    plan(run_inithold, WAITS + "hold: {verify: 1s, grace: 0s, on_drift: unhealthy}\n")
    (tmp_path / "there").touch()
    init = run_inithold.start("run")
    init.wait_for_hold()
    init.wait_until(lambda: ", verified " in first_line(run_inithold), "the first check")
    assert re.fullmatch(r"holding since \S+ \S+, verified \S+ m?s ago", first_line(run_inithold))
    (tmp_path / "there").unlink()
    init.wait_until(lambda: "withdrawn" in first_line(run_inithold), "the drift")
    init.wait_until(lambda: "there does not exist" in first_line(run_inithold), "why")
    assert re.fullmatch(
        r"not ready: withdrawn since .*: waits: .*there does not exist.*", first_line(run_inithold)
    )
    assert run_inithold("health").returncode == 1
    assert json.loads(run_inithold("status", "--json").stdout)["present"]["state"] == "withdrawn"


def test_the_present_after_a_run_that_was_broken_off(run_inithold: Inithold) -> None:
    plan(run_inithold, WAITS)
    init = run_inithold.start("run")
    init.wait_until(lambda: first_line(run_inithold).startswith("running for "), "it to run")
    init.signal(signal.SIGKILL)
    init.wait()
    present, headline = run_inithold("status").stdout.splitlines()[:2]
    assert re.fullmatch(r"nobody runs or holds now: the run that began at .* was interrupted", present)
    assert "shown: broken off (killed, or the machine went down) after" in headline


def test_the_present_after_once(run_inithold: Inithold) -> None:
    plan(run_inithold, BESIDE)
    assert run_inithold("run", "--once").returncode == 0
    assert re.match(r"was ready at .*, nobody holds now: .*--once", first_line(run_inithold))


@pytest.mark.parametrize("number", ["1e300", "-1e300", "1" + "0" * 400, "NaN", "Infinity", "[" * 9000])
def test_absurd_numbers_are_one_line(run_inithold: Inithold, tmp_path: Path, number: str) -> None:
    record = write(ready(), tmp_path / "init-complete.record.json")
    assert run_inithold("status").returncode == 0
    whole = record.read_text()
    for field in ("started", "ended"):
        record.write_text(re.sub(rf'"{field}":[^,]+', f'"{field}":{number}', whole))
        for arguments in ([], ["--json"], ["--all"]):
            done = run_inithold("status", *arguments)
            assert (done.returncode, "Traceback" in done.stderr) == (1, False)
            assert "is not an inithold record" in done.stderr
            assert len(done.stderr.splitlines()) <= 2


def test_a_record_that_is_a_pipe_is_an_error(run_inithold: Inithold, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "init-complete.record.json")
    done = run_inithold("status", seconds=20)
    assert done.returncode == 1
    assert "it is a named pipe, not a file" in done.stderr


def test_what_cannot_be_checked_is_counted_apart(run_inithold: Inithold) -> None:
    plan(run_inithold, BESIDE + "  - {id: seed, uses: command.run, with: {run: 'true'}}\n")
    done = run_inithold("run", "--once")
    assert "2 changed" in done.stderr
    assert ", 1 ran (cannot be checked)" in done.stderr
    assert "(? cannot be checked, so it runs each time" in run_inithold("status").stdout


ESCAPES = "\x1b[2J\x1b]0;title\x07\x9b31m\u202e"


@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["status", "--json"],
        ["status", "--all"],
        ["status", "--watch"],
        ["rerun"],
        ["report", "-o", "-"],
    ],
    ids=" ".join,
)
def test_a_record_by_somebody_else_cannot_steer_the_terminal(run_inithold: Inithold, command: list[str]) -> None:
    plan(run_inithold, "  - {id: no, uses: command.run, with: {run: exit 1}}\n")
    run_inithold("run", "--once")
    record = run_inithold.folder / "init-complete.record.json"
    text = record.read_text()
    for told in ("shown", "no", "exit 1"):
        assert f'"{told}"' in text
        text = text.replace(f'"{told}"', json.dumps(f"{told}{ESCAPES}"))
    record.write_text(text)
    done = run_inithold(*command)
    shown = done.stdout + done.stderr
    assert "no" in shown
    for character in ESCAPES[:1] + "\x07\x9b\u202e":
        assert character not in shown
        assert json.dumps(character)[1:-1] not in shown


@pytest.mark.parametrize("command", ["status --record", "status --marker", "health --marker", "rerun --marker"])
def test_a_path_cannot_steer_the_terminal(run_inithold: Inithold, command: str) -> None:
    done = run_inithold(*command.split(), ESCAPES)
    assert done.returncode == 1
    assert not any(character in done.stdout + done.stderr for character in "\x1b\x07\x9b\u202e")


@pytest.mark.parametrize(
    "content", ['{"outcome": "ready"}', '{"version": 1, "steps": [1]}', "[]", "1e400", "\udcff"]
)
def test_what_is_no_record_is_told_by_rerun_too(run_inithold: Inithold, content: str) -> None:
    (run_inithold.folder / "init-complete.record.json").write_text(content, errors="surrogateescape")
    done = run_inithold("rerun")
    assert done.returncode == 1
    assert "is not an inithold record" in done.stderr
    assert len(done.stderr.splitlines()) == 1
