"""What Compose's own hooks and providers do, as the pages say it, on the real Compose of several versions."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from e2e.engine import Engine, poll
from e2e.images import Images
from e2e.project import COMPOSE_2, COMPOSE_5, FIRST_WITH_HOOKS, Project, project

HOOKS = pytest.mark.parametrize("version", [FIRST_WITH_HOOKS, COMPOSE_5])
BOTH = pytest.mark.parametrize("version", [COMPOSE_2, COMPOSE_5])
NETWORKED = "image: standin/busybox:1, pull_policy: never, stop_grace_period: 0s, init: true"
# A network costs the engine a quarter of what a container does.
SERVICE = f"{NETWORKED}, network_mode: none"
# A hook that keeps a log: who, when it began and ended, what it sees.
LOG = """\
x-hook: &hook
  - command: [sh, /work/hook]
x-service: &service
  image: standin/busybox:1
  pull_policy: never
  stop_grace_period: 0s
  init: true
  network_mode: none
  command: [sh, -c, 'echo "service $$WHO" >> /data/log; exec sleep 600']
  volumes: ["./data:/data", "./hook:/work/hook"]
  secrets: [word]
  restart: unless-stopped
"""
HOOK = """\
echo "start $WHO $(cat /run/secrets/word)" >> /data/log
sleep 1
echo "end $WHO" >> /data/log
"""
ONE = LOG + "services:\n  web: {<<: *service, environment: {WHO: web}, pre_start: *hook}\n"
REST = "secrets: {word: {file: ./word}}\n"


def _log(made: Project, lines: int = 0) -> list[str]:
    """The log; waits for so many lines: Compose returns once a container is started, whatever that has done."""
    read = lambda: (made.folder / "data" / "log").read_text().splitlines()  # noqa: E731
    if lines:
        poll(lambda: len(read()) >= lines, 30, f"{lines} lines")
    return read()


def _runs(made: Project) -> int:
    return sum(line.startswith("start") for line in _log(made))


@HOOKS
def test_when_a_hook_runs(version: str, engine: Engine, tmp_path: Path) -> None:
    files = {"compose.yaml": ONE + REST, "word": "secret-word", "hook": HOOK}
    with project(engine, tmp_path, files, version) as made:
        made.compose("up", "-d")
        lines = ["start web secret-word", "end web", "service web"]
        assert _log(made, 3) == lines, "before it, with secrets and all"
        made.compose("up", "-d")
        assert _runs(made) == 1, "an `up` with nothing to do runs nothing"
        made.compose("restart", "--timeout", "1")
        assert _runs(made) == 1, "`restart` does not run it"
        _crash(made)
        assert _runs(made) == 1, "the engine does not run it"
        made.compose("run", "--rm", "-T", "web", "true")
        assert _runs(made) == 1, "`run` does not run it"
        made.compose("up", "-d", "--force-recreate")
        assert _runs(made) == 2, "a container that is made anew has it run"
        made.compose("stop")
        made.compose("up", "-d")
        assert _runs(made) == 3, "no record is kept: `stop` and `up` run it again"
        made.compose("stop")
        started = made.compose("start", check=False)
        if version == COMPOSE_5:
            assert started.returncode != 0
            assert "no hook runner container found" in started.stderr
        else:
            assert started.returncode == 0
            assert _runs(made) == 4


def _crash(made: Project) -> None:
    """End the service's own process; its restart policy starts it again."""
    before = len([line for line in _log(made) if line.startswith("service")])
    pid = made.run("docker", "inspect", "--format", "{{.State.Pid}}", f"{made.name}-web-1").stdout.strip()
    os.kill(int(pid), signal.SIGKILL)
    again = lambda: [line for line in _log(made) if line.startswith("service")][before:]  # noqa: E731
    poll(again, 30, "the engine starts it again", every=0.3)


@HOOKS
def test_a_hook_of_several_services_runs_at_once_for_each(version: str, engine: Engine, tmp_path: Path) -> None:
    more = "".join(
        f"  {name}: {{<<: *service, environment: {{WHO: {name}}}, pre_start: *hook, depends_on: {waits}}}\n"
        for name, waits in (("api", "[]"), ("late", "[web, api]"))
    )
    files = {"compose.yaml": ONE + more + REST, "word": "w", "hook": HOOK}
    with project(engine, tmp_path, files, version) as made:
        made.compose("up", "-d")
        hooks = [line.partition(" ")[0] for line in _log(made, 9) if not line.startswith("service")]
        assert hooks == ["start", "start", "end", "end", "start", "end"], (
            "one that waits for the others has it later"
        )
        made.compose("up", "-d", "--force-recreate", "web")
        assert _log(made, 12)[-3:] == ["start web w", "end web", "service web"], "again where it is recreated"
        assert _runs(made) == 4, "and there alone"


