"""Plans written in Python go through the same checks."""

from __future__ import annotations

from typing import Any

import pytest

from inithold import Hold, Plan, PlanError, Retry, Step
from inithold.plan.model import CheckedPlan
from inithold.runner.events import Span
from inithold.runner.run import Runner, RunResult
from inithold.runner.stream import Stream
from inithold.steps import database, file, http, postgres, rabbitmq, s3, tcp


def run(plan: CheckedPlan) -> RunResult:
    return Runner(plan, Stream([]), Span("0" * 31 + "1", "0" * 15 + "1")).run()


def refusal(plan: Plan) -> str:
    with pytest.raises(PlanError) as caught:
        plan.checked()
    return str(caught.value)


def test_steps_follow_one_another_unless_told_otherwise() -> None:
    plan = Plan("test")
    first = plan.add(file.Ready(path="/"))
    second = plan.add(tcp.Ready(address="a:1"), id="second")
    plan.add(file.Ready(path="/tmp"), id="third", needs=[])
    assert (first, second) == ("file.ready", "second")
    assert [step.needs for step in plan.checked().steps] == [(), ("file.ready",), ()]


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        (rabbitmq.Topology, {"url": "amqp://a", "queues": [{"name": "q"}]}, [rabbitmq.Queue(name="q")]),
        (postgres.Roles, {"url": "postgresql://a", "roles": [{"name": "r"}]}, [postgres.Role(name="r")]),
        (http.Resource, {"url": "http://a", "create": {"method": "POST"}}, http.Write(method="POST")),
        (
            s3.Bucket,
            {"bucket": "games", "lifecycle": [{"id": "a", "expiration": {"days": 1}}]},
            (s3.LifecycleRule(id="a", expiration=s3.Expiration(days=1)),),
        ),
        (
            s3.Bucket,
            {"bucket": "games", "object_lock": {"mode": "GOVERNANCE", "days": 1}},
            s3.Retention("GOVERNANCE", 1),
        ),
    ],
)
def test_dictionaries_become_what_a_plan_file_makes_of_them(
    kind: type[Step], fields: dict[str, Any], expected: object
) -> None:
    assert getattr(kind(**fields), list(fields)[-1]) == expected


def test_an_interval_of_never_can_be_shown() -> None:
    assert repr(Hold(verify="never")).startswith("Hold(verify=Pace.parse('never')")


def test_functions_are_steps() -> None:
    plan = Plan("test")
    called: list[Any] = []

    @plan.step
    def seed(ctx: Any) -> None:
        called.append(ctx.step_id)

    @plan.step(needs=["seed"], check=lambda: bool(called))
    async def warm() -> None:
        raise AssertionError("the check says that it holds")

    result = run(plan.checked())
    assert result.outcome == "ready", result.reason
    assert called == ["seed"]
    assert [step.outcome for step in result.steps] == ["changed", "unchanged"]


def test_durations_may_be_texts() -> None:
    plan = Plan("test", timeout="1m")
    plan.add(file.Ready(path="/"), timeout="5s", retry=Retry(delay="10ms"))  # type: ignore[arg-type]
    checked = plan.checked()
    assert checked.timeout == 60.0
    assert checked.steps[0].timeout == 5.0
    assert checked.steps[0].retry is not None
    assert checked.steps[0].retry.delay == pytest.approx(0.01)


def test_mappings_may_stand_for_objects() -> None:
    plan = Plan("test")
    plan.add(rabbitmq.Topology(url="amqp://h", exchanges=[{"name": "events"}]))  # type: ignore[list-item]
    step = plan.checked().steps[0].step
    assert isinstance(step, rabbitmq.Topology)
    assert step.exchanges[0].name == "events"


def test_every_fault_is_found() -> None:
    plan = Plan("test")
    plan.add(database.Ready(url="nonsense"), id="a")
    plan.add(tcp.Ready(address=5), id="a")  # type: ignore[arg-type]
    plan.add(file.Ready(path="/"), id="b", needs=["c"], on_failure="ignore")  # type: ignore[arg-type]
    message = refusal(plan)
    for expected in (
        "is not a URL",
        "another step 'a'",
        "address: expected a text",
        "'c'",
        "on_failure",
    ):
        assert expected in message, expected


def test_a_plan_without_steps_or_a_lock_without_a_name() -> None:
    assert "no steps" in refusal(Plan("test"))
    plan = Plan("", lock="postgresql://db/x")
    plan.add(file.Ready(path="/"))
    assert "needs a name" in refusal(plan)


def test_digests_tell_plans_apart_and_hold_no_secret() -> None:
    def digest(address: str) -> str:
        plan = Plan("test")
        plan.add(tcp.Ready(address=address))
        return plan.checked().digest

    assert digest("a:1") == digest("a:1") != digest("a:2")
