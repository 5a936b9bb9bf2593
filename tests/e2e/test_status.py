"""What a person asks a running container of init, while it works and when it is done."""

from __future__ import annotations

from e2e.engine import poll
from e2e.stack import MARKER, Stack

STEPS = ("database", "migrate", "schema", "broker", "topology", "seed")


def initialized(stack: Stack) -> str:
    """What the line says that people have in their notes."""
    question = f"docker exec {stack.project}-init test -f {MARKER}"
    return stack.engine.run("sh", "-c", f"{question} && echo Initialized || echo 'Not initialized'").stdout.strip()


def status(stack: Stack) -> str:
    """What `inithold status` prints in the container."""
    return stack.engine.docker("exec", f"{stack.project}-init", "inithold", "status")


def test_while_it_works_and_when_it_is_done(environment: Stack) -> None:
    environment.compose("stop", "-t", "5", "postgres")
    try:
        environment.compose("up", "-d", "--force-recreate", "--no-deps", "init")
        poll(lambda: "postgres" in environment.logs("init"), 60, "init says that it waits for postgres", every=0.5)
        working = status(environment)
        assert initialized(environment) == "Not initialized"
        assert environment.health("init") == "starting"
    finally:
        environment.compose("start", "postgres")
    environment.wait_health("init", "healthy", 120)
    assert initialized(environment) == "Initialized"

    assert working.startswith("running for "), working
    assert "waiting" in working and "postgres" in working, working
    done = status(environment)
    assert done.startswith("holding since "), done
    assert done.splitlines()[1].startswith("game-scheduler: ready in "), done
    rows = (line.lstrip("* ").split() for line in done.splitlines())
    assert {words[0]: words[1] for words in rows if words and words[0] in STEPS} == {
        **dict.fromkeys(STEPS, "unchanged"),
        "seed": "skipped",
    }


def test_a_plan_finds_nothing_to_change(environment: Stack) -> None:
    """`inithold plan` in the holding container, as the README has it; exit 3 would say that there are changes."""
    found = environment.exec("init", "inithold", "plan", "--exit-code").stdout
    assert all(step in found for step in STEPS), found
