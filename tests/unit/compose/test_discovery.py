"""Which files are loaded: those Compose itself would load; and which are named as not given."""

from __future__ import annotations

from pathlib import Path

import pytest

from inithold.compose.read.discover import find_files, find_siblings
from inithold.compose.read.interpolation import interpolate
from unit.compose.case import compose_config, docker_environment, run

STACK = "services: {a: {image: x}}\n"


def _write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(STACK)


@pytest.mark.parametrize(
    ("there", "found"),
    [
        (["compose.yaml", "compose.yml", "docker-compose.yml"], ["compose.yaml"]),
        (["compose.yml", "docker-compose.yml"], ["compose.yml"]),
        (["docker-compose.yaml", "docker-compose.yml"], ["docker-compose.yml"]),
        (["docker-compose.yaml"], ["docker-compose.yaml"]),
        (["compose.yaml", "compose.override.yaml"], ["compose.yaml", "compose.override.yaml"]),
        (
            ["compose.yaml", "compose.override.yml", "compose.override.yaml"],
            ["compose.yaml", "compose.override.yml"],
        ),
        (["compose.yaml", "docker-compose.override.yml"], ["compose.yaml", "docker-compose.override.yml"]),
        (["docker-compose.yml", "compose.override.yaml"], ["docker-compose.yml", "compose.override.yaml"]),
    ],
)
def test_default_names(there: list[str], found: list[str], tmp_path: Path) -> None:
    _write(tmp_path, *there)
    assert find_files((), {}, tmp_path) == found
    docker = docker_environment()
    if docker is not None:
        # Compose agrees: it finds a stack in each of them.
        assert compose_config(tmp_path, [], docker)["services"].keys() == {"a"}


def test_from_a_folder_below(tmp_path: Path) -> None:
    _write(tmp_path, "compose.yaml", "compose.override.yaml")
    below = tmp_path / "src" / "app"
    below.mkdir(parents=True)
    assert find_files((), {}, below) == ["../../compose.yaml", "../../compose.override.yaml"]


def test_compose_file_variable_and_dotenv(tmp_path: Path) -> None:
    _write(tmp_path, "compose.yaml", "a.yaml", "b.yaml")
    assert find_files((), {"COMPOSE_FILE": "a.yaml:b.yaml"}, tmp_path) == ["a.yaml", "b.yaml"]
    separated = {"COMPOSE_FILE": "a.yaml,b.yaml", "COMPOSE_PATH_SEPARATOR": ","}
    assert find_files((), separated, tmp_path) == ["a.yaml", "b.yaml"]
    (tmp_path / ".env").write_text("# which\nexport COMPOSE_FILE='b.yaml' # this one\n")
    assert find_files((), {}, tmp_path) == ["b.yaml"]
    assert find_files((), {"COMPOSE_FILE": "a.yaml"}, tmp_path) == ["a.yaml"]
    (tmp_path / ".env").write_text("COMPOSE_FILE=a.yaml;b.yaml\nCOMPOSE_PATH_SEPARATOR=;\n")
    assert find_files((), {}, tmp_path) == ["a.yaml", "b.yaml"]
    docker = docker_environment()
    if docker is not None:
        (tmp_path / "b.yaml").write_text(STACK.replace("a:", "b:"))
        assert compose_config(tmp_path, [], docker)["services"].keys() == {"a", "b"}
    assert find_files(["compose.yaml"], {"COMPOSE_FILE": "a.yaml"}, tmp_path) == ["compose.yaml"]


def test_siblings_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMPOSE_FILE", raising=False)
    _write(
        tmp_path,
        "compose.yaml",
        "compose.override.yaml",
        "compose.prod.yaml",
        "docker-compose.dev.yml",
        "other.yaml",
    )
    assert find_siblings([tmp_path / "compose.yaml"], tmp_path / "compose.yaml", tmp_path) == [
        "compose.override.yaml",
        "compose.prod.yaml",
        "docker-compose.dev.yml",
    ]
    outcome = run(tmp_path, "check")
    assert outcome.code == 0
    assert outcome.errors.splitlines() == [
        "note: compose.prod.yaml is not checked: give it with -f where it is used",
        "note: docker-compose.dev.yml is not checked: give it with -f where it is used",
    ]
    assert '"compose.prod.yaml is not checked' in run(tmp_path, "check", "--format", "json").output


def test_an_included_file_is_no_sibling_and_a_remote_one_is_named(tmp_path: Path) -> None:
    _write(tmp_path, "compose.db.yaml")
    (tmp_path / "compose.yaml").write_text(
        "include:\n  - compose.${WHICH:-db}.yaml\n  - oci://example.com/x\n  - ${UNSET}/x.yaml\n"
        + STACK.replace("a:", "b:")
    )
    outcome = run(tmp_path, "check")
    assert outcome.errors.splitlines() == [
        "note: compose.yaml:3: oci://example.com/x is not checked: it is not a local file",
        "note: compose.yaml:4: ${UNSET}/x.yaml is not checked: a variable in it is not set here",
    ]


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("a.yaml", "a.yaml"),
        ("${A}/$A/${A:-x}", "1/1/1"),
        ("${EMPTY:-x}${EMPTY-y}", "x"),
        ("${NONE-y}${NONE:-z}", "yz"),
        ("$$A", "$A"),
        ("${NONE}", None),
        ("${NONE:?needed}", None),
    ],
)
def test_names_are_interpolated(text: str, filled: str | None) -> None:
    assert interpolate(text, {"A": "1", "EMPTY": ""}) == filled
