"""What comes back when the engine is started again, as after a reboot: on an engine of the test's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from e2e.engine import Engine, poll
from e2e.moments import moment
from e2e.project import COMPOSE_2, COMPOSE_5, FIRST_WITH_HOOKS, Project

# Each start adds a line to a file. The first start of a policy's service fails; SIGTERM ends it with 0.
SERVICE = """\
x-service: &service
  image: standin/busybox:1
  pull_policy: never
  network_mode: none
  init: true
  command: [sh, -c, 'echo start >> /data/$$WHO; exec sleep 600']
  volumes: ["./data:/data"]
"""
FAILS_ONCE = """command: [sh, -c, '
    echo start >> /data/$$WHO; test $$(wc -l < /data/$$WHO) -gt 1 || exit 1;
    trap "exit 0" TERM; sleep 600 & wait']"""
POLICIES = {
    "none": "",
    "no": "restart: 'no'",
    "failure": "restart: on-failure",
    "always": "restart: always",
    "unless": "restart: unless-stopped",
    "always-stopped": "restart: always",
    "unless-stopped": "restart: unless-stopped",
}
HOOKED = """
  hooked:
    <<: *service
    environment: {WHO: hooked}
    restart: unless-stopped
    depends_on: {db: {condition: service_healthy}}
    pre_start: [{command: [sh, -c, 'echo hook >> /data/hook']}]
  db:
    <<: *service
    environment: {WHO: db}
    restart: unless-stopped
    healthcheck: {test: [CMD, 'true'], interval: 1s}
"""
POSTED = """
  posted:
    <<: *service
    environment: {WHO: posted}
    restart: unless-stopped
    post_start: [{command: [sh, -c, 'echo hook >> /data/post']}]
"""


WITH_POLICIES = "  web: {<<: *service, environment: {WHO: web}, restart: unless-stopped, depends_on: [none]}\n"
WITH_POLICIES += "".join(
    f"  {who}: {{<<: *service, environment: {{WHO: {who}}}, {FAILS_ONCE}, {policy}}}\n"
    for who, policy in POLICIES.items()
)
STACKS = {COMPOSE_2: POSTED, FIRST_WITH_HOOKS: HOOKED, COMPOSE_5: WITH_POLICIES + HOOKED + POSTED}


class OwnEngine:
    """A daemon beside the test engine's, with the same programs and no network."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.host = f"unix://{folder}/socket"
        self.engine = replace(engine, environment={**engine.environment, "DOCKER_HOST": self.host})
        docker = shutil.which("docker", path=engine.environment["PATH"])
        assert docker
        self._path = f"{Path(docker).parent.with_name('libexec')}:{os.environ['PATH']}"
        self._command = ["setpriv", "--pdeathsig", "TERM", "unshare", "--net", "--uts", "--mount"]
        self._command += ["--propagation", "slave", "dockerd", "--host", self.host]
        self._command += [f"--{name}={folder}/{name}" for name in ("data-root", "exec-root", "pidfile")]
        self._command += ["--bridge=none", "--iptables=false", "--ip6tables=false"]
        self._log = (folder / "log").open("ab")

    def start(self) -> None:
        self._daemon = subprocess.Popen(
            self._command, env={**os.environ, "PATH": self._path}, stdout=self._log, stderr=subprocess.STDOUT
        )
        poll(lambda: self.engine.run("docker", "version", check=False).returncode == 0, 60, "the engine answers")

    def stop(self) -> None:
        self._daemon.terminate()
        self._daemon.wait(60)


@contextmanager
def own_engine(engine: Engine) -> Iterator[OwnEngine]:
    with tempfile.TemporaryDirectory(prefix="ihengine-") as folder:  # a socket's path is at most 107 bytes long
        own = OwnEngine(engine, Path(folder))
        own.start()
        try:
            image = Path(folder) / "image.tar"
            engine.docker("save", "-o", str(image), "standin/busybox:1")
            own.engine.docker("load", "-i", str(image))
            yield own
        finally:
            own.stop()


def starts(made: Project) -> dict[str, int]:
    return {file.name: len(file.read_text().splitlines()) for file in (made.folder / "data").iterdir()}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start an engine")
def test_what_comes_back(engine: Engine, tmp_path: Path) -> None:
    """init-restart-policy, pre-start-not-again, post-start-init, docs/explanation/pre-start.md."""
    if not engine.stand_ins:
        pytest.skip("the programs of this engine are somewhere else")
    with own_engine(engine) as own:
        made = {}
        for version, services in STACKS.items():
            (folder := tmp_path / version).mkdir()
            (folder / "compose.yaml").write_text(f"{SERVICE}services:\n{services}")
            made[version] = Project(engine, folder, {"DOCKER_HOST": own.host}, version)
            made[version].compose("up", "-d")
        policies = made[COMPOSE_5]
        again = ("failure", "always", "unless", "always-stopped", "unless-stopped")
        poll(lambda: {starts(policies)[who] for who in again} == {2}, 30, "the engine starts again what failed")
        assert starts(policies)["none"] == starts(policies)["no"] == 1, "it stays down"
        policies.compose("up", "-d")
        policies.compose("stop", "always-stopped", "unless-stopped")
        assert {starts(policies)[who] for who in POLICIES} == {2}, "until the next `up`"
        before = {version: starts(each) for version, each in made.items()}

        own.stop()
        own.start()

        after = {version: starts(each) for version, each in made.items()}
        stay = {"none", "no", "failure", "unless-stopped", "hook", "post"}
        for version, counts in before.items():
            assert after[version] == {who: count + (who not in stay) for who, count in counts.items()}, version
        for version in (FIRST_WITH_HOOKS, COMPOSE_5):
            db, hooked = (own.engine.inspect(f"{made[version].name}-{who}-1") for who in ("db", "hooked"))
            assert db and hooked
            first_probe = moment(db["State"]["StartedAt"]) + 1
            assert moment(hooked["State"]["StartedAt"]) < first_probe, "it does not wait for a healthy db"
