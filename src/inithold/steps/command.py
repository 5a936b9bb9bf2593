"""Runs the user's commands and shell lines."""

from __future__ import annotations

import errno
import os
import re
import shlex
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Literal

import msgspec

from inithold.errors import StepFailed
from inithold.process import child
from inithold.redaction.redact import SECRETS, scrub
from inithold.redaction.sanitize import one_line
from inithold.steps.base import Change, Step, StepContext

Command = list[str] | str
Level = Literal["debug", "info"]
_LAST_NO = 125
"""Higher codes mean that the command cannot be run, is not found or was killed (POSIX, XCU 2.8.2)."""
_PATTERN = re.compile(r"[*?\[]")
_SHOWN = 100
_BY_HAND = "run it by hand, in the same image with the same variables, to see more"
_OUT_OF_MEMORY = (
    "SIGKILL from elsewhere is often the kernel's, out of memory: look at the container's memory limit"
)


class Run(Step, frozen=True, kw_only=True):
    """Run a command; exit code 0 means success.

    With `unless` or `creates`, the command runs only when needed, and the guard is checked again afterwards.
    Without a guard it cannot be checked: it runs every time and must be safe to repeat.

    Output goes to the log line by line, as it comes. Standard input is empty. The command inherits the environment
    of inithold, plus `TRACEPARENT`. On a timeout or when the run is cancelled, its whole process group gets
    SIGTERM, then SIGKILL 3 s later. Background processes it leaves in its group end with the run (on Linux; use
    `setsid` for one that must stay). A failure is retried only if the plan sets `retry`.

    Args:
        run: the command: a list of program and arguments, or a line for `/bin/sh -c`.
        cwd: working directory; inithold's own if absent.
        env: additional environment variables. Values of variables named like secrets are treated as secrets.
        unless: guard command: exit code 0 means there is nothing to do, 1 to 125 that the command is needed.
            Anything above, or a signal, is an error: the guard itself could not run.
        creates: a path, not a pattern, relative to `cwd`; if it exists, there is nothing to do.

    Example:
        ```yaml
        - id: seed
          uses: command.run
          with:
            run: [python, -m, app.seed]
            unless: [python, -m, app.seed, --check]
        ```
    """

    kind = "command.run"
    retries_failures = True
    rights = "what the `unless` command needs; search permission on the folders above `creates`"
    apply_rights = "what the command needs"

    run: Command
    cwd: str | None = None
    env: dict[str, str] = msgspec.field(default_factory=dict)
    unless: Command | None = None
    creates: str | None = None

    def __post_init__(self) -> None:
        SECRETS.add_environment(self.env)
        for command in (self.run, self.unless or []):
            SECRETS.add_arguments([command] if isinstance(command, str) else command)

    def validate(self) -> Iterator[tuple[str, str]]:
        for field, command in (("run", self.run), ("unless", self.unless)):
            if command is not None and not "".join(command if isinstance(command, str) else command[:1]).strip():
                yield field, "expected a command: a list of program and arguments, or a line for the shell"
            if command is not None and any("\0" in part for part in command):
                yield field, "holds a NUL character, which no command can"
        for name, value in self.env.items():
            if not name or "=" in name or "\0" in name + value:
                yield "env", f"{name!r} cannot be a variable: a name has no =, and neither name nor value a NUL"
        if self.unless is not None and self.creates is not None:
            yield "creates", "give either unless or creates, not both"
        for field, path in (("cwd", self.cwd), ("creates", self.creates)):
            if path is not None and (not path.strip() or "\0" in path):
                yield field, "expected a path"
                return
        if self.creates is not None and (problem := _never_tells(self.creates, self.cwd)):
            yield "creates", problem

    @property
    def verifiable(self) -> bool:
        return self.unless is not None or self.creates is not None

    def subject(self) -> str:
        return _shown(self.run)

    def check(self, context: StepContext) -> Sequence[Change]:
        if self.creates is not None:
            try:
                Path(self.cwd or "", self.creates).stat()
            except (FileNotFoundError, NotADirectoryError):
                return (Change("+", one_line(self.creates), (f"run {self.subject()}",)),)
            except OSError as error:
                raise StepFailed(
                    f"creates {one_line(self.creates)}: {(error.strerror or str(error)).lower()}",
                    hint="whether it exists cannot be told: let this user search the folders above it",
                ) from error
            return ()
        if self.unless is None:
            return (Change("?", "runs each time"),)
        ended = self._run(self.unless, context, "debug")
        answer = f"unless ({_shown(self.unless)}) {_how(ended.code)}"
        if not 0 <= ended.code <= _LAST_NO:
            hint = "a guard exits 0 where nothing is to be done and 1 where the command is needed"
            raise StepFailed(f"{answer}{ended.last_output()}", hint=_hint(ended.code) or hint)
        return () if ended.code == 0 else (Change("+", f"run {self.subject()}", (answer,)),)

    def apply(self, context: StepContext, changes: Sequence[Change]) -> None:  # noqa: ARG002 - it has but one
        ended = self._run(self.run, context, "info")
        if ended.code != 0:
            raise StepFailed(f"{_how(ended.code)}{ended.last_output()}", hint=_hint(ended.code) or _BY_HAND)

    def _run(self, command: Command, context: StepContext, level: Level) -> child.Ended:
        arguments = ["/bin/sh", "-c", command] if isinstance(command, str) else command
        environment = {**context.environ, **self.env}
        try:
            return self._execute(arguments, context, environment, level)
        except OSError as error:
            raise _not_started(arguments[0], command, self.cwd, environment, error) from error

    def _execute(
        self, arguments: Sequence[str], context: StepContext, environment: Mapping[str, str], level: Level
    ) -> child.Ended:
        def say(line: str) -> None:
            context.log(line, level=level)

        return child.run(arguments, context, cwd=self.cwd, env=environment, say=say)


