"""`inithold run --only` and `--from`: a part of the plan again, while the environment stays what it is."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from servers.inithold import Inithold, Running
from servers.otlp import Collector
from servers.process import has_ended
from stopping import until

# Each step leaves a word in a file when it runs. `gate` waits for a file `go` once there is a file `slow`.
PLAN = """\
version: 1
name: game
steps:
  - {id: database, uses: command.run, with: {run: "echo database >> ran"}}
  - {id: migrate, uses: command.run, with: {run: "echo migrate >> ran"}}
  - {id: broker, uses: command.run, needs: [], with: {run: "echo broker >> ran"}}
  - id: topology
    uses: command.run
    with: {run: "echo topology >> ran; while [ -e slow ] && [ ! -e go ]; do sleep 0.05; done; test ! -e broken"}
  - {id: warm, uses: command.run, needs: [topology], on_failure: continue, with: {run: "test ! -e cold"}}
  - {id: seed, uses: command.run, needs: [migrate, topology], with: {run: "echo seed >> ran"}}
  - {id: extra, uses: command.run, when: "${EXTRA:-no}", with: {run: "echo extra >> ran"}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "inithold.yaml").write_text(PLAN)
    return tmp_path


def ran(folder: Path) -> list[str]:
    """What has run since this was asked last."""
    file = folder / "ran"
    words = file.read_text().split() if file.exists() else []
    file.unlink(missing_ok=True)
    return words


@pytest.fixture
def held(run_inithold: Inithold, folder: Path) -> Running:
    """A run that is ready and holds."""
    init = run_inithold.start("run")
    init.wait_for_hold()
    assert set(ran(folder)) == {"database", "migrate", "broker", "topology", "seed"}
    return init


class Vouched:
    """All that a repair has to leave alone: the marker, the record and its row, the holder."""

    def __init__(self, init: Running) -> None:
        self.init = init
        self.marker = self._marker()
        self.records = self._records()

    def assert_untouched(self) -> None:
        assert self._marker() == self.marker
        assert self._records() == self.records
        assert self.init.process.poll() is None

    def _marker(self) -> tuple[int, int, bytes]:
        seen = self.init.marker.stat()
        return seen.st_ino, seen.st_mtime_ns, self.init.marker.read_bytes()

    def _records(self) -> dict[str, bytes]:
        found = self.init.marker.parent.glob(f"{self.init.marker.name}.record*.json")
        return {path.name: path.read_bytes() for path in found if ".repair." not in path.name}


def repairs(init: Running | Inithold) -> list[dict[str, object]]:
    """The records of repairs, newest first."""
    row = [Path(f"{init.marker}.record.repair.json")]
    row += [Path(f"{init.marker}.record.repair.{number}.json") for number in range(1, 10)]
    return [json.loads(path.read_text()) for path in row if path.exists()]


# -- beside a hold


def test_health_stays_ready_during_and_after(run_inithold: Inithold, held: Running, folder: Path) -> None:
    before = Vouched(held)
    (folder / "slow").touch()
    repair = run_inithold.start("run", "--only", "topology")
    until((folder / "ran").exists)
    for _ in range(3):
        health = run_inithold("health")
        assert (health.returncode, health.stdout) == (0, "ready\n")
    before.assert_untouched()
    (folder / "go").touch()
    assert repair.wait() == 0, repair.output
    assert run_inithold("health").returncode == 0
    before.assert_untouched()
    assert ran(folder) == ["topology"]
    held.signal(signal.SIGTERM)
    assert held.wait() == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--only", "topology"], 1),
        (["--only=topology"], 1),
        (["--from", "topology"], 1),
        (["--from=nothing"], 2),
        (["--only", "nothing"], 2),
        (["--only", "seed", "--from", "seed"], 2),
        (["no-such-plan.yaml", "--only", "topology"], 2),
    ],
)
def test_a_repair_that_fails_leaves_it_ready(
    run_inithold: Inithold, held: Running, folder: Path, arguments: list[str], code: int
) -> None:
    before = Vouched(held)
    (folder / "broken").touch()
    assert run_inithold("run", *arguments).returncode == code
    before.assert_untouched()
    assert run_inithold("health").returncode == 0


