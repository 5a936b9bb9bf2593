"""Finds healthchecks that probe a port their server does not listen on."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from inithold.compose.read.tree import plain
from inithold.compose.stack.command import filled_words
from inithold.compose.stack.servers import server_of
from inithold.text.url import DEFAULT_PORTS

if TYPE_CHECKING:
    from inithold.compose.read.project import Service

# Servers that listen on exactly one port, given on their command line.
_SERVERS = re.compile(
    r"\b(?:uvicorn|hypercorn|gunicorn|granian|daphne|waitress-serve|fastapi\s+(?:run|dev)|flask\s+run"
    r"|manage\.py\s+runserver|artisan\s+serve|next\s+(?:start|dev)|http\.server|redis-server|valkey-server)\b"
)
_TOLD = re.compile(r"(?:(?:--port|-p|--bind|-b)[ =]|(?:runserver|http\.server)\s+)(?:\S*:)?(\d{2,5})\b")
_URL = re.compile(r"://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?::(\d+))?(?=[/\s'\"?#;|&)]|$)")
_CLIENT = re.compile(r"\b(redis-cli|valkey-cli|pg_isready)\b(?:[^;&|]*?\s(?:-p|--port)[ =]?(\d+))?")
_TECHNOLOGY = {"redis-cli": "redis", "valkey-cli": "redis", "pg_isready": "postgresql"}


def wrong_port(service: Service) -> str:
    """Describe how the healthcheck probes a wrong port; empty if it does not, or if that is uncertain."""
    command = " ".join([*filled_words(service.value("entrypoint")), *filled_words(service.value("command"))])
    test = " ".join(filled_words(service.value("healthcheck", "test")))
    known = server_of(service)
    told = set(_TOLD.findall(command))
    if known is not None and known[0] in _TECHNOLOGY.values():
        told = told or {str(known[1])}
    elif not _SERVERS.search(command):
        return ""
    asked = {port or "80" for port in _URL.findall(test)}
    asked |= {port or str(DEFAULT_PORTS[_TECHNOLOGY[client]]) for client, port in _CLIENT.findall(test)}
    # The server may also listen on any port written elsewhere in the service, or in a configuration file.
    view = service.view
    rest = {name: plain(value) for name, value in view.entries.items() if name not in ("healthcheck", "command")}
    elsewhere = f"{json.dumps(rest, default=str)} {[text for text, _ in service.variables.values()]}"
    open_ended = re.search(r"\.(?:conf|cnf|ini|toml|ya?ml)\b|[^&]&[^&]|\$", f"{command} {test} {elsewhere}")
    if not told or not asked or asked & told or open_ended:
        return ""
    if any(re.search(rf"(?<!\d){port}(?!\d)", f"{command} {elsewhere}") for port in asked):
        return ""
    return f"asks port {min(asked)}, but it listens on {min(told)}, and "
