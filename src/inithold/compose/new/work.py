"""Turns what a service runs into steps of a plan."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path, PurePosixPath
from posixpath import basename
from typing import TYPE_CHECKING, Any

from inithold.compose.new import tools
from inithold.compose.new.environment import Environment
from inithold.compose.new.servers import starting_after
from inithold.compose.new.shell import Part, Script, take_apart
from inithold.compose.new.text import from_compose, from_shell, slug
from inithold.compose.stack.command import words as split_words
from inithold.compose.stack.image import argv as argv_of
from inithold.compose.stack.image import tool_words
from inithold.compose.stack.roles import host_path, mounts
from inithold.text.files import read_regular
from inithold.text.url import WEB, parse

if TYPE_CHECKING:
    from inithold.compose.new.draft import Draft
    from inithold.compose.new.text import Concealer
    from inithold.compose.read.project import Service
    from inithold.compose.stack.roles import Stack

RENAMED = "COMPOSE_"
"""Prefix for a Compose variable whose name has a different value in the container."""
_SHELL = re.compile(r"(?:ba|a|da|z|k)?sh\Z")
_REAPERS = ("tini", "dumb-init", "catatonit", "docker-init")
_LARGEST = 256 * 1024
# The program that the entrypoint of a tool's official image runs.
_PROGRAM = re.compile(
    r"(?:^|[;&|(\n])\s*(?:(?:then|do|else|elif|if|while|until|exec|!|\{|sudo|busybox)\s+|\w+=\S*\s+)*([^\s;&|()<>]+)"
)
# A script of these programs alone needs no server.
_FILE_TOOL = re.compile(
    r"(?:ch(?:own|mod|grp)|mkdir|cp|mv|rm|rmdir|ln|touch|cat|echo|printf|true|false|:|test|\[\[?|install|tar|g?unzip|gzip"
    r"|sed|awk|grep|find|sleep|cd|set|exit|umask|then|else|fi|for|do|done|case|esac|envsubst|openssl"
    r"|tee|head|tail|cut|tr|sort|wc|ls|stat|id|pwd|date|export|[{}!]|dirname|basename|readlink|mktemp|truncate|dd"
    r"|setfacl|chattr|add(?:user|group)|user(?:add|mod)|groupadd|base64|(?:md5|sha\d+)sum|#.*|\w+=.*)\Z",
    re.S,
)
_ENDLESS = re.compile(
    r"""(?:^|[\s/])(?:uvicorn|gunicorn|hypercorn|daphne|waitress-serve|puma|unicorn|sidekiq|nginx|php-fpm|supervisord
        |apache2-foreground|pm2-runtime|catalina\.sh)(?:\ |\Z)
    | \b(?:runserver|rails\ s(?:erver)?|fastapi\ (?:run|dev)|flask\ run|celery\ .*\b(?:worker|beat)|java\ .*-jar
        |artisan\ serve)(?:\ |\Z)
    | \b(?:npm|yarn|pnpm|bun)\ (?:run\ )?(?:start|serve|dev)(?::\w+)?\Z
    | \bnode\ \S*(?:server|main|index|app)\.[cm]?js\Z
    | (?:^|\s)(?:sleep\ (?:infinity|inf|\d{5,}|\d+d)|tail\ -f\ /dev/null)\Z""",
    re.X,
)
# The last command of a script, with the touched marker file before it, if any.
_LAST = re.compile(
    r"(?:\s*&&\s*touch\s+/(?:tmp|run|var/run|dev/shm)/[\w./-]+)?\s*(?:&&|;|\n)\s*(?:exec\s+)?"
    r"(?P<command>[^;&|<>()'\"\n]+?|while (?:true|:)\s*[;\n]\s*do (?P<sleep>sleep) \w+\s*[;\n]\s*done)[\s;]*\Z"
)
# A script or module in a command; the step's id comes from it.
_SCRIPT = re.compile(
    r"(?:^|[\s/])(?!manage\.|main\.|index\.|[\w-]*entrypoint)(\w[\w-]*)\.(?:py|[cm]?[jt]s|sh|rb|php)\b"
    r"|\bpython[\d.]*(?:\s-\w+)*?\s-m\s(?:\w+\.)*(?!main\b)(\w+)"
)
# With these set, `flyway validate` may not see pending migrations.
_FLYWAY_IGNORES = re.compile(r"FLYWAY_(?:IGNORE|TARGET|CHERRY|OUT_OF_ORDER|VALIDATE)")
_BACKGROUND = re.compile(r"(?<![&>])&(?![&>\d])")


@dataclass(slots=True)
class Step:
    """A step of the draft; `why` becomes the comment above it, `todo` the TODO comments in it."""

    id: str  # `Draft.add` makes it unique.
    uses: str
    fields: dict[str, Any]
    why: list[str]
    todo: list[str] = field(default_factory=list)
    needs: list[str] | None = None

    @property
    def waits(self) -> bool:
        """Whether it waits for a server."""
        return self.uses.endswith(".ready")


class Work:
    """The steps for what one service runs; `chain` names all services that the plan is drafted from."""

    def __init__(
        self, draft: Draft, stack: Stack, service: Service, concealer: Concealer, chain: Collection[str]
    ) -> None:
        self.service = service
        self.steps: list[Step] = []
        self.only_files = False
        self.nothing = False
        """The command is unknown."""
        self.own = Environment(service, stack.project)
        self.excluded = starting_after(stack, chain)
        self._draft = draft
        self._unknown = draft.unknown.append
        self._stack = stack
        self._todo: list[str] = []
        self._concealer = concealer
        init = stack.inits.get(service.name) or stack.probable.get(service.name)
        self._may_stay_up = not draft.hooks and (init is None or init.held)
        words = concealer.words([from_compose(word, self._renamed) for word in self._argv()])
        while words and basename(words[0]) in _REAPERS:
            # inithold reaps itself. Behind options without `--`, the start of the command is unknown.
            options = list(takewhile(lambda word: word.startswith("-"), words[1:]))
            if words[1:] == options or (options and options[-1] != "--"):
                break
            words = words[1 + len(options) :]
        if [basename(word) for word in words[:1]] == ["inithold"] and words[1:2] == ["run"]:
            words = self._inithold(words[2:])
        if words and words != [""]:
            self.only_files = self._changes_only_files(words)
            self.steps += self._command(words)
            last = self.steps[-1]
            if self._may_stay_up and last.uses == "command.run" and "unless" not in last.fields:
                last.todo.insert(0, "run: leave out what keeps running: the plan is ready once this ends")

    def _renamed(self, name: str, expression: str) -> str:
        """Return the plan's name for a Compose variable: prefixed if the container's one may differ."""
        own, here = self.own.get(name), self._stack.project.variables.get(name)
        if own is None or own.text in (None, f"${name}", f"${{{name}}}", expression) or own.text == here:
            return name
        return f"{RENAMED}{name}"

    def _argv(self) -> Sequence[str]:
        service, image = self.service, self._stack.images(self.service)
        name = service.text("image") or f"the image of {service.name}"
        entrypoint, command = service.value("entrypoint"), service.value("command")
        for value in (entrypoint, command):
            if dropped := split_words(value)[1].strip():
                shown = self._concealer.text(from_compose(dropped))
                self._unknown(f"Compose runs no shell here and drops `{shown}` from the command: it never ran")
        argv, own = argv_of(service, image), split_words(command)[0]
        if argv.words is not None:
            if image is not None and ((entrypoint is None and image.entrypoint) or not own):
                self._draft.chosen.append(f"what the image of {service.name} runs: from {image.source}")
            return argv.words
        if (tool := tool_words(service)) is not None:
            return tool
        if own:
            if own[0] != "inithold":
                if own[0].startswith("-"):
                    self._todo.append(f"run: the ENTRYPOINT of {name} goes before `{own[0]}`")
                self._unknown(f"whether {name} has an ENTRYPOINT: if so, put its words before `{own[0]}`")
            return own
        self.nothing = True
        why = f"{name} decides what {service.name} runs"
        self._unknown(f"{why}: no engine has it, and no Dockerfile here shows it; look at its ENTRYPOINT and CMD")
        # A step that fails: without any, the plan would be ready with nothing done.
        fails = f"echo 'what {service.name} ran must still be written into the plan' >&2; exit 1"
        todo = "run: the image's ENTRYPOINT and CMD"
        self.steps.append(Step(slug(service.name), "command.run", {"run": fails}, [why], [todo]))
        return []

    def _inithold(self, words: list[str]) -> list[str]:
        """Return the command behind `inithold run`, and turn its `--wait`s into steps."""
        own = words[: words.index("--")] if "--" in words else words
        for target in re.findall("\0--wait[\0=]([^\0]+)", "\0".join(["", *own])):
            with suppress(ValueError):
                address = parse(target)
                url = target if address.technology in WEB else None
                self.steps += self._waits(tools.Wait(address.host, str(address.port), "inithold run --wait", url))
        if "--" in words:
            return words[words.index("--") + 1 :]
        plan = next((word for word in own if not word.startswith("-")), "inithold.yaml")
        self._draft.chosen.append(
            f"it already runs inithold, with {plan}: the draft is made from the Compose files alone"
        )
        return []

    def _command(self, words: list[str]) -> list[Step]:
        """Return the steps for a command: a shell with a script, or a program."""
        at, given = _script_at(words)
        if not given:
            named = () if "-c" in words else words
            steps = self._single(words) or self._file(words, at)
            return steps or [self._run(words, f"runs `{_line(words)}`", named)]
        text = words[at]
        last = _LAST.search(text) if self._may_stay_up and not _BACKGROUND.search(text) else None
        if last is not None and (last["sleep"] or _ENDLESS.search(last["command"])):
            text = text[: last.start()]
            why = "it runs forever; inithold holds, a server is a service"
            self._draft.dropped.append(f"`{last['command'].strip()}`: {why}")
            self._may_stay_up = False
        # A script with arguments stays whole: they may change what it does.
        script = take_apart(text, words[:at]) if len(words) == at + 1 else None
        whole = [*words[:at], text, *words[at + 1 :]]
        return self._parts(script, words[:at]) or [self._run(whole, "the whole script, as it stands", ())]

    def _file(self, words: list[str], at: int) -> list[Step]:
        """Return the steps for a script file from a mount, the build context or the Dockerfile."""
        name = words[at]
        text = self._text_of(name, program=not at) if len(words) == at + 1 else None
        shebang = re.match("#!(.*)", text or "")
        shell = words[:at] if at else shebang[1].split() if shebang else []
        program = next((each for each in shell if basename(each) != "env"), "")
        if text is None or not _SHELL.match(basename(program)):
            return []
        script = take_apart(self._concealer.text(from_shell(text)), shell)
        return self._parts(script, [*shell, "-c"], f" of {basename(name)}")

    def _parts(self, script: Script | None, shell: list[str], where: str = "") -> list[Step]:
        """Return the steps for a script; none if it must stay whole or each would be just a `command.run`."""
        if script is None:
            return []
        steps, rest, recognized = list[Step](), list[Part](), False

        def add_rest() -> None:
            if rest:
                words = rest[0].words if len(rest) == 1 else ()
                why = f"runs `{_line(words)}`" if words else "a part of the script, as it stands"
                plain = words and rest[0].literal and not rest[0].loop
                run = list(words) if plain else [*shell, script.piece(rest)]
                steps.append(self._run(run, f"{why}{where}", words))
                rest.clear()

        for part in script.parts:
            if part.loop:
                wait = tools.wait_loop(part.words, self.own["PGHOST"].value if "PGHOST" in self.own else "")
                new = self._waits(wait) if wait is not None else []
            else:
                new = self._single(part.words, literal=part.literal)
            if not new:
                rest.append(part)
                continue
            add_rest()
            steps += new
            # Steps do not print the commands that `set -x` prints: only a migration is worth losing them.
            recognized = recognized or not script.traced or not all(step.waits for step in new)
        add_rest()
        return steps if recognized else []

    def _single(self, words: Sequence[str], *, literal: bool = True) -> list[Step]:
        """Return the steps for a command with a kind or a guard; none for another."""
        if literal and (fields := tools.alembic(words)) is not None:
            return [Step("migrate", "alembic.upgrade", fields, [f"runs `{_line(words)}`"])]
        waits = tools.wait_for_it(words)
        if waits is not None and (literal or not waits[1]):
            steps = self._waits(*waits[0])
            return [*steps, *self._command(waits[1])] if steps and waits[1] else steps
        guarded, version = tools.guard(words)
        if guarded is None or not literal or any(_FLYWAY_IGNORES.match(name) for name in self.own):
            return []
        since = f" (from {version} on)" if version else ""
        why = [f"runs `{_line(words)}`", f"`unless` asks it whether anything is pending{since}"]
        return [Step("migrate", "command.run", {"run": list(words), "unless": guarded}, why)]

    def _waits(self, *waits: tools.Wait) -> list[Step]:
        """Return steps that wait like the script; none if no kind can for one, or it would be a deadlock."""
        steps = list[Step]()
        for wait in waits:
            host, port = self._value(wait.host), self._value(wait.port)
            if host in self.excluded:
                self._unknown(f"{host}: {wait.tool} waits for it, and it starts only after {self.service.name}")
                return []
            address = re.fullmatch(r"[\w.-]+|\$\{\w+\}", host)
            if address is None or host in ("localhost", "127.0.0.1") or not (port or wait.url):
                return []
            kind, fields = "tcp.ready", dict[str, Any](address=f"{host}:{port}")
            if wait.url is not None:
                kind, fields = "http.ready", {"url": wait.url}
                if wait.tool in ("curl", "wget"):
                    # Both accept a redirect.
                    fields["status"] = [200, 201, 204, 301, 302, 307, 308]
            steps.append(Step(slug(host.strip("$/{}")), kind, fields, [f"{wait.tool} waits for it"]))
        return steps

    def _value(self, text: str) -> str:
        """Resolve a host or port of the script; empty for a shell variable that init does not have."""
        variable = re.fullmatch(r"\$\$\{?(\w+)\}?", text)
        own = self.own.get(variable[1]) if variable is not None else None
        if own is not None:
            return f"${{{own.name}}}" if "${" in own.value or not own.value else own.value
        return "" if "$$" in text else text

    def _run(self, words: list[str], why: str, named: Sequence[str]) -> Step:
        """Return a `command.run`, named after the script in `named` or after the service."""
        if self._may_stay_up and _ENDLESS.search(" ".join(words)):
            self._unknown(f"`{_line(words)}` seems to go on forever: a plan is ready when its commands end")
        script = _SCRIPT.search(" ".join(named))
        name = slug(script[script.lastindex or 0] if script else self.service.name)
        unless, guard = tools.guard(words)
        todo = [*self._todo, tools.TODO if unless else guard]
        return Step(name, "command.run", {"run": words}, [why], todo)

    def _changes_only_files(self, words: list[str]) -> bool:
        """Whether every program it runs is one that only works on files."""
        at, given = _script_at(words)
        text = " ".join(words) if not at else words[at] if given else self._text_of(words[at])
        programs = _PROGRAM.findall(text or "")
        return bool(programs) and all(_FILE_TOOL.match(basename(program)) for program in programs)

    def _text_of(self, name: str, *, program: bool = False) -> str | None:
        """Return the text of a script that is mounted or copied by the Dockerfile; None if not found."""
        images, service = self._stack.images, self.service
        image, context = images.dockerfile(service), images.build_context(service)
        folder = service.text("working_dir") or (image.folder if image is not None else "")
        # A program without a slash is looked for in PATH.
        inside = PurePosixPath("/", folder if not program or "/" in name else "/usr/local/bin", name)
        if (mounted := host_path(service, str(inside))) is not None:
            return _read(mounted)
        for source, target in reversed(image.copies if image is not None else ()):
            if image is None or context is None or not inside.is_relative_to(target):
                continue
            if source is None:
                return dict(image.files).get(str(inside))
            rest = inside.relative_to(target)
            for path in [context] if source.strip("/") in ("", ".") else sorted(context.glob(source.lstrip("/"))):
                # COPY of a folder, of a file to a file name, or of a file into a folder.
                for each in (path / rest, path if rest.name in ("", path.name) else path / rest):
                    if each.is_file():
                        return _read(each)
        return None

    def move_to(self, target: Environment) -> None:
        """Adapt the steps to run in the service of `target`, and note what that service needs for them."""
        service = self.service
        name = f"the hook of {target.service.name}" if self._draft.hooks else service.name
        steps = [step for step in self.steps if not step.waits]
        given: dict[str, Any] = {}
        if folder := service.text("working_dir"):
            given["cwd"] = folder
        here = {each.name: each.text for each in target.values()}
        variables = [each for each in self.own.values() if each.text not in (None, here.get(each.name))]
        if texts := {each.name: self._concealer.text(from_compose(each.text or "")) for each in variables}:
            given["env"] = texts
        for step in steps:
            step.why.append(f"from {name}")
            if step.uses == "command.run":
                step.fields |= given
        image, user = service.text("image"), service.text("user")
        targets = ", ".join(mount.target for mount in mounts(service))
        facts = [
            f"image {image}" if image else "its image",
            user and f"user {user}",
            targets and f"mounts {targets}",
        ]
        if steps:
            self._draft.needed.append(f"what {name} runs with: {'; '.join(filter(None, facts))}")


def _script_at(words: Sequence[str]) -> tuple[int, bool]:
    """Return where a shell has its script, 0 if it is no shell; and whether that is text, not a file."""
    at = 2 if [basename(word) for word in words[:2]] in (["busybox", "sh"], ["busybox", "ash"]) else 1
    given = False
    if at == 1 and not _SHELL.match(basename(words[0])):
        return 0, False
    while at < len(words) and words[at].startswith(("-", "+")):
        given = given or re.match(r"-\w*c", words[at]) is not None
        # `-o pipefail`, alone or behind other letters.
        at += 2 if words[at].endswith("o") and not words[at].startswith("--") else 1
    return (at, given) if at < len(words) else (0, False)


def _read(path: Path) -> str | None:
    with suppress(OSError, UnicodeDecodeError):
        if len(data := read_regular(str(path), most=_LARGEST + 1)) <= _LARGEST:
            return data.decode()
    return None


def _line(words: Sequence[str]) -> str:
    quoted = (word if re.fullmatch(r"[\w@%+=:,./${}|-]+", word) else f"'{word}'" for word in words)
    line = " ".join(" ".join(quoted).split())
    return line if len(line) <= 80 else f"{line[:77]}..."
