"""Where a script may be cut, and what stays whole."""

from __future__ import annotations

import pytest

from inithold.compose.new.shell import Part, take_apart

CUT = {
    "a && b": [("a",), ("b",)],
    "a 'b c' \"d e\" f\\ g &&\n  h\\\ni": [("a", "b c", "d e", "f g"), ("hi",)],
    "a # b && c": [("a",)],
    "a#b": [("a#b",)],
    "set -e; a; b\nc\n": [("a",), ("b",), ("c",)],
    "set -eu\na\nb": [("a",), ("b",)],
    "set -o errexit && a; b": [("a",), ("b",)],
    "a ${PLAN:-x} && b": [("a", "${PLAN:-x}"), ("b",)],
    "a $$SHELL_VARIABLE && b": [("a", "$$SHELL_VARIABLE"), ("b",)],
    "a && exec b": [("a",), ("b",)],
    "a '' && b": [("a", ""), ("b",)],
    "a '$$(x) `y` | & ;' && b": [("a", "$$(x) `y` | & ;"), ("b",)],
    "until a -q > /dev/null 2>&1; do echo no; sleep 1; done; b": [("a", "-q"), ("b",)],
    "while ! a; do sleep 1; done\nb && c": [("a",), ("b",), ("c",)],
    "a && until b; do sleep 1; done && c": [("a",), ("b",), ("c",)],
}


@pytest.mark.parametrize("text", CUT)
def test_cut(text: str) -> None:
    script = take_apart(text, ["sh"])
    assert script is not None
    assert [part.words for part in script.parts] == CUT[text]


WHOLE = """\
a; b
a && b; c
set -e; a && b; c
set -e; set +e; a; b
set -e; a; set +e; b
a || b
a | b
a & b
a > b
a < b
a 2>&1
a $$(b)
a `b`
a "$$(b)"
a $$1
a $$?
a "$$@"
a $${b:-c}
a $$RANDOM
A=b c
A=b
(a)
{ a; }
! a
cd a && b
export A=b && c
exit 0
trap a EXIT
umask 022 && a
if a; then b; fi
for a in b; do c; done
case a in b) c;; esac
f() { a; }
while true; do a; done
while a; do sleep 1; done
until a; do b; sleep 1; done
until a && b; do sleep 1; done
until a; do sleep 1; done > b
a && until b; do sleep 1; done; c
${A} b
$$A b
eval a
. a
source a
[[ -f a ]]
exec a && b
exec > a
a 'b
a "b
a &&
set -n; a
set -- a
"""


@pytest.mark.parametrize("text", WHOLE.splitlines())
def test_whole(text: str) -> None:
    assert take_apart(text, ["sh"]) is None


def test_a_shell_that_is_started_with_e_may_be_cut_at_semicolons() -> None:
    assert take_apart("a; b", ["sh", "-e"]) is not None
    assert take_apart("set +e; a; b", ["sh", "-e"]) is None
    assert take_apart("a && b; c", ["sh", "-e"]) is None


@pytest.mark.parametrize(
    "shell",
    ["sh -ec", "sh -e -c", "bash -ceu", "bash -o errexit -c", "/usr/bin/env bash -euo pipefail", "busybox sh -e"],
)
def test_options_that_change_nothing_between_two_commands(shell: str) -> None:
    assert take_apart("a; b", shell.split()) is not None


@pytest.mark.parametrize(
    "shell",
    [
        "sh -lec",
        "bash -n -e",
        "sh -fec",
        "sh -vec",
        "bash --login -e",
        "sh -e -o pipefail",
        "ash -eo noglob",
        "sh -c",
    ],
)
def test_options_that_change_what_the_commands_do(shell: str) -> None:
    assert take_apart("a; b", shell.split()) is None


def test_pipefail_ends_a_shell_that_does_not_know_it() -> None:
    assert take_apart("set -euo pipefail; a; b", ["sh"]) is None
    assert take_apart("set -euo pipefail; a; b", ["/usr/bin/env", "bash"]) is not None


def test_a_shell_that_shows_what_it_runs() -> None:
    traced = {
        text: take_apart(text, shell.split()) for shell, text in (("sh -xe", "a; b"), ("sh", "set -ex; a; b; c"))
    }
    assert all(script is not None and script.traced for script in traced.values())
    off = take_apart("set +x; a; b", ["sh", "-ex"])
    assert off is not None
    assert not off.traced


def test_a_piece_keeps_its_words_and_its_options() -> None:
    script = take_apart("set -eu\na  'b'  # why\nc\nd", ["sh"])
    assert script is not None
    assert script.piece(script.parts[:2]) == "set -eu; a  'b'  # why\nc"


def test_what_needs_a_shell() -> None:
    script = take_apart("a b && a $$B && a b* && echo c && a '*'", ["sh"])
    assert script is not None
    assert [part.literal for part in script.parts] == [True, False, False, False, True]
    assert isinstance(script.parts[0], Part)
