"""Names that do not resolve, with a resolver of the test's own: not yet, whatever the resolver says."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from promptness import PROMPTLY
from servers.dns import Resolver
from servers.inithold import Inithold
from servers.postgresql import PostgreSQL

PLAN = """
version: 1
name: resolved
steps:
  - {id: database, uses: database.ready, with: {url: "${DATABASE_URL}"}}
"""
LOCK = "lock: ${DATABASE_URL}\n"
SEEN = {
    "NXDOMAIN": "the name does not resolve",
    "NODATA": "the name ",
    "SERVFAIL": "the resolver has no answer at the moment",
    "REFUSED": "the resolver has no answer at the moment",
    "NEVER": "the resolver has no answer at the moment",
}


@pytest.fixture
def url(postgresql: PostgreSQL) -> str:
    """The shared server by a name that only our resolver knows."""
    return postgresql.dsn().replace("127.0.0.1", "db.test")


@pytest.mark.parametrize("answer", SEEN)
def test_unresolved_is_waited_for(
    run_inithold: Inithold, tmp_path: Path, resolver: Resolver, url: str, answer: str
) -> None:
    (tmp_path / "inithold.yaml").write_text(PLAN)
    resolver.answers["db.test"] = answer
    init = run_inithold.start("run", "--once", env={"DATABASE_URL": url}, prefix=resolver.prefix)
    init.wait_for_output(SEEN[answer])
    assert ": the " in init.output
    resolver.answers["db.test"] = "127.0.0.1"
    assert init.wait(30) == 0, init.output


@pytest.mark.parametrize("head", ["", LOCK], ids=["step", "lock"])
def test_a_resolver_that_never_answers_delays_no_signal(
    run_inithold: Inithold, tmp_path: Path, resolver: Resolver, url: str, head: str
) -> None:
    (tmp_path / "inithold.yaml").write_text(head + PLAN)
    resolver.answers["db.test"] = "NEVER"
    init = run_inithold.start("run", "--once", env={"DATABASE_URL": url}, prefix=resolver.prefix)
    init.wait_until(lambda: "db.test" in resolver.queries, "the query")
    at = time.monotonic()
    init.signal(signal.SIGTERM)
    assert init.wait() == 128 + signal.SIGTERM, init.output
    assert time.monotonic() - at < PROMPTLY
