"""Where inithold runs: as somebody else, on a read-only or a full file system, beside others, without /proc."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from tempfile import gettempdir

import pytest

from servers.inithold import Inithold, Running
from somebody import NOBODY, somebody

PLAN = "version: 1\nname: places\nsteps:\n"
THERE = PLAN + "  - {id: there, uses: file.ready, with: {path: /}}\n"


def works(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


MOUNTING = ["unshare", "--mount", "--propagation", "private"]
may_mount = pytest.mark.skipif(
    not works(*MOUNTING, "mount", "-t", "tmpfs", "none", "/mnt"), reason="needs leave to mount"
)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The test's folder, open to everybody, with a plan."""
    for parent in (tmp_path, *tmp_path.parents):
        if not parent.is_relative_to(gettempdir()):
            break
        parent.chmod(parent.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    (tmp_path / "inithold.yaml").write_text(THERE)
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    return tmp_path


def pid_one(init: Running) -> int:
    return int(Path(f"/proc/{init.pid}/task/{init.pid}/children").read_text().split()[0])


@as_root
def test_as_a_user_without_rights(run_inithold: Inithold, folder: Path) -> None:
    env: dict[str, str | None] = {"INITHOLD_MARKER": str(folder / "state" / "marker")}
    init = run_inithold.start("run", env=env, prefix=["sh", "-c", 'umask 077; exec "$@"', "-", *somebody(NOBODY)])
    init.wait_for_hold()
    for name in ("marker", "marker.record.json"):
        found = (folder / "state" / name).stat()
        assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (NOBODY, 0o644)
    # An exec into the container may be by anybody: root, the same user, another one.
    for prefix in ([], somebody(NOBODY), somebody(1)):
        health = run_inithold("health", env=env, prefix=prefix)
        assert (health.returncode, health.stdout) == (0, "ready\n")
        assert "places: ready" in run_inithold("status", env=env, prefix=prefix).stdout
    init.signal(signal.SIGTERM)
    assert init.wait() == 0


@as_root
def test_a_marker_of_somebody_else_that_cannot_be_removed(run_inithold: Inithold, folder: Path) -> None:
    (folder / "state").chmod(0o1777)
    (folder / "state" / "marker").write_text("left by root")
    env: dict[str, str | None] = {"INITHOLD_MARKER": str(folder / "state" / "marker")}
    done = run_inithold("run", env=env, prefix=somebody(NOBODY))
    assert done.returncode == 2
    assert "the marker" in done.stderr
    assert "cannot be written: Operation not permitted" in done.stderr


@may_mount
def test_on_a_read_only_root_with_a_tmpfs(run_inithold: Inithold, folder: Path) -> None:
    script = 'mount -o remount,bind,ro / && mount -t tmpfs none "$1" && shift && exec "$@"'
    prefix = [*MOUNTING, "--", "sh", "-c", script, "-", str(folder / "state")]
    if not works(*prefix, "true"):
        pytest.skip("the root cannot be made read-only here")
    env: dict[str, str | None] = {"INITHOLD_MARKER": str(folder / "state" / "marker")}
    init = run_inithold.start("run", env=env, prefix=prefix)
    init.wait_until(lambda: Path(f"/proc/{init.pid}/root{folder}/state/marker").exists(), "the marker")
    enter = ["nsenter", "-t", str(init.pid), "-m"]
    assert run_inithold("health", env=env, prefix=enter).returncode == 0
    init.wait_until(lambda: b"inithold\0run" not in Path(f"/proc/{init.pid}/cmdline").read_bytes(), "the hold")
    init.signal(signal.SIGTERM)
    assert init.wait() == 0


@may_mount
def test_nothing_is_run_where_the_markers_folder_is_read_only(run_inithold: Inithold, folder: Path) -> None:
    ran = folder / "ran"
    (folder / "inithold.yaml").write_text(
        PLAN + f"  - {{id: touch, uses: command.run, with: {{run: touch {ran}}}}}\n"
    )
    script = 'mount -t tmpfs -o ro none "$1" && shift && exec "$@"'
    prefix = [*MOUNTING, "--", "sh", "-c", script, "-", str(folder / "state")]
    env: dict[str, str | None] = {"INITHOLD_MARKER": str(folder / "state" / "marker")}
    done = run_inithold("run", env=env, prefix=prefix)
    assert done.returncode == 2
    assert "cannot be written: Read-only file system" in done.stderr
    assert "next: name a writable place with --marker or INITHOLD_MARKER" in done.stderr
    assert not ran.exists()


@may_mount
def test_a_disk_that_is_full_at_the_end_fails_the_run(run_inithold: Inithold, folder: Path) -> None:
    state = folder / "state"
    (folder / "inithold.yaml").write_text(
        PLAN
        + f"  - {{id: fill, uses: command.run, with: {{run: 'head -c 9999999 /dev/zero >{state}/x; true'}}}}\n"
    )
    script = 'mount -t tmpfs -o size=16k none "$1" && shift && exec "$@"'
    prefix = [*MOUNTING, "--", "sh", "-c", script, "-", str(state)]
    env: dict[str, str | None] = {
        "INITHOLD_MARKER": str(state / "marker"),
        "INITHOLD_RECORD": str(folder / "r.json"),
    }
    done = run_inithold("run", env=env, prefix=prefix)
    assert done.returncode == 1
    assert "the marker" in done.stderr
    assert "cannot be written: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads((folder / "r.json").read_text())["outcome"] == "failed"


IN_ITS_OWN = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
may_unshare = pytest.mark.skipif(not works(*IN_ITS_OWN, "true"), reason="needs leave to make a pid namespace")


@may_unshare
def test_a_volume_that_two_containers_share(run_inithold: Inithold, folder: Path) -> None:
    """The marker of one init vouches for nothing in a container where another runs, or none."""
    first = run_inithold.start("run", prefix=IN_ITS_OWN)
    first.wait_for_marker()
    (folder / "other").mkdir()
    waits = PLAN + "  - {id: never, uses: file.ready, with: {path: /nowhere}}\n"
    (folder / "other" / "inithold.yaml").write_text(waits)
    env: dict[str, str | None] = {"INITHOLD_MARKER": str(folder / "other-marker")}
    second = run_inithold.start("run", env=env, cwd=folder / "other", prefix=IN_ITS_OWN)
    second.wait_for_output("/nowhere does not exist")
    inside = [["nsenter", "-t", str(pid_one(init)), "-p", "-m"] for init in (first, second)]
    assert run_inithold("health", prefix=inside[0]).returncode == 0
    elsewhere = run_inithold("health", prefix=inside[1])
    assert elsewhere.returncode == 1
    assert "belongs to another container" in elsewhere.stdout


@may_unshare
def test_a_restarted_container_with_the_same_numbers(run_inithold: Inithold, folder: Path) -> None:
    """After a kill the marker stays, and PID 1 is there again: of another namespace."""
    first = run_inithold.start("run", prefix=IN_ITS_OWN)
    first.wait_for_marker()
    first.end()
    assert first.marker.exists()
    health = run_inithold("health", prefix=IN_ITS_OWN)
    assert health.returncode == 1
    assert "stale" in health.stdout


@may_mount
def test_without_proc(run_inithold: Inithold, folder: Path) -> None:
    script = 'mount -t tmpfs none /proc && exec "$@"'
    prefix = [*MOUNTING, "--", "sh", "-c", script, "-"]
    init = run_inithold.start("run", prefix=prefix)
    init.wait_for_marker()
    vouching = json.loads(init.marker.read_text())["vouched_by"]
    assert vouching == {"pid": init.pid, "start_time": None, "boot_id": None, "pid_namespace": None}
    enter = ["nsenter", "-t", str(init.pid), "-m"]
    assert run_inithold("health", prefix=enter).returncode == 0
    init.wait_until(lambda: b"inithold\0run" not in Path(f"/proc/{init.pid}/cmdline").read_bytes(), "the hold")
    init.signal(signal.SIGTERM)
    assert init.wait() == 0
    assert run_inithold("health").returncode == 1


@may_mount
@as_root
def test_where_proc_hides_the_processes_of_others(run_inithold: Inithold, folder: Path) -> None:
    if not works(*MOUNTING, "mount", "-t", "proc", "-o", "hidepid=2", "proc", "/proc"):
        pytest.skip("needs hidepid")
    script = 'mount -t proc -o hidepid=2 proc /proc && exec "$@"'
    init = run_inithold.start("run", prefix=[*MOUNTING, "--", "sh", "-c", script, "-"])
    init.wait_for_marker()
    enter = ["nsenter", "-t", str(init.pid), "-m", *somebody(NOBODY)]
    health = run_inithold("health", prefix=enter)
    assert (health.returncode, health.stdout) == (0, "ready\n")


def test_the_bare_interpreter_holds_where_catatonit_cannot(run_inithold: Inithold, folder: Path) -> None:
    broken = folder / "bin" / "catatonit"
    broken.parent.mkdir()
    broken.write_bytes(b"\x7fELF of another machine")
    broken.chmod(0o755)
    init = run_inithold.start("run", env={"PATH": str(broken.parent)})
    init.wait_for_hold()
    assert run_inithold("health").returncode == 0
    assert Path(f"/proc/{init.pid}/cmdline").read_bytes().startswith(os.fsencode(sys.executable))
    init.signal(signal.SIGTERM)
    assert init.wait() == 0


@pytest.mark.skipif(shutil.which("catatonit") is None, reason="needs catatonit")
def test_catatonit_holds_where_it_is_installed(run_inithold: Inithold, folder: Path) -> None:
    init = run_inithold.start("run")
    init.wait_for_hold()
    cmdline = Path(f"/proc/{init.pid}/cmdline")
    init.wait_until(lambda: cmdline.read_bytes() == b"catatonit\0-P\0", "catatonit holds")
    assert "holding (catatonit -P)" in init.stderr
