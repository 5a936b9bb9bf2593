"""`ansible-playbook` from the index."""

from __future__ import annotations

from pathlib import Path

from servers.cached import environment


def ansible_playbook() -> Path:
    """The program, installed (50 MB) where it is missing."""
    install = ("python", "-m", "pip", "install", "--quiet", "ansible>=11", "psycopg[binary]>=3.2")
    return environment("ansible", install) / "ansible-playbook"
