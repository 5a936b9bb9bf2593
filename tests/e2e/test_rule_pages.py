"""What the pages of the rules say of Compose and of the engine, on the real ones; hooks are in test_hooks.py."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from e2e.engine import Engine, poll
from e2e.project import COMPOSE_2, COMPOSE_5, Project, project

BOTH = pytest.mark.parametrize("version", [COMPOSE_2, COMPOSE_5])
BASE = "image: standin/busybox:1, pull_policy: never, stop_grace_period: 0s, init: true, command: sleep 600"
ONE = f"services:\n  web: {{{BASE}}}\n"


def _service(name: str, more: str) -> str:
    return f"  {name}: {{{BASE}, {more}}}\n"


@BOTH
@pytest.mark.parametrize(
    ("stack", "message"),
    [
        ("services:\n" + _service("a", "depends_on: [b]") + _service("b", "depends_on: [a]"), "cycle"),
        ("services:\n" + _service("a", "network_mode: 'service:b'") + _service("b", "links: [a]"), "cycle"),
        (ONE + _service("a", "depends_on: [wbe]"), "depends on undefined service"),
        (ONE + _service("a", "ipc: 'service:wbe'"), "depends on undefined service"),
        (ONE + _service("a", "volumes_from: [wbe]"), "depends on undefined service"),
        (
            "services:\n" + _service("init", "profiles: [setup]") + _service("a", "depends_on: [init]"),
            "depends on undefined service",
        ),
    ],
)
def test_up_refuses_the_whole_stack(
    stack: str, message: str, version: str, engine: Engine, tmp_path: Path
) -> None:
    """cyclic-dependency, unknown-dependency, inactive-dependency."""
    with project(engine, tmp_path, {"compose.yaml": stack}, version) as made:
        done = made.compose("up", "-d", check=False)
        assert done.returncode != 0
        assert message in done.stderr
        assert made.compose("ps", "-aq", check=False).stdout == ""


@BOTH
@pytest.mark.parametrize("healthcheck", ["", ", healthcheck: {disable: true}", ", healthcheck: {test: [NONE]}"])
def test_health_that_nobody_reports(healthcheck: str, version: str, engine: Engine, tmp_path: Path) -> None:
    """healthy-without-healthcheck, blind-healthcheck."""
    stack = f"services:\n  init: {{{BASE}{healthcheck}}}\n"
    stack += _service("web", "depends_on: {init: {condition: service_healthy}}")
    with project(engine, tmp_path, {"compose.yaml": stack}, version) as made:
        done = made.compose("up", "-d", check=False)
        assert done.returncode != 0
        assert "has no healthcheck configured" in done.stderr


@BOTH
def test_none_as_a_text_is_a_program_that_fails(version: str, engine: Engine, tmp_path: Path) -> None:
    """blind-healthcheck."""
    stack = f"services:\n  init: {{{BASE}, healthcheck: {{test: NONE, interval: 1s, retries: 1}}}}\n"
    with project(engine, tmp_path, {"compose.yaml": stack}, version) as made:
        made.compose("up", "-d")
        poll(lambda: _inspect(made, "init", "{{.State.Health.Status}}") == "unhealthy", 60, "unhealthy", every=0.5)
        assert "NONE" in _inspect(made, "init", "{{json .State.Health.Log}}")


@BOTH
@pytest.mark.parametrize("restart", ["no", "always"])
def test_up_waits_forever_for_what_never_completes(
    restart: str, version: str, engine: Engine, tmp_path: Path
) -> None:
    """completed-dependent."""
    stack = f"services:\n  init: {{{BASE}, restart: '{restart}'}}\n"
    stack += _service("web", "depends_on: {init: {condition: service_completed_successfully}}")
    with project(engine, tmp_path, {"compose.yaml": stack}, version) as made:
        with pytest.raises(subprocess.TimeoutExpired):
            made.compose("up", "-d", timeout=25)
        assert made.compose("ps", "-q", "--status", "running", "web").stdout == ""


@BOTH
def test_compose_drops_what_follows_an_operator(version: str, engine: Engine, tmp_path: Path) -> None:
    """unshelled-command."""
    stack = (
        "services:\n  init:\n    image: standin/busybox:1\n    command: echo one && touch /tmp/ready && sleep 9\n"
    )
    with project(engine, tmp_path, {"compose.yaml": stack}, version) as made:
        shown = made.compose("config").stdout
        assert "    command:\n      - echo\n      - one\n    image" in shown
        done = made.compose("up", "-d", check=False)
        assert "&&" not in done.stderr


@BOTH
@pytest.mark.parametrize("linked", [True, False])
def test_restart_true_restarts_the_dependent(linked: bool, version: str, engine: Engine, tmp_path: Path) -> None:
    """restart-with-init."""
    entry = f"{{condition: service_started, restart: {str(linked).lower()}}}"
    stack = f"services:\n  init: {{{BASE}}}\n" + _service("web", f"depends_on: {{init: {entry}}}")
    with project(engine, tmp_path, {"compose.yaml": stack}, version) as made:
        made.compose("up", "-d")
        before = _inspect(made, "web", "{{.State.StartedAt}}")
        made.compose("restart", "init")
        assert (_inspect(made, "web", "{{.State.StartedAt}}") != before) == linked


@BOTH
def test_the_short_form_in_an_override_sets_the_condition_back(
    version: str, engine: Engine, tmp_path: Path
) -> None:
    """weakened-override."""
    base = ONE + _service("after", "depends_on: {web: {condition: service_healthy}}")
    over = "services:\n  after: {depends_on: [web]}\n"
    with project(engine, tmp_path, {"compose.yaml": base, "compose.override.yaml": over}, version) as made:
        assert "condition: service_started" in made.compose("config").stdout


@BOTH
@pytest.mark.parametrize("init", [False, True])
def test_a_process_that_is_deaf_to_sigterm(init: bool, version: str, engine: Engine, tmp_path: Path) -> None:
    """deaf-init."""
    own = f"image: standin/busybox:1, pull_policy: never, init: {str(init).lower()}"
    stack = f'services:\n  init: {{{own}, command: [sh, -c, "touch /tmp/ready && sleep infinity"]}}\n'
    with project(engine, tmp_path, {"compose.yaml": stack}, version) as made:
        made.compose("up", "-d")
        began = time.monotonic()
        made.compose("stop")
        assert (time.monotonic() - began >= 10) == (not init)
        assert (_inspect(made, "init", "{{.State.ExitCode}}") == "137") == (not init)


@BOTH
def test_an_anonymous_volume_goes_to_the_next_container(version: str, engine: Engine, tmp_path: Path) -> None:
    """marker-outlives-container."""
    stack = f"services:\n  init: {{{BASE}, volumes: [/state]}}\n"
    with project(engine, tmp_path, {"compose.yaml": stack}, version) as made:
        made.compose("up", "-d")
        made.compose("exec", "-T", "init", "touch", "/state/ready")
        before = _inspect(made, "init", "{{.Id}}")
        made.compose("up", "-d", "--force-recreate")
        assert _inspect(made, "init", "{{.Id}}") != before
        made.compose("exec", "-T", "init", "test", "-f", "/state/ready")


@BOTH
@pytest.mark.parametrize(
    ("policy", "restart"),
    [
        ("restart: always, deploy: {restart_policy: {condition: none}}", "no"),
        ("restart: always, deploy: {restart_policy: {delay: 1s}}", "no"),
        ("deploy: {restart_policy: {condition: any}}", "always"),
        ("deploy: {restart_policy: {condition: on-failure, max_attempts: 3}}", "on-failure"),
        ("deploy: {restart_policy: {condition: any, max_attempts: 3}}", None),
    ],
)
def test_which_restart_policy_decides(
    policy: str, restart: str | None, version: str, engine: Engine, tmp_path: Path
) -> None:
    """init-restart-policy."""
    stack = f"services:\n  init: {{{BASE}, {policy}}}\n"
    with project(engine, tmp_path, {"compose.yaml": stack}, version) as made:
        done = made.compose("up", "-d", check=False)
        assert (done.returncode == 0) == (restart is not None), done.stderr
        if restart is None:
            assert "maximum retry count" in done.stderr
        else:
            assert _inspect(made, "init", "{{.HostConfig.RestartPolicy.Name}}") == restart


@BOTH
def test_replicas_start_together(version: str, engine: Engine, tmp_path: Path) -> None:
    """replicated-init."""
    command = 'command: [sh, -c, "echo start >> /data/log; sleep 6; echo end >> /data/log; exec sleep 600"]'
    stack = f"services:\n  init: {{{BASE.rpartition(', ')[0]}, {command}, scale: 2, volumes: ['./data:/data']}}\n"
    with project(engine, tmp_path, {"compose.yaml": stack}, version) as made:
        made.compose("up", "-d")
        log = made.folder / "data" / "log"
        poll(lambda: log.exists() and log.read_text().count("end") == 2, 60, "both are done", every=0.3)
        assert log.read_text().split() == ["start", "start", "end", "end"]


def _inspect(made: Project, service: str, form: str) -> str:
    return made.run("docker", "inspect", "--format", form, f"{made.name}-{service}-1").stdout.strip()
