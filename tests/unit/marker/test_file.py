"""The marker is written whole, replaced and never written through a symbolic link."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from inithold.marker.file import check_writable, drop, write_whole


def test_written_with_its_mode_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_whole(str(tmp_path / "marker"), b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "marker").stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["marker"]


def test_a_symbolic_link_is_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("keep")
    (tmp_path / "marker").symlink_to(tmp_path / "precious")
    write_whole(str(tmp_path / "marker"), b"x")
    assert (tmp_path / "precious").read_text() == "keep"
    assert not (tmp_path / "marker").is_symlink()


def test_a_link_to_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    for target in (tmp_path, Path("/dev/null")):
        (tmp_path / "marker").symlink_to(target)
        with pytest.raises(OSError, match=r"directory|device"):
            write_whole(str(tmp_path / "marker"), b"x")
        assert (tmp_path / "marker").readlink() == target
        (tmp_path / "marker").unlink()


def test_dropping_a_symbolic_link_keeps_its_target(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("keep")
    (tmp_path / "marker").symlink_to(tmp_path / "precious")
    drop(str(tmp_path / "marker"))
    assert (tmp_path / "precious").exists()
    assert not (tmp_path / "marker").is_symlink()


def test_a_planted_link_at_the_temporary_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("keep")
    (tmp_path / f"marker.{os.getpid()}.new").symlink_to(tmp_path / "precious")
    write_whole(str(tmp_path / "marker"), b"x")
    assert (tmp_path / "precious").read_text() == "keep"
    assert (tmp_path / "marker").read_bytes() == b"x"


def test_dropping_what_is_not_there_is_fine(tmp_path: Path) -> None:
    drop(str(tmp_path / "marker"))
    drop(str(tmp_path / "absent" / "marker"))


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(str(tmp_path / "marker"), b"x")
    assert list(tmp_path.iterdir()) == []


def test_check_writable_leaves_nothing_behind(tmp_path: Path) -> None:
    check_writable(str(tmp_path / "marker"))
    assert list(tmp_path.iterdir()) == []


def test_check_writable_tells_a_folder_and_a_missing_one(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        check_writable(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        check_writable(str(tmp_path / "absent" / "marker"))
