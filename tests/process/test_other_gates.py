"""The tools that benchmarks/README.md measures beside gates: some check a port, one a login."""

from __future__ import annotations

import subprocess
from urllib.parse import urlsplit

import pytest

from servers.gate_tools import NAMES, command
from servers.inithold import Inithold
from servers.ports import closed_port
from servers.postgresql import PostgreSQL
from servers.programs import MissingProgram

CHECK_A_PORT = ("pg_isready", "wait-for-it", "wait-on")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "tool", [pytest.param(tool, marks=pytest.mark.rivals) if tool == "wait-on" else tool for tool in NAMES]
)
def test_a_wrong_password(tool: str, postgresql: PostgreSQL) -> None:
    dsn = postgresql.dsn()
    port = urlsplit(dsn).port or 0

    def passes(dsn: str, port: int) -> bool:
        try:
            words = command(tool, dsn, "127.0.0.1", port)
        except MissingProgram as error:
            pytest.skip(str(error))
        return subprocess.run(words, capture_output=True, check=False).returncode == 0

    wrong = dsn.replace(postgresql.password, "wrong")
    with closed_port() as nobody:
        results = (passes(dsn, port), passes(wrong, port), passes(dsn.replace(str(port), str(nobody)), nobody))
    assert results == (True, tool in CHECK_A_PORT, False)


def test_a_wrong_password_fails_a_gate_of_inithold(postgresql: PostgreSQL, run_inithold: Inithold) -> None:
    dsn = postgresql.dsn()
    assert run_inithold("wait", dsn).returncode == 0
    done = run_inithold("wait", "--timeout", "1s", dsn.replace(postgresql.password, "wrong-password"))
    assert done.returncode == 1
    assert "password authentication failed" in done.stderr
