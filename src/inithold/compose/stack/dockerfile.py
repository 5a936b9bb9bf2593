"""Reads ENTRYPOINT, CMD and copied files from a Dockerfile without building it.

Follows the Dockerfile reference and BuildKit's `frontend/dockerfile`: parser directives, continuation lines,
here-documents, stages that build on one another, `ONBUILD`, `SHELL`, and ENTRYPOINT clearing an inherited CMD.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from posixpath import join, normpath

_DIRECTIVE = re.compile(r"#\s*(\w+)\s*=\s*(.*?)\s*\Z")
_HEREDOC = re.compile(r"<<(-?)(['\"]?)([A-Za-z_]\w*)\2")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?:(:?[-+])([^{}]*))?\}|(\w+))")
_WITH_HEREDOCS = ("RUN", "COPY", "ADD")
_SHELL = ("/bin/sh", "-c")
# The CMD of official images without an ENTRYPOINT. Images that have one (node, php, java) are left out.
_BASES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("alpine", "busybox"), ("sh",)),
    **dict.fromkeys(
        ("debian", "ubuntu", "fedora", "rockylinux", "almalinux", "amazonlinux", "buildpack-deps"), ("bash",)
    ),
    **dict.fromkeys(("golang", "rust", "perl"), ("bash",)),
    "python": ("python3",),
    "ruby": ("irb",),
    "scratch": (),
}


@dataclass(frozen=True, slots=True)
class Runs:
    """What an image runs. None: inherited from an unknown base image.

    Args:
        entrypoint: its ENTRYPOINT.
        command: its CMD.
        folder: its WORKDIR; empty if unknown.
        files: the files that here-documents write: path in the image, content.
        copies: what is copied, in order: source in the build context (None if from elsewhere), path in the image.
        healthcheck: it has a HEALTHCHECK.
    """

    entrypoint: tuple[str, ...] | None
    command: tuple[str, ...] | None
    folder: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    copies: tuple[tuple[str | None, str], ...] = ()
    healthcheck: bool = False


@dataclass(slots=True)
class _Stage:
    runs: Runs
    shell: tuple[str, ...] = _SHELL
    command_set: bool = False
    triggers: list[tuple[str, str, list[str]]] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    def take(self, keyword: str, rest: str, documents: list[str], arguments: Mapping[str, str]) -> None:
        if keyword == "ENTRYPOINT":
            command = self.runs.command if self.command_set else ()
            self.runs = replace(self.runs, entrypoint=self._words(rest), command=command)
        elif keyword == "CMD":
            self.runs, self.command_set = replace(self.runs, command=self._words(rest)), True
        elif keyword == "HEALTHCHECK":
            self.runs = replace(self.runs, healthcheck=rest.upper() != "NONE")
        elif keyword == "SHELL":
            self.shell = _listed(rest) or self.shell
        elif keyword == "ONBUILD":
            inner, _, behind = rest.partition(" ")
            self.triggers.append((inner.upper(), behind.strip(), documents))
        elif keyword == "ARG":
            name, equals, default = rest.partition("=")
            if name in arguments or equals:
                self.variables[name] = arguments.get(name, _unquoted(default))
        elif keyword == "ENV":
            for name, value in re.findall(r"(\w+)=(\"[^\"]*\"|'[^']*'|\S*)", rest) or [rest.partition(" ")[::2]]:
                self.variables[name] = expand(_unquoted(value), self.variables)
        elif keyword == "WORKDIR":
            folder = expand(_unquoted(rest), self.variables)
            absolute = folder.startswith("/") or not self.runs.folder
            self.runs = replace(self.runs, folder=folder if absolute else f"{self.runs.folder}/{folder}")
        elif keyword in ("COPY", "ADD"):
            words = [word for word in _listed(rest) or rest.split() if not word.startswith("--")]
            *sources, target = words or [""]
            self._copy(sources, expand(target, self.variables), documents, foreign="--from=" in rest)

    def _copy(self, sources: list[str], target: str, documents: list[str], *, foreign: bool) -> None:
        path = normpath(join("/", self.runs.folder, target))
        into = target.endswith("/") or target == "."
        files, copies, texts = dict(self.runs.files), self.runs.copies, iter(documents)
        for source in sources:
            if document := _HEREDOC.match(source):
                text, name = next(texts, ""), join(path, document[3]) if into else path
                files.pop(name, None)
                # BuildKit interpolates an unquoted here-document: its text is known only without variables.
                if document[2] or not re.search(r"[$\\]", text):
                    files[name] = text
                copies = (*copies, (None, name))
            else:
                copies = (*copies, (None if foreign else expand(source, self.variables) or None, path))
        self.runs = replace(self.runs, files=files, copies=copies)

    def _words(self, rest: str) -> tuple[str, ...]:
        words = _listed(rest)
        return words if words is not None else (*self.shell, rest)


def read_dockerfile(
    text: str, *, target: str | None = None, arguments: Mapping[str, str] | None = None
) -> Runs | None:
    """Read what the image of a stage runs.

    Args:
        text: the Dockerfile.
        target: the stage named by `build.target`; the last stage if None.
        arguments: `build.args`.

    Returns:
        What it runs; None if there is no such stage.
    """
    given = dict(arguments or {})
    defaults: dict[str, str] = {}
    stages: dict[str, _Stage] = {}
    stage: _Stage | None = None
    for keyword, rest, documents in _instructions(text):
        if keyword == "FROM":
            if target is not None and target.lower() in stages:
                break
            words = [word for word in rest.split() if not word.startswith("--")]
            base = expand(words[0], defaults) if words else ""
            name = words[2].lower() if len(words) > 2 and words[1].upper() == "AS" else ""
            if (parent := stages.get(base.lower())) is not None:
                stage = _Stage(parent.runs, parent.shell, variables=dict(parent.variables))
                for trigger in parent.triggers:
                    stage.take(*trigger, given)
            else:
                image = (
                    base.removeprefix("docker.io/").removeprefix("library/").partition("@")[0].partition(":")[0]
                )
                known = image in _BASES
                stage = _Stage(Runs(() if known else None, _BASES.get(image), "/" if known else ""))
            number = str(sum(key.isdigit() for key in stages))
            stages |= {number: stage, name or number: stage}
        elif stage is not None:
            stage.take(keyword, rest, documents, given)
        elif keyword == "ARG":
            name, _, default = rest.partition("=")
            defaults[name] = given.get(name, expand(_unquoted(default), defaults))
    if target is not None:
        stage = stages.get(target.lower())
    return stage.runs if stage is not None else None


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Interpolate the Dockerfile's variables; an unset one is empty."""

    def fill(match: re.Match[str]) -> str:
        name, operator, argument = match[1] or match[4], match[2] or "", match[3] or ""
        value = variables.get(name)
        is_set = bool(value) if operator.startswith(":") else value is not None
        if operator.endswith("+"):
            return argument if is_set else ""
        return (value or "") if is_set else argument

    return _VARIABLE.sub(fill, text)


