"""The garbage collector rests while very much is made that stays, and works again afterwards."""

from __future__ import annotations

import gc

import pytest

from inithold.process.garbage import PAUSED
from inithold.process.imports import IMPORTING


def test_it_rests_inside_and_works_again_afterwards() -> None:
    with PAUSED, IMPORTING, IMPORTING:
        assert not gc.isenabled()
    assert gc.isenabled()


def test_an_error_does_not_keep_it_from_working_again() -> None:
    with pytest.raises(ImportError), IMPORTING:
        raise ImportError
    assert gc.isenabled()


def test_where_it_was_off_it_stays_off() -> None:
    gc.disable()
    try:
        with PAUSED:
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
