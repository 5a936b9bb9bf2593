"""`inithold wait` before the services: whatever is killed, broken and started together, none starts too early.

`make soak` plays 30 rounds instead of 5. INITHOLD_SOAK_SEED repeats the rounds of a run that failed.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import uuid

import pytest

from e2e.engine import Engine
from e2e.gated import BREAKS, Round, Rounds, gated
from e2e.images import Images
from e2e.stack import DEPENDENTS, Stack

ROUNDS = int(os.environ.get("INITHOLD_SOAK_ROUNDS", len(BREAKS)))
SEED = int(os.environ.get("INITHOLD_SOAK_SEED", random.randrange(10**6)))
MADE_AGAIN = {
    "nothing": (),
    "empty database": ("migrate",),
    "empty broker": ("topology",),
    "schema dropped": ("migrate",),
    "queues deleted": ("topology",),
}


@pytest.mark.timeout(200 + 100 * ROUNDS)
def test_no_program_starts_before_the_environment_holds(stack: Stack) -> None:
    print(f"{ROUNDS} rounds; again with INITHOLD_SOAK_SEED={SEED} INITHOLD_SOAK_ROUNDS={ROUNDS}")
    gated(stack).up(*DEPENDENTS, timeout=240)
    stack.compose("up", "-d")  # `--wait` would miss a healthcheck of the other two
    rounds = Rounds(stack, SEED)
    played = []
    for number in range(1, ROUNDS + 1):
        played.append(rounds.play())
        print(f"{number:>3} {played[-1]}", flush=True)
        check(played[-1], rounds.expected)
        assert {name: stack.inspect(name)["RestartCount"] for name in DEPENDENTS} == dict.fromkeys(DEPENDENTS, 0)
    for name in DEPENDENTS:
        stack.wait_health(name, "healthy", 120)
    print(summary(played))


def check(played: Round, expected: dict[str, object]) -> None:
    """No start before the environment held, everything there for each; the control was too early."""
    assert played.made == MADE_AGAIN[played.broken], f"{played.broken}: init made {played.made}"
    for start in played.starts:
        assert start.started > played.not_before, f"too early: {start}\n{played}"
        assert not start.lacks, start
        assert {key: start.found[key] for key in expected if key != "since"} == {
            key: value for key, value in expected.items() if key != "since"
        }, start.service
    assert played.control.lacks, "a program without a gate finds that something lacks"
    assert played.control.started < played.not_before, played


def summary(played: list[Round]) -> str:
    """What the documents quote."""
    after = [start.started - one.not_before for one in played for start in one.starts]
    early = [one.not_before - one.control.started for one in played]
    return (
        f"{len(played)} rounds, {len(after)} starts behind a gate: 0 before the environment held; the earliest "
        f"{min(after):.2f} s after it, median {statistics.median(after):.2f} s. "
        f"Without a gate {len(early)} of {len(early)} too early, by {min(early):.1f} to {max(early):.1f} s"
    )


PROGRAM = """
trap 'echo stopped; exit 7' TERM
read line
echo "process $$ has read $line"
while :; do sleep 0.1; done
"""


def test_the_program_takes_the_containers_first_process_over(engine: Engine, images: Images) -> None:
    """Its PID, standard input, signals and exit code, as if there had been no gate."""
    name = f"ihe2e-{uuid.uuid4().hex[:10]}"
    words = [
        "docker",
        "run",
        "-i",
        "--name",
        name,
        images.inithold,
        "wait",
        "file:///etc",
        "--",
        "sh",
        "-c",
        PROGRAM,
    ]
    pipe = subprocess.PIPE
    run = subprocess.Popen(["env", *words], env=dict(engine.environment), stdin=pipe, stdout=pipe, text=True)
    try:
        assert run.stdin and run.stdout
        print("hello", file=run.stdin, flush=True)
        assert run.stdout.readline() == "process 1 has read hello\n"
        engine.docker("stop", "-t", "60", name)
        assert run.stdout.read() == "stopped\n"
        assert run.wait(60) == 7
        state = (engine.inspect(name) or {})["State"]
        assert state["ExitCode"] == 7, "neither killed nor ended by the gate"
    finally:
        engine.docker("rm", "-f", name)


@pytest.mark.parametrize(("file", "code"), [("/etc/passwd", 0), ("/nowhere", 1)])
def test_alone_it_is_an_init_container(file: str, code: int, engine: Engine, images: Images) -> None:
    """As Kubernetes runs one that is restricted: any user, nothing to write to, no command after it."""
    restricted = [
        "--read-only",
        "--user",
        "12345:12345",
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
    ]
    wait = ["wait", f"file://{file}", "--timeout", "2s"]
    done = engine.run("docker", "run", "--rm", *restricted, images.inithold, *wait, check=False)
    assert done.returncode == code, done.stderr
    assert ("not everything is in place" in done.stderr) == (code == 1)
