"""Records of runs for the tests of the report: built by an `Account` from events, as in a real run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from inithold.record.account import Account
from inithold.record.model import Record
from inithold.runner.events import (
    AttemptFailed,
    LogLine,
    MarkerPublished,
    PhaseChanged,
    PlannedStepInfo,
    RunFinished,
    RunOutcome,
    RunStarted,
    Span,
    StepFinished,
    StepOutcome,
    StepStarted,
    Timing,
)
from inithold.steps.base import Change

BEGAN = 1_770_000_000.0
HOSTILE = (
    "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\u202etxt.exe"
)


class Story:
    """Tells an account what happened, in seconds from the start of the run."""

    def __init__(self, name: str, *steps: PlannedStepInfo, began: float = BEGAN) -> None:
        self.account = Account()
        self.began = began
        self._totals: dict[str, dict[str, float]] = {}
        self._phase: dict[str, tuple[str, float, int]] = {}
        self._see(
            RunStarted(
                at=began, name=name, run_id="7f3c9a", digest="ab" * 32, span=Span("4b" * 16, "1f" * 8), steps=steps
            )
        )

    def start(self, step: str, at: float) -> None:
        """The step's needs are met."""
        self._see(StepStarted(at=self.began + at, step=step, span=Span("4b" * 16, "1f" * 8)))

    def phase(self, step: str, at: float, phase: Any, attempt: int = 1) -> None:
        """The step is checked, applied or waits."""
        self._close(step, at)
        self._phase[step] = (phase, at, attempt)
        self._see(PhaseChanged(at=self.began + at, step=step, phase=phase, attempt=attempt))

    def fail(self, step: str, at: float, error: str, attempt: int = 1) -> None:
        """An attempt did not succeed."""
        self._see(AttemptFailed(at=self.began + at, step=step, attempt=attempt, error=error))

    def log(self, step: str | None, *lines: str) -> None:
        """The step, or inithold itself, says something."""
        for line in lines:
            self._see(LogLine(text=line, step=step))

    def finish(self, step: str, at: float, outcome: StepOutcome, *changes: Change, **more: Any) -> None:
        """The step ends."""
        self._close(step, at)
        attempts = self._phase[step][2] if step in self._phase else 0
        timing = Timing(**self._totals.get(step, {}))
        self._see(
            StepFinished(
                at=self.began + at,
                step=step,
                outcome=outcome,
                attempts=attempts,
                changes=changes,
                timing=timing,
                **more,
            )
        )

    def end(self, at: float, outcome: RunOutcome = "ready", reason: str = "") -> Record:
        """The run ends."""
        self._see(RunFinished(at=self.began + at, outcome=outcome, duration=at, reason=reason))
        if outcome == "ready":
            self._see(MarkerPublished(at=self.began + at, path="/tmp/init-complete"))
        return self.record

    @property
    def record(self) -> Record:
        """What the account has so far."""
        assert self.account.record is not None
        return self.account.record

    def _close(self, step: str, at: float) -> None:
        if step in self._phase:
            phase, since, _ = self._phase[step]
            totals = self._totals.setdefault(step, {})
            totals[phase] = totals.get(phase, 0.0) + at - since

    def _see(self, event: Any) -> None:
        self.account.see(event)


def info(step: str, kind: str, *needs: str, target: str = "") -> PlannedStepInfo:
    """A step of a plan."""
    return PlannedStepInfo(step, kind, needs, target)