class PassedThrough(Run, frozen=True, kw_only=True):
    """The command of `inithold run -- COMMAND`: its input and outputs are this process's own, byte for byte."""

    takes_terminal = True

    def _execute(
        self, arguments: Sequence[str], context: StepContext, environment: Mapping[str, str], level: Level
    ) -> child.Ended:
        if level == "debug":  # Output of a guard.
            return super()._execute(arguments, context, environment, level)
        return child.run_passed_through(arguments, context, cwd=self.cwd, env=environment)


def _never_tells(creates: str, cwd: str | None) -> str | None:
    """Return why a path cannot be a guard: it always exists, or never will."""
    if _PATTERN.search(creates):
        return "creates is a path, not a pattern: give unless, such as `ls logs/*.done`"
    if creates.startswith("~"):
        return "creates is taken as it is: ~ is a shell's word, give the whole path"
    target = PurePath(os.path.normpath(PurePath(cwd or "", creates)))
    if set(target.parts) <= {"/", "//", ".."} or (cwd and PurePath(os.path.normpath(cwd)).is_relative_to(target)):
        return f"{creates} always exists, so the command would never run: name what it creates"
    return None


def _shown(command: Command) -> str:
    # Scrub before quoting, which may split a secret.
    text = one_line(command if isinstance(command, str) else shlex.join(map(scrub, command)))
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _how(code: int) -> str:
    if code < 0:
        return f"was killed by {_name(-code)}"
    # A shell exits with 128+N if its command was killed by signal N.
    of_child = f" (what it ran was killed by {_name(code - 128)})" if code > 128 and _name(code - 128) else ""
    return f"exited {code}{of_child}"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}" if 0 < number < signal.NSIG else ""


def _hint(code: int) -> str | None:
    if code in (-signal.SIGKILL, 128 + signal.SIGKILL):
        return _OUT_OF_MEMORY
    if code == 127:
        return "127 is the shell's word for a command that is not found: check its name and PATH"
    if code == 126:
        return "126 is the shell's word for a command that cannot be run: check that it is an executable file"
    return None


def _not_started(
    program: str, command: Command, cwd: str | None, environment: Mapping[str, str], error: OSError
) -> StepFailed:
    if cwd is not None and not Path(cwd).is_dir():
        return StepFailed(
            f"cannot run {_shown(command)}: its cwd {cwd} is not a folder",
            hint="relative paths start at the folder inithold runs in; is it part of the image, or mounted?",
        )
    is_path = "/" in program
    file = str(Path(cwd or "", program)) if is_path else shutil.which(program, path=environment.get("PATH"))
    if isinstance(error, FileNotFoundError) and file and Path(file).is_file():
        problem = "the interpreter that its first line names does not exist"
        hint = "install that interpreter; a file with Windows line ends names one that never exists"
    elif isinstance(error, FileNotFoundError):
        problem = "no such file" if is_path else "not found"
        if " " in program.strip():
            hint = "a list has one entry for each argument; for a line for the shell give a text instead of a list"
        elif is_path:
            hint = "relative paths start at cwd, or at the folder inithold runs in"
        else:
            hint = f"it is looked for in PATH: {environment.get('PATH', 'which is not set')}"
    elif isinstance(error, PermissionError) and file is not None and Path(file).is_dir():
        problem, hint = "it is a folder", "name the program in it"
    elif isinstance(error, PermissionError):
        problem = "permission denied"
        hint = "make it executable (chmod +x), or run it with its interpreter: [sh, script.sh]"
    elif error.errno == errno.ENOEXEC:
        problem = "not a program for this machine"
        hint = "a script needs a first line such as #!/bin/sh; a program must be made for this processor"
    else:
        problem, hint = error.strerror or str(error), _BY_HAND
    return StepFailed(f"cannot run {one_line(program, _SHOWN)}: {problem}", hint=hint)
