"""How long `inithold compose check` takes, as a whole process, on generated stacks of 3,000 and 30,000 lines.

    python benchmarks/compose_check.py

Wanted: at most 0.5 s for 3,000 lines, and for ten times that at most ten times the time. Exits 1 where that is
missed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

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


def main() -> int:
    """Measure both, print a table, say whether the limits hold."""
    small, lines = measure(3_000)
    large, more = measure(30_000)
    print(f"{lines:>7} lines  {small:6.3f} s  (limit {LIMIT} s)")
    print(f"{more:>7} lines  {large:6.3f} s  ({large / small:.1f} times the time, {more / lines:.1f} the lines)")
    return 0 if small <= LIMIT and large <= small * 10 else 1


if __name__ == "__main__":
    raise SystemExit(main())
