"""Fills in values: `${VAR}` and its relatives, as Compose files have them, and `${secret:NAME}`.

The forms are those of the chapter "Interpolation" of the Compose specification (`:-`, `-`, `:?`, `?`, `:+`, `+`,
nested), with three differences: an unset variable without a default is an error, `$VAR` without braces is left
alone, and a name may be followed by `|url`, which percent-encodes the value. `$$` is a dollar sign.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from inithold.redaction.redact import SECRETS
from inithold.text import platform

SECRETS_DIR = "/run/secrets"
_NAME = re.compile(r"(?P<secret>secret:)?(?P<name>[A-Za-z0-9_.-]+|)(?P<url>\|url)?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_OPERATOR = re.compile(r":-|:\?|:\+|-|\?|\+")


class Interpolation:
    """Where values come from.

    Args:
        environment: the variables.
        secrets_dir: folder of the secret files; `INITHOLD_SECRETS_DIR` of the environment if None.
    """

    def __init__(self, environment: Mapping[str, str] | None = None, secrets_dir: str | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        self._secrets_dir = Path(secrets_dir or self._environment.get("INITHOLD_SECRETS_DIR") or SECRETS_DIR)

    def fill(self, text: str) -> str:
        """Return `text` with every value filled in.

        Raises:
            ValueError: a variable is unset, a secret file is missing or the form is not one; for people.
        """
        if "$" not in text:
            return text
        pieces: list[str] = []
        position = 0
        while (found := text.find("$", position)) >= 0:
            pieces.append(text[position:found])
            following = text[found + 1 : found + 2]
            if following == "$":
                pieces.append("$")
                position = found + 2
            elif following == "{":
                end = _closing_brace(text, found + 2)
                pieces.append(self._value(text[found + 2 : end]))
                position = end + 1
            else:
                pieces.append("$")
                position = found + 1
        pieces.append(text[position:])
        return "".join(pieces)

    def _value(self, expression: str) -> str:
        # A name may hold hyphens only where it is a secret's: in `${VAR-default}` the hyphen is the operator.
        name, secret, url, rest = _split(expression)
        shown = f"${{{'secret:' if secret else ''}{name}}}"
        value = self._secret(name) if secret else self._environment.get(name)
        operator, argument = _operator(rest, shown)
        value = self._operate(value, operator, argument, shown, secret=secret)
        if url and operator not in (":+", "+"):
            return quote(value, safe="")
        return value

    def _operate(self, value: str | None, operator: str, argument: str, shown: str, *, secret: bool) -> str:
        absent = value is None or (operator.startswith(":") and value == "")
        match operator[-1:]:
            case "-" if absent:
                return self.fill(argument)
            case "?" if absent:
                raise ValueError(f"{shown}: {self.fill(argument) or 'is required'}")
            case "+":
                return "" if absent else self.fill(argument)
        if value is None:
            raise ValueError(self._missing(shown, secret=secret))
        return value

    def _missing(self, shown: str, *, secret: bool) -> str:
        if secret:
            return f"{shown}: there is no file {self._secrets_dir / shown[9:-1]}"
        where = platform.set_variable()
        return f"{shown}: the variable is not set; set it {where}, or give a default: {shown[:-1]}:-...}}"

    def _secret(self, name: str) -> str | None:
        path = self._secrets_dir / name
        try:
            value = path.read_text("utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ValueError(f"${{secret:{name}}}: cannot read {path}: {reason}") from error
        value = value.removesuffix("\n").removesuffix("\r") if value.endswith("\n") else value
        SECRETS.add(value)
        return value


def _split(expression: str) -> tuple[str, bool, bool, str]:
    """Take `secret:db|url:-x` apart: name, whether a secret, whether to encode, the rest."""
    found = _NAME.match(expression)
    assert found is not None  # noqa: S101 - every part of the pattern may be empty
    secret, name = bool(found["secret"]), found["name"]
    if secret:
        if not name or name in (".", ".."):
            raise ValueError(f"${{{expression}}}: expected the name of a secret file after secret:")
        return name, True, bool(found["url"]), expression[found.end() :]
    variable = re.match(r"[A-Za-z_][A-Za-z0-9_]*", expression)
    if variable is None:
        raise ValueError("${...}: expected ${VARIABLE}, ${VARIABLE:-default} or ${secret:NAME}; write $$ for a $")
    rest = expression[variable.end() :]
    return variable[0], False, rest.startswith("|url"), rest.removeprefix("|url")


def _operator(rest: str, shown: str) -> tuple[str, str]:
    if not rest:
        return "", ""
    found = _OPERATOR.match(rest)
    if found is None:
        raise ValueError(
            f"{shown}: after the name, expected |url, :-default, :?message or :+value, not {rest[0]!r}"
        )
    return found[0], rest[found.end() :]


def _closing_brace(text: str, start: int) -> int:
    depth = 1
    position = start
    while position < len(text):
        if text.startswith("${", position):
            depth += 1
            position += 1
        elif text[position] == "}":
            depth -= 1
            if depth == 0:
                return position
        position += 1
    raise ValueError("${ without its closing brace; write $$ for a $")
