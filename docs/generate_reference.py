"""Write the pages that come from the code: the reference (kinds, commands, schemas), the man page, and the table
of permissions in the page on gates.

python docs/generate_reference.py            write them
python docs/generate_reference.py --check    exit 1 if one is out of date
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from man_page import man_page

from inithold.cli import COMMANDS, cli
from inithold.lifecycle import schemas
from inithold.steps import manual, registry

DOCS = Path(__file__).parent
GATES = DOCS / "how-to" / "gates.md"
MADE = "<!-- Made by docs/generate_reference.py from the code. Do not edit. -->\n\n"


def pages() -> Iterator[tuple[Path, str]]:
    """Every page that is generated, or a part of it: its path and content."""
    yield DOCS / "reference" / "kinds.md", MADE + _kinds()
    yield DOCS / "reference" / "commands.md", MADE + _commands()
    yield DOCS / "reference" / "inithold.1", man_page()
    yield GATES, _with_table(GATES.read_text(), "rights", _rights())
    for name, schema in (("plan", schemas.plan), ("record", schemas.record), ("preview", schemas.preview)):
        yield DOCS / "reference" / f"{name}.schema.json", json.dumps(schema(), indent=2) + "\n"


def _with_table(page: str, name: str, table: str) -> str:
    """The page with another table between its comments `begin NAME` and `end NAME`."""
    before, begin, rest = page.partition(f"<!-- begin {name}: made by docs/generate_reference.py -->\n")
    _, end, after = rest.partition(f"<!-- end {name} -->")
    if not begin or not end:
        raise LookupError(f"no place for the table {name}")
    return f"{before}{begin}{table}{end}{after}"


def _rights() -> str:
    rows = [
        f"| [{name}](../reference/kinds.md#{name.replace('.', '-')}) | {registry.load(name).rights} |"
        for name in sorted(registry.KINDS)
    ]
    return "\n".join(["| kind | permissions to check |", "| --- | --- |", *rows]) + "\n"


def _kinds() -> str:
    parts = [
        "# Step kinds\n",
        "All kinds of steps. `inithold kinds KIND` prints the same. Other packages add kinds through the "
        "entry-point group `inithold.steps`.\n",
    ]
    for name in sorted(registry.KINDS):
        page = manual.page(registry.load(name))
        parts.append(f"## {name}\n")
        parts.append(f"{page.summary}\n")
        if page.description:
            parts.append(f"{page.description}\n")
        parts.append("| field | type | default | meaning |\n| --- | --- | --- | --- |")
        for field in page.fields:
            default = "**required**" if field.default is None else field.default
            cells = (f"`{field.name}`", field.type, default, field.meaning)
            parts.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        parts.append("")
        parts += [f"{what}: {value}.\n" for what, value in page.facts]
        if page.example:
            parts.append(f"{_fenced(page.example)}\n")
    return "\n".join(parts)


def _fenced(example: str) -> str:
    return example if example.startswith("```") else f"```yaml\n{example}\n```"


def _commands() -> str:
    parts = ["# Commands\n", f"```console\n$ inithold --help\n{_help(cli, 'inithold')}\n```\n"]
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli, info_name="inithold"), name)
        if command is None:
            raise LookupError(name)
        parts += _section("##", command, f"inithold {name}")
        for sub in getattr(command, "commands", {}).values():
            parts += _section("###", sub, f"inithold {name} {sub.name}")
    return "\n".join(parts)


def _section(heading: str, command: click.Command, path: str) -> list[str]:
    return [f"{heading} {path}\n", f"```console\n$ {path} --help\n{_help(command, path)}\n```\n"]


def _help(command: click.Command, path: str) -> str:
    context = click.Context(command, info_name=path, max_content_width=100, terminal_width=100)
    return command.get_help(context)


def main(arguments: list[str]) -> int:
    """Write the pages, or with --check list those that are out of date."""
    stale = [path for path, text in pages() if _differs(path, text)]
    if "--check" in arguments:
        for path in stale:
            print(
                f"docs/{path.relative_to(DOCS)} is not current: python docs/generate_reference.py", file=sys.stderr
            )
        return 1 if stale else 0
    for path, text in pages():
        path.write_text(text)
    return 0


def _differs(path: Path, text: str) -> bool:
    return not path.exists() or path.read_text() != text


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
