"""Upgrades schemas with Alembic, in a worker, through Alembic's API and the application's own env.py.

upgrade        the step kind
project        reads alembic.ini and the revision files
driver         turns the plain URL into SQLAlchemy's, with an installed driver
revisions      finds the pending revisions, and refuses what cannot be upgraded
fast_check     finds the pending revisions without importing Alembic
version_table  reads from the source of env.py which version table it uses
environment    runs env.py
sessions       bounds, reports and cancels what env.py's engines do on servers
failures       turns exceptions into messages
"""

from inithold.steps.alembic.upgrade import Upgrade

__all__ = ["Upgrade"]
