"""Passwords as PostgreSQL stores them: `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`.

The keys are those of RFC 5802 with SHA-256 (RFC 7677); the form is that of `pg_authid.rolpassword`,
https://www.postgresql.org/docs/current/catalog-pg-authid.html. Computed on this side, no clear password is ever
in a statement that the server may log.

Before, a password is prepared by SASLprep (RFC 4013), the way PostgreSQL and libpq do it: pure ASCII is taken as
it is, and so is what SASLprep prohibits.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
from typing import NamedTuple

ITERATIONS = 4096
"""PostgreSQL's own number, which RFC 7677 has as the least."""
_SALT = 16
_FORM = re.compile(
    r"SCRAM-SHA-256\$(?P<iterations>[1-9][0-9]{0,9}):(?P<salt>[A-Za-z0-9+/]+=*)"
    r"\$(?P<stored>[A-Za-z0-9+/]{43}=):(?P<server>[A-Za-z0-9+/]{43}=)"
)


class _Keys(NamedTuple):
    stored: bytes
    server: bytes


def is_verifier(text: str) -> bool:
    """Whether a text is a verifier already, which PostgreSQL stores as it is."""
    return _FORM.fullmatch(text) is not None


def verifier(password: str, *, iterations: int = ITERATIONS, salt: bytes | None = None) -> str:
    """The verifier of a password; one that is a verifier already stays what it is.

    Args:
        password: in the clear.
        iterations: of PBKDF2.
        salt: random bytes; new ones if absent.
    """
    if is_verifier(password):
        return password
    salt = os.urandom(_SALT) if salt is None else salt
    keys = _keys(password, salt, iterations)
    return f"SCRAM-SHA-256${iterations}:{_encoded(salt)}${_encoded(keys.stored)}:{_encoded(keys.server)}"


def matches(password: str, stored: str) -> bool:
    """Whether a stored verifier is that of a password.

    Args:
        password: in the clear, or a verifier, which must then be the very same.
        stored: what the server has; another form than a SCRAM verifier never matches.
    """
    if is_verifier(password):
        return hmac.compare_digest(password.encode(), stored.encode())
    found = _FORM.fullmatch(stored)
    if found is None:
        return False
    keys = _keys(password, base64.b64decode(found["salt"]), int(found["iterations"]))
    known = _Keys(base64.b64decode(found["stored"]), base64.b64decode(found["server"]))
    return hmac.compare_digest(keys.stored + keys.server, known.stored + known.server)


def prepared(password: str) -> str:
    """A password after SASLprep, or as it is where that prohibits it."""
    if password.isascii():
        return password
    import stringprep  # noqa: PLC0415 - few passwords are not ASCII
    import unicodedata  # noqa: PLC0415 - few passwords are not ASCII

    mapped = "".join(
        " " if stringprep.in_table_c12(one) else one
        for one in password
        if stringprep.in_table_c12(one) or not stringprep.in_table_b1(one)
    )
    # PostgreSQL looks for what is prohibited before it normalizes, not after.
    if not mapped or any(map(_prohibited, mapped)) or not _reads_one_way(mapped):
        return password
    return unicodedata.normalize("NFKC", mapped)


def _prohibited(one: str) -> bool:
    import stringprep  # noqa: PLC0415 - few passwords are not ASCII

    tables = (
        stringprep.in_table_c12,
        stringprep.in_table_c21_c22,
        stringprep.in_table_c3,
        stringprep.in_table_c4,
        stringprep.in_table_c5,
        stringprep.in_table_c6,
        stringprep.in_table_c7,
        stringprep.in_table_c8,
        stringprep.in_table_c9,
        stringprep.in_table_a1,
    )
    return any(found(one) for found in tables)


def _reads_one_way(text: str) -> bool:
    """RFC 3454, section 6: where letters run from right to left there are no others, and they frame it."""
    import stringprep  # noqa: PLC0415 - few passwords are not ASCII

    if not any(map(stringprep.in_table_d1, text)):
        return True
    framed = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
    return framed and not any(map(stringprep.in_table_d2, text))


def _keys(password: str, salt: bytes, iterations: int) -> _Keys:
    salted = hashlib.pbkdf2_hmac("sha256", prepared(password).encode(), salt, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    return _Keys(hashlib.sha256(client).digest(), hmac.digest(salted, b"Server Key", "sha256"))


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()
