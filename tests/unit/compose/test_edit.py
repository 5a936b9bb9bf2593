"""Single edits: shared text, flow and block layouts, deletions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from unit.compose.case import contents, run

HELD = """\
  init:
    image: app
    command: inithold run
    restart: unless-stopped
    healthcheck: {test: [CMD, inithold, health], start_period: 15m, start_interval: 1s}
"""


def _fix(folder: Path, text: str, *options: str) -> str:
    path = folder / "compose.yaml"
    path.write_text(text)
    run(folder, "fix", *options)
    return path.read_text()


def test_an_anchor_that_all_who_use_it_want_changed_is_changed_once(tmp_path: Path) -> None:
    text = f"""\
x-after: &after
  init: {{condition: service_completed_successfully}}   # all of them
services:
{HELD}  a: {{image: x, depends_on: *after}}
  b:
    image: x
    depends_on:
      <<: *after
"""
    assert _fix(tmp_path, text) == text.replace("service_completed_successfully", "service_healthy")


def test_an_alias_that_others_keep_becomes_a_copy(tmp_path: Path) -> None:
    text = """\
x-check: &check
  test: [CMD, inithold, health]   # for both
  interval: 30s
services:
  init:
    image: app
    command: inithold run
    restart: unless-stopped
    healthcheck: *check   # shared
  other:
    image: other
    healthcheck: *check
"""
    fixed = _fix(tmp_path, text)
    assert re.sub(r"healthcheck: \{.*\}   # shared", "healthcheck: *check   # shared", fixed) == text
    assert "start_period: 15m" in fixed and "start_interval: 500ms" in fixed
    assert run(tmp_path, "check").code == 0


def test_what_a_merge_key_brings_is_overridden_beside_it(tmp_path: Path) -> None:
    text = """\
x-common: &common
  restart: always
services:
  init:
    <<: *common
    image: app
    command: inithold run
    healthcheck: {test: [CMD, inithold, health], start_period: 15m, start_interval: 1s}
  web:
    <<: *common
    image: web
    depends_on: {init: {condition: service_healthy}}
"""
    expected = text.replace(
        "    command: inithold run\n", "    command: inithold run\n    restart: unless-stopped\n"
    )
    assert _fix(tmp_path, text) == expected


def test_text_that_cannot_be_parted_is_left_and_said(tmp_path: Path) -> None:
    held = HELD.replace("init:", "init: &init").replace("unless-stopped", "always")
    text = f"services:\n{held}  two:\n    <<: *init\n"
    (tmp_path / "compose.yaml").write_text(text.replace("two:\n", "two:\n    command: other\n"))
    before = contents(tmp_path)
    outcome = run(tmp_path, "fix")
    assert outcome.code == 1
    assert "by hand, restart in compose.yaml is shared with a service that is not to change" in outcome.output
    assert contents(tmp_path) == before


def test_who_would_change_as_well_is_named(tmp_path: Path) -> None:
    text = """\
services:
  init: &app
    image: app
    entrypoint: []
    command: migrate
  web:
    <<: *app
    command: serve
    depends_on: {init: {condition: service_completed_successfully}}
"""
    (tmp_path / "compose.yaml").write_text(text)
    outcome = run(tmp_path, "fix", "--wrap", "inithold")
    assert outcome.code == 1
    assert "by hand, its text is shared: the edit would also change web.restart, web.healthcheck" in outcome.output
    assert (tmp_path / "compose.yaml").read_text() == text


def test_a_base_of_another_file_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("services:\n  base: {image: app, restart: 'no', command: inithold run}\n")
    text = """\
services:
  init:
    extends: {file: base.yaml, service: base}
    healthcheck: {test: [CMD, inithold, health], start_period: 15m, start_interval: 1s}
