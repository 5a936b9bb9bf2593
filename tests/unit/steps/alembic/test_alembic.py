"""alembic.upgrade without a server: its fields, and what stays inside it."""

from __future__ import annotations

import logging
import logging.config
import sys
import threading

import pytest

from inithold.errors import Interrupted
from inithold.runner.context import Context
from inithold.runner.events import Span
from inithold.runner.stream import Stream
from inithold.steps.alembic import Upgrade
from inithold.steps.alembic.isolation import isolated

# -- fields


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"target": "+1"}, "target", "relative"),
        ({"target": "3f2a-1"}, "target", "relative"),
        ({"target": "games@+2"}, "target", "relative"),
        ({"target": "base"}, "target", "nothing to upgrade to"),
        ({"target": "3f2a:head"}, "target", "nothing to upgrade to"),
        ({"target": " "}, "target", "empty"),
        ({"url": "sqlite://"}, "url", "not a SQLite URL"),
        ({"url": "sqlite:///:memory:"}, "url", "in memory"),
        ({"url": "amqp://localhost"}, "url", "scheme 'amqp'"),
        ({"url": "postgresql://db/games", "host": "db"}, "host", "not both"),
    ],
)
def test_wrong_fields(fields: dict[str, str], field: str, message: str) -> None:
    ((at, told),) = Upgrade(**fields).validate()
    assert at == field
    assert message in told


@pytest.mark.parametrize("target", ["head", "heads", "3f2a", "my-branch@head", "games@heads"])
def test_right_targets(target: str) -> None:
    assert not list(Upgrade(target=target, url="postgresql://db/games").validate())


def test_url_is_optional() -> None:
    assert not list(Upgrade().validate())
    assert Upgrade().subject() == "alembic.ini"


def test_nothing_shows_the_password() -> None:
    step = Upgrade(url="postgresql://app:planted-secret@db/games")
    assert "planted-secret" not in f"{step!r} {step} {step.subject()} {step.__rich_repr__()}"


def test_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Upgrade().extras() == ("alembic",)
    assert Upgrade(url="postgresql://db/games").extras() == ("alembic",)  # a driver is installed
    monkeypatch.setattr("inithold.steps.alembic.upgrade.installed", lambda module: False)
    assert Upgrade(url="postgresql://db/games").extras() == ("alembic", "postgres")
    assert Upgrade(url="mysql://db/games").extras() == ("alembic", "mysql")


def test_preload() -> None:
    Upgrade(url="postgresql://db/games").preload()
    Upgrade(url="sqlite:///x").preload()
    Upgrade().preload()
    assert "alembic.config" in sys.modules


# -- isolation


def a_context() -> Context:
    return Context("step", Span("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"), Stream([]), None)


def test_only_the_threads_own_prints_are_taken(capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    with isolated(a_context(), lambda text, _: said.append(text)):
        other = threading.Thread(target=print, args=("from elsewhere",))
        other.start()
        other.join()
        print("one\ntwo", end="")
        print(" and more")
        assert not sys.stdout.isatty()
    print("afterwards")
    assert said == ["one", "two and more"]
    assert capsys.readouterr().out == "from elsewhere\nafterwards\n"


def test_who_keeps_the_stand_in_prints_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    with isolated(a_context(), lambda *_: None):
        kept = sys.stdout
    print("later", file=kept)
    assert capsys.readouterr().out == "later\n"
    assert sys.stdout is not kept


def test_waiting_for_a_turn_ends_when_stopped() -> None:
    context = a_context()
    with isolated(a_context(), lambda *_: None):
        seen: list[BaseException] = []

        def wait() -> None:
            try:
                with isolated(context, lambda *_: None):
                    raise AssertionError("not our turn")
            except BaseException as error:  # noqa: BLE001
                seen.append(error)

        waiter = threading.Thread(target=wait)
        waiter.start()
        context.stop.set("SIGTERM")
        waiter.join(5)
        assert isinstance(seen[0], Interrupted)


def test_logging_is_as_before_whatever_is_raised() -> None:
    logger = logging.getLogger("test.isolation")
    logger.setLevel(logging.DEBUG)
    handler = logging.NullHandler()
    logger.addHandler(handler)
    listed = len(getattr(logging, "_handlerList"))  # noqa: B009
    with pytest.raises(KeyError), isolated(a_context(), lambda *_: None):
        logging.config.dictConfig({"version": 1, "root": {"level": "ERROR"}})
        assert logger.disabled
        raise KeyError
    assert not logger.disabled
    assert (logger.level, logger.handlers) == (logging.DEBUG, [handler])
    assert len(getattr(logging, "_handlerList")) >= listed  # noqa: B009
    logger.removeHandler(handler)
