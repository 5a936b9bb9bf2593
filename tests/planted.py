"""A distinct secret in every place one can be, and how to tell that a text has none of them.

stage = make_stage(tmp_path, run_inithold)
stage.write("- {id: says-everything, uses: command.run, with: {run: [python, says_everything.py, '0']}}")
assert_nothing_of_them(everything(stage, stage.run("run", "--once")))
"""

from __future__ import annotations

import base64
import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from servers.inithold import Completed, Inithold
from servers.otlp import Collector

# Odd characters, so that raw, percent-coded and escaped forms differ.
ODD = "@:/?#%&+ '\"\\"
PLACES = (
    "url-password",
    "url-query",
    "url-parts",
    "environment-password",
    "environment-token",
    "environment-key",
    "environment-url",
    "environment-dsn",
    "secret-file",
    "command-env",
    "command-argument",
    "header",
    "server-error",
    "exception",
    "import",
    "printed",
    "logged",
    "unparsable-url",
)
PLANTED = {place: f"pl4nted-{place}{ODD}s3cret" for place in PLACES}


def url_coded(place: str) -> str:
    return quote(PLANTED[place], safe="")


SAYS_EVERYTHING = """
import base64, json, os, sys
from urllib.parse import quote, quote_plus
values = json.load(open("planted.json"))
for value in values:
    pair = base64.b64encode(f"user:{value}".encode()).decode()
    for form in (value, repr(value), json.dumps(value), quote(value, safe=""), quote_plus(value), pair):
        print("said:", form)
    print(f"postgresql://app:{quote(value, safe='')}@db/games", file=sys.stderr)
print(dict(os.environ))
sys.exit(int(sys.argv[1]))
"""

FUNCTIONS = """
import json, logging
values = json.load(open("planted.json"))
log = logging.getLogger("functions")

def prints(ctx, path=None):
    for value in values:
        print("printed:", value, [value])
        log.warning("logged: %s", value)
        ctx.log(f"said: {value}")
        ctx.log(f"said: {value}", level="debug")

def raises():
    raise ValueError("raised: " + " ".join(values) + repr(values))

def holds_after(path):
    import os
    return holds() if os.path.exists(path) else []

def raises_after(path):
    import os
    return raises() if os.path.exists(path) else []

def holds():
    return [f"+ user {value}" for value in values]
"""

IMPORTS = """
import json
raise RuntimeError("while importing: " + " ".join(json.load(open("planted.json"))))
"""


@dataclass
class Stage:
    """A folder with a plan, and the environment it is run in."""

    folder: Path
    run_inithold: Inithold
    env: dict[str, str]

    def write(self, steps: str) -> None:
        (self.folder / "inithold.yaml").write_text(
            "version: 1\nname: secrets\nsteps:\n" + textwrap.indent(textwrap.dedent(steps), "  ")
        )

    def run(self, *arguments: str, **env: str) -> Completed:
        return self.run_inithold(*arguments, env={**self.env, **env}, cwd=self.folder)

    def files(self) -> str:
        """Everything that was written beside the plan."""
        texts = [path.read_text(errors="replace") for path in self.folder.glob("init-complete*")]
        return "\n".join(texts)


def make_stage(tmp_path: Path, run_inithold: Inithold) -> Stage:
    """A folder with all of it planted."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "one").write_text(PLANTED["secret-file"] + "\n")
    (tmp_path / "planted.json").write_text(json.dumps(list(PLANTED.values())))
    (tmp_path / "says_everything.py").write_text(SAYS_EVERYTHING)
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    (tmp_path / "imports.py").write_text(IMPORTS)
    names = {
        "APP_PASSWORD": "environment-password",
        "APP_TOKEN": "environment-token",
        "APP_KEY": "environment-key",
        "ARGUMENT_SECRET": "command-argument",
        "SERVER_SECRET": "server-error",
        "EXCEPTION_SECRET": "exception",
        "IMPORT_SECRET": "import",
        "PRINTED_SECRET": "printed",
        "LOGGED_SECRET": "logged",
    }
    env = {name: PLANTED[place] for name, place in names.items()}
    env["BROKER_URL"] = f"amqp://app:{url_coded('environment-url')}@broker/games"
    env["SENTRY_DSN"] = f"https://key:{url_coded('environment-dsn')}@sentry/1"
    env["INITHOLD_SECRETS_DIR"] = str(secrets)
    env["PYTHONPATH"] = str(tmp_path)
    return Stage(tmp_path, run_inithold, env)


def forms(value: str) -> Iterator[str]:
    """What must be in no output: the value as it may be written, and the part of it that gives it away."""
    yield value
    yield repr(value)[1:-1]
    yield json.dumps(value)[1:-1]
    yield quote(value, safe="")
    # All that stands before the first odd character: in no form is it changed.
    yield value.partition("@")[0]
    yield base64.b64encode(value.encode()).decode()[:20]
    yield base64.b64encode(b"user:" + value.encode()).decode()[10:30]


def assert_nothing_of_them(text: str) -> None:
    for place, value in PLANTED.items():
        for form in forms(value):
            assert form not in text, (
                f"{place} as {form!r}:\n{text[max(0, text.find(form) - 300) : text.find(form) + 100]}"
            )


def everything(stage: Stage, done: Completed, otlp: Collector | None = None) -> str:
    sent = "\n".join(export.body.decode(errors="replace") for export in otlp.exports) if otlp else ""
    return "\n".join([done.stdout, done.stderr, stage.files(), sent])
