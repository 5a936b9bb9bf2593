"""Analyses a service's command: whether it holds, which marker it writes, whether it handles SIGTERM."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from posixpath import basename
from typing import TYPE_CHECKING

from inithold.compose.read.tree import Scalar, Sequence, Value

if TYPE_CHECKING:
    from inithold.compose.read.project import Service

DEFAULT_MARKER = "/tmp/init-complete"  # noqa: S108 - in the container
_INITHOLD = re.compile(r"(?:^|[\s;&|('\"/])inithold\s+run\b(?P<rest>[^;&|]*)")
_INITHOLD_IMAGE = re.compile(r"(?:^|/)inithold(?:[:@]|$)")
# A loop holds only if its body does nothing but wait: a worker's loop works, and touches a heartbeat file.
_SLEEPS = re.compile(
    r"\bsleep\s+(?:infinity|inf\b|\d{5,}|\d+d)|\btail\s+(?:-n\s*\d+\s+)?-[fF]\s+/dev/null|\bcatatonit\s+-P\b"
    r"|\bwhile\s+(?:true|:|\[\s*1\s*\]|sleep\s+\d+)\s*[;\n]+\s*do(?:\s|;|&|:|true|sleep\s+[\w.]+|wait(?:\s+\S+?)?)*\s*done\b"
    r"|time\.sleep\(\s*(?:float\(|math\.inf|1e|\d{5,}|\d+\s*\*)|while\s+(?:True|1)\s*:\s*(?:import\s+time;?\s*)?time\.sleep\("
    r"|signal\.pause\(|(?:^|/)pause$",
)
_MARKS = (
    re.compile(r"\btouch\s+(?:-\S+\s+)*['\"]?([^\s;&|'\")]+)"),
    re.compile(
        r"(?:^|[;&|\n{(]|then|do)\s*(?::|true|echo[^;&|>\n]*|date[^;&|>\n]*|printf[^;&|>\n]*)?\s*>>?\s*['\"]?(/[^\s;&|'\")]+)"
    ),
    re.compile(r"open\(\s*['\"]([^'\"]+)['\"]\s*,\s*['\"][wax]"),
    re.compile(r"Path\(\s*['\"]([^'\"]+)['\"]\s*\)\.(?:touch|write_text|write_bytes)\("),
)
# Redirections other than to /dev/null may fail: with `echo > /dev/tcp/localhost/80` bash connects to a port.
_SUCCEEDS = (
    r"(?:(?:(?:/usr)?/bin/)?(?:true|sleep\s+[\d.]+[smhd]?)|:|(?:exit|return)\s+0|(?:echo|printf)\b[^;&|<>\n]*)"
    r"(?:\s*\d?>\s*(?:/dev/null|&\d))*\s*"
)
_ALWAYS = re.compile(
    rf"(?:\A|(?P<joint>\|\|?|[;\n])\s*)(?P<end>(?:{_SUCCEEDS}(?:&&|[;\n])\s*)*{_SUCCEEDS})['\"]?\s*(?:\s#.*)?\Z"
)
_DECIDES = r"\bexit\s+(?!0\b)|\bfalse\b"
_SUBSHELL = re.compile(r"\([^()]*\)")
# What no environment depends on: waiting loops, and commands that talk, sleep or make room.
_WAITING_LOOP = re.compile(
    r"\b(?:until|while\s+!)\s.*?[;\n]\s*do\b(?:\s|[;:]|true\b|sleep\s+[\w.]+|(?:echo|printf)\b[^;\n]*)*\bdone\b"
)
_NO_WORK = re.compile(
    r"\s*(?:(?:echo|printf|sleep|set|export|trap|cd|mkdir|rm|exec\s+\d|true|\w+=)\b.*|:|#.*)?\Z", re.S
)
_SHELLS = {"sh", "bash", "ash", "dash", "zsh", "ksh", "busybox"}
_REAPERS = {"tini", "dumb-init", "catatonit", "docker-init", "s6-svscan", "inithold", "pause"}
_DEAF = {"sleep", "tail", "cat"}
_REPAIRS = ("--only", "--from")
_VALUED = (
    *("--marker", "--record", "--keep", "--verify", "--wait", "--unless", "--creates"),
    *("--log-level", "--log-format", *_REPAIRS),
)


@dataclass(frozen=True, slots=True)
class Command:
    """The command of a service, as far as it is known.

    Args:
        service: the service.
        argv: entrypoint and command as one list, interpolated, including the image's if known.
        written: the same as one text, not interpolated.
        dropped: what Compose drops from a string command: everything from an unquoted shell operator on.
        options: the words behind `inithold run`; None if it runs something else.
    """

    service: Service
    argv: tuple[str, ...]
    written: str
    dropped: str
    options: tuple[str, ...] | None

    @property
    def text(self) -> str:
        """The words as one line."""
        return " ".join(self.argv)

    @property
    def inithold(self) -> bool:
        """Whether it is `inithold run`."""
        return self.options is not None

    @property
    def wrapped(self) -> bool:
        """Whether it is `inithold run -- CMD`, a plan of one command."""
        return "--" in (self.options or ())

    @property
    def _own(self) -> tuple[str, ...]:
        options = self.options or ()
        return options[: options.index("--")] if "--" in options else options

    def option(self, name: str) -> str | None:
        """Return an option of `inithold run`, from the command line or its variable; None if not given."""
        for index, word in enumerate(self._own):
            if word.startswith(f"{name}="):
                return word.partition("=")[2]
            if word == name and index + 1 < len(self._own):
                return self._own[index + 1]
        return self.service.variable(f"INITHOLD_{name[2:].upper()}") if self.inithold else None

    @property
    def repair(self) -> bool:
        """Whether it runs only part of the plan, with `--only` or `--from`."""
        return any(word.partition("=")[0] in _REPAIRS for word in self._own)

    @property
    def once(self) -> bool:
        """Whether `inithold run` exits when its work is done."""
        variable = (self.service.variable("INITHOLD_ONCE") or "").lower() in ("1", "true", "yes", "on")
        return self.inithold and (self.repair or "--once" in self._own or variable)

    @property
    def waits(self) -> bool:
        """Whether it waits for URLs first, with `--wait`."""
        return bool(self.option("--wait"))

    @property
    def plan(self) -> str | None:
        """The plan it names; None for the default."""
        above = ""
        for word in self._own:
            if above not in _VALUED and not word.startswith("-"):
                return word
            above = word
        return self.service.variable("INITHOLD_PLAN") if self.inithold else None

    @property
    def marks(self) -> tuple[str, ...]:
        """The markers that it writes."""
        return (self.option("--marker") or DEFAULT_MARKER,) if self.inithold else _marks(self.text)

    @property
    def written_marks(self) -> tuple[str, ...]:
        """The same, not interpolated, for use in the Compose file."""
        return self.marks if self.inithold else _marks(self.written)

    @property
    def sleeps(self) -> bool:
        """Whether it stays up after its work without inithold."""
        return not self.inithold and _SLEEPS.search(self.text) is not None

    @property
    def task(self) -> tuple[str, ...]:
        """The words of the work itself, without the wrapper that holds."""
        argv = self.argv
        if self.wrapped:
            return argv[argv.index("--") + 1 :] if "--" in argv else ()
        # The wrapper of `compose fix --wrap shell`.
        return argv[4:] if argv[:2] == ("sh", "-c") and "sleep 86400" in argv[2] and argv[3:4] == ("sh",) else argv

    @property
    def masked_by(self) -> str | None:
        """The end of its script that exits 0, or writes the marker, though its work fails; None if unknown."""
        *shell, script = self._script
        if not shell:
            return None
        sets = re.search(r"(?:^|\s)-\w*e", " ".join(shell)) or re.search(r"\bset\s+-\w*e", script)
        errexit = sets is not None and not re.search(r"\bset\s+\+\w*e", script)
        if _SLEEPS.search(script):
            marks = [match for pattern in _MARKS if (match := pattern.search(script))]
            first = min(marks, key=lambda match: match.start(), default=None)
            match = first and re.search(r"(?P<joint>[;\n])\s*(?P<end>[^;\n]*)\Z", script[: first.end()])
        else:
            match = _ALWAYS.search(script.rstrip("; \t\n"))
        if match is None or re.search(rf"{_DECIDES}|\btrap\b", _SUBSHELL.sub("", script)):
            return None
        before = _WAITING_LOOP.sub("", script[: match.start()])
        works = any(not _NO_WORK.match(part) for part in re.split(r"&&|\|\|?|[;\n]", before))
        joint = "|| " if match["joint"] == "||" else ""
        return joint + match["end"].strip() if works and (joint or not errexit) else None

    @property
    def _script(self) -> tuple[str, ...]:
        """The shell that runs it, with its options, and its script; only an empty script without a shell."""
        task = self.task
        for at, word in enumerate(task[:-1]):
            if re.fullmatch(r"-\w*c", word) and any(basename(each) in _SHELLS for each in task[:at]):
                return (*task[: at + 1], task[at + 1].replace("\\\n", " "))
        return ("",)

    @property
    def deaf(self) -> bool:
        """Whether PID 1 is known to ignore SIGTERM."""
        if not self.argv or self.inithold or any(basename(word) in _REAPERS for word in self.argv[:2]):
            return False
        program = basename(self.argv[0])
        if program in _SHELLS:
            return self.sleeps and not re.search(r"\btrap\b|\b(?:tini|dumb-init|catatonit|inithold)\b", self.text)
        python = program.startswith("python") and "time.sleep(" in self.text and "signal" not in self.text
        return program in _DEAF or python


def always_succeeds(script: str) -> bool:
    """Whether a shell script exits 0 whatever its commands do."""
    # `broken && exit 1 || exit 0` and `set -e` can fail; an `exit` in a subshell ends the subshell only.
    may_fail = re.search(rf"{_DECIDES}|\bset\s+-\w*e|\bpipefail\b", _SUBSHELL.sub("", script))
    return _ALWAYS.search(script.strip("; \t\n")) is not None and not may_fail


def words(value: Value | None) -> tuple[list[str], str]:
    """Split an `entrypoint` or `command` into words, not interpolated, and what Compose drops of it."""
    if isinstance(value, Sequence):
        return [item.text for item in value.items if isinstance(item, Scalar)], ""
    return split(value.text) if isinstance(value, Scalar) else ([], "")


def filled_words(value: Value | None) -> list[str]:
    """Split an `entrypoint` or `command` into words, interpolated."""
    if isinstance(value, Sequence):
        return [item.filled for item in value.items if isinstance(item, Scalar)]
    return split(value.filled)[0] if isinstance(value, Scalar) else []


def split(text: str) -> tuple[list[str], str]:
    """Split a string command into words as Compose does, without a shell.

    Follows mattn/go-shellwords as used by compose-go: it handles quotes and backslashes, and at an unquoted `;`,
    `&`, `|`, `<` or `>` it stops and drops the rest.

    Returns:
        The words and the dropped rest.
    """
    result: list[str] = []
    word, started, quote, escaped = "", False, "", False
    for index, char in enumerate(text):
        if escaped:
            word, started, escaped = word + char, True, False
        elif char == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote, word = ("", word) if char == quote else (quote, word + char)
        elif char in "'\"":
            quote, started = char, True
        elif char.isspace():
            if started:
                result.append(word)
            word, started = "", False
        elif char in ";&|<>" and not re.search(r"\$\{[^}]*\Z", text[:index]):
            # A number before `>` is a file descriptor, and dropped with it.
            keep = started and not (char == ">" and word.isdigit())
            return ([*result, word] if keep else result), text[index:]
        else:
            word, started = word + char, True
    return ([*result, word] if started else result), ""


def is_inithold_image(image: str) -> bool:
    """Whether this is inithold's own image, whose entrypoint, command and healthcheck are known."""
    return _INITHOLD_IMAGE.search(image) is not None


