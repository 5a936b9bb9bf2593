"""The manual page inithold(1), made of the command definitions and of the page for operators."""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import click

from inithold.cli import COMMANDS, cli

OPERATORS = Path(__file__).parent / "reference" / "operators.md"
_SECTIONS = {"Exit codes": "EXIT STATUS", "Variables": "ENVIRONMENT", "Files": "FILES"}


def man_page() -> str:
    """The page, as man(7) reads it."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield '.TH INITHOLD 1 "" inithold "User Commands"'
    yield ".SH NAME\ninithold \\- the init service of a container stack"
    yield ".SH SYNOPSIS\n.B inithold\n.I COMMAND\n[OPTION]... [ARGUMENT]..."
    yield f".SH DESCRIPTION\n{_text(cli.help or '')}"
    yield ".SH COMMANDS"
    root = click.Context(cli, info_name="inithold")
    for name in COMMANDS:
        command = cli.get_command(root, name)
        if command is None:
            raise LookupError(name)
        yield from _command(command, click.Context(command, root, info_name=name))
    text = OPERATORS.read_text()
    for heading, section in _SECTIONS.items():
        yield f".SH {section}"
        yield from _rows(text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0], heading)


def _command(command: click.Command, ctx: click.Context) -> Iterator[str]:
    pieces = " ".join(command.collect_usage_pieces(ctx))
    yield f".SS {_roff(ctx.command_path)} {_roff(pieces)}"
    yield _text(command.help or "")
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None and record[1]:
            yield f".TP\n.B {_roff(record[0])}\n{_roff(record[1])}"
    for name, sub in sorted(getattr(command, "commands", {}).items()):
        yield from _command(sub, click.Context(sub, ctx, info_name=name))


def _text(text: str) -> str:
    """A docstring as paragraphs; what stands behind a \\b keeps its lines."""
    paragraphs = []
    for paragraph in cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b"):
            paragraphs.append(f".PP\n.nf\n{_roff(paragraph[2:])}\n.fi")
        else:
            paragraphs.append(f".PP\n{_roff(' '.join(paragraph.split()))}")
    return "\n".join(paragraphs)


def _rows(section: str, heading: str) -> Iterator[str]:
    """The rows of a section's table: of two columns, or of the exit codes a column for each command."""
    table = [re.split(r"(?<!\\)\|", line)[1:-1] for line in section.splitlines() if line.startswith("|")]
    head, _, *rows = [[_plain(cell) for cell in row] for row in table]
    for first, *others in rows:
        named = [f"{name}: {cell}" for name, cell in zip(head[1:], others, strict=True) if cell]
        said = "; ".join(named) if heading == "Exit codes" else others[0]
        yield f".TP\n.B {_roff(first)}\n{_roff(said)}"


def _plain(cell: str) -> str:
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", cell).replace("`", "").strip()


def _roff(text: str) -> str:
    """Text in which troff finds no request and no escape."""
    lines = text.replace("\\", "\\e").replace("-", "\\-").splitlines()
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in lines)
