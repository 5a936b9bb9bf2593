"""file.ready"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from golden import assert_golden
from inithold.errors import NotYet, StepFailed
from inithold.steps.file import Ready
from inithold.testing import check, drive


def seen(step: Ready, kind: type[NotYet | StepFailed], case: str, folder: Path) -> None:
    with pytest.raises(kind) as raised:
        check(step)
    assert type(raised.value) is kind
    assert_golden(f"file/{case}", raised.value.message, raised.value.hint, varying={str(folder): "FOLDER"})


def test_files_folders_and_links_to_them_are_ready(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").touch()
    for name in ("file", "link", "."):
        assert check(Ready(path=str(tmp_path / name))) == ()


def test_a_file_that_comes_later_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "late"
    threading.Timer(0.3, file.touch).start()
    result = drive(Ready(path=str(file)))
    assert result.outcome == "unchanged"
    assert result.waited_for[0] == f"{file} does not exist"


def test_relative_paths_start_at_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").touch()
    assert check(Ready(path="here")) == ()


def test_what_is_not_there_is_not_yet(tmp_path: Path) -> None:
    seen(Ready(path=str(tmp_path / "no")), NotYet, "absent", tmp_path)


def test_below_a_file_is_not_yet(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotYet, match="does not exist"):
        check(Ready(path=str(tmp_path / "file" / "x")))


def test_a_link_to_nothing_is_not_yet(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    seen(Ready(path=str(tmp_path / "link")), NotYet, "dangling-link", tmp_path)


def test_links_in_a_circle_never_heal(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    seen(Ready(path=str(tmp_path / "a")), StepFailed, "circle", tmp_path)


def test_a_name_that_is_too_long_never_heals(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="too long"):
        check(Ready(path=str(tmp_path / ("x" * 300))))


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_folder_that_may_not_be_searched_never_heals(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    program = (
        "import os, sys\n"
        "from inithold.errors import StepFailed\n"
        "from inithold.steps.file import Ready\n"
        "from inithold.testing import check\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: check(Ready(path=sys.argv[1]))\n"
        "except StepFailed as error: print(error.message); print(error.hint)\n"
    )
    command = [sys.executable, "-c", program, str(closed / "x")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    message, hint = done.stdout.splitlines() or ["", done.stderr]
    assert_golden("file/permission", message, hint, varying={str(tmp_path): "FOLDER", "65534": "UID"})


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_what_is_no_path(path: str) -> None:
    assert [field for field, _ in Ready(path=path).validate()] == ["path"]
