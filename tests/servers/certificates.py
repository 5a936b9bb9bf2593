"""A certificate authority of our own and a certificate for 127.0.0.1 and localhost, made with openssl."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from servers.process import run
from servers.programs import program


@dataclass(frozen=True)
class Certificate:
    """Files in PEM form: who signed, the certificate and its key."""

    ca_file: Path
    cert_file: Path
    key_file: Path


def make_certificate(folder: Path, *, user: str | None = None, days: int = 2) -> Certificate:
    """Make a certificate, valid for so many days (-1: no longer), in this folder."""
    openssl = program("openssl")
    ca, ca_key = folder / "ca.crt", folder / "ca.key"
    cert, key, request, extensions = (folder / f"server.{end}" for end in ("crt", "key", "csr", "ext"))
    new_key: list[str | Path] = ["req", "-newkey", "rsa:2048", "-nodes"]
    # What a strict verification asks for (Python 3.13's is).
    signs = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    run(
        [openssl, *new_key, "-x509", *signs, "-days", "2", "-subj", "/CN=test CA", "-keyout", ca_key, "-out", ca],
        user=user,
    )
    run([openssl, *new_key, "-subj", "/CN=localhost", "-keyout", key, "-out", request], user=user)
    extensions.write_text(
        "subjectAltName=DNS:localhost,IP:127.0.0.1\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
    )
    signed_by: list[str | Path] = ["-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-extfile", extensions]
    run([openssl, "x509", "-req", "-days", str(days), "-in", request, "-out", cert, *signed_by], user=user)
    return Certificate(ca, cert, key)
