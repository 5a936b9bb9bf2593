"""The env.py files that most projects have, for the benchmark project."""

from __future__ import annotations

from collections.abc import Mapping

_TOP = """
import asyncio, os
from logging.config import fileConfig
from alembic import context
from services.models import Base
from sqlalchemy import create_engine, engine_from_config, make_url, pool
from sqlalchemy.ext.asyncio import async_engine_from_config

config = context.config
if config.config_file_name is not None:
    fileConfig(config.config_file_name)
"""
_URL = "make_url(os.environ['DATABASE_URL']).set(drivername='postgresql+psycopg').render_as_string(False)"
_SET = "config.set_main_option('sqlalchemy.url', {}.replace('%', '%%'))\n"
_RUN = """
def run_migrations(connection):
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()
"""
_ONLINE = """
def run_migrations_online():
    section = config.get_section(config.config_ini_section, {})
    with engine_from_config(section, prefix="sqlalchemy.", poolclass=pool.NullPool).connect() as connection:
        run_migrations(connection)

run_migrations_online()
"""
ENVS: Mapping[str, str] = {
    "set_main_option": _TOP + _SET.format(_URL) + _RUN + _ONLINE,
    "get_url()": _TOP
    + f"\ndef get_url():\n    return {_URL}\n"
    + _RUN
    + "\nwith create_engine(get_url(), poolclass=pool.NullPool).connect() as connection:\n"
    + "    run_migrations(connection)\n",
    "settings": _TOP
    + f"\nclass Settings:\n    database_url = {_URL}\n\nsettings = Settings()\n"
    + _SET.format("settings.database_url")
    + _RUN
    + _ONLINE,
    "async": _TOP
    + _SET.format(_URL)
    + _RUN
    + """
async def run_async_migrations():
    section = config.get_section(config.config_ini_section, {})
    async with async_engine_from_config(section, prefix="sqlalchemy.").connect() as connection:
        await connection.run_sync(run_migrations)

asyncio.run(run_async_migrations())
""",
}
