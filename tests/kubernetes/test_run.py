"""The containers of the manifests, run on this machine against a real PostgreSQL and a real RabbitMQ."""

from __future__ import annotations

import os
import signal
import urllib.request
from pathlib import Path
from threading import Timer

import pytest

from kubernetes.manifests import PASSWORDS, applied, environment
from kubernetes.sandbox import available
from kubernetes.servers import Make, Servers
from servers.ports import free_port
from servers.run import is_alive

pytestmark = pytest.mark.skipif(not available(), reason="needs root and leave to mount, on Linux")


@pytest.mark.parametrize("shared", [False, True], ids=["own-pids", "shareProcessNamespace"])
def test_the_deployment_is_ready_and_holds(make: Make, servers: Servers, shared: bool) -> None:
    manifests = applied()
    (container,) = manifests.pod("init").containers
    sandbox = make(manifests, "init", shared=shared)
    init = sandbox.start(container)
    init.wait_for_output("5 steps")
    startup = sandbox.exec(init, container, container["startupProbe"]["exec"]["command"])
    assert (startup.returncode, startup.stdout.splitlines()[-1]) == (0, "ready"), startup.stdout + init.output
    readiness = sandbox.exec(init, container, container["readinessProbe"]["exec"]["command"])
    assert readiness.returncode == 0, readiness.stdout
    assert "game_sessions" in servers.tables()
    assert "bot_events" in servers.queues()
    assert not any(password in init.output for password in PASSWORDS.values())
    init.wait_for_output("holding")

    held = Path(f"/proc/{sandbox.process(init)}")
    status = dict(line.split(":\t", 1) for line in (held / "status").read_text().splitlines() if ":\t" in line)
    assert status["Uid"].split() == ["10001"] * 4
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    for path in ("/written", "/app/written", "/etc/inithold/plan/written", "/etc/inithold/secrets/written"):
        written = sandbox.exec(init, container, ["touch", path])
        assert "Read-only file system" in written.stderr, path
    assert sandbox.exec(init, container, ["touch", "/tmp/written"]).returncode == 0

    process = sandbox.process(init)
    os.kill(process, signal.SIGTERM)
    if not shared:
        assert init.wait() == 0
    else:  # what is left of the Pod goes on
        init.wait_until(lambda: not is_alive(process), "the end of the hold", seconds=5)


def test_the_marker_of_a_container_that_was_killed_is_not_believed(make: Make) -> None:
    """The volume at /tmp lives as long as the Pod: the next container finds the marker there."""
    manifests = applied()
    (container,) = manifests.pod("init").containers
    sandbox = make(manifests, "init", shared=True)
    init = sandbox.start(container)
    init.wait_for_output("5 steps")
    assert sandbox.exec(init, container, container["startupProbe"]["exec"]["command"]).returncode == 0
    os.kill(sandbox.process(init), signal.SIGKILL)
    assert sandbox.exec(init, container, ["test", "-f", "/tmp/init-complete"]).returncode == 0
    readiness = sandbox.exec(init, container, container["readinessProbe"]["exec"]["command"])
    assert readiness.returncode == 1
    assert "is gone" in readiness.stdout


def test_the_probes_say_no_as_long_as_init_waits(make: Make) -> None:
    manifests = applied()
    (container,) = manifests.pod("init").containers
    sandbox = make(manifests, "init", BROKER_PORT=str(free_port()))
    init = sandbox.start(container)
    init.wait_for_output("waiting")
    readiness = sandbox.exec(init, container, container["readinessProbe"]["exec"]["command"])
    assert readiness.returncode == 1
    assert "there is no marker at /tmp/init-complete" in readiness.stdout


def test_the_startup_probe_has_said_why_when_the_run_fails(make: Make) -> None:
    """The container takes the probe in it along: what it has printed is the text of the event."""
    manifests = applied()
    (container,) = manifests.pod("init").containers
    sandbox = make(manifests, "init", BROKER_PORT=str(free_port()))
    init = sandbox.start(container)
    init.wait_for_output("waiting")
    Timer(2, os.kill, [sandbox.process(init), signal.SIGKILL]).start()
    startup = sandbox.exec(init, container, container["startupProbe"]["exec"]["command"])
    assert startup.returncode != 0
    assert startup.stdout.startswith("not ready: there is no marker at /tmp/init-complete: init is still running")


def test_the_job_runs_and_ends(make: Make, servers: Servers) -> None:
    manifests = applied(as_job=True)
    (container,) = manifests.pod("init").containers
    first = make(manifests, "init").run(container)
    assert first.returncode == 0, first.stdout + first.stderr
    assert {"users", "alembic_version"} <= servers.tables()
    again = make(manifests, "init").run(container)
    assert again.returncode == 0
    assert "changed" not in again.stdout.replace("unchanged", ""), again.stdout


