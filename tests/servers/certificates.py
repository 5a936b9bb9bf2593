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


# `openssl x509` cannot date back, in some versions not even the end.
_AUTHORITY = """
[ca]
default_ca = it
[it]
database = {folder}/index.txt
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = names
[names]
commonName = supplied
"""


def make_certificate(folder: Path, *, user: str | None = None, expired: bool = False) -> Certificate:
    """Make a certificate in this folder."""
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
    files: list[str | Path] = ["-in", request, "-out", cert, "-extfile", extensions]
    if expired:
        (folder / "ca.cnf").write_text(_AUTHORITY.format(folder=folder))
        (folder / "index.txt").touch()
        (folder / "serial").write_text("01\n")
        years = ["-startdate", "20200101000000Z", "-enddate", "20210101000000Z"]
        signed_by = ["-batch", "-config", folder / "ca.cnf", "-cert", ca, "-keyfile", ca_key]
        run([openssl, "ca", *signed_by, *years, *files], user=user)
    else:
        run(
            [openssl, "x509", "-req", "-days", "2", "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", *files],
            user=user,
        )
    return Certificate(ca, cert, key)
