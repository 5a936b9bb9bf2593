"""How a server of the stack lets in by its own variables: those it makes user and database of on its first start.

After the pages of the images: postgres, mysql, mariadb, rabbitmq, redis, and Bitnami's.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from inithold.compose.new.text import from_compose
from inithold.compose.stack.command import words

if TYPE_CHECKING:
    from inithold.compose.new.environment import Environment, Variable
    from inithold.compose.new.servers import Server

_DEFAULT_USER = {"postgresql": "postgres", "mysql": "root"}
_ROOT = ("MYSQL_ROOT_PASSWORD", "MARIADB_ROOT_PASSWORD")
_OWN = {
    "postgresql": (
        ("user", ("POSTGRES_USER", "POSTGRESQL_USERNAME")),
        (
            "password",
            ("POSTGRES_PASSWORD_FILE", "POSTGRESQL_PASSWORD_FILE", "POSTGRES_PASSWORD", "POSTGRESQL_PASSWORD"),
        ),
        ("database", ("POSTGRES_DB", "POSTGRESQL_DATABASE")),
    ),
    "mysql": (
        ("user", ("MYSQL_USER", "MARIADB_USER")),
        ("password", ("MYSQL_PASSWORD_FILE", "MARIADB_PASSWORD_FILE", "MYSQL_PASSWORD", "MARIADB_PASSWORD")),
        ("database", ("MYSQL_DATABASE", "MARIADB_DATABASE")),
    ),
    "amqp": (
        ("user", ("RABBITMQ_DEFAULT_USER", "RABBITMQ_USERNAME")),
        ("password", ("RABBITMQ_DEFAULT_PASS_FILE", "RABBITMQ_DEFAULT_PASS", "RABBITMQ_PASSWORD")),
        ("database", ("RABBITMQ_DEFAULT_VHOST", "RABBITMQ_VHOST")),
    ),
    "redis": (("password", ("REDIS_PASSWORD_FILE", "REDIS_PASSWORD")),),
}


def reference(variable: Variable) -> str:
    """A variable, or the secret file that it names, as a plan refers to it."""
    if variable.name.endswith("_FILE"):
        return f"${{secret:{PurePosixPath(variable.value).name}}}"
    return f"${{{variable.name}}}"


def stands(server: Server, own: Environment | None) -> dict[str, str]:
    """The fields of a step that reaches the server.

    Args:
        server: the server.
        own: the variables of init: where one holds the very password, it is taken.
    """
    fields: dict[str, str] = {"host": server.name}
    if server.port:
        fields["port"] = server.port
    if server.environment is None:
        return fields
    read = _OWN.get(server.technology, ())
    for key, names in read:
        variable = server.environment.first(iter(names))
        if variable is None:
            continue
        fields[key] = _shared(variable, key, own)
    if server.technology in _DEFAULT_USER and "user" not in fields:
        fields["user"] = _DEFAULT_USER[server.technology]
        root = server.environment.first(f"{name}{file}" for file in ("_FILE", "") for name in _ROOT)
        if root is not None and server.technology == "mysql":
            fields["password"] = _shared(root, "password", own)
    if server.technology == "postgresql":
        fields.setdefault("database", fields["user"])
    _needed_password(server, fields)
    if server.technology == "redis" and (password := _requirepass(server)):
        fields["password"] = password
    return fields


def _needed_password(server: Server, fields: dict[str, str]) -> None:
    """The images of databases start only with a password, unless they are told that none is needed."""
    name, without = {
        "postgresql": ("POSTGRES_PASSWORD", "POSTGRES_HOST_AUTH_METHOD"),
        "mysql": ("MYSQL_ROOT_PASSWORD", "MYSQL_ALLOW_EMPTY_PASSWORD"),
    }.get(server.technology, ("", ""))
    if name and server.environment is not None and without not in server.environment:
        password = fields.pop("password", f"${{{name}}}")
        database = fields.pop("database", None)
        fields["password"] = password
        if database is not None:
            fields["database"] = database


def _shared(variable: Variable, key: str, own: Environment | None) -> str:
    """A server's own variable as init can have it: never a password as plain text."""
    if variable.name.endswith("_FILE"):
        return reference(variable)
    if key != "password":
        return from_compose(variable.text) if variable.text else f"${{{variable.name}}}"
    if own is not None and variable.text:
        same = own.holding(variable.text, r"PASS|PWD|SECRET")
        if same is not None:
            return f"${{{same.name}}}"
    form = from_compose(variable.text or "")
    referred = re.fullmatch(r"\$\{(\w+)(?::?\?[^}]*)?\}", form)
    return f"${{{referred[1]}}}" if referred else f"${{{variable.name}}}"


def _requirepass(server: Server) -> str | None:
    argv = words(server.environment.service.value("command"))[0] if server.environment else []
    text = from_compose(" ".join(argv))
    found = re.search(r"--requirepass\s+['\"]?(\S+?)['\"]?(?=\s|\Z)", text)
    if found is None:
        return None
    referred = re.fullmatch(r"\$\{(\w+)(?::?[-?][^}]*)?\}", found[1])
    return f"${{{referred[1]}}}" if referred else "${REDIS_PASSWORD}"
