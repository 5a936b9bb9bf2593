"""How long `inithold compose check` takes, as a whole process, on generated stacks of 3,000 and 30,000 lines."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.result import Result

LIMIT = 0.5  # seconds
RUNS = 7


def stack(lines: int) -> str:
    """A stack of about so many lines: an init service and dependents, with anchors and healthchecks."""
    parts = [
        """\
x-common: &common
  image: app
  environment: &env
    DATABASE_URL: postgresql://app@db/app
    LOG_LEVEL: ${LOG_LEVEL:-info}
services:
  db:
    image: postgres
  init:
    <<: *common
    command: ["sh", "-c", "./setup && touch /tmp/ready && sleep infinity"]
    restart: on-failure
    healthcheck:
      test: test -f /tmp/ready
      interval: 10s
"""
    ]
    count = parts[0].count("\n")
    number = 0
    while count < lines:
        number += 1
        parts.append(f"""\
  # service {number}
  web-{number}:
    <<: *common
    command: ["gunicorn", "app:{number}"]   # with a comment
    environment:
      <<: *env
      NAME: "web-{number}"
      WORKERS: 4
    ports:
      - "{10000 + number}:80"
    labels:
      - traefik.enable=true
      - "traefik.http.routers.web-{number}.rule=Host(`web-{number}.example.com`)"
    healthcheck:
      test: ["CMD", "curl", "-f", "http://localhost/"]
      interval: 10s
    depends_on:
      init:
        condition: {"service_healthy" if number % 3 else "service_started"}
      db: {{condition: service_started}}

""")
        count += parts[-1].count("\n")
    return "".join(parts)


def measure(lines: int) -> tuple[float, int]:
    """The median time of a check in seconds, and the number of lines."""
    with tempfile.TemporaryDirectory() as folder:
        text = stack(lines)
        (Path(folder) / "compose.yaml").write_text(text)
        times = []
        for _ in range(RUNS):
            start = time.perf_counter()
            command = [sys.executable, "-m", "inithold", "compose", "check"]
            done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
            times.append(time.perf_counter() - start)
            assert done.returncode == 1, done.stderr.decode()
        return sorted(times)[RUNS // 2], text.count("\n")


def checking() -> Sequence[Result]:
    """A stack of 3,000 lines, and one of ten times as many."""
    small, lines = measure(3_000)
    large, more = measure(30_000)
    times = f"{large:.2f} s for {more:,} lines"
    return [
        Result(f"compose check of {lines:,} lines", small, LIMIT, "s"),
        Result("the same of ten times as many", large / small, 10, "x", times),
    ]
