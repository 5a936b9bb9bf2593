"""`inithold rerun`: asks a verifying hold to run its plan again now, and waits for the outcome."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from typing import Any

from inithold.errors import InitholdError
from inithold.marker.file import withdrawn
from inithold.marker.identity import why_not
from inithold.record.files import earlier
from inithold.record.status import read as read_record
from inithold.record.table import failure, headline
from inithold.text import platform
from inithold.text.files import read_regular

POLL = 0.02
"""Seconds between two looks, short because a failed run ends the container, and this command with it."""
ASK_AGAIN = 2.0
"""Seconds after which to send the signal again: it is lost if the process was just becoming the holder."""
BEGINS = 10.0
"""Seconds that a run may take from removing the marker to writing its record."""
_NOTHING_HOLDS = "no init holds here"


def rerun(marker: str, record: str) -> int:
    """Ask for a run and wait until it ends.

    Returns:
        0 if it is ready again, 1 if it failed.

    Raises:
        InitholdError: nothing holds here, the hold does not verify, or it cannot be signalled.
    """
    ends_at = time.monotonic() + BEGINS
    while True:
        # A new run first moves the earlier record away.
        newest = read_record(record) or read_record(earlier(record, 1)) or {}
        if content := _read(marker) or _read(withdrawn(marker)):
            return _run_again(content, marker, record, newest.get("run_id"))
        if newest.get("outcome") != "ready" or time.monotonic() > ends_at:
            break
        # Perhaps another run is just about to begin, after another rerun command or because of drift.
        time.sleep(POLL)
    if newest.get("outcome", "none") is not None:
        raise InitholdError(
            f"{_NOTHING_HOLDS}: there is no marker at {marker}", hint="inithold status shows the last run"
        )
    print("a run is going on; waiting for its end", flush=True)
    while not _ended(newest):
        time.sleep(POLL)
        newest = read_record(record) or newest
    return _report(newest)


def _run_again(content: dict[str, Any], marker: str, record: str, before: str | None) -> int:
    """Signal the process named in the marker, and wait until a run other than `before` has ended."""
    process = content.get("vouched_by")
    if not isinstance(process, dict):
        raise InitholdError(f"{_NOTHING_HOLDS}: the marker is of a run that did not stay to hold (--once)")
    if stale := why_not(process):
        raise InitholdError(f"{_NOTHING_HOLDS}: {stale}")
    if content.get("verify") is None:
        raise InitholdError(
            "this hold does not verify: it kept nothing that could run the plan again",
            hint=f"hold with --verify 1m (or never), or restart it: {platform.restart()}",
        )
    asked_at = float("-inf")
    while True:
        published = _read(marker)
        # As long as the marker (or the withdrawn one) is unchanged, no run has begun.
        if time.monotonic() - asked_at >= ASK_AGAIN and content in (published, _read(withdrawn(marker))):
            try:
                os.kill(process["pid"], signal.SIGHUP)
            except PermissionError:
                raise InitholdError(
                    f"process {process['pid']}, which holds, belongs to another user and cannot be signalled",
                    hint=f"run it as the same user: {platform.as_user('inithold rerun')}",
                ) from None
            except ProcessLookupError:
                pass
            asked_at = time.monotonic()
        account = read_record(record)
        if account is not None and account.get("run_id") != before and _ended(account):
            return _report(account)
        if account is None and published not in (None, content):
            # Without a writable record, the new marker is the only sign of success.
            print("ready again")
            return 0
        if gone := why_not(process):
            raise InitholdError(f"the init process has ended: {gone}", hint="its log says why")
        time.sleep(POLL)


def _ended(account: dict[str, Any]) -> bool:
    # The marker comes after the outcome; wait for it, because the caller may look for it at once.
    outcome = account.get("outcome")
    return outcome is not None and (outcome != "ready" or bool(account.get("marker")))


def _report(account: dict[str, Any]) -> int:
    print(headline(account, now=time.time()), flush=True)
    if failed := failure(account):
        print(failed, file=sys.stderr, flush=True)
    return 0 if account["outcome"] == "ready" else 1


def _read(path: str) -> dict[str, Any] | None:
    try:
        content = json.loads(read_regular(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InitholdError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise InitholdError(f"{path} is not an inithold marker: it is not JSON") from None
    return content if isinstance(content, dict) else None
