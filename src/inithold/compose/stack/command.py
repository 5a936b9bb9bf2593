"""What can be told of a service's command: does it hold, which marker does it write, does it hear SIGTERM."""

from __future__ import annotations

import re
from dataclasses import dataclass
from posixpath import basename
from typing import TYPE_CHECKING

from inithold.compose.read.tree import Scalar, Sequence, Value
from inithold.compose.stack import shellwords
from inithold.compose.stack.variables import variable

if TYPE_CHECKING:
    from inithold.compose.read.project import Service

DEFAULT_MARKER = "/tmp/init-complete"  # noqa: S108 - the name inithold publishes in the container, not a file here
_INITHOLD = re.compile(r"(?:^|[\s;&|('\"/])inithold\s+run\b(?P<rest>[^;&|]*)")
_INITHOLD_IMAGE = re.compile(r"(?:^|/)inithold(?:[:@]|$)")
# A loop is a hold only where its body does nothing but wait: a worker's loop works, and touches a heartbeat file.
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
    """The command of a service, as far as the Compose files say.

    Args:
        argv: entrypoint and command as one list of words, the image's where they could be told, with variables
            filled in; None for none.
        dropped: what Compose drops of a string, from an unquoted shell operator on.
        inithold: it runs `inithold run`.
        once: it ends when its work is done: `--once`, `--only` or `--from`.
        repair: it runs a part of the plan, with `--only` or `--from`.
        plan: the plan it names, None for the default one.
        wrapped: it runs `inithold run -- CMD`, a plan of one command.
        waits: it waits for URLs first, with `--wait`.
        marks: the paths of markers it writes.
        written_marks: the same before variables are filled in, for what is written into the file.
        sleeps: it stays up after its work.
    """

    argv: tuple[str, ...] | None
    dropped: str
    inithold: bool
    once: bool
    repair: bool
    plan: str | None
    wrapped: bool
    waits: bool
    marks: tuple[str, ...]
    written_marks: tuple[str, ...]
    sleeps: bool

    @property
    def text(self) -> str:
        """The words with blanks between."""
        return " ".join(self.argv or ())

    @property
    def task(self) -> tuple[str, ...]:
        """The words of the work itself, without what makes it hold."""
        argv = self.argv or ()
        if self.wrapped:
            return argv[argv.index("--") + 1 :] if "--" in argv else ()
        # The wrapper of `compose fix --wrap shell`.
        return argv[4:] if argv[:2] == ("sh", "-c") and "sleep 86400" in argv[2] and argv[3:4] == ("sh",) else argv

    @property
    def holds(self) -> bool:
        """True where it is known to stay up."""
        return (self.inithold and not self.once) or self.sleeps

    @property
    def deaf(self) -> bool:
        """True where PID 1 is known to ignore SIGTERM."""
        argv = self.argv
        if not argv or self.inithold or any(basename(word) in _REAPERS for word in argv[:2]):
            return False
        program = basename(argv[0])
        if program in _DEAF:
            return True
        text = self.text
        if program in _SHELLS:
            return bool(_SLEEPS.search(text)) and not re.search(
                r"\btrap\b|\b(?:tini|dumb-init|catatonit|inithold)\b", text
            )
        return program.startswith("python") and "time.sleep(" in text and "signal" not in text


def words(value: Value | None) -> tuple[list[str], str]:
    """The words of an `entrypoint` or `command` as they are written, and what Compose drops of it."""
    if isinstance(value, Sequence):
        return [item.text for item in value.items if isinstance(item, Scalar)], ""
    if isinstance(value, Scalar) and value.data is not None:
        return shellwords.split(value.text)
    return [], ""


def filled_words(value: Value | None) -> list[str]:
    """The words of an `entrypoint` or `command` with their variables filled in."""
    if isinstance(value, Sequence):
        return [item.filled for item in value.items if isinstance(item, Scalar)]
    return shellwords.split(value.filled)[0] if isinstance(value, Scalar) and value.data is not None else []


