"""Foreign output becomes lines that are safe to show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inithold.redaction.redact import SECRETS
from inithold.redaction.sanitize import LONGEST, PROGRESS_INTERVAL, Lines, inert, one_line


def lines(*chunks: bytes) -> list[str]:
    reader = Lines()
    return [*(line for chunk in chunks for line in reader.feed(chunk)), *reader.end()]


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([b"a\nb\n"], ["a", "b"]),
        ([b"a\nb"], ["a", "b"]),
        ([b"a", b"b\nc", b"\n"], ["ab", "c"]),
        ([b"a\r\nb\r\n"], ["a", "b"]),
        ([b"a\r", b"\nb"], ["a", "b"]),
        ([b"\n\na\n"], ["", "", "a"]),
        ([b"10%\r20%\r", b"100%\n", b"done"], ["100%", "done"]),
        ([b"10%\r20%\r"], ["20%"]),
        ([b"\xc3", b"\xa9\n"], ["é"]),
        ([b"\xff\xfe\n"], ["\ufffd\ufffd"]),
        ([b"\xc3"], ["\ufffd"]),
        ([], []),
        ([b""], []),
    ],
)
def test_bytes_to_lines(chunks: list[bytes], expected: list[str]) -> None:
    assert lines(*chunks) == expected


def test_a_line_that_overwrites_itself_has_a_present_state() -> None:
    reader = Lines()
    assert list(reader.feed(b"working\n10%\r")) == ["working"]
    assert reader.progress == ""
    assert list(reader.feed(b"20%\r30%")) == []
    assert reader.progress == "30%"
    assert list(reader.feed(b"\nnext")) == ["30%"]
    assert reader.progress == ""


def test_the_state_of_such_a_line_is_told_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    reader = Lines()
    told: list[str] = []
    for data, seconds in ((b"\r10%", 0.0), (b"\r20%", PROGRESS_INTERVAL), (b"\r30%", 0.0), (b"\r100%\n", 0.0)):
        now += seconds
        told += [*reader.feed(data), *reader.progress_due()]
    assert told == ["20%", "100%"]
    now += PROGRESS_INTERVAL
    assert [*reader.feed(b"Continue? "), *reader.progress_due()] == []


def test_a_very_long_line_is_cut_and_kept_in_bounds() -> None:
    reader = Lines()
    for _ in range(100):
        assert list(reader.feed(b"x" * 10_000)) == []
    (line,) = reader.feed(b"\n")
    assert len(line) < LONGEST + 60
    assert line.startswith("x" * LONGEST + "... (")
    assert len(reader._rest) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b(Bx\x1b=y\x1bcz", "xyz"),
        ("\x9b2Jx", "x"),
        ("a\x00b\x07c\x08d", "a\ufffdb\ufffdc\ufffdd"),
        ("rtl \u202egnp.exe", "rtl \ufffdgnp.exe"),
        ("tab\tstays", "tab\tstays"),
        ("\x1b", ""),
    ],
)
def test_terminals_are_not_steered(text: str, expected: str) -> None:
    assert inert(text) == expected


@given(data=st.binary(max_size=300), cut=st.integers(0, 300))
def test_any_bytes_make_the_same_inert_lines_however_they_come(data: bytes, cut: int) -> None:
    whole = lines(data)
    assert lines(data[:cut], data[cut:]) == whole
    for line in whole:
        assert not any(ord(character) < 32 and character != "\t" for character in line)
        assert "\x1b" not in line and "\x9b" not in line


def test_a_secret_across_the_cut_is_masked_before() -> None:
    SECRETS.add("planted-across-the-cut")
    line = "x" * (LONGEST - 10) + "planted-across-the-cut" + "y" * 100
    assert "plant" not in one_line(line)
    assert "plant" not in lines(line.encode())[0]


def test_one_line_of_many() -> None:
    assert one_line("a\nb\r\nc\u2028d") == "a b c d"
    assert one_line("abcdef", 3) == "abc... (3 more characters)"
