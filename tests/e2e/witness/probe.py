"""Looks at the environment until it is as it has to be, and says between which two looks that happened.

probe.py EXPECTED: the answers of `environment`, as JSON. The first line says which of them are there already; the
second when the last look began that missed something, and when all was there.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import environment

Look = Callable[[], dict[str, Any]]


def holds(look: Look, expected: dict[str, Any]) -> bool:
    """Whether a look finds what is expected."""
    try:
        found = look()
    except environment.NOT_THERE:
        return False
    return all(found[key] == expected[key] for key in found if key in expected)


def until_held(look: Look, expected: dict[str, Any], missing: float) -> dict[str, float]:
    """Look again and again."""
    while True:
        began = time.time()
        if holds(look, expected):
            return {"missing": missing, "held": time.time()}
        missing = began
        time.sleep(0.1)


def main(expected: dict[str, Any]) -> None:
    looks: list[Look] = [environment.of_database, environment.of_broker]
    began = time.time()
    there = [look.__name__ for look in looks if holds(look, expected)]
    print(json.dumps({"there": there}), flush=True)
    with ThreadPoolExecutor() as pool:
        both = list(pool.map(lambda look: until_held(look, expected, began), looks))
    print(json.dumps({key: max(one[key] for one in both) for key in ("missing", "held")}), flush=True)


if __name__ == "__main__":
    everything = json.loads(sys.argv[1])
    main({key: value for key, value in everything.items() if key != "since"})
