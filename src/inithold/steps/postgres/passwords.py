"""Passwords of roles, as PostgreSQL stores them: SCRAM-SHA-256 verifiers."""

from __future__ import annotations

import re

# https://www.postgresql.org/docs/current/catalog-pg-authid.html
_VERIFIER = re.compile(r"SCRAM-SHA-256\$[1-9][0-9]{0,9}:[A-Za-z0-9+/]+=*\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=")


def is_verifier(password: str) -> bool:
    """Whether a password is a SCRAM-SHA-256 verifier, as PostgreSQL stores it."""
    return _VERIFIER.fullmatch(password) is not None


def is_stored(password: str, stored: str) -> bool:
    """Whether the stored verifier is that of this password; `password` may be a verifier, too."""
    # Imported only to compare passwords, because they are slow to import.
    import base64  # noqa: PLC0415
    import hashlib  # noqa: PLC0415
    import hmac  # noqa: PLC0415

    if is_verifier(password) or not is_verifier(stored):
        return hmac.compare_digest(password.encode(), stored.encode())
    _, iterations, salt, stored_key, server_key = re.split(r"[$:]", stored)
    known = base64.b64decode(stored_key) + base64.b64decode(server_key)
    for one in {password, prepared(password)}:
        # The keys of RFC 5802.
        salted = hashlib.pbkdf2_hmac("sha256", one.encode(), base64.b64decode(salt), int(iterations))
        client = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
        if hmac.compare_digest(client + hmac.digest(salted, b"Server Key", "sha256"), known):
            return True
    return False


def prepared(password: str) -> str:
    """Normalize a password with SASLprep (RFC 4013), but keep prohibited characters as PostgreSQL does."""
    if password.isascii():
        return password
    import stringprep  # noqa: PLC0415 - few passwords are not ASCII
    import unicodedata  # noqa: PLC0415 - few passwords are not ASCII

    spaced = "".join(" " if stringprep.in_table_c12(one) else one for one in password)
    return unicodedata.normalize("NFKC", "".join(one for one in spaced if not stringprep.in_table_b1(one)))
