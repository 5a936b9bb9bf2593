"""The manual pages of the kinds are written for people who do not know the code."""

from __future__ import annotations

import re

import pytest

from inithold.steps import manual
from inithold.steps.registry import KINDS, load


@pytest.mark.parametrize("name", KINDS)
def test_types_and_defaults_are_in_the_words_of_a_plan(name: str) -> None:
    for field in manual.page(load(name)).fields:
        outside_of_choices = re.sub(r"`[^`]*`|\([^)]*\)", "", field.type)
        assert re.fullmatch(r"[a-z ]+", outside_of_choices), f"{field.name}: {field.type}"
        assert field.default is None or not re.search(r"UNSET|None|True|False|<", field.default), field
