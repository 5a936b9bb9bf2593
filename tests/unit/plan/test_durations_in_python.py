"""Durations of plans in Python are what they are as soon as they are made."""

from __future__ import annotations

import math
import subprocess
import sys

import msgspec
import pytest

from fake_server import answer_as_web, fake_server
from inithold import Hold, PlanError, Retry, Settings
from inithold.plan.model import Pace
from inithold.steps import http, tcp
from inithold.testing import check, drive
from inithold.text.duration import Duration


def test_texts_and_seconds() -> None:
    assert (Retry(delay="1s").delay, Retry(delay=1).delay) == (1.0, 1.0)
    assert type(Retry(delay="1s").delay) is Duration
    assert Retry(delay="1s") == Retry(delay=1.0)
    assert str(Retry(max_delay=90).max_delay) == "1m30s"
    hold = Hold(verify="1m", grace="5s")
    assert (hold.verify, type(hold.verify), hold.grace) == (60.0, Pace, 5.0)
    assert Hold().verify is None
    assert Hold(verify="never").verify == math.inf
    assert Settings(verify="2m").verify == 120.0
    assert http.Ready(url="http://app", request_timeout="5s").request_timeout == 5.0


@pytest.mark.parametrize("value", ["soon", "5", "", -1, True, float("nan"), [1]])
def test_what_is_no_duration_says_which_field(value: object) -> None:
    with pytest.raises(ValueError, match=r"delay: expected a duration such as"):
        Retry(delay=value)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="request_timeout: expected a duration"):
        http.Ready(url="http://app", request_timeout=value)  # type: ignore[arg-type]


def test_a_pace_has_a_least() -> None:
    with pytest.raises(ValueError, match="verify: "):
        Hold(verify=0.1)
    with pytest.raises(ValueError, match="verify: "):
        Hold(verify="100ms")


def test_nor_is_anything_else_half_valid() -> None:
    for attempts in (0, -1, "3", True, 1.5):
        with pytest.raises(ValueError, match="attempts: expected a whole number of at least 1"):
            Retry(attempts=attempts)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="on_drift: expected rerun, exit or unhealthy"):
        Hold(on_drift="restart")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="log_format: expected auto, plain or json"):
        Settings(log_format="xml")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="log_level: expected debug, info, warning or error"):
        Settings(log_level="loud")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="keep: expected a whole number from 0 to 1000"):
        Settings(keep=-1)


def test_a_changed_copy_is_right_too() -> None:
    assert msgspec.structs.replace(Retry(), delay="2s").delay == 2.0


def test_drive_and_check_refuse_what_a_plan_refuses() -> None:
    for test in (drive, check):
        with pytest.raises(PlanError, match="address: expected a text"):
            test(tcp.Ready(address=5))  # type: ignore[arg-type]
        with pytest.raises(PlanError, match="is not a URL"):
            test(http.Ready(url="nonsense"))


def test_under_drive() -> None:
    with fake_server(answer_as_web(200)) as port:
        step = http.Ready(url=f"http://127.0.0.1:{port}/", request_timeout="5s")
        assert drive(step, retry=Retry(attempts=2, delay="10ms")).outcome == "unchanged"
    with fake_server(answer_as_web(503)) as port:
        step = http.Ready(url=f"http://127.0.0.1:{port}/", request_timeout="5s")
        driven = drive(step, retry=Retry(attempts=3, delay="10ms", max_delay="20ms"))
    assert (driven.outcome, driven.finished.attempts) == ("failed", 3)


def test_the_rooms_of_the_kinds_after_importing_their_package() -> None:
    code = (
        "import inithold.steps, sys; assert 'inithold.steps.database' not in sys.modules\n"
        "inithold.steps.database.Ready; inithold.steps.s3.Bucket; from inithold.steps import http\n"
        "assert not hasattr(inithold.steps, 'nothing')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
