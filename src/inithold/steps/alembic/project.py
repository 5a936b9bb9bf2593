"""Reads an Alembic project: its ini file, env.py and revision files."""

from __future__ import annotations

import configparser
import re
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from inithold.errors import StepFailed
from inithold.steps.address import Address
from inithold.steps.alembic import revisions
from inithold.steps.alembic.driver import choose, sqlalchemy_url
from inithold.steps.alembic.failures import AS_ALEMBIC

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

URL_OPTION = "sqlalchemy.url"
PERCENT = "a per cent sign in an ini file is written %%"
Command = Literal["current", "upgrade"]
"""The Alembic command to imitate."""
_ASYNCHRONOUS = re.compile(r"\basync (?:def|with)\b|\basyncio\b|\banyio\b|\bcreate_async_engine\b")


class Source(NamedTuple):
    """What a step specifies about its project.

    Attributes:
        file: alembic.ini or pyproject.toml.
        section: of the ini file.
        target: the revision to upgrade to.
        arguments: those of `alembic -x`.
        command: the Alembic command to imitate.
    """

    file: str
    section: str
    target: str
    arguments: tuple[str, ...]
    command: Command


class Project(NamedTuple):
    """A project as read.

    Attributes:
        config: as env.py sees it.
        script: the revision files.
        env: path of env.py.
        asynchronous: whether env.py seems to connect through an async engine.
        url: the URL given to env.py, with the password; None if env.py finds its own.
        address: the same as the step's address.
        target: the revision to upgrade to.
    """

    config: Config
    script: ScriptDirectory
    env: str
    asynchronous: bool
    url: str | None
    address: Address | None
    target: str


def read(source: Source, address: Address | None, learn: Callable[[str], None]) -> Project:
    """Read a project.

    Args:
        source: what the step specifies.
        address: of the database; None if env.py finds its own.
        learn: called with each URL in the files, to learn its secrets.

    Raises:
        StepFailed: a file is missing or wrong, or no driver for the address is installed.
    """
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - slow
    from alembic.util.exc import CommandError  # noqa: PLC0415 - slow

    config = _config(source, learn)
    location = config_option(config, "script_location")
    if not location:
        raise StepFailed(
            f"{source.file} names no script_location",
            hint=f"add to its section [{source.section}]: script_location = %(here)s/migrations",
        )
    try:
        script = ScriptDirectory.from_config(config)
    except (CommandError, ImportError, OSError) as error:
        missing = isinstance(error, CommandError) and not Path(location).exists()
        seen = "does not exist" if missing else f"cannot be used: {error}"
        raise StepFailed(
            f"script_location of {source.file}, {location}, {seen}",
            hint=f"it starts at the working directory, {Path.cwd()}; write %(here)s/... to start at {source.file}",
        ) from error
    except ValueError as error:
        raise StepFailed(f"{source.file}: {error}", hint=AS_ALEMBIC) from error
    env = Path(script.dir, "env.py")
    if not env.is_file():
        raise StepFailed(f"{env} does not exist", hint="script_location must be the folder that alembic init made")
    revisions.load(script)
    asynchronous = _ASYNCHRONOUS.search(env.read_text(encoding="utf-8", errors="replace")) is not None
    url = None
    if address is not None:
        named = config.file_config.get(config.config_ini_section, URL_OPTION, raw=True, fallback="")
        driver = choose(address, asynchronous=asynchronous, wished=_drivers(named, address))
        url = sqlalchemy_url(address, driver)
        config.set_main_option(URL_OPTION, url.replace("%", "%%"))
    return Project(config, script, str(env), asynchronous, url, address, source.target)


def config_option(config: Config, name: str) -> str | None:
    """Return an option of the ini file's section or, since Alembic 1.16, of pyproject.toml."""
    try:
        get = getattr(config, "get_alembic_option", config.get_main_option)
        value: str | None = get(name)
    except configparser.Error as error:
        raise _unreadable(config.config_file_name or "alembic.ini", error) from error
    return value


def _config(source: Source, learn: Callable[[str], None]) -> Config:
    from alembic.config import Config  # noqa: PLC0415 - slow

    file = Path(source.file)
    if not file.is_file():
        seen = "is not a file" if file.exists() else "does not exist"
        raise StepFailed(f"{file} {seen}", hint=f"config starts at the working directory, {Path.cwd()}")
    is_toml = file.name == "pyproject.toml"
    ini: Path | None = file
    if is_toml:
        beside = file.with_name("alembic.ini")
        ini = beside if beside.is_file() else None
    options = _command_line(source)
    if hasattr(Config, "toml_file_name"):
        toml = file if is_toml else Path("pyproject.toml")
        config = Config(
            str(ini) if ini else None,
            toml_file=str(toml) if toml.is_file() else None,
            ini_section=source.section,
            cmd_opts=options,
            stdout=sys.stdout,
        )
    elif is_toml:
        raise StepFailed(
            f"this Alembic does not read {file}", hint="pip install 'alembic>=1.16', or use an ini file"
        )
    else:
        config = Config(str(file), ini_section=source.section, cmd_opts=options, stdout=sys.stdout)
    _read_ini(config, source, learn)
    return config


def _command_line(source: Source) -> Namespace:
    """Return the `cmd_opts` that Alembic's command line would give to env.py."""
    from alembic.config import CommandLine  # noqa: PLC0415 - slow

    arguments = ["--config", source.file, "--name", source.section, *(f"-x{given}" for given in source.arguments)]
    arguments += ["current"] if source.command == "current" else ["upgrade", "--", source.target]
    return CommandLine("alembic").parser.parse_args(arguments)


def _read_ini(config: Config, source: Source, learn: Callable[[str], None]) -> None:
    try:
        parser = config.file_config
        in_toml = getattr(config, "toml_alembic_config", {})
    except (configparser.Error, ValueError, OSError) as error:
        raise _unreadable(source.file, error) from error
    for section in parser.sections():
        for _, value in parser.items(section, raw=True):
            if value and "://" in value:
                learn(value)
                learn(value.replace("%%", "%"))
    if not in_toml and not parser.has_section(source.section):
        have = ", ".join(f"[{section}]" for section in parser.sections()) or "none"
        raise StepFailed(f"{source.file} has no section [{source.section}]", hint=f"it has: {have}")


def _unreadable(file: str, error: Exception) -> StepFailed:
    first = str(error).strip().partition("\n")[0]
    if isinstance(error, configparser.InterpolationError):
        return StepFailed(f"{file}: {first}", hint=PERCENT)
    return StepFailed(
        f"{file} cannot be read: {first}",
        hint="config must name the ini file that alembic init made: UTF-8 text with a section [alembic]",
    )


def _drivers(url: str, address: Address) -> Sequence[str]:
    """Return the driver of the URL in the ini file, if it is for the same technology."""
    base, _, driver = url.partition("://")[0].lower().partition("+")
    same = base == address.technology or (base, address.technology) == ("mariadb", "mysql")
    return (driver,) if same and driver else ()