def test_the_exit_codes_that_end_the_job(make: Make) -> None:
    manifests = applied(as_job=True)
    (container,) = manifests.pod("init").containers
    wrong = make(manifests, "init", PASSWORDS | {"database-password": "not-the-password"}).run(container)
    assert wrong.returncode == 1, wrong.stdout
    assert "not-the-password" not in wrong.stdout + wrong.stderr
    missing = make(manifests, "init", {"database-password": "x"}).run(container)
    assert missing.returncode == 2
    assert "there is no file /etc/inithold/secrets/rabbitmq-password" in missing.stdout + missing.stderr


def test_an_eviction_does_not_end_the_job(make: Make) -> None:
    manifests = applied(as_job=True)
    (container,) = manifests.pod("init").containers
    sandbox = make(manifests, "init", DATABASE_PORT=str(free_port()))
    init = sandbox.start(container)
    init.wait_for_output("waiting")
    os.kill(sandbox.process(init), signal.SIGTERM)
    assert init.wait() == 128 + signal.SIGTERM


@pytest.mark.parametrize("dependent", ["api", "bot"])
def test_the_gate_opens_when_init_is_done_and_changes_nothing(
    make: Make, servers: Servers, dependent: str
) -> None:
    manifests, job = applied(), applied(as_job=True)
    gate = make(manifests, dependent).start(manifests.pod(dependent).containers[0])
    gate.wait_for_output("waiting")
    assert servers.tables() == set()
    assert servers.queues() == set()
    done = make(job, "init").run(job.pod("init").containers[0])
    assert done.returncode == 0, done.stdout
    assert gate.wait(30) == 0, gate.output


def test_the_gate_stays_closed_for_half_an_environment(make: Make, servers: Servers) -> None:
    manifests, job = applied(), applied(as_job=True)
    assert make(job, "init").run(job.pod("init").containers[0]).returncode == 0
    servers.rabbit.api("DELETE", "/api/queues/%2F/bot_events")
    container = manifests.pod("bot").containers[0]
    at = container["command"].index("--timeout")
    container["command"][at + 1] = "2s"
    closed = make(manifests, "bot").run(container)
    assert closed.returncode == 1
    assert "bot_events" in closed.stderr


def test_scripts_that_are_older_than_the_database_change_nothing(make: Make, servers: Servers) -> None:
    """What an old image sees after a rollback, and in an old Pod that starts during a rollout."""
    manifests, job = applied(), applied(as_job=True)
    container = job.pod("init").containers[0]
    assert make(job, "init").run(container).returncode == 0
    servers.postgres.execute("UPDATE alembic_version SET version_num = '9999'", "scheduler")
    old = make(job, "init").run(container)
    assert old.returncode == 1
    assert "it is ahead of them" in old.stdout + old.stderr
    gate = make(manifests, "api").run(manifests.pod("api").containers[0])
    assert gate.returncode == 1
    assert "it is ahead of them" in gate.stdout + gate.stderr
    assert servers.postgres.execute("SELECT version_num FROM alembic_version", "scheduler") == [("9999",)]


def test_the_dependents_start_behind_their_gates(make: Make, servers: Servers) -> None:
    manifests, job = applied(), applied(as_job=True)
    assert make(job, "init").run(job.pod("init").containers[0]).returncode == 0
    port = str(free_port())
    addresses = {}
    for name, value in environment(manifests.pod("api").containers[1]).items():
        for host, there in (("postgres:5432", servers.postgres.port), ("rabbitmq:5672", servers.rabbit.port)):
            if host in value:
                words = value.replace(host, f"{host.partition(':')[0]}:{there}")
                secret = "database-password" if "postgres" in host else "rabbitmq-password"
                addresses[name] = words.replace(f"$({_variable(secret)})", PASSWORDS[secret])
    api, bot = (manifests.pod(name).containers[1] for name in ("api", "bot"))
    serving = make(manifests, "api", PORT=port, **addresses)
    working = make(manifests, "bot", **addresses)
    started, posting = serving.start(api), working.start(bot)
    started.wait_until(
        lambda: _answers(f"http://127.0.0.1:{port}{api['readinessProbe']['httpGet']['path']}"), "/health"
    )
    alive = bot["livenessProbe"]["exec"]["command"]
    posting.wait_until(lambda: working.exec(posting, bot, alive).returncode == 0, "the bot to be alive")


def _variable(secret: str) -> str:
    return secret.replace("-", "_").upper()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
