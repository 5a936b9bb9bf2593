"""What the page holds: what happened, and nothing that a browser would run, fetch or turn around."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from inithold.errors import InitholdError
from inithold.record.model import Record
from inithold.report.reading import read_all
from inithold.report.render import page
from records import BEGAN, HOSTILE, Story, failed, hostile, info, many, ready, stack, write


def shown(tmp_path: Path, *records: Record) -> str:
    paths = [str(write(record, tmp_path / f"{number}.json")) for number, record in enumerate(records)]
    return page(read_all(paths)).decode()


class Elements(HTMLParser):
    """Every element with its attributes, and the text that a reader sees."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.raw: dict[str, str] = {}
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in ("style", "script"):
            self.raw[self._inside] = data
        else:
            self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


PAGES = {
    "ready": lambda: (ready(),),
    "failed": lambda: (failed(),),
    "running": lambda: (stack().record,),
    "hostile": lambda: (hostile(),),
    "two": lambda: (ready(), failed(began=BEGAN + 60, slow=1)),
    "two hostile": lambda: (hostile(), hostile()),
    "four": lambda: (ready(), failed(began=BEGAN + 60), hostile(), ready(began=BEGAN + 120)),
}


@pytest.fixture(params=PAGES)
def html(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return shown(tmp_path, *PAGES[request.param]())


def test_nothing_is_fetched_and_nothing_runs_but_what_the_policy_names(html: str) -> None:
    found = Elements(html)
    (policy,) = (a["content"] for _, a in found.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(found.raw[tag].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
        assert found.count(tag) == 1
    for tag, attributes in found.elements:
        assert tag not in ("img", "iframe", "object", "embed", "link", "base", "form", "audio", "video", "source")
        assert not {"src", "style", "srcset", "action"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("href") or "#").startswith("#")
    assert "url(" not in re.sub(r"url\(#[a-z-]+\)", "", found.raw["style"])
    assert "@import" not in found.raw["style"]


def test_every_place_that_is_linked_to_is_there_once(html: str) -> None:
    found = Elements(html)
    ids = [attributes["id"] for _, attributes in found.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    linked = {a["href"] for _, a in found.elements if (a.get("href") or "").startswith("#")}
    assert linked <= {f"#{each}" for each in ids}


def test_hostile_text_is_only_text(tmp_path: Path) -> None:
    html = shown(tmp_path, hostile())
    found = Elements(html)
    assert html.count("<script>") == 1
    assert "\u202e" not in html
    assert "\x1b" not in html
    assert "\x00" not in html
    assert HOSTILE.replace("\u202e", "\N{REPLACEMENT CHARACTER}") in found.text
    assert "{{ 7 * 7 }}" in found.text


def test_a_failure_is_told_first(tmp_path: Path) -> None:
    text = Elements(shown(tmp_path, failed())).text
    error = "python -m app.seed exited 1: KeyError: 'PLAYERS_FILE'"
    assert text.index("Why it failed") < text.index(error) < text.index("Timeline")
    assert "for 3.84 s, 3 attempts" in text
    assert "run the command by hand" in text


def test_what_changed_and_what_was_said_is_there(tmp_path: Path) -> None:
    text = Elements(shown(tmp_path, ready())).text
    for words in (
        "schema (empty) -> 9c01 (2 revisions)",
        "x-dead-letter-exchange: game_events.dlx",
        "Running upgrade 3f2a -> 9c01, players",
        "broker:5672 resets the connection: it is starting up",
        "postgresql://app@db:5432/games",
        "Ready in 4.10 s",
    ):
        assert words in text


def test_of_a_run_that_goes_on_it_says_since_when_nothing_is_known(tmp_path: Path) -> None:
    text = Elements(shown(tmp_path, stack().record)).text
    assert "Running for" in text
    assert "as of 20" in text


def test_a_repair_is_not_taken_for_a_run(tmp_path: Path) -> None:
    record = ready()
    record.repair, record.marker = "only topology", None
    text = Elements(shown(tmp_path, record)).text
    for words in ("game-scheduler, only topology", "Done in 4.10 s", "left alone: a repair"):
        assert words in text
    assert "Ready in" not in text


def test_what_a_failed_step_wanted_is_shown(tmp_path: Path) -> None:
    record = failed()
    record.steps[-1].wanted = ready().steps[-1].changes
    assert "wanted and not made" in Elements(shown(tmp_path, record)).text


def test_an_error_that_is_seen_again_is_told_once(tmp_path: Path) -> None:
    text = Elements(shown(tmp_path, ready())).text
    assert text.count("broker:5672 resets the connection: it is starting up") == 1
    assert text.count("the same again") == 3


def test_what_ended_the_run_is_told_before_what_it_tolerates(tmp_path: Path) -> None:
    story = Story("order", info("cache", "redis.ready"), info("schema", "database.tables"))
    for step in ("cache", "schema"):
        story.start(step, 0)
    story.finish("cache", 1, "failed", reason="no cache", tolerated=True)
    story.finish("schema", 2, "failed", reason="no table")
    text = Elements(shown(tmp_path, story.end(2, "failed"))).text.partition("Timeline")[0]
    assert text.index("no table") < text.index("no cache")
    assert "tolerated, the plan goes on without it" in text


def test_two_runs_are_compared_whatever_their_order(tmp_path: Path) -> None:
    earlier, later = ready(), failed(began=BEGAN + 3600, slow=0.8)
    text = Elements(shown(tmp_path, later, earlier)).text
    assert "two runs compared" in text
    slower, faster = text.partition("Slower")[2].partition("Faster")[::2]
    assert slower.split()[:2] == ["+2.70", "s"]
    assert "+800 ms migrate 1.49 s → 2.29 s" in " ".join(slower.split())
    assert faster.split("Timelines")[0].split()[:2] == ["No", "step,"]


def test_a_step_of_one_run_only_is_said_to_be(tmp_path: Path) -> None:
    short = Story("game-scheduler", info("database", "database.ready"))
    text = Elements(shown(tmp_path, short.end(1), ready(began=BEGAN + 60))).text
    assert text.count("The step is not in it.") == 5
    assert "plan digest" in text


def test_more_than_two_are_a_list_newest_first(tmp_path: Path) -> None:
    text = Elements(shown(tmp_path, *(ready(began=BEGAN + day * 86_400) for day in range(3)))).text
    assert "3 runs" in text
    days = re.findall(r"2026-\d\d-\d\d", text.partition("newest first")[2])
    assert days == sorted(days, reverse=True)


def test_records_of_status_all_are_read_as_one_list(tmp_path: Path) -> None:
    path = write([ready(), failed(began=BEGAN + 60)], tmp_path / "all.json")
    assert "two runs compared" in page(read_all([str(path)])).decode()


def test_a_thousand_steps_are_virtualised_and_their_graph_is_folded(tmp_path: Path) -> None:
    found = Elements(shown(tmp_path, many(1000)))
    classes = [attributes.get("class") or "" for _, attributes in found.elements]
    assert "timeline many" in classes
    assert "fold" in classes
    assert sum("step" in name.split() for name in classes) == 1000


def test_the_same_record_gives_the_same_page(tmp_path: Path) -> None:
    assert shown(tmp_path, ready()) == shown(tmp_path, ready())


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "is not an inithold record"),
        (b"{", "is not an inithold record"),
        (b"\xff\xfe", "is not an inithold record"),
        (b"7", "is not an inithold record"),
        (b'{"steps": []}', "is not an inithold record"),
        (b'{"version": 2, "steps": []}', "version 2"),
        (b"[" * 100_000, "is not an inithold record"),
        (
            b'{"name":"x","digest":"","run_id":"","trace_id":"","inithold":"","python":"","started":1e300}',
            "invalid time",
        ),
        (
            b'{"name":"x","digest":"","run_id":"","trace_id":"","inithold":"","python":"","started":-1}',
            "invalid time",
        ),
    ],
)
def test_what_is_no_record_is_refused_with_its_name(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "bad.json"
    path.write_bytes(content)
    with pytest.raises(InitholdError, match=expected) as caught:
        read_all([str(path)])
    assert str(path) in caught.value.message


def test_a_run_whose_lock_failed_says_why_and_what_next(tmp_path: Path) -> None:
    record = Story("order", info("schema", "database.tables")).end(2, "failed")
    record.reason, record.hint = "lock: the password is rejected", "check user and password of lock"
    text = Elements(shown(tmp_path, record)).text
    seen = text.index("Why it is not ready")
    assert seen < text.index("lock: the password is rejected") < text.index("check user and password of lock")
