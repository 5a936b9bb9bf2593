"""ENTRYPOINT and CMD of Dockerfiles, as BuildKit takes them."""

from __future__ import annotations

import pytest

from inithold.compose.stack.dockerfile import read_dockerfile

CASES = {
    "exec form": ('FROM scratch\nENTRYPOINT ["/a", "b"]\nCMD ["c"]', (("/a", "b"), ("c",))),
    "shell form": ("FROM x\nENTRYPOINT /a b\nCMD c d", (("/bin/sh", "-c", "/a b"), ("/bin/sh", "-c", "c d"))),
    "keywords in any case": ('from x\nentrypoint ["/a"]', (("/a",), ())),
    "not JSON is the shell form": ("FROM x\nENTRYPOINT ['/a']", (("/bin/sh", "-c", "['/a']"), ())),
    "a number in the list is the shell form": ('FROM x\nCMD ["a", 1]', (None, ("/bin/sh", "-c", '["a", 1]'))),
    "the last one counts": ('FROM x\nENTRYPOINT ["/a"]\nENTRYPOINT ["/b"]', (("/b",), ())),
    "an empty list takes it away": ('FROM x\nENTRYPOINT ["/a"]\nENTRYPOINT []', ((), ())),
    "entrypoint clears the base's command": ('FROM python:3.13\nENTRYPOINT ["/a"]', (("/a",), ())),
    "but not the stage's own": ('FROM python:3.13\nCMD ["c"]\nENTRYPOINT ["/a"]', (("/a",), ("c",))),
    "shell": ('FROM x\nSHELL ["/bin/bash", "-ec"]\nCMD a', (None, ("/bin/bash", "-ec", "a"))),
    "the base decides": ("FROM shop/base:1\nRUN x", (None, None)),
    "a base without an entrypoint": ("FROM docker.io/library/python:3.13-slim AS run", ((), ("python3",))),
    "somebody's image of that name": ("FROM ghcr.io/somebody/python:3", (None, None)),
    "base named by an argument": ("ARG B=python\nARG T=3\nFROM ${B}:$T", ((), ("python3",))),
    "base with a default": ("FROM ${B:-debian:12}", ((), ("bash",))),
    "continued": ('FROM x\nENTRYPOINT [ \\\n  # why\n\n  "/a", \\\n  "b" ]', (("/a", "b"), ())),
    "another escape": ('# escape=`\nFROM x\nENTRYPOINT [ `\n "/a" ]', (("/a",), ())),
    "not a directive behind a comment": ('# x\n# escape=`\nFROM x\nENTRYPOINT [ \\\n "/a" ]', (("/a",), ())),
    "Windows line ends": ('FROM x\r\nENTRYPOINT ["/a"]\r\n', (("/a",), ())),
    "here-document": ('FROM x\nRUN <<EOF\nENTRYPOINT ["/no"]\nEOF\nENTRYPOINT ["/a"]', (("/a",), ())),
    "two here-documents": (
        "FROM x\nCOPY <<A <<-'B' /d/\nCMD no\nA\n\tCMD no\n\tB\nCMD a",
        (None, ("/bin/sh", "-c", "a")),
    ),
    "last stage": ('FROM x AS a\nENTRYPOINT ["/a"]\nFROM x\nENTRYPOINT ["/b"]', (("/b",), ())),
    "stage on a stage": ('FROM x AS A\nENTRYPOINT ["/a"]\nCMD ["c"]\nFROM a\nRUN y', (("/a",), ("c",))),
    "stage on a stage by number": ('FROM x\nENTRYPOINT ["/a"]\nFROM 0', (("/a",), ())),
    "platform": ("FROM --platform=linux/amd64 python AS a\nFROM a", ((), ("python3",))),
    "onbuild does nothing here": ('FROM python\nONBUILD ENTRYPOINT ["/no"]', ((), ("python3",))),
    "onbuild in the stage behind": (
        'FROM python AS a\nONBUILD ENTRYPOINT ["/a"]\nFROM a\nCMD ["c"]',
        (("/a",), ("c",)),
    ),
    "onbuild goes no further": (
        'FROM python AS a\nONBUILD CMD ["a"]\nFROM a AS b\nCMD ["b"]\nFROM b',
        ((), ("b",)),
    ),
    "a comment that looks like one": ('FROM x\n# ENTRYPOINT ["/no"]\nENTRYPOINT ["/a"]', (("/a",), ())),
    "tabs": ('FROM x\nENTRYPOINT\t["/a"]', (("/a",), ())),
}


@pytest.mark.parametrize("name", CASES)
def test_what_it_runs(name: str) -> None:
    text, expected = CASES[name]
    runs = read_dockerfile(text)
    assert runs is not None
    assert (runs.entrypoint, runs.command) == expected


STAGES = """\
ARG BASE=python
FROM $BASE AS base
CMD ["base"]
FROM base AS init
ENTRYPOINT ["/init"]
FROM base AS web
"""


@pytest.mark.parametrize(
    ("target", "expected"),
    [("init", (("/init",), ())), ("INIT", (("/init",), ())), ("0", ((), ("base",))), ("web", ((), ("base",)))],
)
def test_the_stage_that_is_built(target: str, expected: object) -> None:
    runs = read_dockerfile(STAGES, target=target)
    assert runs is not None
    assert (runs.entrypoint, runs.command) == expected


def test_build_arguments_and_what_is_not_there() -> None:
    runs = read_dockerfile(STAGES, arguments={"BASE": "shop/base"})
    assert runs is not None
    assert runs.entrypoint is None
    assert read_dockerfile(STAGES, target="other") is None
    assert read_dockerfile("# nothing") is None


def test_files_and_folder() -> None:
    text = "FROM python\nWORKDIR /app\nWORKDIR bin\nCOPY --chmod=755 <<'EOF' setup.sh\n#!/bin/sh\necho $A\nEOF\n"
    runs = read_dockerfile(text)
    assert runs is not None
    assert runs.folder == "/app/bin"
    assert runs.files == {"/app/bin/setup.sh": "#!/bin/sh\necho $A\n"}
