"""Which service is the init service, and what is said where that is not plain."""

from __future__ import annotations

from pathlib import Path

import pytest

from unit.compose.new.case import drafted, run

DONE = "{condition: service_completed_successfully}"


def stack(**services: str) -> str:
    return "name: s\nservices:\n" + "".join(
        f"  {name.replace('_', '-')}: {text}\n" for name, text in services.items()
    )


def taken(done: str) -> list[str]:
    lines = done.split("init service:\n")[1].split("\n\n", maxsplit=1)[0].splitlines()
    return [line.strip() for line in lines]


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        (
            {"prep": "{image: a, command: x}", "app": f"{{image: b, depends_on: {{prep: {DONE}}}}}"},
            "service prep: its dependents wait until it is done",
        ),
        (
            {
                "first": "{image: a, command: x}",
                "init": f"{{image: a, command: y, depends_on: {{first: {DONE}}}}}",
                "app": f"{{image: b, depends_on: {{init: {DONE}}}}}",
            },
            "service init: its dependents wait until it is done",
        ),
        (
            {
                "one": "{image: a, command: x}",
                "two": "{image: a, command: alembic upgrade head}",
                "app": f"{{image: b, depends_on: {{one: {DONE}, two: {DONE}}}}}",
                "more": f"{{image: b, depends_on: {{one: {DONE}}}}}",
            },
            "service two: its dependents wait until it is done; of 2 such services, the one that migrates",
        ),
        (
            {
                "one": "{image: a, command: x}",
                "two": "{image: a, command: y}",
                "app": f"{{image: b, depends_on: {{one: {DONE}, two: {DONE}}}}}",
                "more": f"{{image: b, depends_on: {{two: {DONE}}}}}",
            },
            "service two: its dependents wait until it is done; of 2 such services, the one that most "
            "services depend on (2)",
        ),
        (
            {"app": "{image: b}", "db_setup": "{image: a, command: x}"},
            "service db-setup: chosen by its name or command; nothing waits for it to complete",
        ),
        (
            {"app": "{image: b, command: sh -c 'flask db upgrade && gunicorn app'}"},
            "service app: it migrates before it starts; there is no init service yet: leave out what runs forever",
        ),
    ],
)
def test_the_one_that_is_taken(services: dict[str, str], expected: str, tmp_path: Path) -> None:
    done = drafted(tmp_path, stack(**services))
    assert done.code == 0, done.errors
    assert taken(done.errors)[0] == expected


def test_those_that_are_not_taken_are_named(tmp_path: Path) -> None:
    text = stack(one="{image: a, command: x}", two="{image: a, command: y}", init="{image: a, command: z}")
    said = taken(
        drafted(
            tmp_path, text + f"  app: {{image: b, depends_on: {{one: {DONE}, two: {DONE}, init: {DONE}}}}}\n"
        ).errors
    )
    assert said[1] == "left out: one, two; draft one with --service"


def test_an_unknown_service_gets_the_nearest_name(tmp_path: Path) -> None:
    text = stack(migrate="{image: a}", app="{image: b}")
    done = drafted(tmp_path, text, "--service", "migrat")
    assert (done.code, done.errors) == (
        2,
        "there is no service 'migrat' in compose.yaml; did you mean 'migrate'?\n",
    )
    done = drafted(tmp_path, text, "--service", "zzz")
    assert done.errors == "there is no service 'zzz' in compose.yaml; known are migrate, app\n"


def test_no_service_looks_like_one(tmp_path: Path) -> None:
    done = drafted(tmp_path, stack(app="{image: b}", db="{image: postgres}"))
    assert done.code == 2
    assert done.errors.splitlines() == [
        "no service in compose.yaml looks like an init service: nothing waits for one to complete",
        "name one with --service; there are: app, db",
    ]


def test_a_stack_without_services(tmp_path: Path) -> None:
    done = drafted(tmp_path, "name: s\nvolumes: {a: {}}\n")
    assert (done.code, done.errors.splitlines()[0]) == (2, "there is no service in compose.yaml")


def test_no_compose_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMPOSE_FILE", raising=False)
    done = run(tmp_path)
    assert done.code == 2
    assert done.errors.startswith(
        "no Compose file here or in a folder above\nname one with -f; looked for compose.yaml"
    )


def test_files_are_merged_as_compose_does(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(
        stack(init="{image: a}", app=f"{{image: b, depends_on: {{init: {DONE}}}}}")
    )
    (tmp_path / "more.yaml").write_text("services: {init: {command: alembic upgrade head}}\n")
    done = run(tmp_path, "-f", "base.yaml", "-f", "more.yaml", "-o", "-")
    assert "uses: alembic.upgrade" in done.output
    assert "docker compose -f base.yaml -f more.yaml run --rm --entrypoint inithold init plan" in done.errors


def test_nothing_tells_what_it_does(tmp_path: Path) -> None:
    done = drafted(tmp_path, stack(init="{image: a}", app=f"{{image: b, depends_on: {{init: {DONE}}}}}"))
    assert done.code == 2
    first, *said = done.errors.splitlines()
    assert first == "nothing in compose.yaml says what init does"
    assert any("a decides what init runs" in line and "ENTRYPOINT and CMD" in line for line in said)
    assert not (tmp_path / "inithold.yaml").exists()
