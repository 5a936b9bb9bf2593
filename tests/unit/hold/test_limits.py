"""The pipe on which a run writes its limits, and the interpreter the numbers of signals."""

from __future__ import annotations

import signal

import pytest

from inithold.hold.limits import GRACE, Limits

BEGUN = b'until %d {"step":"a"}\n'


@pytest.mark.parametrize("number", [signal.SIGALRM, signal.SIGUSR1, signal.SIGCHLD, signal.SIGRTMAX])
def test_other_signals_hide_no_limit_and_no_end_of_one(number: int) -> None:
    limits = Limits()
    limits.feed(bytes([number]) + BEGUN % 0 + bytes([number]))
    assert limits.seconds == 0.0
    limits.feed(b"over a\n")
    assert limits.seconds is None
    assert not limits.stop_signal


def test_a_signal_that_ends_the_run_leaves_the_grace() -> None:
    limits = Limits()
    limits.feed(BEGUN % 10**12 + bytes([signal.SIGTERM]))
    assert limits.stop_signal == "SIGTERM"
    assert limits.seconds == pytest.approx(GRACE, abs=1.0)
