"""What is said of exports that failed, without a collector."""

from __future__ import annotations

from threading import Condition

import pytest

from inithold.redaction.redact import SECRETS
from inithold.runner.events import TelemetrySignal
from inithold.watchers.telemetry.delivery import summary
from inithold.watchers.telemetry.export import LONGEST_REASON, Export, in_one_line
from inithold.watchers.telemetry.settings import Exporter, listed


def test_foreign_text_becomes_one_short_line_without_secrets() -> None:
    SECRETS.add("delivery-secret")
    assert in_one_line("no\r\n\tway\x1b[31m for delivery-secret") == "no way [31m for ***"
    assert len(in_one_line("x" * 1000)) == LONGEST_REASON + 3


def test_the_summary_groups_what_failed_alike() -> None:
    def export(
        signal: TelemetrySignal, to: str, problem: str = "", *, done: bool = True, hint: str = ""
    ) -> Export:
        made = Export(Exporter(signal, "grpc", to, hint), [], retry=True, changed=Condition())
        made.problem, made.done = problem, done
        return made

    arrived = export("metrics", "http://a")
    assert summary([arrived], 1.0) is None
    others = [
        export("traces", "http://a", "refused"),
        export("logs", "http://a", "refused", done=False),
        export("logs", "http://b", done=False, hint="look"),
    ]
    assert summary([others[0], arrived, *others[1:]], 2.0) == (
        "telemetry was not delivered within 2.00 s: traces and logs to http://a: refused; "
        "logs to http://b: no answer (look)"
    )


def test_an_export_that_failed_is_not_waited_for_unless_it_is_tried_again() -> None:
    for retry in (True, False):
        export = Export(Exporter("traces", "grpc", "http://a"), [], retry=retry, changed=Condition())
        assert not export.given_up
        export.problem = "refused"
        assert export.given_up is not retry


@pytest.mark.parametrize(
    ("names", "text"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_names_are_listed_as_people_do(names: list[str], text: str) -> None:
    assert listed(names) == text
