"""Code that needs more memory than the container has: its process goes, and the run says why."""

from __future__ import annotations

from e2e.alone import alone, plan_of
from e2e.conftest import Maker
from e2e.engine import poll

HUNGRY = """
def main():
    print("hungry", flush=True)
    kept = []
    while True:
        kept.append(b"x" * (8 << 20))
"""


def test_a_worker_that_dies_for_want_of_memory_says_so(make_stack: Maker) -> None:
    plan = plan_of(uses="python.call", **{"with": {"call": "hungry:main"}})
    stack = alone(make_stack, plan, working_dir="/plan", mem_limit="96m", memswap_limit="96m", restart="no")
    stack.write("plan/hungry.py", HUNGRY)
    stack.compose("up", "-d")
    state = poll(lambda: (s := stack.state("init"))["Status"] == "exited" and s, 120, "init ends")
    log = stack.logs("init")
    assert state["ExitCode"] == 1, log
    assert "its process was killed by SIGKILL by the kernel: out of memory before it was done" in log
    assert "raise the container's memory limit" in log
    assert "hungry" in log
