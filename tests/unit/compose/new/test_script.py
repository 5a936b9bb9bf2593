"""Scripts are taken apart as the shell does it, and left whole where their parts depend on each other."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from inithold.compose.new.script import Call, Compound, Loop, Statement, statements
from inithold.compose.new.text import from_shell
from inithold.compose.new.tokens import NotFlat, tokens


def calls(script: str) -> list[str | tuple[str, ...]]:
    """Each statement: the words of a plain call, the text of any other."""
    return [each.words if isinstance(each, Call) and each.plain else each.raw for each in statements(script)]


def only(script: str) -> Statement:
    (found,) = statements(script)
    return found


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("a b && c; d\ne", [("a", "b"), ("c",), ("d",), ("e",)]),
        ("a 'b c' \"d e\" f\\ g", [("a", "b c", "d e", "f g")]),
        ("a \\\n  b", [("a", "b")]),
        ("a # and why\n# more\nb", [("a",), ("b",)]),
        ("a#b 'c # d'", [("a#b", "c # d")]),
        ("a > out 2>&1", ["a > out 2>&1"]),
        ("a | b && c", ["a | b", ("c",)]),
        ("a $$HOME", ["a $$HOME"]),
        ("a ${FILLED}", [("a", "${FILLED}")]),
        ("a '$$HOME'", [("a", "$$HOME")]),
        ('a "$$(b c; d)" e', ['a "$$(b c; d)" e']),
        ("a *.sql", ["a *.sql"]),
        ("A=b c", ["A=b c"]),
        ("if a; then b; else c; fi; d", ["if a; then b; else c; fi", ("d",)]),
        ("for i in 1 2; do a $$i; done\nb", ["for i in 1 2; do a $$i; done", ("b",)]),
        ("(cd x && a); b", ["(cd x && a)", ("b",)]),
        ("if a; then if b; then c; fi; fi && d", ["if a; then if b; then c; fi; fi", ("d",)]),
        ("echo if then fi; a", [("echo", "if", "then", "fi"), ("a",)]),
        ("'if' a", [("if", "a")]),
    ],
)
def test_statements(script: str, expected: list[object]) -> None:
    assert calls(script) == expected


@pytest.mark.parametrize(
    "script",
    [
        "A=b\nc $$A",
        "export A=b; c",
        "f() { a; }; f",
        "a & b",
        "cat <<EOF\nx\nEOF",
        "a 'b",
        "a $$(b",
        ". ./env; a",
        "if a",
    ],
)
def test_a_script_whose_parts_depend_on_each_other_is_not_flat(script: str) -> None:
    with pytest.raises(NotFlat):
        statements(script)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("until nc -z db 5432; do sleep 1; done", ("nc", "-z", "db", "5432")),
        (
            "while ! pg_isready -h db > /dev/null 2>&1\ndo\n  echo waiting\n  sleep 1\ndone",
            ("pg_isready", "-h", "db"),
        ),
        ("until curl -s http://x | grep -q ok; do sleep 1; done", ("curl", "-s", "http://x")),
    ],
)
def test_a_loop_that_waits(script: str, words: tuple[str, ...]) -> None:
    found = only(script)
    assert isinstance(found, Loop)
    assert found.condition.words == words
    assert found.raw == script


@pytest.mark.parametrize(
    "script", ["while true; do a; done", "while read x; do a; done", "until a && b; do c; done"]
)
def test_another_loop_stays_with_the_shell(script: str) -> None:
    assert isinstance(only(script), Compound)


@pytest.mark.parametrize(
    ("script", "ignored", "raw"),
    [
        ("a b || true", True, "a b"),
        ("a || echo 'it failed'", True, "a"),
        ("a || exit 1", False, "a"),
        ("a || b", False, "a || b"),
    ],
)
def test_what_a_script_does_about_a_failure(script: str, ignored: bool, raw: str) -> None:
    found = only(script)
    assert isinstance(found, Call)
    assert (found.ignored, found.raw) == (ignored, raw)


SHELL = [
    "a b  c",
    "a 'b  c' d\"e f\"g",
    "a \"x'y\" 'p\"q' \\\"r\\' '' \"\"",
    'a "b\\\\c\\$d\\`e" \\\\ b\\ c',
    "a '#' b#c",
    "a --option='x y' --other=\"z\"",
    "a 'line 1\nline 2'",
]


@pytest.mark.parametrize("text", SHELL)
@pytest.mark.parametrize("shell", [shell for shell in ("dash", "bash") if shutil.which(shell)] or ["sh"])
def test_words_are_those_that_a_shell_makes(text: str, shell: str) -> None:
    program = f"a() {{ for word; do printf '%s\\0' \"$word\"; done; }}\n{text}"
    done = subprocess.run([shell, "-c", program], capture_output=True, text=True, check=True)
    assert [each.text for each in tokens(text)][1:] == done.stdout.split("\0")[:-1]


def test_the_dollar_signs_of_a_file_are_those_of_its_shell() -> None:
    found = only(from_shell('a "$1" ${B:-c} $(d)'))
    assert isinstance(found, Call)
    assert not found.plain
    assert found.raw == 'a "$$1" $${B:-c} $$(d)'