def stack(*, began: float = BEGAN, slow: float = 0.0) -> Story:
    """A stack that waits for its servers and comes up, up to its last step."""
    story = Story(
        "game-scheduler",
        info("database", "database.ready", target="postgresql://app@db:5432/games"),
        info("migrate", "alembic.upgrade", "database", target="postgresql://app@db:5432/games"),
        info("schema", "database.tables", "migrate", target="postgresql://app@db:5432/games"),
        info("broker", "rabbitmq.ready", target="amqp://app@broker:5672/"),
        info("topology", "rabbitmq.topology", "broker", target="amqp://app@broker:5672/"),
        info("seed", "command.run", "schema", "topology", target="python -m app.seed"),
        began=began,
    )
    for step in ("database", "broker"):
        story.start(step, 0.004)
    story.phase("database", 0.006, "checking")
    story.fail("database", 0.02, "db:5432 refused the connection")
    story.phase("database", 0.021, "waiting")
    story.phase("database", 1.41, "checking", 2)
    story.finish("database", 1.46, "unchanged")
    story.start("migrate", 1.461)
    story.phase("migrate", 1.462, "checking")
    story.phase("migrate", 1.71, "applying")
    story.log("migrate", "Running upgrade  -> 3f2a, games", "Running upgrade 3f2a -> 9c01, players")
    for attempt, at in enumerate((0.2, 0.9, 1.8, 2.2), 1):
        story.phase("broker", at - 0.19, "checking", attempt)
        story.fail("broker", at, "broker:5672 resets the connection: it is starting up", attempt)
        story.phase("broker", at + 0.001, "waiting", attempt)
    story.phase("broker", 2.5, "checking", 5)
    story.finish("broker", 2.62, "unchanged")
    story.start("topology", 2.621)
    story.phase("topology", 2.622, "checking")
    story.phase("topology", 2.66, "applying")
    story.phase("topology", 2.71, "checking")
    story.finish(
        "topology",
        2.73,
        "changed",
        Change("+", "exchange game_events (topic)"),
        Change("+", "queue bot_events", ("x-dead-letter-exchange: game_events.dlx",)),
        Change("+", "binding game_events -> bot_events (game.*)"),
    )
    done = 2.9 + slow
    story.phase("migrate", done, "checking")
    story.finish("migrate", done + 0.05, "changed", Change("~", "schema (empty) -> 9c01 (2 revisions)"))
    story.start("schema", done + 0.051)
    story.phase("schema", done + 0.052, "checking")
    story.finish("schema", done + 0.06, "unchanged")
    story.start("seed", done + 0.061)
    story.phase("seed", done + 0.062, "checking")
    story.phase("seed", done + 0.3, "applying")
    return story


def ready(**more: Any) -> Record:
    """The stack, ready."""
    story = stack(**more)
    end = more.get("slow", 0.0) + 4.1
    story.log("seed", "12 players", "3 games")
    story.finish("seed", end, "changed", Change("?", "python -m app.seed runs each time"))
    story.log(None, "the marker is /tmp/init-complete")
    return story.end(end + 0.002)


def failed(**more: Any) -> Record:
    """The stack, whose last step fails three times."""
    story = stack(**more)
    error = "python -m app.seed exited 1: KeyError: 'PLAYERS_FILE'"
    story.log("seed", "reading the players", "Traceback (most recent call last):", "KeyError: 'PLAYERS_FILE'")
    at = more.get("slow", 0.0) + 4.0
    for attempt in (1, 2):
        story.fail("seed", at, error, attempt)
        story.phase("seed", at, "waiting", attempt)
        story.phase("seed", at + 1, "applying", attempt + 1)
        at += 1.4
    story.fail("seed", at, error, 3)
    hint = "run the command by hand in the container; --log-level debug shows its environment's names"
    story.finish("seed", at, "failed", reason=error, hint=hint)
    return story.end(at, "failed", f"seed: {error}")


def hostile() -> Record:
    """A record whose every text tries to be something else."""
    story = Story(HOSTILE, info(HOSTILE, HOSTILE, target=HOSTILE), info("'\"><b>", "x", HOSTILE))
    story.start(HOSTILE, 0.1)
    story.phase(HOSTILE, 0.1, "checking")
    story.log(HOSTILE, HOSTILE, "javascript:alert(1)", "{{ 7 * 7 }} {% raw %}", "\x1b]0;owned\x07\x00")
    story.log(None, HOSTILE)
    story.fail(HOSTILE, 0.2, HOSTILE)
    story.finish(HOSTILE, 0.3, "failed", Change("+", HOSTILE, (HOSTILE,)), reason=HOSTILE, hint=HOSTILE)
    story.finish("'\"><b>", 0.3, "skipped", reason=f"needs {HOSTILE}, which failed")
    return story.end(0.4, "failed", HOSTILE)


def many(count: int) -> Record:
    """A run of so many steps, in chains of ten."""
    ids = [f"step-{number:04}" for number in range(count)]
    needs = [() if number % 10 == 0 else (ids[number - 1],) for number in range(count)]
    story = Story("many", *(info(step, "command.run", *wanted) for step, wanted in zip(ids, needs, strict=True)))
    for number, step in enumerate(ids):
        at = (number % 10) * 0.5 + (number // 10) * 0.01
        story.start(step, at)
        story.phase(step, at, "checking")
        story.phase(step, at + 0.1, "applying")
        story.log(step, *(f"line {line} of {step}" for line in range(10)))
        changes = [Change("+", f"thing {number}")] if number % 3 == 0 else []
        story.finish(step, at + 0.5, "changed" if changes else "unchanged", *changes)
    return story.end(5 + count * 0.001)


def write(record: Record | Sequence[Record], path: Path) -> Path:
    """Write a record, or a list of them, to a file."""
    path.write_bytes(msgspec.json.encode(record))
    return path
