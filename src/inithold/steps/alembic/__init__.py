"""Schemas kept by Alembic, upgraded in this process through its API and the application's own env.py.

upgrade      the kind: what it needs, what it changes
project      alembic.ini and the revision files, read with every fault named
driver       the SQLAlchemy URL for a plain one, with a driver that is installed
revisions    which revisions are pending, and what makes that impossible to say
fast_check   whether there is nothing to do, found out without importing Alembic
environment  one run of env.py
interrupting a cancelled step ends the statement that runs on the server
modules      packages of the same name in two projects
isolation    one at a time; what env.py does to logging, printing and sys.path stays inside
failures     what went wrong, for people
"""

from inithold.steps.alembic.upgrade import Upgrade

__all__ = ["Upgrade"]
