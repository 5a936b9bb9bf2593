"""`inithold status`: the record as a table, also during the run. Standard library only, for speed."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from inithold.errors import InitholdError
from inithold.marker.file import path_from as marker_path
from inithold.process.streams import coloured, columns, lost
from inithold.record.files import existing, of_repairs, path_from
from inithold.record.present import date, present
from inithold.record.table import MOST_FAILURES, failure, headline, legend, table
from inithold.text.files import read_regular

WATCH_INTERVAL = 0.25
USAGE_EXIT = 2
FLAGS = ("--json", "--all", "--watch")
_YES = ("1", "true", "t", "yes", "y", "on")
VERSION = 1
"""The newest version of the record's format that this module reads."""


class Unreadable(InitholdError):
    """A record cannot be shown; the message says why."""


def main(arguments: list[str]) -> int | None:
    """Answer `inithold status ARGUMENTS`.

    Returns:
        0; 1 if there is no record; 2 for bad usage; None for `--help`, which the command-line framework answers.
    """
    if "--help" in arguments or "-h" in arguments:
        return None
    # Flags can also be set by variables, such as `INITHOLD_JSON`.
    flags = {name for name in FLAGS if os.environ.get(f"INITHOLD_{name[2:].upper()}", "").lower() in _YES}
    values: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if name in FLAGS and not equals:
            flags.add(name)
        elif name in ("--record", "--marker") and (equals or rest):
            values[name] = value if equals else rest.pop(0)
        else:
            from inithold.text.suggest import did_you_mean  # noqa: PLC0415 - only where something is wrong

            near = "" if name in FLAGS else did_you_mean(name, (*FLAGS, "--record", "--marker"))
            wrong = f"unknown argument {name + equals + value!r}{near}"
            _say(f"inithold status: {wrong}; see inithold status --help")
            return USAGE_EXIT
    marker = marker_path(values.get("--marker"))
    path = path_from(values.get("--record"), marker)
    as_json = "--json" in flags
    try:
        if "--all" in flags:
            return _all(path, as_json=as_json)
        return _watch(path, marker, as_json=as_json) if "--watch" in flags else _one(path, marker, as_json=as_json)
    except KeyboardInterrupt:
        return 130
    except Unreadable as error:
        _say(f"inithold status: {error}")
        return 1
    except OSError as error:
        # Errors in reading are `Unreadable`, so this one is from the output.
        return lost(error)


def _say(text: str) -> None:
    from inithold.process import exits  # noqa: PLC0415 - slow to import

    exits.say(text)


def _one(path: str, marker: str, *, as_json: bool) -> int:
    record = read(path)
    now = present(marker, record)
    if record is None:
        if now["state"] != "over":
            print(now["text"])
        return _none(path)
    print(json.dumps({**record, "present": now}, indent=2) if as_json else _text(record, now, _written(path)))
    return 0


def _all(newest: str, *, as_json: bool) -> int:
    records: list[tuple[str, dict[str, Any]]] = []
    for path in existing(newest):
        try:
            record = read(path)
        except Unreadable as error:
            _say(f"inithold status: {error}")
        else:
            records += [] if record is None else [(path, record)]
    if not records:
        return _none(newest)
    records.sort(key=lambda each: float(each[1]["started"]), reverse=True)
    if as_json:
        print(json.dumps([record for _, record in records], indent=2))
        return 0
    for path, record in records:
        over = path not in (newest, of_repairs(newest))
        now = _written(path) if over else time.time()
        print(f"{date(record['started'])}  {headline(record, now=now, over=over)}")
        for step in record["steps"]:
            for change in step["changes"] if step["state"] == "changed" else ():
                print(f"    {step['id']}: {change['op']} {change['what']}")
            if step["state"] == "failed":
                print(f"    {step['id']}: failed: {step['reason'].partition(chr(10))[0]}")
    return 0


def _written(path: str) -> float:
    """When a record was last written: its run was still going on then."""
    try:
        return os.stat(path).st_mtime  # noqa: PTH116 - pathlib is slow to import
    except FileNotFoundError:  # a run began meanwhile, and moved it
        return time.time()


def _watch(path: str, marker: str, *, as_json: bool) -> int:
    redrawn = sys.stdout.isatty() and not as_json
    last: Any = ()
    while True:
        record = read(path)
        # At a terminal, redraw every time to update the durations; elsewhere, print only changes.
        if record != last or redrawn:
            last = record
            now = present(marker, record)
            if not as_json:
                text = "waiting for a run to begin" if record is None else _text(record, now)
                # Cursor home, then clear below: that does not flicker.
                print(f"\x1b[H\x1b[J{text}" if redrawn else text, flush=True)
            elif record is not None:
                print(json.dumps({**record, "present": now}), flush=True)
        if record is not None and record["outcome"] is not None:
            return 0
        time.sleep(WATCH_INTERVAL)


def _none(path: str) -> int:
    _say(f"inithold status: there is no record at {path}: no run here yet")
    return 1


def read(path: str) -> dict[str, Any] | None:
    """Read a record and remove escape sequences from it; None if there is none.

    Raises:
        Unreadable: it cannot be read, or is not a record.
    """
    try:
        text = read_regular(path).decode()
        record: Any = json.loads(text)
        if "\\u" in text or not text.rstrip("\n").isprintable():
            record = _inert(record)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unreadable(f"cannot read the record {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{path} is not an inithold record: it is not JSON") from error
    version = record.get("version") if isinstance(record, dict) else None
    if not isinstance(version, int) or not isinstance(record.get("steps"), list):
        raise Unreadable(f"{path} is not an inithold record")
    if version > VERSION:
        raise Unreadable(f"{path} was written by a newer inithold (version {version} of the format)")
    try:
        _text(record, {"text": "", "state": "over"})
        for at in (record["started"], record["ended"] or 0, *(step["started"] or 0 for step in record["steps"])):
            date(at)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, OSError) as error:
        raise Unreadable(f"{path} is not an inithold record: {error!r}") from error
    return dict(record)


def _inert(value: Any) -> Any:
    from inithold.redaction.sanitize import inert  # noqa: PLC0415 - slow to import, and hardly ever needed

    if isinstance(value, dict):
        return {inert(key): _inert(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_inert(each) for each in value]
    return inert(value) if isinstance(value, str) else value


def _text(record: dict[str, Any], current: Mapping[str, Any], written: float | None = None) -> str:
    over = current["state"] == "over"
    now = written if over and written is not None else time.time()
    shown = table(record, colour=coloured(sys.stdout), now=now, width=columns(sys.stdout))
    head = [current["text"], headline(record, now=now, over=over)]
    if verification := record.get("verification"):
        words = {True: "is in place, and", False: "is no longer in place", None: "cannot be verified"}
        head.append(f"since {date(verification['at'])} it {words[verification['holds']]}:")
        head += [f"  {line}" for line in verification["seen"]]
    parts = ["\n".join(head), "", shown, *legend(record["steps"])]
    waiting = [step for step in record["steps"] if step["waiting_for"]]
    parts += [""] if waiting else []
    parts += [f"{step['id']} waits: {step['waiting_for']}" for step in waiting[:MOST_FAILURES]]
    parts += [f"and {len(waiting) - MOST_FAILURES} more wait"] if len(waiting) > MOST_FAILURES else []
    if failed := failure(record):
        parts.append(f"\n{failed}")
    return "\n".join(parts)
