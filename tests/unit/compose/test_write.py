"""Files are written every one whole, and all or none, whatever happens on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from inithold.compose.edit.write import write_files
from inithold.compose.read.tree import read_source
from inithold.errors import UsageError
from somebody import as_nobody
from unit.compose.case import contents, run

BASE = """\
services:
  init:
    image: app
    entrypoint: []
    command: migrate
  web:
    image: web
"""
OVERRIDE = """\
services:
  web:
    depends_on:
      init: {condition: service_completed_successfully}   # as long as it takes
"""
FIX = ("fix", "--wrap", "inithold")


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """Two files that a fix changes, in the order of the merge."""
    (tmp_path / "compose.yaml").write_text(BASE)
    (tmp_path / "compose.override.yaml").write_text(OVERRIDE)
    return tmp_path


@pytest.fixture
def fixed(stack: Path) -> dict[str, bytes]:
    """What an undisturbed fix makes of them; the files are as before."""
    before = contents(stack)
    assert run(stack, *FIX).code == 0
    after = contents(stack)
    for name, data in before.items():
        (stack / name).write_bytes(data)
    assert all(after[name] != before[name] for name in before)
    return after


def _names(path: Path) -> list[str]:
    return sorted(each.name for each in path.iterdir())


def test_killed_between_two_files(stack: Path, fixed: dict[str, bytes]) -> None:
    before = contents(stack)
    program = """
import os, signal, sys
from pathlib import Path
replace, count = Path.replace, 0
def killed(self, target):
    global count
    count += 1
    if count == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)
Path.replace = killed
from inithold.__main__ import main
sys.argv[0] = "inithold"
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program, "compose", *FIX], cwd=stack, capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    now = {name: data for name, data in contents(stack).items() if not name.startswith(".")}
    assert now == {"compose.yaml": fixed["compose.yaml"], "compose.override.yaml": before["compose.override.yaml"]}

    assert run(stack, *FIX).code == 0
    assert {name: contents(stack)[name] for name in fixed} == fixed


@pytest.mark.parametrize("error", [OSError(16, "Device or resource busy"), KeyboardInterrupt()])
def test_the_second_cannot_be_replaced(error: BaseException, stack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is a mount point of its own, as in a container: seen when the first is replaced already."""
    before, status = contents(stack), (stack / "compose.yaml").stat()
    replace = Path.replace

    def fails(self: Path, target: Path) -> Path:
        if target.name == "compose.override.yaml":
            raise error
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", fails)
    if isinstance(error, OSError):
        outcome = run(stack, *FIX)
        assert outcome.code == 2
        assert outcome.errors == "cannot write compose.override.yaml: Device or resource busy; nothing was written"
    else:
        sources = [
            read_source(stack / name, name, variables={}) for name in ("compose.yaml", "compose.override.yaml")
        ]
        with pytest.raises(KeyboardInterrupt):
            write_files({source.path: "new\n" for source in sources}, sources)
    assert contents(stack) == before
    assert (stack / "compose.yaml").stat().st_ino == status.st_ino
    assert _names(stack) == ["compose.override.yaml", "compose.yaml"]


def test_a_file_system_without_links(
    stack: Path, fixed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    assert run(stack, *FIX).code == 0
    assert contents(stack) == fixed


def test_a_folder_that_cannot_be_written() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "compose.yaml").write_text(BASE + "    depends_on:\n" + OVERRIDE.partition("depends_on:\n")[2])
        (folder / "compose.yaml").chmod(0o666)
        folder.chmod(0o555)
        before = contents(folder)
        # All that is imported is, while it can be read.
        assert run(folder, *FIX, "--diff").code == 1
        with as_nobody():
            outcome = run(folder, *FIX)
        folder.chmod(0o755)
        assert outcome.code == 2
        assert outcome.errors == "cannot write compose.yaml: Permission denied; nothing was written"
        assert contents(folder) == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root on Linux can mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(small_disk: Path) -> None:
    (small_disk / "compose.yaml").write_text(BASE)
    (small_disk / "compose.override.yaml").write_text(OVERRIDE)
    with (
        (small_disk / "filling").open("wb", buffering=0) as filling,
        pytest.raises(OSError, match="No space left"),
    ):
        while True:
            filling.write(b"x" * 4096)
    before = contents(small_disk)
    outcome = run(small_disk, *FIX)
    assert outcome.code == 2
    assert outcome.errors == "cannot write compose.yaml: No space left on device; nothing was written"
    assert contents(small_disk) == before

    # Room for the first and not for the second: neither is written.
    os.truncate(small_disk / "filling", (small_disk / "filling").stat().st_size - 4096)
    before = contents(small_disk)
    outcome = run(small_disk, *FIX)
    assert outcome.errors == "cannot write compose.override.yaml: No space left on device; nothing was written"
    assert contents(small_disk) == before
    (small_disk / "filling").unlink()
    assert run(small_disk, *FIX).code == 0


def test_mode_and_owner_stay(stack: Path) -> None:
    for path in stack.iterdir():
        path.chmod(0o604)
        if os.geteuid() == 0:
            os.chown(path, 12345, 23456)
    before = {path.name: path.stat() for path in stack.iterdir()}
    assert run(stack, *FIX).code == 0
    after = {path.name: path.stat() for path in stack.iterdir()}
    for name, status in before.items():
        assert (after[name].st_mode, after[name].st_uid, after[name].st_gid) == (
            status.st_mode,
            status.st_uid,
            status.st_gid,
        )


def test_a_file_that_changed_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    for path in (first, second):
        path.write_text("services: {a: {image: x}}\n")
    sources = [read_source(path, path.name, variables={}) for path in (first, second)]
    second.write_text("services: {b: {image: y}}\n")
    before = contents(tmp_path)
    with pytest.raises(UsageError, match=r"b\.yaml was changed while it was being fixed; nothing was written"):
        write_files({first: "new\n", second: "new\n"}, sources)
    assert contents(tmp_path) == before


def test_files_are_written_all_or_none(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "gone" / "b.yaml"
    second.parent.mkdir()
    for path in (first, second):
        path.write_text("services: {a: {image: x}}\n")
    sources = [read_source(path, path.name, variables={}) for path in (first, second)]
    second.unlink()
    second.parent.rmdir()
    before = contents(tmp_path)
    with pytest.raises(UsageError, match=r"cannot write b\.yaml: No such file or directory; nothing was written"):
        write_files({first: "new\n", second: "new\n"}, sources)
    assert contents(tmp_path) == before
