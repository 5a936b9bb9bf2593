"""A record as text: the table, the critical path and the failure message.

Uses parsed JSON and only the standard library, so that `inithold status` and the end of a run are fast.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from inithold.text.duration import spoken

HEADINGS = ("  STEP", "OUTCOME", "CHANGES", "ATTEMPTS", "AFTER", "TIME")
_COLOURS = {
    "unchanged": "32",
    "changed": "33",
    "failed": "31;1",
    "skipped": "2",
    "cancelled": "35",
    "pending": "2",
    "waiting": "36",
    "checking": "36",
    "applying": "36",
}
_RANKS = ("failed", "applying", "checking", "waiting", "changed", "cancelled", "skipped")
"""The states to show, most important first; pending and unchanged steps are only counted."""
ON_PATH = "*"
_RAN = "ran (cannot be checked)"
MOST_ROWS = 40
"""Most steps in a table."""
MOST_FAILURES = 10
"""Most failures shown in full."""
_GAP = "  "
_GIVE_WAY = ((2, 12), (4, 0), (3, 0), (2, 0), (0, 12), (5, 0))
"""Columns to shrink for a narrow terminal, with their least width: changes, after, attempts, changes, id, time."""
T = TypeVar("T")


def table(record: Mapping[str, Any], *, colour: bool, now: float, width: int | None = None) -> str:
    """The steps of a record as an aligned table, the critical path marked with `*`.

    If there are very many steps, it shows those that failed, run or changed something, and counts the rest.

    Args:
        record: the record as parsed JSON.
        colour: whether to use ANSI colours.
        now: Unix time, for steps that are still running.
        width: columns of the terminal; None for no limit.
    """
    steps = record["steps"]
    path = set(critical_path(steps))
    shown = of_interest(steps, MOST_ROWS, lambda step: str(step["state"]))
    rows = [_row(step, record, path, now) for step in shown]
    widths = [max(len(row[column]) for row in [HEADINGS, *rows]) for column in range(len(HEADINGS))]
    for column, least in _GIVE_WAY if width is not None else ():
        present = [each for each in widths if each]
        excess = sum(present) + len(_GAP) * (len(present) - 1) - (width or 0)
        if excess > 0:
            shrunk = widths[column] - excess
            widths[column] = shrunk if shrunk >= least > 0 else min(least, widths[column])
    lines = [_line(HEADINGS, widths)] if rows else []
    for step, row in zip(shown, rows, strict=True):
        lines.append(_line(row, widths, _COLOURS.get(step["state"]) if colour else None))
    if len(shown) < len(steps):
        rest = f"and {len(steps) - len(shown)} more" if shown else f"{len(steps)} steps"
        ids = {step["id"] for step in shown}
        lines.append(f"  {rest}: {_counts([step for step in steps if step['id'] not in ids])}")
    return "\n".join(lines)


def of_interest(steps: Sequence[T], most: int, state: Callable[[T], str]) -> list[T]:
    """Choose the steps to show: of more than `most`, those with the most important states, in plan order.

    Args:
        steps: all steps.
        most: the most steps to show.
        state: returns the state of a step.
    """
    if len(steps) <= most:
        return list(steps)
    chosen = [index for index, step in enumerate(steps) if state(step) in _RANKS]
    chosen.sort(key=lambda index: _RANKS.index(state(steps[index])))
    return [steps[index] for index in sorted(chosen[:most])]


def _counts(steps: Sequence[Mapping[str, Any]]) -> str:
    # Count steps that cannot be checked separately: whether they changed anything is unknown.
    ran = [
        step["state"] == "changed" and bool(step["changes"]) and all(each["op"] == "?" for each in step["changes"])
        for step in steps
    ]
    counted = Counter(_RAN if each else step["state"] for step, each in zip(steps, ran, strict=True))
    return ", ".join(f"{counted[state]} {state}" for state in (*_COLOURS, _RAN) if counted[state])


def legend(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """Explain the marks that occur in a table, one line each."""
    lines = []
    if steps:
        lines.append("(* critical path: it decided how long the run took; AFTER: when its needs were met)")
    if any(change["op"] == "?" for step in steps for change in step["changes"]):
        lines.append("(? cannot be checked, so it runs each time; unless or creates give a command a check)")
    return lines


def headline(record: Mapping[str, Any], *, now: float, over: bool = False) -> str:
    """One line on the whole run: `game-scheduler: ready in 1.24 s, 2 changed, 3 unchanged`.

    Args:
        record: the record as parsed JSON.
        now: Unix time; for a run that was broken off, the last time it is known to have been running.
        over: whether the run is known to be over.
    """
    steps = record["steps"]
    name = titled(record)
    counts = _counts(steps)
    took = spoken((record["ended"] or now) - record["started"])
    if record["outcome"] is None and over:
        return f"{name}: broken off (killed, or the machine went down) after {took}: {counts}"
    if record["outcome"] is None:
        waiting = record.get("lock_waiting_for")
        return f"{name}: running for {took}: {f'waiting for the lock: {waiting}' if waiting else counts}"
    # A failure's reason is shown below the table.
    again = "again: " if record["outcome"] == "ready" else ""
    reason = f" ({again}{record['reason']})" if record["reason"] and record["outcome"] != "failed" else ""
    tolerated = [step["id"] for step in steps if step["tolerated"]]
    without = f", without {', '.join(tolerated)}" if tolerated and record["outcome"] == "ready" else ""
    preposition = "in" if record["outcome"] == "ready" else "after"
    # A repair runs only a part of the plan, so it is "done", not "ready".
    outcome = "done" if record.get("repair") and record["outcome"] == "ready" else record["outcome"]
    return f"{name}: {outcome}{reason} {preposition} {took}: {counts}{without}"


def titled(record: Mapping[str, Any]) -> str:
    """The environment's name and, for a repair, the part that was run: `game-scheduler, only topology`."""
    repair = record.get("repair")
    return f"{record['name']}, {repair}" if repair else str(record["name"])


