"""Measures everything and keeps the table in README.md, and a part of it in the repository's.

Names of measures as arguments measure those only.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import compose_check, engine, gates, holding, memory, noticing, readme, ready, verifying, waiting
from benchmarks.result import Result, keep, machine, table
from benchmarks.stack import Stack, stack

README = Path(__file__).with_name("README.md")
ON_STACK: dict[str, Callable[[Stack], Sequence[Result]]] = {
    "first-connection": ready.first_connection,
    "ready": ready.to_ready,
    "warm-styles": ready.warm_styles,
    "holding": holding.holding,
    "waiting-gate": waiting.waiting_gate,
    "memory": memory.peak,
    "noticing": noticing.noticing,
    "verifying": verifying.verifying,
}
ALONE: dict[str, Callable[[], Sequence[Result]]] = {
    "engine": engine.cost_per_step,
    "health": engine.health,
    "gates": gates.gates,
    "compose-check": compose_check.checking,
}


def main(names: Sequence[str]) -> int:
    """Measure; 2 for an unknown name."""
    unknown = set(names) - {*ON_STACK, *ALONE}
    if unknown:
        print(f"unknown: {', '.join(unknown)}; there are {', '.join([*ON_STACK, *ALONE])}", file=sys.stderr)
        return 2
    described = machine()
    results: list[Result] = []
    for name, measure in ALONE.items():
        if not names or name in names:
            results += _told(name, measure())
    if not names or set(names) & set(ON_STACK):
        with stack() as servers:
            for name, measure_on in ON_STACK.items():
                if not names or name in names:
                    results += _told(name, measure_on(servers))
    text = f"{described}\n\n{table(results)}"
    print(text)
    if not names:
        keep(README, text)
        readme.write()
    return 0


def _told(name: str, results: Sequence[Result]) -> Sequence[Result]:
    for result in results:
        print(f"{name}: {': '.join(result.cells())}", file=sys.stderr, flush=True)
    return results


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
