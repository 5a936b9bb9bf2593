"""Addresses of services: read as `inithold.text.url` does, their secrets learned first."""

from __future__ import annotations

from collections.abc import Sequence

from inithold.redaction.redact import SECRETS
from inithold.text import url as urls
from inithold.text.url import DEFAULT_PORTS, TECHNOLOGIES, WEB, Address

__all__ = ["DEFAULT_PORTS", "TECHNOLOGIES", "WEB", "Address", "parse"]


def parse(url: str, technologies: Sequence[str] = ()) -> Address:
    """Read the URL of a service; its secrets are learned first, so that no error can show them.

    Args:
        url: for example `postgresql+asyncpg://app:s%40crets@db:5432/games?sslmode=require`.
        technologies: those that fit, canonical names; empty for any that is known.

    Raises:
        ValueError: it is not such a URL. The message says what to write, and never quotes it.
    """
    SECRETS.add_url(url)
    return urls.parse(url, technologies)