def test_a_repair_that_is_stopped_leaves_it_ready(run_inithold: Inithold, held: Running, folder: Path) -> None:
    before = Vouched(held)
    (folder / "slow").touch()
    repair = run_inithold.start("run", "--only", "topology")
    until((folder / "ran").exists)
    repair.signal(signal.SIGTERM)
    assert repair.wait() == 128 + signal.SIGTERM
    before.assert_untouched()
    assert run_inithold("health").returncode == 0


NSENTER = shutil.which("nsenter", path=f"{os.environ.get('PATH', '')}:/usr/bin:/bin") or ""


@pytest.mark.skipif(os.geteuid() != 0 or not NSENTER, reason="needs leave to enter a pid namespace")
def test_beside_a_pid_1_that_holds(run_inithold: Inithold, folder: Path) -> None:
    unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    init = run_inithold.start("run", prefix=unshare)
    init.wait_for_hold()
    ran(folder)
    first = int(Path(f"/proc/{init.pid}/task/{init.pid}/children").read_text().split()[0])
    inside = [NSENTER, "--target", str(first), "--pid", "--mount", f"--wd={folder}"]
    assert run_inithold("health", prefix=inside).stdout == "ready\n"
    before = Vouched(init)
    assert run_inithold("run", "--only", "topology", prefix=inside).returncode == 0
    (folder / "broken").touch()
    assert run_inithold("run", "--only", "topology", prefix=inside).returncode == 1
    before.assert_untouched()
    assert run_inithold("health", prefix=inside).stdout == "ready\n"
    assert not has_ended(first)


# -- without a hold


@pytest.mark.parametrize("arguments", [["--only", "topology"], ["--from", "database"]])
def test_a_repair_ends_and_publishes_nothing(run_inithold: Inithold, folder: Path, arguments: list[str]) -> None:
    done = run_inithold("run", *arguments)
    assert done.returncode == 0
    assert not run_inithold.marker.exists()
    health = run_inithold("health")
    assert (health.returncode, "there is no marker" in health.stdout) == (1, True)
    assert run_inithold("status").returncode == 1


def test_the_marker_is_dropped_where_only_a_command_has_such_an_option(
    run_inithold: Inithold, folder: Path
) -> None:
    run_inithold.marker.write_text("stale")
    done = run_inithold("run", "--once", "--", "sh", "-c", "cat init-complete", "--only", "x")
    assert done.returncode == 1
    assert "stale" not in done.stdout


def test_where_no_marker_could_be_written(run_inithold: Inithold, folder: Path) -> None:
    done = run_inithold("run", "--only", "seed", env={"INITHOLD_MARKER": "/proc/no/marker"})
    assert done.returncode == 0
    assert "the record /proc/no/marker.record.repair.json cannot be written" in done.stderr


# -- which steps


@pytest.mark.parametrize(
    ("arguments", "steps"),
    [
        (["--only", "seed"], ["seed"]),
        (["--only", "seed", "--only", "database"], ["database", "seed"]),
        (["--only", "seed", "--only", "seed"], ["seed"]),
        (["--from", "migrate"], ["migrate", "seed"]),
        (["--from", "broker"], ["broker", "topology", "seed"]),
        (["--from", "seed"], ["seed"]),
    ],
)
def test_those_that_were_asked_for_in_order(
    run_inithold: Inithold, folder: Path, arguments: list[str], steps: list[str]
) -> None:
    assert run_inithold("run", *arguments).returncode == 0
    assert ran(folder) == steps


def test_a_named_step_that_fails_fails_the_repair(run_inithold: Inithold, folder: Path) -> None:
    """Its `on_failure: continue` is for the environment; who repairs it wants to know."""
    (folder / "cold").touch()
    assert run_inithold("run", "--only", "warm").returncode == 1
    dependent = run_inithold("run", "--from", "topology")
    assert dependent.returncode == 0
    assert "without warm" in dependent.stderr