def is_inithold_image(image: str) -> bool:
    """Is this the image of inithold, whose entrypoint, command and healthcheck are known?"""
    return _INITHOLD_IMAGE.search(image) is not None


def has_no_words(entrypoint: Value | None) -> bool:
    """Is this no entrypoint at all? The engine takes `[""]` for an empty one."""
    return words(entrypoint)[0] in ([], [""])


def read_command(service: Service, complete: tuple[str, ...] | None = None) -> Command:
    """What the container runs.

    Args:
        service: of the merged stack.
        complete: all its words, the image's included (`image.argv`); None where those could not be told.
    """
    entrypoint, command = service.value("entrypoint"), service.value("command")
    own = None if has_no_words(entrypoint) else entrypoint
    written, dropped_first = words(own)
    rest, dropped_rest = words(command)
    written += rest
    from_image = list(complete or ())[: len(complete or ()) - len(written)]
    written = [*from_image, *written]
    argv = [*(word.replace("$$", "$") for word in from_image), *filled_words(own), *filled_words(command)]
    known = complete is not None or entrypoint is not None
    image = service.text("image") or ""
    shown = " ".join(argv)
    found = _INITHOLD.search(shown)
    options: list[str] | None = None
    if found:
        options = _options(argv, found["rest"])
    elif is_inithold_image(image) and not known and (not argv or argv[0] == "run"):
        options = argv[1:]
    repair = any(word.partition("=")[0] in _REPAIRS for word in _own(options or []))
    return Command(
        argv=tuple(argv) if argv else None,
        dropped=dropped_first or dropped_rest,
        inithold=options is not None,
        once=options is not None and (repair or "--once" in _own(options) or _flag(service, "INITHOLD_ONCE")),
        repair=repair,
        plan=_plan(options) or variable(service, "INITHOLD_PLAN") if options is not None else None,
        wrapped=options is not None and "--" in options,
        waits=options is not None and _waits(service, options),
        marks=_marker(service, options) if options is not None else _marks(shown),
        written_marks=_marker(service, options)
        if options is not None
        else _marks(" ".join(written).replace("$$", "$")),
        sleeps=options is None and _SLEEPS.search(shown) is not None,
    )


def _options(argv: list[str], rest: str) -> list[str]:
    for index, word in enumerate(argv[:-1]):
        if basename(word) == "inithold" and argv[index + 1] == "run":
            return argv[index + 2 :]
    return rest.split()


def _own(options: list[str]) -> list[str]:
    return options[: options.index("--")] if "--" in options else options


def _waits(service: Service, options: list[str]) -> bool:
    given = any(word.partition("=")[0] == "--wait" for word in _own(options))
    return given or bool(variable(service, "INITHOLD_WAIT"))


def _flag(service: Service, name: str) -> bool:
    return (variable(service, name) or "").lower() in ("1", "true", "yes", "on")


def _plan(options: list[str] | None) -> str | None:
    skip = False
    for word in _own(options or []):
        if skip:
            skip = False
        elif word in _VALUED:
            skip = True
        elif not word.startswith("-"):
            return word
    return None


def _marker(service: Service, options: list[str]) -> tuple[str, ...]:
    own = _own(options)
    for index, word in enumerate(own):
        if word.startswith("--marker="):
            return (word.partition("=")[2],)
        if word == "--marker" and index + 1 < len(own):
            return (own[index + 1],)
    return (variable(service, "INITHOLD_MARKER") or DEFAULT_MARKER,)


def _marks(text: str) -> tuple[str, ...]:
    found = [match for pattern in _MARKS for match in pattern.findall(text)]
    # The wrapper of `compose fix --wrap shell` names its marker once, in a variable.
    if named := re.search(r"(?:^|\s)m=(/\S+?);?\s", text):
        found = [named[1] if path in ("$m", '"$m"') else path for path in found] + [named[1]]
    kept = [path for path in found if not path.startswith("/dev/") or path.startswith("/dev/shm/")]  # noqa: S108
    return tuple(dict.fromkeys(kept))
