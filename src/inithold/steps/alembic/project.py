"""Reads an Alembic project: its ini file, env.py and revision files."""

from __future__ import annotations

import configparser
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from inithold.errors import StepFailed
from inithold.steps.address import TECHNOLOGIES, Address
from inithold.steps.alembic import revisions
from inithold.steps.alembic.driver import choose, sqlalchemy_url
from inithold.steps.alembic.failures import AS_ALEMBIC

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    from inithold.steps.alembic.upgrade import Upgrade

URL_OPTION = "sqlalchemy.url"
PERCENT = "a per cent sign in an ini file is written %%"
Command = Literal["current", "upgrade"]
"""The Alembic command to imitate."""
_ASYNCHRONOUS = re.compile(
    r"\basync (?:def|with)\b|\b(?:asyncio|anyio)\.run\b|\brun_until_complete\b"
    r"|\b(?:create_)?async_engine|\bAsyncEngine\b"
)


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


def read(step: Upgrade, command: Command, address: Address | None, learn: Callable[[str], None]) -> Project:
    """Read the project of a step.

    Args:
        step: names the files.
        command: the Alembic command to imitate.
        address: of the database; None if env.py finds its own.
        learn: called with each URL in the files, to learn its secrets.

    Raises:
        StepFailed: a file is missing or wrong, or no driver for the address is installed.
    """
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - slow
    from alembic.util.exc import CommandError  # noqa: PLC0415 - slow

    config = _config(step, command, learn)
    location = config_option(config, "script_location")
    if not location:
        raise StepFailed(
            f"{step.config} names no script_location",
            hint=f"add to its section [{step.name}]: script_location = %(here)s/migrations",
        )
    try:
        script = ScriptDirectory.from_config(config)
    except (CommandError, ImportError, OSError) as error:
        missing = isinstance(error, CommandError) and not Path(location).exists()
        seen = "does not exist" if missing else f"cannot be used: {error}"
        raise StepFailed(
            f"script_location of {step.config}, {location}, {seen}",
            hint=f"it starts at the working directory, {Path.cwd()}; write %(here)s/... to start at {step.config}",
        ) from error
    except ValueError as error:
        raise StepFailed(f"{step.config}: {error}", hint=AS_ALEMBIC) from error
    env = Path(script.dir, "env.py")
    if not env.is_file():
        raise StepFailed(f"{env} does not exist", hint="script_location must be the folder that alembic init made")
    revisions.load(script)
    asynchronous = _ASYNCHRONOUS.search(env.read_text(encoding="utf-8", errors="replace")) is not None
    url = None
    if address is not None:
        named = config.file_config.get(config.config_ini_section, URL_OPTION, raw=True, fallback="")
        base, _, wished = named.partition("://")[0].lower().partition("+")
        if TECHNOLOGIES.get(base) != address.technology:
            wished = ""
        driver = choose(address, asynchronous=asynchronous, wished=wished)
        url = sqlalchemy_url(address, driver)
        config.set_main_option(URL_OPTION, url.replace("%", "%%"))
    return Project(config, script, str(env), asynchronous, url, address, step.target)


def config_option(config: Config, name: str) -> str | None:
    """Return an option of the ini file's section or, since Alembic 1.16, of pyproject.toml."""
    try:
        get = getattr(config, "get_alembic_option", config.get_main_option)
        value: str | None = get(name)
    except configparser.Error as error:
        raise _unreadable(config.config_file_name or "alembic.ini", error) from error
    return value


def _config(step: Upgrade, command: Command, learn: Callable[[str], None]) -> Config:
    from alembic.config import CommandLine, Config  # noqa: PLC0415 - slow

    file = Path(step.config)
    if not file.is_file():
        seen = "is not a file" if file.exists() else "does not exist"
        raise StepFailed(f"{file} {seen}", hint=f"config starts at the working directory, {Path.cwd()}")
    is_toml = file.name == "pyproject.toml"
    ini: Path | None = file
    if is_toml:
        beside = file.with_name("alembic.ini")
        ini = beside if beside.is_file() else None
    # What Alembic's command line would give to env.py as `cmd_opts`.
    arguments = ["--config", step.config, "--name", step.name, *(f"-x{given}" for given in step.x)]
    arguments += ["current"] if command == "current" else ["upgrade", "--", step.target]
    options = CommandLine("alembic").parser.parse_args(arguments)
    if hasattr(Config, "toml_file_name"):
        toml = file if is_toml else Path("pyproject.toml")
        config = Config(
            str(ini) if ini else None,
            toml_file=str(toml) if toml.is_file() else None,
            ini_section=step.name,
            cmd_opts=options,
            stdout=sys.stdout,
        )
    elif is_toml:
        raise StepFailed(
            f"this Alembic does not read {file}", hint="pip install 'alembic>=1.16', or use an ini file"
        )
    else:
        config = Config(str(file), ini_section=step.name, cmd_opts=options, stdout=sys.stdout)
    try:
        parser = config.file_config
        in_toml = getattr(config, "toml_alembic_config", {})
    except (configparser.Error, ValueError, OSError) as error:
        raise _unreadable(step.config, error) from error
    for section in parser.sections():
        for _, value in parser.items(section, raw=True):
            if value and "://" in value:
                learn(value)
                learn(value.replace("%%", "%"))
    if not in_toml and not parser.has_section(step.name):
        have = ", ".join(f"[{section}]" for section in parser.sections()) or "none"
        raise StepFailed(f"{step.config} has no section [{step.name}]", hint=f"it has: {have}")
    return config


def _unreadable(file: str, error: Exception) -> StepFailed:
    first = str(error).strip().partition("\n")[0]
    if isinstance(error, configparser.InterpolationError):
        return StepFailed(f"{file}: {first}", hint=PERCENT)
    return StepFailed(
        f"{file} cannot be read: {first}",
        hint="config must name the ini file that alembic init made: UTF-8 text with a section [alembic]",
    )