def test_a_step_that_its_when_leaves_out(run_inithold: Inithold, folder: Path) -> None:
    done = run_inithold("run", "--only", "extra")
    assert (done.returncode, done.stderr) == (
        2,
        "inithold: --only: the when of step 'extra' is false, so it would not run\n"
        "next: set what its when reads, for this command alone\n",
    )
    assert run_inithold("run", "--only", "extra", env={"EXTRA": "yes"}).returncode == 0
    assert ran(folder) == ["extra"]
    from_seed = run_inithold("run", "--from", "seed")
    assert (from_seed.returncode, ran(folder)) == (0, ["seed"])
    assert "extra" in from_seed.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "topologie"], "--only: there is no step 'topologie'; did you mean 'topology'?"),
        (["--from", "seet"], "--from: there is no step 'seet'; did you mean 'seed'?"),
        (["--only", "seed", "--only", "zzz"], "there is no step 'zzz'; known are database, migrate"),
        (["--only", ""], "there is no step ''"),
        (["--only", "seed", "--from", "seed"], "give either --only or --from, not both"),
        (["--only", "seed", "--", "true"], "give no command after --"),
        (["--only"], "requires an argument"),
    ],
)
def test_bad_usage_is_2_and_runs_nothing(
    run_inithold: Inithold, folder: Path, arguments: list[str], words: str
) -> None:
    done = run_inithold("run", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert ran(folder) == []


def test_no_variable_narrows_every_run_of_a_container(run_inithold: Inithold, folder: Path) -> None:
    env: dict[str, str | None] = {"INITHOLD_ONLY": "seed", "INITHOLD_FROM": "seed", "INITHOLD_START": "seed"}
    assert run_inithold("run", "--once", env=env).returncode == 0
    assert set(ran(folder)) == {"database", "migrate", "broker", "topology", "seed"}


def test_wait_still_waits_first(run_inithold: Inithold, folder: Path) -> None:
    assert run_inithold("run", "--only", "seed", "--wait", "file:///").returncode == 0
    steps = repairs(run_inithold)[0]["steps"]
    assert isinstance(steps, list)
    assert [step["id"] for step in steps] == ["wait-1", "seed"]


def test_a_plan_in_python(run_inithold: Inithold, folder: Path) -> None:
    (folder / "init.py").write_text(
        "from inithold import Plan\nplan = Plan('python')\n"
        "@plan.step()\ndef one(ctx): open('ran', 'a').write('one ')\n"
        "@plan.step()\ndef two(ctx): open('ran', 'a').write('two ')\n"
    )
    assert run_inithold("run", "init:plan", "--only", "two").returncode == 0
    assert ran(folder) == ["two"]


# -- what it says of itself


def test_it_claims_no_more_than_it_did(run_inithold: Inithold, held: Running, folder: Path) -> None:
    first, second = run_inithold("run", "--only", "topology"), run_inithold("run", "--from", "seed")
    assert "  init      game, only topology: 1 step\n" in first.stderr
    assert "\ngame, only topology: done in " in first.stderr
    assert "\ngame, from seed: done in " in second.stderr
    for done in (first, second):
        assert "ready" not in done.stderr
        assert "the marker, and what holds, are as they were" in done.stderr
        assert done.stdout == ""

    newest, earlier = repairs(held)
    assert (newest["repair"], earlier["repair"]) == ("from seed", "only topology")
    assert (newest["marker"], newest["outcome"]) == (None, "ready")

    # The current record stays that of the run which vouches.
    assert run_inithold("status").stdout.splitlines()[1].startswith("game: ready in ")
    shown = [line.partition("  ")[2] for line in run_inithold("status", "--all").stdout.splitlines()]
    heads = [line.partition(" in ")[0] for line in shown if line.startswith("game")]
    assert heads == ["game, from seed: done", "game, only topology: done", "game: ready"]


def test_a_failed_one_says_what_failed(run_inithold: Inithold, folder: Path) -> None:
    (folder / "broken").touch()
    done = run_inithold("run", "--only", "topology", "--log-format=json")
    started = json.loads(done.stderr.splitlines()[0])
    assert (started["event"], started["repair"]) == ("run_started", "only topology")
    plain = run_inithold("run", "--only", "topology")
    assert "game, only topology: failed after" in plain.stderr
    assert "step topology (command.run" in plain.stderr
    assert "docker compose up" not in plain.stderr


def test_earlier_ones_are_kept_as_told(run_inithold: Inithold, folder: Path) -> None:
    for _ in range(4):
        assert run_inithold("run", "--only", "seed", "--keep", "2").returncode == 0
    assert len(repairs(run_inithold)) == 3


def test_telemetry_tells_it_from_a_run(run_inithold: Inithold, folder: Path, otlp: Collector) -> None:
    assert run_inithold("run", "--only", "seed", env=otlp.env("http/protobuf")).returncode == 0
    root = otlp.span("init.environment")
    assert (root.attributes["init.repair"], root.attributes["init.outcome"]) == ("only seed", "ready")
    names = {metric.name for metric in otlp.metrics}
    assert "init.step.duration" in names
    assert not names & {"init.runs", "init.duration"}