def _instructions(text: str) -> Iterator[tuple[str, str, list[str]]]:
    """Yield each instruction: its keyword in capitals, the rest of its logical line, and its here-documents."""
    lines = iter(text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n"))
    escape, heading = "\\", True
    for line in lines:
        stripped = line.strip()
        directive = _DIRECTIVE.match(stripped) if heading else None
        heading = directive is not None
        if directive and directive[1].lower() == "escape":
            escape = directive[2]
        if not stripped or stripped.startswith("#"):
            continue
        logical = stripped
        while logical.endswith(escape):
            # Comments and empty lines between continuation lines do not end the instruction.
            more = next((each for each in lines if each.strip() and not each.lstrip().startswith("#")), None)
            logical = logical[: -len(escape)] + (more.rstrip() if more is not None else "")
            if more is None:
                break
        keyword, _, rest = re.sub(r"\s", " ", logical, count=1).partition(" ")
        keyword, rest = keyword.upper(), rest.strip()
        inner = rest.partition(" ")[0].upper() if keyword == "ONBUILD" else keyword
        documents = (
            [_document(lines, found) for found in _HEREDOC.finditer(rest)] if inner in _WITH_HEREDOCS else []
        )
        yield keyword, rest, documents


def _document(lines: Iterator[str], found: re.Match[str]) -> str:
    body: list[str] = []
    for line in lines:
        kept = line.lstrip("\t") if found[1] else line
        if kept == found[3]:
            break
        body.append(kept)
    return "".join(f"{line}\n" for line in body)


def _listed(rest: str) -> tuple[str, ...] | None:
    """Parse the exec form, a JSON list of strings; None for the shell form."""
    try:
        words = json.loads(rest) if rest.startswith("[") else None
    except ValueError:
        return None
    return tuple(words) if isinstance(words, list) and all(isinstance(word, str) for word in words) else None


def _unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
