"""The pictures of the README are made by the real program, at a real terminal and in a real browser."""

from __future__ import annotations

import importlib.util
import re
import struct
import sys
from pathlib import Path

import pytest

from servers.chromium import executable
from servers.programs import MissingProgram

ROOT = Path(__file__).parents[2]
LARGEST = 200_000


def size(picture: Path) -> tuple[int, int]:
    data = picture.read_bytes()
    assert data.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def test_the_readme_shows_them_and_they_are_small() -> None:
    shown = re.findall(r"!\[[^\]]+\]\((docs/images/[^)]+)\)", (ROOT / "README.md").read_text())
    assert shown == ["docs/images/terminal.png", "docs/images/report.png"]
    for name in shown:
        assert (ROOT / name).stat().st_size < LARGEST
        assert size(ROOT / name) > (600, 400)


def test_they_can_be_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        executable()
    except MissingProgram:
        pytest.skip("no Chromium or Chrome is installed")
    monkeypatch.setattr(sys, "path", list(sys.path))
    spec = importlib.util.spec_from_file_location("make_images", ROOT / "docs" / "make_images.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.main(tmp_path) == 0
    assert size(tmp_path / "terminal.png") > (600, 400)
    assert size(tmp_path / "report.png") > (600, 400)