@HOOKS
def test_a_scaled_service_has_it_once_with_the_volumes_of_the_first(
    version: str, engine: Engine, tmp_path: Path
) -> None:
    """And with the networks of the service: the hook reaches what is on them alone."""
    service = NETWORKED.replace(", ", "\n    ")
    stack = f"""\
services:
  db: {{{NETWORKED}, command: sleep 600, networks: [back]}}
  web:
    {service}
    command: sleep 600
    scale: 3
    depends_on: [db]
    networks: [back]
    volumes: ["./data:/data", /cache]
    pre_start: [{{command: [sh, -c, "ping -c 1 -w 9 db && echo start >> /data/log && touch /cache/warm"]}}]
networks: {{back: {{}}}}
"""
    with project(engine, tmp_path, {"compose.yaml": stack}, version) as made:
        made.compose("up", "-d")
        made.compose("up", "-d", "--scale", "web=4")
        ids = made.compose("ps", "-q", "web").stdout.split()
        warm = [made.run("docker", "exec", name, "ls", "/cache").stdout for name in ids]
        assert sorted(warm) == ["", "", "", "warm\n"]
        for name in ("web-1", "web-2"):
            made.run("docker", "kill", f"{made.name}-{name}")
            made.compose("up", "-d", "--scale", "web=4")
        assert _runs(made) == 1, "one that is started again beside the others gets none"
        made.compose("stop", "web")
        made.compose("up", "-d")
        assert _runs(made) == 2, "all of them have it again, once"


@HOOKS
def test_a_hook_that_fails_shows_no_output(version: str, engine: Engine, tmp_path: Path) -> None:
    stack = (
        f"services:\n  web: {{{SERVICE}, command: sleep 600, restart: always, volumes: ['./data:/data'], "
        'pre_start: [{command: [sh, -c, "echo start >> /data/log; echo the-reason; exit 3"]}]}\n'
        f"  after: {{{SERVICE}, command: sleep 600, depends_on: [web]}}\n"
    )
    with project(engine, tmp_path, {"compose.yaml": stack}, version) as made:
        done = made.compose("up", "-d", check=False)
        assert done.returncode == 1
        assert "pre_start[0] exited with code 3" in done.stderr
        assert "the-reason" not in done.stdout + done.stderr
        assert _runs(made) == 1, "no second try"
        assert made.compose("ps", "--status", "running", "-q").stdout == "", "nothing is started behind it"
        kept = made.run("docker", "logs", f"{made.name}-web-pre_start-0", check=False)
        if version == COMPOSE_5:
            assert kept.stdout == "the-reason\n", "its container stays, to be looked at"
            made.run("docker", "rm", "-f", f"{made.name}-web-pre_start-0")
        else:
            assert kept.returncode != 0


@HOOKS
def test_per_replica_is_refused(version: str, engine: Engine, tmp_path: Path) -> None:
    hook = '{command: "true", per_replica: true}'
    stack = f"services:\n  web: {{{SERVICE}, command: sleep 600, pre_start: [{hook}]}}\n"
    with project(engine, tmp_path, {"compose.yaml": stack}, version) as made:
        done = made.compose("up", "-d", check=False)
        assert done.returncode == 1
        assert "per_replica is not yet supported" in done.stderr


@HOOKS
@pytest.mark.parametrize("own", [False, True])
def test_the_entrypoint_of_a_hook(own: bool, version: str, engine: Engine, tmp_path: Path) -> None:
    """The image's; with Compose 5.6.1 the service's, where it has one."""
    entrypoint = 'entrypoint: [sh, -c, "echo service $$0 >> /data/log"]' if own else ""
    files = {
        "Dockerfile": 'FROM standin/busybox:1\nENTRYPOINT ["sh", "-c", "echo image $0 >> /data/log"]\n',
        "compose.yaml": f"""\
services:
  web:
    build: .
    network_mode: none
    stop_grace_period: 0s
    {entrypoint}
    volumes: ["./data:/data"]
    pre_start: [{{command: [word]}}]
""",
    }
    with project(engine, tmp_path, files, version) as made:
        made.compose("build", "--quiet")
        made.compose("up", "-d")
        assert _log(made, 1)[0] == ("service word" if own and version == COMPOSE_5 else "image word")


def test_compose_2_refuses_the_file(engine: Engine, tmp_path: Path) -> None:
    with project(engine, tmp_path, {"compose.yaml": ONE + REST, "word": "w", "hook": HOOK}, COMPOSE_2) as made:
        done = made.compose("config", "-q", check=False)
        assert done.returncode != 0
        assert "additional properties 'pre_start' not allowed" in done.stderr


@BOTH
def test_a_post_start_hook_runs_beside_the_program(version: str, engine: Engine, tmp_path: Path) -> None:
    stack = LOG.replace('"service $$WHO"', '"service"') + (
        "services:\n  web: {<<: *service, post_start: [{command: [sh, -c, 'sleep 1; echo hook >> /data/log']}]}\n"
    )
    with project(engine, tmp_path, {"compose.yaml": stack + REST, "word": "w", "hook": HOOK}, version) as made:
        made.compose("up", "-d")
        assert _log(made, 2) == ["service", "hook"], "the program did not wait for it"
        made.compose("restart", "--timeout", "1")
        assert _log(made, 4) == ["service", "hook"] * 2
        _crash(made)
        time.sleep(2)  # no hook may come: there is no event to wait for
        assert _log(made, 5) == [*["service", "hook"] * 2, "service"]


