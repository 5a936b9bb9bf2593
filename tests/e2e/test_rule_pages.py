"""What the pages of the rules say of Compose and of the engine, on the real ones; hooks are in test_hooks.py."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from e2e.engine import Engine, poll
from e2e.moments import moment
from e2e.project import COMPOSE_2, COMPOSE_5, Project, project

BOTH = pytest.mark.parametrize("version", [COMPOSE_2, COMPOSE_5])
NETWORKED = "image: standin/busybox:1, pull_policy: never, stop_grace_period: 0s, init: true, command: sleep 600"
BASE = f"network_mode: none, {NETWORKED}"
"""A network costs the engine a quarter of what a container does."""
ONE = f"services:\n  web: {{{BASE}}}\n"


def _service(name: str, more: str, base: str = BASE) -> str:
    return f"  {name}: {{{base}, {more}}}\n"


NAMES = (
    "depends_on: [{}]",
    "links: [{}]",
    "volumes_from: [{}]",
    "network_mode: 'service:{}'",
    "ipc: 'service:{}'",
    "pid: 'service:{}'",
)
"""How one service depends on another."""


@BOTH
def test_up_refuses_the_whole_stack(version: str, engine: Engine, tmp_path: Path) -> None:
    """cyclic-dependency, unknown-dependency, inactive-dependency."""
    inactive = "services:\n" + _service("init", "profiles: [setup]") + _service("a", "depends_on: [init]")
    stacks = [(inactive, "depends on undefined service")]
    for names in NAMES:
        stacks += [
            (ONE + _service("a", names.format("wbe"), NETWORKED), "depends on undefined service"),
            (
                "services:\n" + _service("a", names.format("b"), NETWORKED) + _service("b", "depends_on: [a]"),
                "dependency cycle detected",
            ),
        ]
    files = {f"{number}.yaml": stack for number, (stack, _) in enumerate(stacks)}
    with project(engine, tmp_path, {"compose.yaml": ONE, **files}, version) as made:
        for file, (stack, message) in zip(files, stacks, strict=True):
            done = made.compose("-f", file, "up", "-d", check=False)
            assert done.returncode != 0
            assert message in done.stderr, stack
        assert made.compose("ps", "-aq").stdout == ""


@BOTH
def test_health_that_nobody_reports(version: str, engine: Engine, tmp_path: Path) -> None:
    """healthy-without-healthcheck, blind-healthcheck."""
    healthchecks = {
        "without": "",
        "disabled": "healthcheck: {disable: true}",
        "none": "healthcheck: {test: [NONE]}",
    }
    stack = "services:\n"
    for name, healthcheck in healthchecks.items():
        stack += _service(name, healthcheck)
        stack += _service(f"after-{name}", f"depends_on: {{{name}: {{condition: service_healthy}}}}")
    with project(engine, tmp_path, {"compose.yaml": stack}, version) as made:
        for name in healthchecks:
            done = made.compose("up", "-d", f"after-{name}", check=False)
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


def test_up_waits_forever_for_what_never_completes(engine: Engine, tmp_path: Path) -> None:
    """completed-dependent, one-shots with `restart: always`; side by side, since all of them wait."""

    def up(version: str, own: str) -> None:
        stack = f"services:\n  init: {{{BASE.rpartition(', ')[0]}, {own}}}\n"
        stack += _service("web", "depends_on: {init: {condition: service_completed_successfully}}")
        (folder := tmp_path / f"{version}{own[-1]}").mkdir()
        with project(engine, folder, {"compose.yaml": stack}, version) as made:
            done = made.run("timeout", "12", "docker", "compose", "up", "-d", check=False)
            assert done.returncode == 124, done.stderr
            assert "init-1" in done.stderr and "Waiting" in done.stderr
            assert made.compose("ps", "-q", "--status", "running", "web").stdout == ""

    cases = [
        (version, own)
        for version in (COMPOSE_2, COMPOSE_5)
        for own in ("command: sleep 600", "restart: always, command: 'true'")
    ]
    _side_by_side(up, cases)


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
def test_restart_true_restarts_the_dependent(version: str, engine: Engine, tmp_path: Path) -> None:
    """restart-with-init."""
    stack = f"services:\n  init: {{{BASE}, environment: {{CHANGED: '${{CHANGED:-}}'}}}}\n"
    stack += _service("linked", "depends_on: {init: {condition: service_started, restart: true}}")
    stack += _service("loose", "depends_on: {init: {condition: service_started}}")
    with project(engine, tmp_path, {"compose.yaml": stack}, version) as made:

        def starts() -> dict[str, str]:
            return {name: _inspect(made, name, "{{.State.StartedAt}}") for name in ("init", "linked", "loose")}

        def restarted(*command: str) -> list[str]:
            before = starts()
            made.compose(*command)
            return [service for service, start in starts().items() if start != before[service]]

        made.compose("up", "-d")
        assert restarted("restart", "init") == ["init", "linked"]
        assert restarted("up", "-d", "--force-recreate", "init") == ["init"], "an `up` of init alone"
        made.environment["CHANGED"] = "1"
        assert restarted("up", "-d") == ["init", "linked"], "an `up` that recreates init"


@BOTH
def test_the_short_form_in_an_override_sets_the_condition_back(
    version: str, engine: Engine, tmp_path: Path
) -> None:
    """weakened-override."""
    base = ONE + _service("after", "depends_on: {web: {condition: service_healthy}}")
    over = "services:\n  after: {depends_on: [web]}\n"
    with project(engine, tmp_path, {"compose.yaml": base, "compose.override.yaml": over}, version) as made:
        assert "condition: service_started" in made.compose("config").stdout


def test_a_process_that_is_deaf_to_sigterm(engine: Engine, tmp_path: Path) -> None:
    """deaf-init."""
    commands = {
        "sleep": "[sleep, infinity]",
        "tail": "[tail, -f, /dev/null]",
        "shell": "[sh, -c, 'touch /tmp/ready && sleep infinity']",
        "python": "[python, -c, 'import time; time.sleep(600)']",
    }
    stack = "services:\n"
    for name, command in commands.items():
        image = "standin/python:3.13" if name == "python" else "standin/busybox:1"
        for init in ("false", "true"):
            own = f"image: '{image}', pull_policy: never, network_mode: none, init: {init}, command: {command}"
            stack += f"  {name}-{init}: {{{own}}}\n"

    def stop(version: str) -> None:
        (folder := tmp_path / version).mkdir()
        with project(engine, folder, {"compose.yaml": stack}, version) as made:
            made.compose("up", "-d")
            began = time.time()
            made.compose("stop")
            for name in commands:
                assert _inspect(made, f"{name}-false", "{{.State.ExitCode}}") == "137"
                assert moment(_inspect(made, f"{name}-false", "{{.State.FinishedAt}}")) - began >= 10
                assert _inspect(made, f"{name}-true", "{{.State.ExitCode}}") == "143"
            for command in (["up", "-d", "--force-recreate", "sleep-false"], ["down"]):
                made.compose("up", "-d", "sleep-false")
                began = time.time()
                made.compose(*command)
                assert time.time() - began >= 10

    _side_by_side(stop, [(COMPOSE_2,), (COMPOSE_5,)])


@BOTH
def test_what_an_older_engine_does_not_know(version: str, engine: Engine, tmp_path: Path) -> None:
    """engine-too-old; where the engine knows it, its API of older engines stands in for them."""
    start_interval = "healthcheck: {test: 'true', interval: 9s, start_period: 9s, start_interval: 1s}"
    stack = f"services:\n{_service('interval', start_interval)}"
    stack += _service("subpath", "volumes: [{type: volume, source: v, target: /v, volume: {subpath: sub}}]")
    stack += _service("gateway", "networks: {front: {gw_priority: 1}, back: {}}", NETWORKED)
    stack += _service("image", "volumes: [{type: image, source: 'standin/busybox:1', target: /image}]")
    stack += "networks: {front: {}, back: {}}\nvolumes: {v: {}}\n"
    with project(engine, tmp_path, {"compose.yaml": stack}, version) as made:

        def refusal(service: str, api: str) -> str:
            made.environment["DOCKER_API_VERSION"] = api
            done = made.compose("up", "-d", service, check=False)
            assert (done.returncode == 0) == (_inspect(made, service, "{{.State.Running}}", check=False) == "true")
            return "" if done.returncode == 0 else done.stderr

        assert ("requires API version 1.44" in refusal("interval", "1.43")) == (version == COMPOSE_2)
        if version == COMPOSE_5:
            assert _inspect(made, "interval", "{{.Config.Healthcheck.StartInterval}}") == "0s"
        assert "Subpath needs API v1.45 or newer" in refusal("subpath", "1.44")
        assert refusal("gateway", "1.45") == ""
        assert "GwPriority" not in _inspect(made, "gateway", "{{json .NetworkSettings.Networks}}")
        assert "volume with type=image require Docker Engine v28 or later" in refusal("image", "1.45")


@BOTH
def test_a_one_shot_that_the_engine_starts_again(version: str, engine: Engine, tmp_path: Path) -> None:
    """impatient-init: `up` waits for its end, not for its health."""
    command = "command: [sh, -c, 'test $$(echo >> /data/$$WHO; wc -l < /data/$$WHO) -gt 3 && touch /tmp/ready']"
    health = "healthcheck: {test: test -f /tmp/ready, interval: 1s, start_period: 60s}"
    stack = "services:\n"
    for name, own, condition in (
        ("once", "restart: on-failure", "service_completed_successfully"),
        ("never", "restart: 'no'", "service_completed_successfully"),
        ("held", f"restart: unless-stopped, {health}", "service_healthy"),
    ):
        base = BASE.rpartition(", ")[0]
        stack += (
            f"  {name}: {{{base}, {command}, volumes: ['./data:/data'], environment: {{WHO: {name}}}, {own}}}\n"
        )
        stack += _service(f"after-{name}", f"depends_on: {{{name}: {{condition: {condition}}}}}")
    with project(engine, tmp_path, {"compose.yaml": stack}, version) as made:
        made.compose("up", "-d", "after-once")
        assert _inspect(made, "once", "{{.RestartCount}}") == "3"
        assert (
            "didn't complete successfully: exit 1" in made.compose("up", "-d", "after-never", check=False).stderr
        )
        assert "held-1 is unhealthy" in made.compose("up", "-d", "after-held", check=False).stderr
        running = made.compose("ps", "--status", "running", "--services").stdout.split()
        assert [name for name in running if name != "held"] == ["after-once"], "held itself is started again"


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
def test_which_restart_policy_decides(version: str, engine: Engine, tmp_path: Path) -> None:
    """init-restart-policy."""
    policies = {
        "none": ("restart: always, deploy: {restart_policy: {condition: none}}", "no"),
        "absent": ("restart: always, deploy: {restart_policy: {delay: 1s}}", "no"),
        "any": ("deploy: {restart_policy: {condition: any}}", "always"),
        "failure": ("deploy: {restart_policy: {condition: on-failure, max_attempts: 3}}", "on-failure"),
    }
    refused = _service("attempts", "deploy: {restart_policy: {condition: any, max_attempts: 3}}")
    stack = "services:\n" + "".join(_service(name, policy) for name, (policy, _) in policies.items()) + refused
    with project(engine, tmp_path, {"compose.yaml": stack}, version) as made:
        made.compose("up", "-d", *policies)
        for name, (_, restart) in policies.items():
            assert _inspect(made, name, "{{.HostConfig.RestartPolicy.Name}}") == restart
        done = made.compose("up", "-d", "attempts", check=False)
        assert done.returncode != 0
        assert "maximum retry count" in done.stderr


@BOTH
def test_replicas_start_together(version: str, engine: Engine, tmp_path: Path) -> None:
    """replicated-init: each goes on when it sees the other."""
    both = "until [ $$(grep -c start /data/log) = 2 ]; do sleep 0.1; done"
    command = f'command: [sh, -c, "echo start >> /data/log; {both}; echo end >> /data/log; exec sleep 600"]'
    stack = f"services:\n  init: {{{BASE.rpartition(', ')[0]}, {command}, scale: 2, volumes: ['./data:/data']}}\n"
    with project(engine, tmp_path, {"compose.yaml": stack}, version) as made:
        made.compose("up", "-d")
        log = made.folder / "data" / "log"
        poll(lambda: log.exists() and log.read_text().count("end") == 2, 60, "both are done", every=0.1)


def _inspect(made: Project, service: str, form: str, *, check: bool = True) -> str:
    container = f"{made.name}-{service}-1"
    return made.run("docker", "inspect", "--format", form, container, check=check).stdout.strip()


def _side_by_side(test: Callable[..., None], cases: Sequence[tuple[str, ...]]) -> None:
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(test, *case) for case in cases]:
            done.result()


@BOTH
def test_up_fails_where_a_one_shot_exits_before_it_was_seen_healthy(
    version: str, engine: Engine, tmp_path: Path
) -> None:
    """one-shot-init."""
    image = "image: standin/busybox:1, pull_policy: never, network_mode: none"
    init = f"  init: {{{image}, command: ['true'], healthcheck: {{test: test -f /x}}}}\n"
    stack = "services:\n" + init + _service("web", "depends_on: {init: {condition: service_healthy}}")
    with project(engine, tmp_path, {"compose.yaml": stack}, version) as made:
        done = made.compose("up", "-d", check=False)
        assert done.returncode != 0
        assert "init-1 exited (0)" in done.stderr


@BOTH
def test_a_script_that_succeeds_though_its_work_fails(version: str, engine: Engine, tmp_path: Path) -> None:
    """masked-failure."""
    masked = {
        "exits": "[sh, -c, 'false; exit 0']",
        "forgives": "[sh, -ec, 'false || true']",
        "talks": "[sh, -c, 'false; echo done']",
        "resets": "[sh, -c, 'set -e; true; set +e; false; echo done']",
    }
    told = {
        "strict": "[sh, -ec, 'false; exit 0']",
        "last": "[sh, -c, 'false']",
        "chained": "[sh, -c, 'false && echo']",
    }
    stack = "services:\n"
    for name, command in (masked | told).items():
        stack += f"  {name}: {{{BASE.rpartition(', ')[0]}, command: {command}}}\n"
    completed = {name: {"condition": "service_completed_successfully"} for name in masked | told}
    stack += _service("after-masked", f"depends_on: {json.dumps({name: completed[name] for name in masked})}")
    for name in told:
        stack += _service(f"after-{name}", f"depends_on: {json.dumps({name: completed[name]})}")
    command = "command: [sh, -c, 'false; touch /tmp/ready; sleep 600']"
    health = "healthcheck: {test: test -f /tmp/ready, interval: 1s}"
    stack += f"  held: {{{BASE.rpartition(', ')[0]}, {command}, {health}}}\n"
    stack += _service("after-held", "depends_on: {held: {condition: service_healthy}}")
    with project(engine, tmp_path, {"compose.yaml": stack}, version) as made:
        made.compose("up", "-d", "after-masked", "after-held")
        running = made.compose("ps", "--status", "running", "--services").stdout.split()
        assert set(running) == {"after-masked", "held", "after-held"}, "all of them count as done"
        for name in told:
            done = made.compose("up", "-d", f"after-{name}", check=False)
            assert "didn't complete successfully: exit 1" in done.stderr, name


@BOTH
def test_a_dependent_that_only_names_init_starts_with_it(version: str, engine: Engine, tmp_path: Path) -> None:
    """init-not-awaited, unadopted-one-shot; failures.md: a mounted file that changes changes no service."""
    base = f"{BASE.rpartition(', ')[0]}, volumes: ['./data:/data', './work:/work']"
    looks = "command: [sh, -c, 'ls /data > /data/$$WHO; exec sleep 600'], environment: {WHO: NAME}"
    stack = f"services:\n  init: {{{base}, command: [sh, /work]}}\n"
    waits = {"short": "[init]", "started": "{init: {condition: service_started}}", "nobody": "[]"}
    for name, entry in waits.items():
        stack += f"  {name}: {{{base}, {looks.replace('NAME', name)}, depends_on: {entry}}}\n"
    files = {"compose.yaml": stack, "work": "sleep 9\ntouch /data/done\n", "data/.keep": ""}
    with project(engine, tmp_path, files, version) as made:
        made.compose("up", "-d")
        for seen in [made.folder / "data" / name for name in waits]:
            there = poll(lambda: seen.exists() and seen.read_text().split(), 30, f"{seen.name} has started")  # noqa: B023
            assert "done" not in there
        before = _inspect(made, "short", "{{.Id}}")
        (made.folder / "work").write_text("sleep 1\n")
        made.compose("up", "-d", "short")
        assert _inspect(made, "short", "{{.Id}}") == before


def test_probes_that_see_nothing(engine: Engine, tmp_path: Path) -> None:
    """blind-healthcheck."""
    succeed = ["'true'", "exit 0", "sleep 1", "false || true", "'false; echo done'", "[CMD, 'true']"]
    fail = ["'false'", "exit 1", "[CMD, no-such-program]", "nc -z 127.0.0.1 81"]
    stack = "services:\n"
    for number, test in enumerate([*succeed, *fail]):
        stack += _service(f"web-{number}", f"healthcheck: {{test: {test}, interval: 1s, timeout: 9s, retries: 1}}")
    with project(engine, tmp_path, {"compose.yaml": stack}, COMPOSE_5) as made:
        made.compose("up", "-d")
        for number, test in enumerate([*succeed, *fail]):
            expected = "healthy" if test in succeed else "unhealthy"
            status = lambda: _inspect(made, f"web-{number}", "{{.State.Health.Status}}")  # noqa: B023, E731
            poll(lambda: status() == expected, 60, f"{test}: {expected}", every=0.3)  # noqa: B023


@BOTH
def test_the_health_check_of_an_image(version: str, engine: Engine, tmp_path: Path) -> None:
    """healthy-without-healthcheck, healthcheck.md."""
    build = "build: ., network_mode: none, stop_grace_period: 0s, init: true, command: sleep 600"
    stack = f"""\
services:
  own: {{{build}}}
  half: {{{build}, healthcheck: {{test: test -d /}}}}
  none: {{{build}, healthcheck: {{test: [NONE]}}}}
"""
    for name in ("own", "half", "none"):
        stack += _service(f"after-{name}", f"depends_on: {{{name}: {{condition: service_healthy}}}}")
    dockerfile = "FROM standin/busybox:1\nHEALTHCHECK --interval=2s --retries=7 CMD true\n"
    with project(engine, tmp_path, {"compose.yaml": stack, "Dockerfile": dockerfile}, version) as made:
        made.compose("build", "--quiet")
        made.compose("up", "-d", "after-own", "after-half")
        assert _inspect(made, "half", "{{json .Config.Healthcheck.Test}}") == '["CMD-SHELL","test -d /"]'
        assert _inspect(made, "half", "{{.Config.Healthcheck.Interval}} {{.Config.Healthcheck.Retries}}") == "2s 7"
        done = made.compose("up", "-d", "after-none", check=False)
        assert "has no healthcheck configured" in done.stderr
