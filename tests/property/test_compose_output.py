"""Whatever strings a Compose file holds: none of their control characters reaches the terminal."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unit.compose.case import run

ACTIVE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
ESCAPES = st.sampled_from(
    ["\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\x08", "\r", "\x7f", "\u202e", "\x00", "\x1b"]
)
TEXT = st.lists(st.one_of(ESCAPES, st.sampled_from(["a", "run", "--once", " ", "&&", "/tmp/x", "$"]))).map("".join)
COMMAND = st.one_of(TEXT, st.lists(TEXT, max_size=4))
SERVICE = st.fixed_dictionaries(
    {},
    optional={
        "image": TEXT,
        "command": COMMAND,
        "entrypoint": COMMAND,
        "restart": st.one_of(TEXT, st.just("no")),
        "healthcheck": st.fixed_dictionaries({"test": COMMAND}, optional={"interval": TEXT, "start_period": TEXT}),
        "environment": st.dictionaries(TEXT, TEXT, max_size=2),
        "depends_on": st.dictionaries(
            st.one_of(TEXT, st.just("init")),
            st.fixed_dictionaries(
                {"condition": st.sampled_from(["service_completed_successfully", "service_healthy"])}
            ),
            max_size=2,
        ),
        "volumes": st.lists(TEXT, max_size=2),
        "profiles": st.lists(TEXT, max_size=1),
    },
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(init=SERVICE, others=st.dictionaries(TEXT.filter(bool), SERVICE, max_size=2))
def test_no_control_character_of_a_stack_is_shown(init: dict[str, Any], others: dict[str, Any]) -> None:
    stack = {"services": {**others, "init": {"command": "alembic upgrade head", "restart": "no", **init}}}
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        (folder / "compose.yaml").write_text(json.dumps(stack, indent=1))
        for arguments in (
            *(["check"], ["check", "--format", "json"], ["check", "--format", "github"]),
            *(
                ["check", "--format", "sarif"],
                ["fix", "--unsafe", "--diff"],
                ["fix", "--unsafe", "--wrap", "shell"],
            ),
        ):
            outcome = run(folder, *arguments)
            for text in (outcome.output, outcome.errors if outcome.code != 2 else ""):
                assert not ACTIVE.search(text), (arguments, text)