def failure(record: Mapping[str, Any]) -> str:
    """A failed run's message: which step, what was seen, how long it was tried, what to do next."""
    failed = [step for step in record["steps"] if step["state"] == "failed"]
    failed.sort(key=lambda step: bool(step["tolerated"]))  # failures that ended the run come first
    blocks = [_failed(step) for step in failed[:MOST_FAILURES]]
    if record["outcome"] == "failed" and all(step["tolerated"] for step in failed):
        # Its lock or its marker failed, which no step explains.
        blocks.insert(0, _block("the run failed", record, spoken(record["ended"] - record["started"])))
    if len(failed) > MOST_FAILURES:
        blocks.append(f"and {len(failed) - MOST_FAILURES} more steps failed: inithold status --json")
    skipped = [
        step["id"]
        for step in record["steps"]
        if step["state"] == "skipped" and step["reason"] != "its when is false"
    ]
    if skipped:
        more = f" and {len(skipped) - MOST_FAILURES} more" if len(skipped) > MOST_FAILURES else ""
        blocks.append(f"not started, because of that: {', '.join(skipped[:MOST_FAILURES])}{more}")
    return "\n".join(blocks)


def critical_path(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """Ids of the steps that determined how long the run took, first to last.

    Goes back from the step that ended last, each time to the need that ended last.
    """
    by_id = {step["id"]: step for step in steps if step["started"] is not None}
    if not by_id:
        return []
    last = max(by_id.values(), key=_end)
    path: dict[str, None] = {}
    while last is not None:
        path[last["id"]] = None
        needs = [by_id[need] for need in last["needs"] if need in by_id and need not in path]
        last = max(needs, key=_end, default=None)  # type: ignore[arg-type]
    return list(path)[::-1]


def _end(step: Mapping[str, Any]) -> float:
    return float("inf") if step["ended"] is None else float(step["ended"])


def _row(step: Mapping[str, Any], record: Mapping[str, Any], path: set[str], now: float) -> tuple[str, ...]:
    started, changes = step["started"], "-"
    if step["changes"]:
        changes = f"{step['changes'][0]['op']} {step['changes'][0]['what']}"
        changes = changes if len(changes) <= 48 else f"{changes[:45]}..."
        changes += f" and {len(step['changes']) - 1} more" if len(step["changes"]) > 1 else ""
    return (
        (f"{ON_PATH} " if step["id"] in path else "  ") + step["id"],
        f"{step['state']}, tolerated" if step["tolerated"] else step["state"],
        changes,
        str(step["attempts"]) if step["attempts"] else "-",
        "-" if started is None else spoken(max(0.0, started - record["started"])),
        "-" if started is None else spoken((step["ended"] or now) - started),
    )


def _line(cells: Iterable[str], widths: Sequence[int], colour: str | None = None) -> str:
    padded = [
        f"{cell if len(cell) <= width else f'{cell[: max(0, width - 3)]}...'[:width]:<{width}}"
        for cell, width in zip(cells, widths, strict=True)
    ]
    if colour:
        padded[1] = f"\x1b[{colour}m{padded[1]}\x1b[0m"
    return _GAP.join(cell for cell, width in zip(padded, widths, strict=True) if width).rstrip()


def _failed(step: Mapping[str, Any]) -> str:
    what = f" on {step['target']}" if step["target"] else ""
    seconds = step["waiting"] + step["checking"] + step["applying"]
    # A single attempt may be followed by minutes of refused probes.
    waited = f" ({spoken(step['waiting'])} of it waiting)" if step["waiting"] >= 0.01 else ""
    attempts = "1 attempt" if step["attempts"] == 1 else f"{step['attempts']} attempts"
    if probes := step.get("probes", 0):
        attempts += f", {probes} more connection{'s' if probes != 1 else ''} tried"
    tolerated = ", and the plan goes on without it" if step["tolerated"] else ""
    title = f"step {step['id']} ({step['kind']}{what}) failed{tolerated}"
    return _block(title, step, f"{spoken(seconds)}{waited}, {attempts}")


def _block(title: str, failed: Mapping[str, Any], tried: str) -> str:
    lines = [f"seen:  {failed['reason']}", f"tried: for {tried}"]
    lines += [f"next:  {failed['hint']}"] if failed.get("hint") else []
    return "\n  ".join([title, *(line.replace("\n", "\n         ") for line in lines)])
