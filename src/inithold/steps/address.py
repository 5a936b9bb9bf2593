"""Parses the URLs of services, and learns their secrets first."""

from __future__ import annotations

from collections.abc import Sequence

from inithold.redaction.redact import SECRETS
from inithold.text import url as urls
from inithold.text.url import DEFAULT_PORTS, TECHNOLOGIES, WEB, Address

__all__ = ["DEFAULT_PORTS", "TECHNOLOGIES", "WEB", "Address", "parse"]


def parse(url: str, technologies: Sequence[str] = ()) -> Address:
    """Parse the URL of a service; its secrets are learned first, so that no error can show them.

    Args:
        url: for example `postgresql+asyncpg://app:s%40crets@db:5432/games?sslmode=require`.
        technologies: canonical names of those to accept; empty for all that are known.

    Raises:
        ValueError: it is not such a URL. The message says what to write, and never quotes the URL.
    """
    SECRETS.add_url(url)
    return urls.parse(url, technologies)
