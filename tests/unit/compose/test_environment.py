"""What comes to a service through `env_file` counts like its `environment`."""

from __future__ import annotations

import os
from pathlib import Path

from unit.compose.case import findings, run

STACK = """\
services:
  db: {image: postgres}
  init:
    image: app
    command: inithold run
    restart: unless-stopped
    env_file:
      - path: init.env
        required: false
    healthcheck:
      test: ["CMD", "test", "-f", "/run/done"]
      start_period: 15m
      start_interval: 1s
  web:
    image: web
    depends_on: {init: {condition: service_healthy}}
  worker:
    image: web
    env_file: worker.env
"""


def test_hosts_and_marker_from_env_files(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(STACK)
    assert findings(tmp_path, []) == ["compose.yaml:11:13 error blind-healthcheck"]
    (tmp_path / "init.env").write_text("INITHOLD_MARKER=/run/done\nDATABASE_URL=postgresql://app@db/app\n")
    assert findings(tmp_path, []) == []
    (tmp_path / "worker.env").write_text("# which\nexport DB_HOST='db'\n")
    assert findings(tmp_path, []) == ["compose.yaml:19:15 warning dependent-skips-init"]


def test_environment_wins_over_its_files(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        STACK.replace("    env_file:\n", "    environment: [INITHOLD_ONCE=0]\n    env_file:\n")
    )
    (tmp_path / "init.env").write_text("INITHOLD_MARKER=/run/done\nINITHOLD_ONCE=1\n")
    assert run(tmp_path, "check").code == 0


def test_names_start_at_the_project_folder(tmp_path: Path) -> None:
    """An `env_file` and a mounted plan that a file of another folder names."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / "conf").mkdir()
    (tmp_path / "compose.yaml").write_text(STACK.replace("init.env", "conf/init.env"))
    (tmp_path / "deploy" / "prod.yaml").write_text(
        "services:\n"
        "  init: {volumes: ['./plan.yaml:/inithold.yaml']}\n"
        "  late: {image: web, env_file: conf/worker.env}\n"
    )
    (tmp_path / "conf" / "init.env").write_text(
        "INITHOLD_MARKER=/run/done\nDATABASE_URL=postgresql://app@db/app\n"
    )
    (tmp_path / "conf" / "worker.env").write_text("DB_HOST=db\n")
    (tmp_path / "plan.yaml").write_text(
        "version: 1\ntimeout: 1h\nsteps: [{id: a, uses: file.ready, with: {path: /a}}]\n"
    )
    assert findings(tmp_path, ["-f", "compose.yaml", "-f", "deploy/prod.yaml"]) == [
        "compose.yaml:12:21 warning short-start-period",
        "deploy/prod.yaml:3:32 warning dependent-skips-init",
    ]


def test_a_file_that_is_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(STACK)
    os.mkfifo(tmp_path / "init.env")
    os.mkfifo(tmp_path / ".env")
    assert findings(tmp_path, []) == ["compose.yaml:11:13 error blind-healthcheck"]