def has_no_words(entrypoint: Value | None) -> bool:
    """Whether this is an empty entrypoint; to the engine `[""]` is one, too."""
    return words(entrypoint)[0] in ([], [""])


def read_command(service: Service, complete: tuple[str, ...] | None = None) -> Command:
    """Analyse what the container runs.

    Args:
        service: of the merged stack.
        complete: the whole argument list, including the image's part (`image.argv`); None if unknown.
    """
    entrypoint, command = service.value("entrypoint"), service.value("command")
    own = None if has_no_words(entrypoint) else entrypoint
    (first, dropped), (rest, dropped_behind) = words(own), words(command)
    from_image = (complete or ())[: len(complete or ()) - len(first) - len(rest)]
    argv = [*(word.replace("$$", "$") for word in from_image), *filled_words(own), *filled_words(command)]
    options: list[str] | None = None
    if match := _INITHOLD.search(" ".join(argv)):
        runs = (at for at, (one, two) in enumerate(pairwise(argv)) if basename(one) == "inithold" and two == "run")
        at = next(runs, None)
        options = argv[at + 2 :] if at is not None else match["rest"].split()
    elif is_inithold_image(service.text("image") or "") and complete is None and entrypoint is None:
        options = argv[1:] if not argv or argv[0] == "run" else None
    return Command(
        service=service,
        argv=tuple(argv),
        written=" ".join([*from_image, *first, *rest]).replace("$$", "$"),
        dropped=dropped or dropped_behind,
        options=None if options is None else tuple(options),
    )


def _marks(text: str) -> tuple[str, ...]:
    paths = [match for pattern in _MARKS for match in pattern.findall(text)]
    # The wrapper of `compose fix --wrap shell` has its marker in the variable `m`.
    if named := re.search(r"(?:^|\s)m=(/\S+?);?\s", text):
        paths = [named[1] if path in ("$m", '"$m"') else path for path in paths] + [named[1]]
    kept = [path for path in paths if not path.startswith("/dev/") or path.startswith("/dev/shm/")]  # noqa: S108
    return tuple(dict.fromkeys(kept))
