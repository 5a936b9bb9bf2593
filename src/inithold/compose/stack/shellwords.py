"""Splits a string command as Compose does: into words, without a shell.

After mattn/go-shellwords as compose-go uses it: quotes and backslashes count, and at an unquoted `;`, `&`, `|`,
`<` or `>` it stops and drops the rest.
"""

from __future__ import annotations


def split(text: str) -> tuple[list[str], str]:
    """The words, and what is dropped from the first shell operator on (empty where there is none)."""
    words: list[str] = []
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
                words.append(word)
            word, started = "", False
        elif char in ";&|<>" and not _in_variable(text, index):
            # A digit before `>` would name a descriptor: it is dropped too.
            keep = started and not (char == ">" and word.isdigit())
            return ([*words, word] if keep else words), text[index:]
        else:
            word, started = word + char, True
    return ([*words, word] if started else words), ""


def _in_variable(text: str, index: int) -> bool:
    opened = text.rfind("${", 0, index)
    return opened >= 0 and "}" not in text[opened:index]
