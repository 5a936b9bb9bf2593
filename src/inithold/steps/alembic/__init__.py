"""Schemas kept by Alembic, upgraded in a worker through its API and the application's own env.py.

upgrade        the kind: what it needs, what it changes
project        alembic.ini and the revision files, read with every fault named
driver         the SQLAlchemy URL for a plain one, with a driver that is installed
revisions      which revisions are pending, and what makes that impossible to say
fast_check     whether there is nothing to do, found out without importing Alembic
version_table  which table env.py keeps, read from its source
environment    one run of env.py
sessions       what env.py's engines do on servers: cancelled, reported, bounded in time
failures       what went wrong, for people
"""

from inithold.steps.alembic.upgrade import Upgrade

__all__ = ["Upgrade"]
