"""alembic.upgrade without a server: its fields."""

from __future__ import annotations

import sys

import pytest

from inithold.steps.alembic import Upgrade

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
