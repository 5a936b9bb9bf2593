"""The sender as a process: whose child it is, what it does not delay, and that it ends."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from pid_namespace import UNSHARE, needs_leave, pid_one
from promptness import PROMPTLY
from servers.inithold import Inithold, Running
from servers.otlp import Collector, Protocol, deaf_collector, garbage_collector
from servers.ports import closed_port
from servers.run import is_alive
from stopping import until

pytestmark = pytest.mark.timeout(90)
protocols = pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
PLAN = "version: 1\nname: demo\nsteps:\n  - {id: there, uses: file.ready, with: {path: /}}\n"
VERIFYING = PLAN.replace("steps:", "hold: {verify: 1s}\nsteps:")
HOLDERS = {
    "catatonit": ({}, "catatonit"),
    "interpreter": ({"PATH": "/nowhere"}, "_signal"),
    "verifier": ({"INITHOLD_VERIFY": "1h"}, "verifier.py"),
}
holders = pytest.mark.parametrize("holder", HOLDERS)
namespaces = pytest.mark.parametrize(
    "prefix", [[], pytest.param(UNSHARE, marks=needs_leave)], ids=["child", "PID 1"]
)


@contextmanager
def refusing_collector() -> Iterator[int]:
    """The port of a collector that refuses what it gets, over HTTP."""
    with Collector(status=401, message="no such tenant") as collector:
        yield collector.http_port


def start(run_inithold: Inithold, env: dict[str, str], prefix: list[str], text: str = PLAN) -> Running:
    (run_inithold.folder / "inithold.yaml").write_text(text)
    return run_inithold.start("run", prefix=prefix, env=env)


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except FileNotFoundError:
        return ""


def senders_of(init: Running) -> list[int]:
    return [pid for pid in init.descendants() if command_line(pid).split()[-2:-1] == ["sender"]]


def sender_of(init: Running) -> int:
    """The pid of the sender, which a run starts once it has lasted a second, or is over."""
    until(lambda: bool(senders_of(init)))
    (sender,) = senders_of(init)
    return sender


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@holders
@namespaces
def test_the_hold_begins_at_once_and_takes_the_sender_along(
    holder: str, prefix: list[str], run_inithold: Inithold
) -> None:
    variables, name = HOLDERS[holder]
    with deaf_collector() as port:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"} | variables
        init = start(run_inithold, env, prefix)
        init.wait_for_marker()
        holding = pid_one(init) if prefix else init.pid
        init.wait_until(lambda: name in command_line(holding), "the hold", PROMPTLY)
        sender = sender_of(init)
        until(lambda: parent(sender) == holding)
        began = time.monotonic()
        os.kill(holding, signal.SIGTERM)
        assert init.wait() == 0
        assert time.monotonic() - began < PROMPTLY
        until(lambda: not is_alive(sender))


@holders
@namespaces
def test_it_ends_when_all_is_sent_and_is_reaped(
    holder: str, prefix: list[str], run_inithold: Inithold, otlp: Collector
) -> None:
    variables, name = HOLDERS[holder]
    init = start(run_inithold, otlp.env() | variables, prefix)
    init.wait_for_marker()
    holding = pid_one(init) if prefix else init.pid
    otlp.wait_for(lambda seen: seen.spans and seen.metrics and seen.logs, seconds=20)
    until(lambda: name in command_line(holding))
    until(lambda: Path(f"/proc/{holding}/task/{holding}/children").read_text() == "")
    assert otlp.span("init.environment").attributes["init.outcome"] == "ready"


@namespaces
def test_a_run_that_is_killed_leaves_none(prefix: list[str], run_inithold: Inithold) -> None:
    with deaf_collector() as port:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
        init = start(run_inithold, env, prefix, PLAN.replace("path: /}", "path: /nowhere}"))
        init.wait_for_output("does not exist")
        sender = sender_of(init)
        os.kill(pid_one(init) if prefix else init.pid, signal.SIGKILL)
        init.wait()
        until(lambda: not is_alive(sender))


@protocols
@pytest.mark.parametrize("collector", [closed_port, deaf_collector, garbage_collector, refusing_collector])
def test_an_exit_is_delayed_by_three_seconds_at_most_and_says_so_in_one_line(
    collector: Callable[[], AbstractContextManager[int]], protocol: Protocol, run_inithold: Inithold
) -> None:
    (run_inithold.folder / "inithold.yaml").write_text(PLAN)
    with collector() as port:
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        }
        init = run_inithold.start("run", "--once", env=env)
        init.wait_for_output("demo: ready")
        began = time.monotonic()
        assert init.wait() == 0
        assert time.monotonic() - began < 3 + PROMPTLY
    assert init.output.count("telemetry was not") == 1
    assert "Traceback" not in init.output


def test_a_sender_that_is_stopped_delays_an_exit_no_longer(run_inithold: Inithold, otlp: Collector) -> None:
    init = start(run_inithold, otlp.env(), [], PLAN.replace("path: /}", "path: /nowhere}"))
    init.wait_for_output("does not exist")
    sender = sender_of(init)
    os.kill(sender, signal.SIGSTOP)
    init.signal(signal.SIGTERM)
    began = time.monotonic()
    assert init.wait() == 128 + signal.SIGTERM
    assert time.monotonic() - began < 3 + PROMPTLY
    assert "telemetry was not sent: its process did not end in time" in init.stderr
    until(lambda: not is_alive(sender))


def test_a_sender_that_is_stopped_does_not_stop_the_run(run_inithold: Inithold, otlp: Collector) -> None:
    """Whatever it does not read: the pipe is full long before."""
    (run_inithold.folder / "inithold.yaml").write_text(
        "version: 1\nname: demo\nsteps:\n"
        "  - {id: wait, uses: command.run, with: {run: 'until test -e go; do sleep 0.1; done'}}\n"
        "  - {id: talk, uses: command.run, with: {run: 'yes a line of many | head -n 40000'}}\n"
    )
    init = run_inithold.start("run", env=otlp.env())
    sender = sender_of(init)
    os.kill(sender, signal.SIGSTOP)
    (run_inithold.folder / "go").touch()
    init.wait_for_output("demo: ready", 60)
    os.kill(sender, signal.SIGCONT)
    otlp.wait_for(lambda seen: seen.spans and seen.logs, seconds=30)
    until(lambda: not is_alive(sender))
    assert otlp.span("init.talk").attributes["init.outcome"] == "changed"
    assert any("log lines were left out" in str(record.body) for record in otlp.logs)


@pytest.mark.parametrize("plan", ["file", "python"])
def test_a_run_imports_nothing_of_opentelemetry(plan: str, run_inithold: Inithold, otlp: Collector) -> None:
    """From its start until it has ended, where no step is a function of the plan's own."""
    folder = run_inithold.folder
    (folder / "inithold.yaml").write_text(PLAN)
    if plan == "python":
        (folder / "user.py").write_text(
            "from inithold import Plan\nfrom inithold.steps.file import Ready\n"
            "plan = Plan('demo')\nplan.add(Ready(path='/'))\n"
        )
    (folder / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'sender' not in sys.orig_argv:\n"
        "    ended = os._exit\n"
        "    def end(code):\n"
        "        heavy = ('opentelemetry', 'requests', 'google', 'grpc')\n"
        "        print('imported:', [n for n in sys.modules if n.startswith(heavy)], flush=True)\n"
        "        ended(code)\n"
        "    os._exit = end\n"
    )
    arguments = ["run", "--once", *(["user:plan"] if plan == "python" else [])]
    done = run_inithold(*arguments, env=otlp.env() | {"PYTHONPATH": str(folder)})
    assert done.returncode == 0, done.stderr
    assert done.stdout == "imported: []\n"
    assert otlp.span("init.environment")