"""
    assert (
        _fix(tmp_path, text)
        == text.replace("service: base}\n", "service: base}\n") + "    restart: unless-stopped\n"
    )
    assert "'no'" in (tmp_path / "base.yaml").read_text()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{restart: true, condition: service_healthy}", "{condition: service_healthy}"),
        ("{condition: service_healthy, restart: true}", "{condition: service_healthy}"),
        (
            "{condition: service_healthy, restart: true, required: true}",
            "{condition: service_healthy, required: true}",
        ),
        ("{ condition: service_healthy , restart: true , }", "{ condition: service_healthy , }"),
        ("\n        condition: service_healthy\n        restart: true", "\n        condition: service_healthy"),
        (
            "\n        restart: true   # why\n        condition: service_healthy",
            "\n        # why\n        condition: service_healthy",
        ),
    ],
)
def test_a_key_is_taken_out(before: str, after: str, tmp_path: Path) -> None:
    text = f"services:\n{HELD}  web:\n    image: x\n    depends_on:\n      init: {before}\n"
    assert _fix(tmp_path, text) == text.replace(before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[init]", "{init: {condition: service_healthy}}"),
        ("[ init , db ]", "{ init: {condition: service_healthy} , db: {condition: service_started} }"),
        (
            "\n    - init # first\n\n    # then\n    - 'db'",
            "\n      init: # first\n        condition: service_healthy\n\n    # then\n"
            "      'db':\n        condition: service_started",
        ),
        (
            "\n        - db\n        - init",
            "\n        db:\n          condition: service_started"
            "\n        init:\n          condition: service_healthy",
        ),
    ],
)
def test_the_short_form_becomes_the_long_one(before: str, after: str, tmp_path: Path) -> None:
    text = f"services:\n{HELD}  db: {{image: x}}\n  web:\n    image: x\n    depends_on: {before}\n"
    assert _fix(tmp_path, text.replace(": \n", ":\n")) == text.replace(f" {before}", f" {after}").replace(
        ": \n", ":\n"
    )


@pytest.mark.parametrize(
    "healthcheck", ["    healthcheck:\n", "    healthcheck: {}\n", "    healthcheck: null  # none\n", ""]
)
def test_a_healthcheck_for_one_that_has_none(healthcheck: str, tmp_path: Path) -> None:
    text = f"""\
services:
  init:
    image: app
{healthcheck}    restart: unless-stopped
    command: inithold run
  web: {{image: x, depends_on: {{init: {{condition: service_healthy}}}}}}
"""
    fixed = _fix(tmp_path, text)
    assert "# none" not in healthcheck or "# none" in fixed
    assert run(tmp_path, "check").output == "no findings\n"


def test_service_mends_only_what_concerns_it(tmp_path: Path) -> None:
    two = HELD.replace("unless-stopped", "always") + HELD.replace("init:", "two:").replace(
        "unless-stopped", "always"
    )
    fixed = _fix(tmp_path, f"services:\n{two}", "--service", "two")
    assert fixed == f"services:\n{HELD.replace('unless-stopped', 'always')}{HELD.replace('init:', 'two:')}"


def test_diff_shows_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_bytes(
        f"services:\n{HELD.replace('unless-stopped', 'always')}".rstrip().encode()
    )
    before = contents(tmp_path)
    outcome = run(tmp_path, "fix", "--diff")
    assert outcome.code == 1
    assert outcome.output.startswith("--- compose.yaml\n+++ compose.yaml\n@@ ")
    assert "-    restart: always\n+    restart: unless-stopped\n" in outcome.output
    assert "\\ No newline at end of file\n" in outcome.output
    assert contents(tmp_path) == before
    assert "1 fixed, 0 left" in outcome.errors


@pytest.mark.parametrize(
    "text",
    [
        "services:\n  init:   # inithold: ignore[init-restart-policy, other]\n",
        "services:\n  # inithold: ignore[init-restart-policy]\n  # and more\n  init:\n",
    ],
)
def test_a_service_is_silenced_at_its_name(text: str, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(text + HELD.partition("\n")[2].replace("unless-stopped", "always"))
    assert run(tmp_path, "check").code == 0
    assert run(tmp_path, "fix").output == "nothing to fix\n"
