"""Interpolation: `${VAR}` with Compose's operators, and `${secret:NAME}`.

The syntax is that of the Compose specification, chapter "Interpolation" (`:-`, `-`, `:?`, `?`, `:+`, `+`, nested),
with three differences: an unset variable without a default is an error, `$VAR` without braces is left alone, and a
name may be followed by `|url`, which percent-encodes the value. `$$` is a dollar sign.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from inithold.redaction.redact import SECRETS
from inithold.text import platform
from inithold.text.files import read_regular

SECRETS_DIR = "/run/secrets"
# Only a secret's name may contain hyphens: in `${VAR-default}` the hyphen is the operator.
_FORM = re.compile(
    r"(?:secret:(?P<secret>[A-Za-z0-9_.-]*)|(?P<variable>[A-Za-z_][A-Za-z0-9_]*))(?P<url>\|url)?"
    r"(?P<operator>:?[-?+])?(?P<argument>.*)",
    re.DOTALL,
)


class Interpolation:
    """Interpolates from variables and secret files.

    Args:
        environment: the variables; None for this process's own.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        self._secrets_dir = Path(self._environment.get("INITHOLD_SECRETS_DIR") or SECRETS_DIR)

    def fill(self, text: str) -> str:
        """Return `text` interpolated.

        Raises:
            ValueError: a variable is unset, a secret file is missing, or the syntax is wrong.
        """
        pieces: list[str] = []
        position = 0
        while (dollar := text.find("$", position)) >= 0:
            pieces.append(text[position:dollar])
            following = text[dollar + 1 : dollar + 2]
            if following == "{":
                end = _closing_brace(text, dollar + 2)
                pieces.append(self._value(text[dollar + 2 : end]))
                position = end + 1
            else:
                pieces.append("$")
                position = dollar + (2 if following == "$" else 1)
        return "".join([*pieces, text[position:]])

    def _value(self, expression: str) -> str:
        form = _FORM.match(expression)
        if form is None:
            raise ValueError(
                "${...}: expected ${VARIABLE}, ${VARIABLE:-default} or ${secret:NAME}; write $$ for a $"
            )
        secret, operator, argument = form["secret"], form["operator"] or "", form["argument"]
        if secret is None:
            shown, value = f"${{{form['variable']}}}", self._environment.get(form["variable"])
        elif secret in ("", ".", ".."):
            raise ValueError(f"${{{expression}}}: expected the name of a secret file after secret:")
        else:
            shown, value = f"${{secret:{secret}}}", self._secret(secret)
        if argument and not operator:
            raise ValueError(
                f"{shown}: after the name, expected |url, :-default, :?message or :+value, not {argument[0]!r}"
            )
        absent = value is None or (operator.startswith(":") and value == "")
        if operator.endswith("+"):
            return "" if absent else self.fill(argument)
        if operator.endswith("?") and absent:
            raise ValueError(f"{shown}: {self.fill(argument) or 'is required'}")
        if operator.endswith("-") and absent:
            value = self.fill(argument)
        if value is not None:
            return quote(value, safe="") if form["url"] else value
        if secret is not None:
            raise ValueError(f"{shown}: there is no file {self._secrets_dir / secret}")
        where = platform.set_variable()
        raise ValueError(
            f"{shown}: the variable is not set; set it {where}, or give a default: {shown[:-1]}:-...}}"
        )

    def _secret(self, name: str) -> str | None:
        path = self._secrets_dir / name
        try:
            value = read_regular(str(path)).decode()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ValueError(f"${{secret:{name}}}: cannot read {path}: {reason}") from error
        if "\0" in value:
            raise ValueError(f"${{secret:{name}}}: {path} has a NUL character")
        value = value.removesuffix("\n").removesuffix("\r") if value.endswith("\n") else value
        SECRETS.add(value)
        return value


def _closing_brace(text: str, start: int) -> int:
    depth = 1
    for part in re.compile(r"\$\{|\}").finditer(text, start):
        depth += 1 if part[0] == "${" else -1
        if depth == 0:
            return part.start()
    raise ValueError("${ without a closing brace; write $$ for a $")
