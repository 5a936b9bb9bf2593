"""Asks the hold that verifies to run its plan again now, and waits for the outcome."""

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
from inithold.record.table import failure, headline
from inithold.text import platform

POLL = 0.02
"""Seconds between two looks: a run that fails ends the container, and whatever runs in it."""
ASK_AGAIN = 2.0
"""Seconds after which a signal that met the process on its way into the hold is sent again."""
BEGINS = 10.0
"""Seconds that a run may take from taking the marker away to its first word in the record."""
_NOTHING_HOLDS = "no init holds here"


def rerun(marker: str, record: str) -> int:
    """Ask for a run and wait for its end.

    Args:
        marker: path of the marker.
        record: path of the record.

    Returns:
        0 it is ready again, 1 it failed.

    Raises:
        InitholdError: nothing holds here, the hold does not verify, or it may not be asked.
    """
    content, newest = _marker_content(marker), _newest(record)
    ends_at = time.monotonic() + BEGINS
    while content is None and newest.get("outcome") == "ready" and time.monotonic() < ends_at:
        # Just between two runs, perhaps: somebody else has asked, or something is no longer in place.
        time.sleep(POLL)
        content, newest = _marker_content(marker), _newest(record)
    if content is not None:
        return _Hold(marker, _of_verifying_hold(content)).run_again(record, newest.get("run_id"))
    if newest.get("outcome", "none") is not None:
        raise InitholdError(
            f"{_NOTHING_HOLDS}: there is no marker at {marker}", hint="inithold status shows the last run"
        )
    print("a run is going on; waiting for its end", flush=True)
    while not _ended(newest):
        time.sleep(POLL)
        newest = _read(record) or newest
    return _report(newest)


def _marker_content(marker: str) -> dict[str, Any] | None:
    """What the marker says, also while it is withdrawn."""
    return _read(marker) or _read(withdrawn(marker))


def _newest(record: str) -> dict[str, Any]:
    """The newest account of a run; empty if there is none. A new run moves the earlier one away first."""
    return _read(record) or _read(earlier(record, 1)) or {}


def _of_verifying_hold(content: dict[str, Any]) -> dict[str, Any]:
    """What a marker promises, where somebody stands behind it who can run again."""
    vouching = content.get("vouched_by")
    if not isinstance(vouching, dict):
        raise InitholdError(f"{_NOTHING_HOLDS}: the marker is of a run that did not stay to hold (--once)")
    if stale := why_not(vouching):
        raise InitholdError(f"{_NOTHING_HOLDS}: {stale}")
    if content.get("verify") is None:
        raise InitholdError(
            "this hold does not verify: nothing of the run is left in it that could run again",
            hint=f"restart it ({platform.restart()}), or hold with --verify 1m, or --verify never for this",
        )
    return content


class _Hold:
    """A hold that verifies.

    Args:
        marker: path of its marker.
        content: what the marker said.
    """

    def __init__(self, marker: str, content: dict[str, Any]) -> None:
        self._marker = marker
        self._content = content
        self._vouching: dict[str, Any] = content["vouched_by"]

    def run_again(self, record: str, before: str | None) -> int:
        """Ask it, and wait until a run other than `before` has ended."""
        asked_at = float("-inf")
        while True:
            if self._holds_still() and time.monotonic() - asked_at >= ASK_AGAIN:
                self._ask()
                asked_at = time.monotonic()
            account = _read(record)
            if account is not None and account.get("run_id") != before and _ended(account):
                return _report(account)
            if account is None and self._is_ready_again():
                # No record can be written there; the marker says enough.
                print("ready again")
                return 0
            if gone := why_not(self._vouching):
                raise InitholdError(f"the init process has ended: {gone}", hint="its log says why")
            time.sleep(POLL)

    def _holds_still(self) -> bool:
        """Whether what it promised then it does now: nothing has begun since."""
        return self._content in (_read(self._marker), _read(withdrawn(self._marker)))

    def _is_ready_again(self) -> bool:
        marker = _read(self._marker)
        return marker is not None and marker != self._content

    def _ask(self) -> None:
        pid = self._vouching["pid"]
        try:
            os.kill(pid, signal.SIGHUP)
        except PermissionError:
            raise InitholdError(
                f"process {pid}, which holds, belongs to another user and may not be asked",
                hint=f"be the same user: {platform.as_user('inithold rerun')}",
            ) from None
        except ProcessLookupError:
            return


def _ended(account: dict[str, Any]) -> bool:
    # The marker follows the outcome: whoever asked may look for it at once.
    outcome = account.get("outcome")
    return outcome is not None and (outcome != "ready" or bool(account.get("marker")))


def _report(account: dict[str, Any]) -> int:
    print(headline(account, now=time.time()), flush=True)
    if failed := failure(account):
        print(failed, file=sys.stderr, flush=True)
    return 0 if account["outcome"] == "ready" else 1


def _read(path: str) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as stream:  # noqa: PTH123 - as the record's other readers
            account = json.load(stream)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InitholdError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise InitholdError(f"{path} was not written by inithold: it is not JSON") from None
    return account if isinstance(account, dict) else None
