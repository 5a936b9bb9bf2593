"""Regular expressions that match a text in its encodings: plain, percent-encoded, escaped, hex, base64.

A program that prints a secret may encode it in any of these ways. Encoders differ in which characters they encode
(some leave `!` alone, some do not), so every special character matches in each of its forms, independently of its
neighbours.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from itertools import groupby

_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")
"""The unreserved characters of RFC 3986, which every encoder leaves alone."""
_NAMED = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}
_ESCAPED = {"\n": "n", "\r": "r", "\t": "t", "\0": "0"}
_BASE64 = {"+": r"(?:\+|-|%2[Bb])", "/": r"(?:\\?/|_|%2[Ff])"}
_BASE64_LEAST = 6
"""Shortest base64 text to search for; a shorter one would match by chance."""


def spellings(value: str) -> Iterator[str]:
    """Regular expressions for the encodings of a text, which must not be empty."""
    yield "".join(_run(character, len(list(run))) for character, run in groupby(value))
    data = _encoded(value)
    yield "".join(map(_hex, data))
    yield from _base64(data)


def _run(character: str, length: int) -> str:
    if character in _PLAIN:
        return re.escape(character) * length
    # Up to twice as many: SQL doubles quotes, INI files per cent signs; inside JSON a backslash is doubled again.
    # One pattern for the whole run, so that `''''` does not match in exponentially many ways.
    most = length * (4 if character == "\\" else 2)
    return f"(?:{'|'.join(_forms(character))}){{{length},{most}}}"


def _forms(character: str) -> Iterator[str]:
    code = ord(character)
    data = _encoded(character)
    if character == "'":
        # A quote inside a quoted shell word, and the form of Python's `shlex.quote`.
        yield r"'\\+''|'(?:\\*\"'){2}"
    # Shells and JSON put one backslash before special characters, JSON in JSON three.
    yield re.escape(character) if character == "\\" else rf"\\{{0,3}}{re.escape(character)}"
    # Once, twice, and with the per cent sign doubled for an INI file: %40, %2540, %%40.
    yield "".join(f"%{{1,2}}(?:25)*{_hex(byte)}" for byte in data)
    if character == " ":
        yield r"\+"
    if character in _NAMED:
        yield f"&(?:{_NAMED[character]}|#0*{code}|#[xX]0*{_hex(code)});"
    if character in _ESCAPED:
        yield rf"\\{{1,2}}{_ESCAPED[character]}"
    if 0xDC80 <= code <= 0xDCFF:
        # A byte that is not UTF-8 (surrogateescape); decoded with replacement it becomes U+FFFD.
        yield "\N{REPLACEMENT CHARACTER}"
    yield "".join(rf"\\{{1,2}}x{_hex(byte)}" for byte in data)
    yield from _escapes(code)


def _escapes(code: int) -> Iterator[str]:
    if code < 0x100:
        yield rf"\\{{1,2}}x{_hex(code)}"
    if code < 0x10000:
        yield rf"\\{{1,2}}u{_hex(code, 4)}"
        return
    yield rf"\\{{1,2}}U{_hex(code, 8)}"
    high, low = divmod(code - 0x10000, 0x400)
    yield rf"\\{{1,2}}u{_hex(0xD800 + high, 4)}\\{{1,2}}u{_hex(0xDC00 + low, 4)}"


def _hex(number: int, digits: int = 2) -> str:
    """The number in hexadecimal, in either case."""
    text = f"{number:0{digits}X}"
    return "".join(digit if digit.isdigit() else f"[{digit}{digit.lower()}]" for digit in text)


def _base64(data: bytes) -> Iterator[str]:
    # Inside a longer encoded text, the value has one of three alignments. Leave out characters that also encode
    # bits of its neighbours.
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + data).decode().rstrip("=")
        whole = text[shift + 1 if shift else 0 : (shift + len(data)) * 8 // 6]
        if len(whole) >= _BASE64_LEAST:
            yield "".join(_BASE64.get(character, character) for character in whole)


def _encoded(value: str) -> bytes:
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")
