"""Reading a file that somebody names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inithold.text.files import read_regular, read_regular_text


def test_text_has_one_end_of_line_and_no_mark(tmp_path: Path) -> None:
    path = tmp_path / "it"
    path.write_bytes("\ufeffé\r\nb\rc\n".encode())
    assert read_regular_text(str(path)) == "é\nb\nc\n"
    assert read_regular(str(path)) == path.read_bytes()


@pytest.mark.parametrize("read", [read_regular, read_regular_text])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file(read: object, make: object, tmp_path: Path) -> None:
    path = tmp_path / "it"
    assert callable(make)
    assert callable(read)
    make(path)
    with pytest.raises(OSError, match=r"not a file|Is a directory"):
        read(str(path))
