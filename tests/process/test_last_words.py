"""`docker compose logs init` alone: whole logs of runs that fail, as a stranger reads them, kept as files.

The last lines name the step, what was seen, how long it was tried, and the next thing to do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from golden import assert_golden
from servers.inithold import Completed, Inithold
from servers.otlp import deaf_collector
from servers.pgbouncer import PgBouncer
from servers.ports import closed_port
from servers.postgresql import PostgreSQL
from servers.rabbitmq import RabbitMQ

pytestmark = pytest.mark.timeout(90)
TIME = re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+Z", re.M)
DURATION = re.compile(r"(?<![\w.])\d+(?:\.\d+)? (?:ms|s)\b")
HEAD = "version: 1\nname: shop\n"
PLANS = {
    "time-is-up": """
steps:
  - {id: broker, uses: rabbitmq.ready, timeout: 300ms, with: {url: "amqp://app:hunter22@127.0.0.1:PORT/"}}
  - {id: seed, uses: command.run, with: {run: "true"}}
""",
    "time-of-the-run-is-up": """
timeout: 300ms
steps:
  - {id: cache, uses: redis.ready, with: {url: "redis://127.0.0.1:PORT"}}
""",
    "attempts-are-used-up": """
steps:
  - id: api
    uses: http.ready
    retry: {attempts: 2, delay: 200ms}
    with: {url: "http://127.0.0.1:PORT/health"}
""",
    "command": """
steps:
  - {id: seed, uses: command.run, with: {run: "echo reading players.csv; echo no such column >&2; exit 3"}}
  - {id: index, uses: command.run, with: {run: "true"}}
""",
    "function": """
steps:
  - {id: seed, uses: python.call, with: {call: "seed:players"}}
""",
    "tolerated-and-final": """
steps:
  - {id: warm, uses: command.run, on_failure: continue, with: {run: "exit 4"}}
  - {id: schema, uses: database.tables, with: {url: "sqlite:///app.db", tables: [users]}}
  - {id: last, uses: command.run, with: {run: "true"}}
""",
    "undone": """
steps:
  - {id: seed, uses: command.run, with: {run: "true", creates: made}}
""",
}


def words(done: Completed, case: str, folder: Path, **varying: str) -> str:
    """Compare the log with its file; what is different in each run stands for itself."""
    text = DURATION.sub("TIME", TIME.sub("TIME", done.stderr))
    text = re.sub(r"\d+ more connections? tried", "N more connections tried", text)
    # The width of a column depends on the times in it.
    text = re.sub(r"(?<=\S) {2,}(?=\S)", "  ", text)
    names = {str(folder): "FOLDER", **{value: name for name, value in varying.items()}}
    assert_golden(f"log/{case}", text.rstrip("\n"), varying=names)
    return done.stderr


def failed(run_inithold: Inithold, plan: str, env: Mapping[str, str | None] | None = None) -> Completed:
    (run_inithold.folder / "inithold.yaml").write_text(HEAD + plan)
    done = run_inithold("run", "--once", env={"container": "docker", **(env or {})})
    assert done.returncode == 1, done.stderr
    return done


@pytest.mark.parametrize("case", PLANS)
def test_a_failed_step(run_inithold: Inithold, tmp_path: Path, case: str) -> None:
    (tmp_path / "seed.py").write_text("def players():\n    raise LookupError('no region is set')\n")
    with closed_port() as port:
        done = failed(run_inithold, PLANS[case].replace("PORT", str(port)))
        said = words(done, case, tmp_path, PORT=str(port))
    block = said[said.index("\nstep ") :]
    for label in ("  seen:  ", "  tried: for ", "  next:  "):
        assert block.count(label) == block.count("\nstep "), label
    assert "hunter22" not in said
    assert "Traceback" not in said


def lock(url: str) -> str:
    return f'lock: "{url}"\nsteps:\n  - {{id: seed, uses: command.run, with: {{run: "true"}}}}\n'


def test_a_lock_that_is_refused(
    run_inithold: Inithold, tmp_path: Path, postgresql: PostgreSQL, database: str
) -> None:
    url = f"postgresql://admin:not-it@127.0.0.1:{postgresql.port}/{database.rpartition('/')[2]}"
    done = failed(run_inithold, lock(url))
    said = words(done, "lock-refused", tmp_path, PORT=str(postgresql.port), DATABASE=database.rpartition("/")[2])
    assert (
        said.index("\nthe run failed\n  seen:  lock: ") < said.index("\n  tried: for ") < said.index("  next:  ")
    )
    assert "  next:  " in run_inithold("status").stdout


def test_a_lock_behind_a_pool_of_transactions(
    run_inithold: Inithold, tmp_path: Path, postgresql: PostgreSQL, database: str
) -> None:
    with PgBouncer(postgresql) as proxy:
        done = failed(run_inithold, lock(proxy.dsn(database.rpartition("/")[2])))
        words(done, "lock-pooled", tmp_path, PORT=str(proxy.port), DATABASE=database.rpartition("/")[2])


def test_a_rejected_password(run_inithold: Inithold, tmp_path: Path, rabbitmq: RabbitMQ) -> None:
    url = f"amqp://admin:not-it@127.0.0.1:{rabbitmq.port}/"
    step = f"{{id: broker, uses: rabbitmq.ready, with: {{url: '{url}'}}}}"
    done = failed(run_inithold, f"steps:\n  - {step}\n")
    said = words(done, "rejected-password", tmp_path, PORT=str(rabbitmq.port))
    assert "not-it" not in said


def test_a_collector_that_does_not_answer_is_one_line_and_hides_nothing(
    run_inithold: Inithold, tmp_path: Path
) -> None:
    with deaf_collector() as port:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_METRICS_EXPORTER": "none"}
        words(failed(run_inithold, PLANS["command"], env), "telemetry-lost", tmp_path, PORT=str(port))


def test_a_marker_that_cannot_be_written(run_inithold: Inithold, tmp_path: Path) -> None:
    done = run_inithold("run", "--once", "--", "true", env={"INITHOLD_MARKER": str(tmp_path / "no" / "marker")})
    assert done.returncode == 2
    words(done, "marker", tmp_path)
