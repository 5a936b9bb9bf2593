"""What telemetry keeps, groups and says, without a collector."""

from __future__ import annotations

import pytest

from inithold.redaction.redact import SECRETS
from inithold.watchers.telemetry import sdk
from inithold.watchers.telemetry.delivery import LONGEST_REASON, Delivery, Patience, in_one_line, summary
from inithold.watchers.telemetry.settings import listed


def test_user_code_is_kept_to_a_limit_and_own_items_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdk, "MOST_OF_USER_CODE", 2)
    kept: sdk.Kept[str] = sdk.Kept()
    for item, scope in (("a", "app"), ("own 1", sdk.SCOPE), ("b", "app"), ("c", "app"), ("own 2", sdk.SCOPE)):
        kept.add(item, scope)
    assert kept.left_out == 1
    assert kept.take() == ["a", "own 1", "b", "own 2"]
    assert kept.take() == []
    kept.add("d", "app")
    assert kept.take() == ["d"]


def test_foreign_text_becomes_one_short_line_without_secrets() -> None:
    SECRETS.add("delivery-secret")
    assert in_one_line("no\r\n\tway\x1b[31m for delivery-secret") == "no way [31m for ***"
    assert len(in_one_line("x" * 1000)) == LONGEST_REASON + 3


def test_summary_groups_what_failed_alike() -> None:
    def failed(what: str, to: str, problem: str) -> Delivery:
        delivery = Delivery(what, to, [None], lambda: pytest.fail("not started"))
        delivery.problem = problem
        return delivery

    arrived = failed("metrics", "http://a", "")
    arrived.delivered = True
    patience = Patience(1.0, lambda: False)
    assert summary([arrived], patience) is None
    line = summary(
        [
            failed("traces", "http://a", "refused"),
            arrived,
            failed("logs", "http://a", "refused"),
            failed("x", "b", ""),
        ],
        patience,
    )
    assert line is not None
    assert line.startswith("telemetry was not delivered within ")
    assert line.endswith(": traces and logs to http://a: refused; x to b: no answer")


@pytest.mark.parametrize(
    ("names", "text"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_names_are_listed_as_people_do(names: list[str], text: str) -> None:
    assert listed(names) == text
