"""TLS clients: contexts, and what a failed handshake means."""

from __future__ import annotations

import ssl

from inithold.errors import NotYet, StepError, StepFailed

_NOT_TLS = (
    "WRONG_VERSION_NUMBER",
    "UNKNOWN_PROTOCOL",
    "HTTP_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
)
_WRONG_TIME = (9, 10)
"""OpenSSL's codes of a certificate that is not valid yet, or no longer."""
_INTERNAL_ERROR = "TLSV1_ALERT_INTERNAL_ERROR"
"""The alert of servers that have no certificate yet (RFC 8446, 6.2: internal_error)."""


def client_context(
    *, verify: bool, ca_file: str | None, cert_file: str | None = None, key_file: str | None = None
) -> ssl.SSLContext:
    """A client's TLS context; files are in PEM format.

    Args:
        verify: whether the server's certificate must be trusted and match the host.
        ca_file: certificate authorities to trust instead of the system's.
        cert_file: the client's certificate.
        key_file: its key, if in a separate file.

    Raises:
        StepFailed: a file cannot be read, or has the wrong content.
    """
    path = ca_file
    try:
        context = ssl.create_default_context(cafile=ca_file)
        if path := cert_file:
            context.load_cert_chain(path, key_file)
    except ssl.SSLError as error:
        raise StepFailed(
            f"{path}: holds no certificate or key in PEM form", hint="name a file that begins -----BEGIN"
        ) from error
    except OSError as error:
        raise StepFailed(f"{path}: {error.strerror}", hint="is it mounted, and readable?") from error
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def handshake_error(place: str, error: ssl.SSLError, *, trust: str) -> StepError:
    """The error for a failed TLS handshake.

    Args:
        trust: the plan's field for further certificate authorities, for the hint: `ca_file`.
    """
    reason = error.reason or ""
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = f"name the authority that signed it with {trust}, and the server as its certificate does"
        if error.verify_code in _WRONG_TIME:
            hint = "renew it, or set the clock of this machine"
        message = error.verify_message.rstrip(".")
        return StepFailed(f"{place}: the server's certificate is not accepted: {message}", hint=hint)
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) or "EOF" in reason:
        return NotYet(f"{place}: the connection was closed during the TLS handshake")
    if reason in _NOT_TLS:
        return StepFailed(f"{place}: the server does not speak TLS", hint="check the port, and that TLS is meant")
    words = f"{place}: TLS failed: {reason.replace('_', ' ').lower() or error}"
    if reason == _INTERNAL_ERROR:
        return NotYet(words)
    return StepFailed(
        words, hint="compare the TLS versions and ciphers of both sides; the server's log may say more"
    )
