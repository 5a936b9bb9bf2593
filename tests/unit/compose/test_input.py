"""Bad input: a clear error that names file and line, exit 2, nothing written; odd but good input is taken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from somebody import as_nobody
from unit.compose.case import contents, run

ONE_SHOT = """\
services:
  init:
    image: app
    entrypoint: []
    command: migrate
  web:
    image: web
    depends_on:
      init: {condition: service_completed_successfully}
"""
BAD = {
    "not YAML": ("services: {a: [b}", "compose.yaml:1:", "not valid YAML"),
    "tabs": ("services:\n  a:\n\timage: x\n", "compose.yaml:3:", "not valid YAML"),
    "duplicate keys": (
        "services:\n  a:\n    image: x\n    image: y\n",
        "compose.yaml:4:5:",
        "duplicate key 'image'",
    ),
    "duplicate merge keys": (
        "x: &x {}\nservices:\n  a:\n    <<: *x\n    <<: *x\n",
        "compose.yaml:5:5:",
        "duplicate",
    ),
    "unknown tag": ("services:\n  a:\n    image: !foo x\n", "compose.yaml:3:12:", "unknown tag !foo"),
    "python tag": ("services:\n  a: !!python/object:os.system {}\n", "compose.yaml:2:6:", "unknown tag"),
    "a list": ("- a\n- b\n", "compose.yaml:1:1:", "not a Compose file"),
    "a word": ("hello", "compose.yaml:1:1:", "not a Compose file"),
    "a workflow": ("on: push\njobs: {}\n", "compose.yaml:1:1:", "unknown top-level key 'on'"),
    "services as a list": ("services: [a]\n", "compose.yaml:1:11:", "services must be a mapping"),
    "an empty service": ("services:\n  a:\n", "compose.yaml:2:", "services.a must be a mapping"),
    "depends_on as a word": ("services:\n  a: {depends_on: b}\n", "compose.yaml:2:19:", "a mapping or a list"),
    "a healthcheck as a word": ("services:\n  a: {healthcheck: b}\n", "compose.yaml:2:20:", "must be a mapping"),
    "an alias to nothing": ("services:\n  a: *b\n", "compose.yaml:2:6:", "undefined alias"),
    "an anchor in itself": ("services:\n  a: &a {b: *a}\n", "compose.yaml:2:6:", "an anchor contains itself"),
    "extends nobody": ("services:\n  a: {extends: b}\n", "compose.yaml:2:16:", "which is not in compose.yaml"),
    "extends itself": ("services:\n  a: {extends: a}\n", "compose.yaml:2:3:", "extends itself"),
    "extends a missing file": (
        "services:\n  a: {extends: {file: none.yaml, service: b}}\n",
        "none.yaml: ",
        "cannot read: No such file",
    ),
    "includes a missing file": (
        "include: [none.yaml]\nservices: {}\n",
        "none.yaml: ",
        "cannot read: No such file",
    ),
    "includes itself": ("include: [compose.yaml]\nservices: {}\n", "compose.yaml: ", "includes itself"),
    "a merge of a word": ("services:\n  a:\n    <<: b\n", "compose.yaml:3:9:", "a merge key (<<) takes"),
    "a list as a key": ("services:\n  ? [a]\n  : {}\n", "compose.yaml:2:5:", "a key must be a single value"),
    "an escaped NUL": ('services:\n  a: {image: "\\x00"}\n', "compose.yaml:2:14: ", "NUL character"),
    "NUL bytes": ("services:\0", "compose.yaml: ", "NUL bytes"),
    "deep": ("services: " + "[" * 5000, "compose.yaml", "not"),
    "aliases that explode": (
        "x0: &x0 [a,a,a,a,a,a,a,a,a]\n"
        + "".join(f"x{n}: &x{n} [{','.join([f'*x{n - 1}'] * 9)}]\n" for n in range(1, 9))
        + "services: {}\n",
        "compose.yaml:",
        "aliases expand to millions",
    ),
}


@pytest.mark.parametrize("command", ["check", "fix"])
@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str, command: str, tmp_path: Path) -> None:
    text, place, what = BAD[name]
    (tmp_path / "compose.yaml").write_text(text)
    (tmp_path / "good.yaml").write_text(ONE_SHOT)
    before = contents(tmp_path)
    outcome = run(tmp_path, command, "-f", "good.yaml", "-f", "compose.yaml")
    assert outcome.code == 2
    assert place in outcome.errors, outcome.errors
    assert what in outcome.errors, outcome.errors
    assert contents(tmp_path) == before


def test_an_unknown_top_level_key_is_not_hidden_by_an_anchor(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("x-a: &a {}\nservice: *a\n")
    assert "unknown top-level key 'service'" in run(tmp_path, "check").errors


@pytest.mark.parametrize("command", ["check", "fix"])
def test_missing_unreadable_and_too_large(command: str, tmp_path: Path) -> None:
    assert "none.yaml: cannot read: No such file" in run(tmp_path, command, "-f", "none.yaml").errors
    (tmp_path / "folder.yaml").mkdir()
    assert "folder.yaml: cannot read: Is a directory" in run(tmp_path, command, "-f", "folder.yaml").errors
    (tmp_path / "large.yaml").write_text("# padding\n" * 500_000 + ONE_SHOT)
    outcome = run(tmp_path, command, "-f", "large.yaml")
    assert (outcome.code, "large.yaml: larger than 4 MiB" in outcome.errors) == (2, True)
    (tmp_path / "latin.yaml").write_bytes("services:\n  a: {image: é}\n".encode("latin-1"))
    assert "latin.yaml:2: not UTF-8" in run(tmp_path, command, "-f", "latin.yaml").errors


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everyone may enter: those of pytest are closed by each of its workers again and again."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def test_unreadable(open_folder: Path) -> None:
    path = open_folder / "compose.yaml"
    path.write_text(ONE_SHOT)
    commands = (("check",), ("fix", "--diff"))
    for command in commands:
        assert run(open_folder, *command, "-f", "compose.yaml").code == 1
    path.chmod(0)
    with as_nobody():
        outcomes = [run(open_folder, *command, "-f", "compose.yaml") for command in commands]
    for outcome in outcomes:
        assert outcome.code == 2
        assert "compose.yaml: cannot read: Permission denied" in outcome.errors


def test_no_file_at_all(tmp_path: Path) -> None:
    outcome = run(tmp_path, "check")
    assert outcome.code == 2
    assert "no Compose file here" in outcome.errors


def test_links_are_read_and_not_written(tmp_path: Path) -> None:
    real = tmp_path / "real.yaml"
    real.write_text(ONE_SHOT)
    (tmp_path / "compose.yaml").symlink_to("real.yaml")
    assert run(tmp_path, "check").code == 1
    outcome = run(tmp_path, "fix", "--wrap", "inithold")
    assert outcome.code == 2
    assert "compose.yaml is a symbolic link to real.yaml; nothing was written" in outcome.errors
    assert real.read_text() == ONE_SHOT
    assert (tmp_path / "compose.yaml").is_symlink()

    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    assert "loop.yaml: cannot read" in run(tmp_path, "check", "-f", "loop.yaml").errors
    (tmp_path / "gone.yaml").symlink_to("none.yaml")
    assert "gone.yaml: cannot read: No such file" in run(tmp_path, "check", "-f", "gone.yaml").errors


def test_one_bad_file_of_two_leaves_both(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(ONE_SHOT)
    (tmp_path / "compose.override.yaml").symlink_to("other.yaml")
    (tmp_path / "other.yaml").write_text("services:\n  init:\n    restart: 'no'\n")
    before = contents(tmp_path)
    assert run(tmp_path, "fix", "--wrap", "inithold").code == 2
    assert contents(tmp_path) == before


def test_a_name_that_is_not_in_the_stack(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(ONE_SHOT)
    outcome = run(tmp_path, "check", "--service", "innit")
    assert outcome.code == 2
    assert "there is no service 'innit'" in outcome.errors


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("last", [True, False])
def test_line_endings_mark_and_last_line_stay(ending: str, mark: bytes, last: bool, tmp_path: Path) -> None:
    text = ONE_SHOT if last else ONE_SHOT.rstrip("\n")
    path = tmp_path / "compose.yaml"
    path.write_bytes(mark + text.replace("\n", ending).encode())
    path.chmod(0o640)
    assert run(tmp_path, "fix", "--wrap", "inithold").code == 0
    data = path.read_bytes()
    assert data.startswith(mark + b"services:")
    assert data.count(b"\n") == data.count(ending.encode()) > text.count("\n")
    assert data.endswith(b"\n") == last
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(each.name for each in tmp_path.iterdir()) == ["compose.yaml"]
