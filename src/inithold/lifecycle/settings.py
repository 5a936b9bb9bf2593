"""The options of `inithold run`, each also settable by its variable `INITHOLD_<OPTION>`."""

from __future__ import annotations

import os
from typing import Literal, get_args

import msgspec

from inithold.errors import UsageError
from inithold.plan.convert import duration_hook
from inithold.plan.model import Pace, PaceField
from inithold.record.files import KEPT, MOST_KEPT
from inithold.runner.events import Level
from inithold.text.duration import settle
from inithold.text.suggest import expect_one_of

LogFormat = Literal["auto", "plain", "json"]
_TRUTH = {"yes": "true", "on": "true", "no": "false", "off": "false"}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a run.

    Args:
        marker: path of the marker; None: `INITHOLD_MARKER`, or `/tmp/init-complete`.
        record: path of the record; None: `INITHOLD_RECORD`, or `<marker>.record.json`.
        keep: how many earlier records to keep.
        once: exit instead of holding.
        verify: seconds between a hold's checks of every step; None: the plan's setting.
        log_format: `auto` is a live table at a terminal and plain lines elsewhere.
        log_level: the lowest level to log.
    """

    marker: str | None = None
    record: str | None = None
    keep: int = KEPT
    once: bool = False
    verify: PaceField = None  # type: ignore[assignment] # of the descriptor
    log_format: LogFormat = "auto"
    log_level: Level = "info"

    def __post_init__(self) -> None:
        settle(self, verify=Pace)
        expect_one_of("log_format", self.log_format, get_args(LogFormat))
        expect_one_of("log_level", self.log_level, get_args(Level))
        if type(self.keep) is not int or not 0 <= self.keep <= MOST_KEPT:
            raise ValueError(f"keep: expected a whole number from 0 to {MOST_KEPT}")

    @classmethod
    def from_environment(cls) -> Settings:
        """Settings from the `INITHOLD_*` variables, with the command line's defaults.

        Raises:
            UsageError: a variable's value is invalid.
        """
        given: dict[str, Settings] = {}
        for field in msgspec.structs.fields(cls):
            variable = f"INITHOLD_{field.name.upper()}"
            value = os.environ.get(variable)
            if not value:
                continue
            text = _TRUTH.get(value.lower(), value) if field.type is bool else value
            try:
                given[field.name] = msgspec.convert(text, field.type, strict=False, dec_hook=duration_hook)
            except msgspec.ValidationError as error:
                raise UsageError(f"{variable}={value}: {error}") from None
        try:
            return cls(**given)  # type: ignore[arg-type] # each was converted to its field's type
        except ValueError as error:
            name, _, expected = str(error).partition(":")
            raise UsageError(f"INITHOLD_{name.upper()}:{expected}") from None