def test_each_check_of_a_hold_sends_by_a_process_of_its_own(run_inithold: Inithold, otlp: Collector) -> None:
    init = start(run_inithold, otlp.env(), [], VERIFYING)
    init.wait_for_marker()

    def ready() -> set[str]:
        metrics = [metric for metric in otlp.metrics if metric.name == "init.ready"]
        return {str(metric.resource["service.instance.id"]) for metric in metrics} if len(metrics) > 2 else set()

    (instance,) = otlp.wait_for(lambda _: ready(), seconds=30)
    assert otlp.span("init.environment").resource["service.instance.id"] == instance
    init.signal(signal.SIGTERM)
    assert init.wait() == 0
    until(lambda: not senders_of(init))


SCRIPT = (
    "from inithold import Plan, Settings\nfrom inithold.steps.file import Ready\n"
    "plan = Plan('demo')\nplan.add(Ready(path='/'))\nraise SystemExit(plan.run(Settings(%s)))\n"
)


def test_it_is_started_from_a_script_of_any_name_in_any_folder(run_inithold: Inithold, otlp: Collector) -> None:
    """What stands beside the script has the names of libraries that the sender needs."""
    folder = run_inithold.folder
    for name in ("json.py", "requests.py", "opentelemetry.py"):
        (folder / name).write_text("raise SystemError('the wrong module')\n")
    (folder / "sender.py").write_text(SCRIPT % "once=True")
    own = run_inithold.start(env=otlp.env(), program=(sys.executable, "-P", "sender.py"))
    assert own.wait() == 0, own.stderr
    assert otlp.span("init.environment")


@pytest.mark.parametrize("program", ["init.py", "-m inithold run init:plan --verify 1s"])
def test_a_check_sends_from_a_folder_with_the_name_of_a_library(
    run_inithold: Inithold, otlp: Collector, program: str
) -> None:
    folder = run_inithold.folder
    (folder / "requests.py").write_text("raise SystemError('the wrong module')\n")
    script = SCRIPT % "verify='1s'"
    (folder / "init.py").write_text(script if program == "init.py" else script.partition("raise")[0])
    run_inithold.start(env=otlp.env(), program=(sys.executable, *program.split()))
    otlp.wait_for(lambda seen: [metric for metric in seen.metrics if metric.name == "init.ready"], seconds=30)
