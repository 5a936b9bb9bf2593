"""A command that is refused changes nothing: beside a hold, plain or verifying, and beside a run that goes on."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pid_namespace import UNSHARE, inside, needs_leave, pid_one
from servers.inithold import Inithold, Running
from stopping import until

PLAN = "version: 1\nname: refused\n{hold}steps:\n  - {{id: there, uses: file.ready, with: {{path: {path}}}}}\n"
REFUSED: dict[str, tuple[list[str], dict[str, str]]] = {
    "misspelt option": (["run", "--onse"], {}),
    "no such plan": (["run", "nosuch.yaml"], {}),
    "no such option": (["run", "--version"], {}),
    "bad variable": (["run"], {"INITHOLD_ONCE": "maybe"}),
    "again": (["run"], {}),
    "a command": (["run", "--once", "--", "true"], {}),
}
SECOND = ("again", "a command")
MORE: list[tuple[str, dict[str, str]]] = [
    ("run --verify soon", {}),
    ("run --keep many", {}),
    ("run --log-format xml", {}),
    ("run --marker", {}),
    ("run one.yaml two.yaml", {}),
    ("run true", {}),
    ("run --", {}),
    ("run inithold.yaml -- true", {}),
    ("run --wait nonsense", {}),
    ("run --wait ftp://there -- true", {}),
    ("run --unless true", {}),
    ("run --only nosuch", {}),
    ("run --from nosuch", {}),
    ("run --only there --from there", {}),
    ("run --only there -- true", {}),
    ("run wrong.yaml", {}),
    ("run no.module:plan", {}),
    ("run --once", {}),
    ("run --verify 1h", {}),
    ("run", {"INITHOLD_VERIFY": "soon"}),
    ("run", {"INITHOLD_KEEP": "-1"}),
    ("run", {"INITHOLD_LOG_LEVEL": "loud"}),
    ("run", {"INITHOLD_PLAN": "nosuch.yaml"}),
    ("run", {"INITHOLD_WAIT": "nonsense"}),
]
HOLDS = {"plain": "", "verifying": "hold: {verify: 1h}\n"}
Held = tuple[Inithold, Running, str]
each_refusal = pytest.mark.parametrize("case", REFUSED)


def start(run_inithold: Inithold, *, hold: str = "", path: str = "/", prefix: list[str] | None = None) -> Running:
    (run_inithold.folder / "inithold.yaml").write_text(PLAN.format(hold=hold, path=path))
    return run_inithold.start("run", prefix=prefix or ())


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        path.name: (path.stat().st_ino, path.read_bytes())
        for path in folder.iterdir()
        if not path.name.startswith(".inithold-")
    }


@pytest.fixture(scope="module", params=HOLDS)
def held(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    """A hold for several tests, since none may change it: how to run others beside it, itself, and its kind."""
    run_inithold = Inithold(tmp_path_factory.mktemp("held"))
    init = start(run_inithold, hold=HOLDS[request.param])
    init.wait_for_hold()
    yield run_inithold, init, request.param
    run_inithold.end_all()


@each_refusal
def test_beside_a_hold(held: Held, case: str) -> None:
    run_inithold, init, hold = held
    before = files(run_inithold.folder)
    arguments, env = REFUSED[case]
    done = run_inithold(*arguments, env=env)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    if case in SECOND:
        assert f"process {init.pid} holds" in done.stderr
        assert "inithold run --only ID" in done.stderr
        assert ("inithold rerun" in done.stderr) == (hold == "verifying")
    assert files(run_inithold.folder) == before
    assert run_inithold("health").stdout == "ready\n"


# Beside a plain hold the same code refuses them alike: test_beside_a_hold has one of each sort, for both.
@pytest.mark.parametrize("beside", ["verifying", "run"])
def test_whatever_it_is_refused_for_nothing_changes(run_inithold: Inithold, tmp_path: Path, beside: str) -> None:
    (tmp_path / "wrong.yaml").write_text("steps: [{id: a, uses: file.raedy}]")
    init = start(run_inithold, hold=HOLDS.get(beside, ""), path="there" if beside == "run" else "/")
    if beside == "run":
        init.wait_until((tmp_path / "init-complete.record.json").exists, "its record")
    else:
        init.wait_for_hold()
    before = {name: entry for name, entry in files(tmp_path).items() if "record" not in name}
    for words, env in MORE:
        done = run_inithold(*words.split(), env=env)
        assert done.returncode == 2, (words, env, done.stderr)
        assert "Traceback" not in done.stderr
        after = {name: entry for name, entry in files(tmp_path).items() if "record" not in name}
        assert after == before, (words, env)
    assert {path.name for path in tmp_path.glob("*record*")} == {"init-complete.record.json"}
    (tmp_path / "there").touch()
    init.wait_for_hold()
    assert run_inithold("health").stdout == "ready\n"


@needs_leave
@pytest.mark.parametrize("hold", HOLDS)
def test_beside_a_hold_that_is_pid_1(run_inithold: Inithold, hold: str) -> None:
    init = start(run_inithold, hold=HOLDS[hold], prefix=UNSHARE)
    init.wait_for_marker()
    enter = inside(init)
    init.wait_until(lambda: run_inithold("health", prefix=enter).returncode == 0, "ready")
    for arguments, env in REFUSED.values():
        assert run_inithold(*arguments, env=env, prefix=enter).returncode == 2
        assert run_inithold("health", prefix=enter).stdout == "ready\n"
    os.kill(pid_one(init), signal.SIGTERM)
    assert init.wait() == 0


@each_refusal
def test_beside_a_run_that_goes_on(run_inithold: Inithold, tmp_path: Path, case: str) -> None:
    init = start(run_inithold, path="there")
    init.wait_for_output("does not exist")
    arguments, env = REFUSED[case]
    done = run_inithold(*arguments, env=env)
    assert done.returncode == 2, done.stderr
    if case in SECOND:
        assert f"is still going on (process {init.pid})" in done.stderr
    (tmp_path / "there").touch()
    init.wait_for_hold()
    assert run_inithold("health").stdout == "ready\n"
    assert not (tmp_path / "init-complete.running").exists()
    assert list(tmp_path.glob("*.record.*")) == [tmp_path / "init-complete.record.json"]


def test_of_several_started_together_one_runs(run_inithold: Inithold, tmp_path: Path) -> None:
    (tmp_path / "init-complete").write_text("stale")
    (tmp_path / "inithold.yaml").write_text(PLAN.format(hold="", path="there"))
    several = [run_inithold.start("run") for _ in range(6)]
    until(lambda: sum(one.process.poll() == 2 for one in several) == 5, 60)  # else none or two of them run
    (tmp_path / "there").touch()
    (one,) = (one for one in several if one.process.poll() is None)
    one.wait_for_hold()


def test_after_a_crash_nobody_is_refused(run_inithold: Inithold, tmp_path: Path) -> None:
    init = start(run_inithold, path="there")
    init.wait_for_output("does not exist")
    assert (tmp_path / "init-complete.running").exists()
    init.signal(signal.SIGKILL)
    init.wait()
    again = start(run_inithold)
    again.wait_for_hold()
    again.signal(signal.SIGKILL)
    again.wait()
    start(run_inithold).wait_for_hold()


def test_beside_a_hold_that_is_withdrawn_its_marker_stays(run_inithold: Inithold, tmp_path: Path) -> None:
    (tmp_path / "made").touch()
    init = start(run_inithold, hold="hold: {verify: 1s, grace: 0s, on_drift: unhealthy}\n", path="made")
    init.wait_for_hold()
    (tmp_path / "made").unlink()
    withdrawn = tmp_path / "init-complete.withdrawn"
    init.wait_until(withdrawn.exists, "the marker to be withdrawn")
    assert run_inithold("run").returncode == 2
    assert run_inithold("run", "--onse").returncode == 2
    assert withdrawn.exists()
    (tmp_path / "made").touch()
    init.wait_until(lambda: run_inithold("health").returncode == 0, "ready again")


def test_beside_a_hold_that_runs_again_the_run_goes_on(run_inithold: Inithold, tmp_path: Path) -> None:
    (tmp_path / "made").touch()
    init = start(run_inithold, hold="hold: {verify: 1s, grace: 0s}\n", path="made")
    init.wait_for_hold()
    (tmp_path / "made").unlink()
    init.wait_for_output("again: ")
    done = run_inithold("run")
    assert done.returncode == 2
    assert "still going on" in done.stderr
    (tmp_path / "made").touch()
    init.wait_until(lambda: run_inithold("health").returncode == 0, "ready again")


@pytest.mark.parametrize(
    "content", ["stale", json.dumps({"vouched_by": None}), "[" * 5000, '{"vouched_by":{"pid":1e999}}']
)
def test_a_marker_that_nobody_vouches_for_is_dropped_first(run_inithold: Inithold, content: str) -> None:
    run_inithold.marker.write_text(content)
    assert run_inithold("run", "nosuch.yaml").returncode == 2
    assert not run_inithold.marker.exists()


@pytest.mark.parametrize("option", ["--marker", "--record"])
def test_a_file_of_somebody_else_is_never_replaced(run_inithold: Inithold, option: str) -> None:
    plan = run_inithold.folder / "inithold.yaml"
    plan.write_text(PLAN.format(hold="", path="/"))
    before = files(run_inithold.folder)
    done = run_inithold("run", "--once", option, plan)
    assert done.returncode == 2
    assert f"the {option[2:]} {plan} cannot be written: it is another file, of several lines" in done.stderr
    assert files(run_inithold.folder) == before


def link_to_a_device(path: Path) -> None:
    # Not the device itself: as root, a mistake would replace it for everybody.
    path.symlink_to("/dev/null")


@pytest.mark.parametrize("option", ["marker", "record"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, link_to_a_device], ids=["pipe", "folder", "device"])
@pytest.mark.parametrize("command", [["--once", "--", "true"], ["nosuch.yaml"]], ids=["run", "refused"])
def test_what_is_no_file_is_never_replaced(
    run_inithold: Inithold, tmp_path: Path, option: str, make: Callable[[Path], None], command: list[str]
) -> None:
    odd = tmp_path / "odd"
    make(odd)
    before = odd.lstat()
    for given in ([f"--{option}", odd], []):
        env: dict[str, str | None] = {} if given else {f"INITHOLD_{option.upper()}": str(odd)}
        done = run_inithold("run", *given, *command, env=env, seconds=20)
        assert done.returncode == 2
        assert f"the {option} {odd} cannot be written: " in done.stderr
        assert done.stderr.count("\n") == 2, done.stderr
    after = odd.lstat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["odd"]
    if option == "marker":
        health = run_inithold("health", "--marker", odd, seconds=20)
        assert health.returncode == 1
        assert health.stdout.startswith("not ready: cannot read the marker")


def test_marker_and_record_are_two_files(run_inithold: Inithold) -> None:
    done = run_inithold("run", "--record", run_inithold.marker, "--once", "--", "true")
    assert done.returncode == 2
    assert f"marker and record are both {run_inithold.marker}" in done.stderr
    assert not run_inithold.marker.exists()