@BOTH
def test_a_post_start_hook_that_fails_leaves_the_service_up(version: str, engine: Engine, tmp_path: Path) -> None:
    stack = (
        f"services:\n  web: {{{SERVICE}, command: sleep 600, post_start: [{{command: [sh, -c, 'exit 7']}}], "
        "healthcheck: {test: [CMD, 'true'], interval: 1s}}\n"
        f"  after: {{{SERVICE}, command: sleep 600, depends_on: [web]}}\n"
    )
    with project(engine, tmp_path, {"compose.yaml": stack}, version) as made:
        done = made.compose("up", "-d", check=False)
        assert done.returncode == 1
        assert "exited with status 7" in done.stderr
        assert made.compose("ps", "--status", "running", "--services").stdout.split() == ["web"]
        state = ["inspect", "--format", "{{.State.Health.Status}}", f"{made.name}-web-1"]
        poll(lambda: made.run("docker", *state).stdout == "healthy\n" or None, 20, "it reads healthy", every=0.5)


PROVIDER = """\
#!/bin/sh
case "$*" in *metadata*) echo '{}'; exit 0;; *" up "*) ;; *) exit 0;; esac
docker ps -q --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" | wc -l >> PATH_OF_LOG
"""


@BOTH
def test_a_provider_waits_for_nothing(version: str, engine: Engine, tmp_path: Path) -> None:
    stack = f"""\
services:
  db: {{{SERVICE}, command: sleep 600, healthcheck: {{test: [CMD, 'true'], interval: 1s}}}}
  schema:
    provider: {{type: ihprovider}}
    depends_on: {{db: {{condition: service_healthy}}}}
"""
    program = PROVIDER.replace("PATH_OF_LOG", str(tmp_path / "running"))
    with project(engine, tmp_path, {"compose.yaml": stack, "bin/ihprovider": program}, version) as made:
        (tmp_path / "bin" / "ihprovider").chmod(0o755)
        made.environment["PATH"] = f"{tmp_path}/bin:{made.environment['PATH']}"
        made.compose("up", "-d")
        assert (tmp_path / "running").read_text().split() == ["0"], "no container was running"
        made.compose("up", "-d")
        assert (tmp_path / "running").read_text().split() == ["0", "1"], "it runs on each `up`"


@BOTH
def test_a_one_shot_that_nobody_waits_for_fails_up_wait(version: str, engine: Engine, tmp_path: Path) -> None:
    stack = (
        f"services:\n  migrate: {{{SERVICE}, command: 'true', restart: 'no'}}\n"
        f"  web: {{{SERVICE}, command: sleep 600}}\n"
    )
    with project(engine, tmp_path, {"compose.yaml": stack}, version) as made:
        done = made.compose("up", "-d", "--wait", check=False)
        assert done.returncode == 1
        assert "migrate-1 exited (0)" in done.stderr


BEST = """\
x-service: &service
  image: IMAGE
  pull_policy: never
  entrypoint: []
  command: [sleep, "600"]
  init: true
  stop_grace_period: 0s
  working_dir: /app
  environment: {DATABASE_URL: "postgresql://app:example1@db/app"}
  volumes: ["./inithold.yaml:/app/inithold.yaml:ro"]
  depends_on: [db]
  pre_start:
    - image: IMAGE
      command: [inithold, run, --once]
services:
  db:
    image: standin/postgres:17
    pull_policy: never
    entrypoint: [sh, -c, 'sleep 3; exec docker-entrypoint.sh "$$0" "$$@"']
    command: [postgres]
    environment: {POSTGRES_USER: app, POSTGRES_PASSWORD: example1, POSTGRES_DB: app}
  web: *service
  api: *service
"""
PLAN = """\
name: my-app
lock: ${DATABASE_URL}
steps:
  - {id: database, uses: database.ready, with: {url: "${DATABASE_URL}"}}
  - id: schema
    uses: database.sql
    with:
      url: ${DATABASE_URL}
      sql: CREATE TABLE users (id int); SELECT pg_sleep(2)
      unless: SELECT to_regclass('users') IS NOT NULL
"""


def test_inithold_in_a_hook(engine: Engine, images: Images, tmp_path: Path) -> None:
    """The server comes up 3 s later; the hooks of two services start together, and one of them does the work."""
    files = {"compose.yaml": BEST.replace("IMAGE", images.inithold), "inithold.yaml": PLAN}
    with project(engine, tmp_path, files, COMPOSE_5) as made:
        (tmp_path / "inithold.yaml").chmod(0o644)
        made.compose("up", "-d")
        assert set(made.compose("ps", "--status", "running", "--services").stdout.split()) == {"db", "web", "api"}
        table = made.compose("exec", "-T", "db", "psql", "-h", "127.0.0.1", "-U", "app", "-tAc", r"\dt users")
        assert "users" in table.stdout
        made.compose("up", "-d", "--force-recreate", "web")
