"""What people type first: a command without its dashes, a misspelt word or variable, an odd file. Each is told."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import pytest

from inithold.cli import COMMANDS, cli, options
from inithold.version import __version__
from servers.inithold import Inithold

PLAN = "steps:\n  - {id: there, uses: file.ready, with: {path: /}}\n"
PLAN += "  - {id: root, uses: file.ready, with: {path: /}}\n"


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "inithold.yaml"
    path.write_text(PLAN)
    return path


@pytest.mark.parametrize("arguments", [["-V"], ["--version"], ["version"]])
def test_the_version(run_inithold: Inithold, arguments: list[str]) -> None:
    done = run_inithold(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"inithold {__version__}\n", "")


def test_help(run_inithold: Inithold) -> None:
    for arguments in (["help"], ["-h"], ["--help"]):
        done = run_inithold(*arguments)
        assert done.returncode == 0, done.stderr
        assert all(f"  {name} " in done.stdout for name in COMMANDS)
    assert run_inithold("help", "run").stdout == run_inithold("run", "--help").stdout
    assert "Usage: inithold compose fix" in run_inithold("help", "compose", "fix").stdout
    unknown = run_inithold("help", "rum")
    assert unknown.returncode == 2
    assert "did you mean 'run'?" in unknown.stderr


@pytest.mark.parametrize("arguments", [[], ["compose"]])
def test_without_a_command_there_is_help_and_2(run_inithold: Inithold, arguments: list[str]) -> None:
    done = run_inithold(*arguments)
    assert done.returncode == 2
    assert "Commands:" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["run", "sh", "-c", "true"], "inithold run -- sh -c true"),
        (["run", "ls"], "inithold run -- ls"),
        (["run", "--once", "ls"], "inithold run --once -- ls"),
        (["run", "not-a-program", "upgrade", "head"], "inithold run -- not-a-program upgrade head"),
        (["wait", "--timeout", "1s", "ls", "-l"], "inithold wait --timeout 1s -- ls -l"),
        (["run", "echo hi"], "inithold run -- echo hi"),
        (["wait", "ls -l"], "inithold wait -- ls -l"),
    ],
)
def test_a_command_without_dashes(run_inithold: Inithold, arguments: list[str], hint: str) -> None:
    done = run_inithold(*arguments)
    assert done.returncode == 2
    assert f"a command goes after --: {hint}\n" in done.stderr


@pytest.mark.parametrize(
    "given", [["run"], ["run", "--once"], ["wait", "file:///"], ["wait", "--timeout=1s", "file:///"]]
)
def test_a_command_in_one_pair_of_quotes(run_inithold: Inithold, given: list[str]) -> None:
    done = run_inithold(*given, "--", "echo hi", "you")
    assert done.returncode == 2
    hint = f"no program is called 'echo hi': leave its quotes out: inithold {' '.join(given)} -- echo hi you\n"
    assert hint in done.stderr
    assert not run_inithold.marker.exists()


def test_a_program_whose_name_holds_a_blank(run_inithold: Inithold, tmp_path: Path) -> None:
    (tmp_path / "echo hi").symlink_to("/bin/echo")
    assert run_inithold("run", "--once", "--", tmp_path / "echo hi", "you").stdout == "you\n"
    assert run_inithold("wait", "file:///", "--", tmp_path / "echo hi", "you").stdout == "you\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["wait", "--timeout", "5", "file:///"], "such as 5s"),
        (["wait", "tcp://localhost:99999"], "the port is out of range: expected 1 to 65535"),
        (
            ["run", "--wait", "tcp://localhost:99999", "--", "true"],
            "the port is out of range: expected 1 to 65535",
        ),
        (["health", "--wait", "5"], "such as 5s"),
        (["run", "--verify", "5"], "such as 5s, or never"),
    ],
)
def test_numbers_that_do_not_do(run_inithold: Inithold, words: list[str], message: str) -> None:
    done = run_inithold(*words)
    assert done.returncode == (1 if words[0] == "health" else 2)
    assert message in done.stderr


def test_a_plan_that_is_called_as_a_program_is_a_plan(run_inithold: Inithold, tmp_path: Path) -> None:
    (tmp_path / "ls").write_text(PLAN)
    assert run_inithold("run", "--once", "ls").returncode == 0


def test_host_and_port_are_no_url(run_inithold: Inithold) -> None:
    done = run_inithold("run", "--wait", "db:5432", "--once", "--", "true")
    assert done.returncode == 2
    assert "write tcp://db:5432" in done.stderr
    assert "did you mean tcp://db:5432?" in run_inithold("wait", "db:5432").stderr


def test_the_kinds_of_a_technology(run_inithold: Inithold) -> None:
    done = run_inithold("kinds", "database")
    assert done.returncode == 0
    assert [line.partition(" ")[0] for line in done.stdout.splitlines()] == [
        "database.ready",
        "database.sql",
        "database.tables",
    ]


def test_version_may_be_left_out(run_inithold: Inithold, plan: Path) -> None:
    assert run_inithold("run", "--once").returncode == 0


def test_a_misspelt_variable_is_named_once(run_inithold: Inithold, plan: Path) -> None:
    env: dict[str, str | None] = {"INITHOLD_TIMOUT": "1s", "INITHOLD_PLAN": str(plan)}
    for arguments in (["run", "--once"], ["plan"], ["wait"]):
        done = run_inithold(*arguments, env=env)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("unknown variable INITHOLD_TIMOUT; did you mean 'INITHOLD_TIMEOUT'?") == 1
        assert "INITHOLD_PLAN" not in done.stderr
    done = run_inithold("run", "--once", "--log-format", "json", env=env)
    assert "INITHOLD_TIMOUT" in json.loads(done.stderr.splitlines()[0])["text"]
    verifying = run_inithold.start("run", "--verify", "1s", env=env)
    verifying.wait_for_hold()
    assert verifying.stderr.count("INITHOLD_TIMOUT") == 1


def test_every_variable_is_known() -> None:
    def variables(command: click.Command) -> Iterator[str]:
        for parameter in command.params:
            yield from [parameter.envvar] if isinstance(parameter.envvar, str) else parameter.envvar or []

    commands = [cli.get_command(click.Context(cli), name) for name in COMMANDS]
    found = {variable for command in commands if command for variable in variables(command)}
    assert found < options.VARIABLES
    assert options.VARIABLES - found == {"INITHOLD_SECRETS_DIR", "INITHOLD_TERMINATION_LOG"}


@pytest.mark.parametrize("kind", ["fifo", "folder", "device"])
@pytest.mark.parametrize("command", [["run"], ["plan"], ["wait"], ["run", "--once"]])
def test_a_plan_that_is_no_file(run_inithold: Inithold, tmp_path: Path, kind: str, command: list[str]) -> None:
    path = tmp_path / "odd"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path = Path("/dev/tty" if Path("/dev/tty").exists() else "/dev/zero")
    done = run_inithold(*command, path, seconds=20)
    assert done.returncode == 2
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("kind", "field"),
    [("database.sql", "file"), ("rabbitmq.topology", "definitions"), ("alembic.upgrade", "config")],
)
def test_a_file_of_a_step_that_is_a_pipe(run_inithold: Inithold, tmp_path: Path, kind: str, field: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    url = "amqp://guest@127.0.0.1:1/" if kind.startswith("rabbitmq") else f"sqlite:///{tmp_path}/db"
    plan = tmp_path / "inithold.yaml"
    plan.write_text(f"steps:\n  - {{id: it, uses: {kind}, with: {{url: '{url}', {field}: {pipe}}}}}\n")
    done = run_inithold("run", "--once", plan, seconds=20)
    assert done.returncode in (1, 2)
    assert str(pipe) in done.stderr
    assert "not a file" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_script_with_other_ends_of_line(run_inithold: Inithold, tmp_path: Path) -> None:
    (tmp_path / "it.sql").write_bytes(b"CREATE TABLE t (x text);\r\nINSERT INTO t VALUES ('a\r\nb');\r\n")
    plan = tmp_path / "inithold.yaml"
    plan.write_text("steps: [{id: it, uses: database.sql, with: {url: 'sqlite:///db', file: it.sql}}]\n")
    assert run_inithold("run", "--once", plan).returncode == 0
    with closing(sqlite3.connect(tmp_path / "db")) as database:
        assert database.execute("SELECT x FROM t").fetchall() == [("a\nb",)]


def test_every_command_has_two_examples(run_inithold: Inithold) -> None:
    for name in COMMANDS:
        if name in ("version", "help"):
            continue
        text = run_inithold(name, "--help").stdout
        examples = text.partition("Examples:\n")[2].partition("\n\n")[0].splitlines()
        assert len(examples) >= 2, text
        assert all("inithold" in line for line in examples)


COMPLETIONS = [
    ("inithold ki", "kinds"),
    ("inithold kinds http", "http.ready http.resource"),
    ("inithold run --only ", "there root"),
    ("inithold wait --step ro", "root"),
    ("inithold wait some.yaml --step ", "other"),
    ("inithold compose f", "fix"),
    ("inithold compose rule one", "one-shot-init"),
    ("inithold help comp", "compose completion"),
    ("inithold compose check -f com", "com"),
    ("inithold new -o pl", "pl"),
    ("inithold report -o pa", "pa"),
]


@pytest.mark.parametrize(("line", "expected"), COMPLETIONS)
def test_completion(run_inithold: Inithold, tmp_path: Path, plan: Path, line: str, expected: str) -> None:
    (tmp_path / "some.yaml").write_text("steps:\n  - id: other\n    uses: not.yet\n")
    words = line.split(" ")
    done = run_inithold(
        env={
            "_INITHOLD_COMPLETE": "bash_complete",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        }
    )
    assert [entry.partition(",")[2] for entry in done.stdout.split()] == expected.split(), done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(run_inithold: Inithold, shell: str) -> None:
    done = run_inithold("completion", shell)
    assert done.returncode == 0
    assert f"_INITHOLD_COMPLETE={shell}_complete" in done.stdout
    assert run_inithold("completion", "tcsh").returncode == 2


@pytest.mark.parametrize("words", [["--wait", "150ms"], ["--wait=150ms"], ["--wait", "1m", "--marker", "{ready}"]])
def test_health_waits_with_a_space_too(
    run_inithold: Inithold, plan: Path, tmp_path: Path, words: list[str]
) -> None:
    init = run_inithold.start("run", env={"INITHOLD_MARKER": str(tmp_path / "ready")})
    init.wait_for_marker()
    done = run_inithold("health", *(word.format(ready=tmp_path / "ready") for word in words))
    assert done.returncode == (0 if "--marker" in words else 1)
    assert done.seconds < 30
    wrong = run_inithold("health", "--wait", "5x")
    assert wrong.returncode == 1
    assert "--wait: expected a duration" in wrong.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["status", "--jso"], "unknown argument '--jso'; did you mean '--json'?"),
        (["health", "--makrer", "x"], "unknown argument '--makrer'; did you mean '--marker'?"),
        (
            ["run", "inithold.yml"],
            "inithold.yml: cannot read: No such file or directory; did you mean 'inithold.yaml'?",
        ),
        (
            ["plan", "./initold.yaml"],
            "No such file or directory; did you mean 'inithold.yaml'?",
        ),
        (["plan", f"{'x' * 300}.yaml"], "x.yaml: cannot read: File name too long"),
        (["wait", "db"], "inithold wait takes URLs such as tcp://db:5432"),
        (["plan", "nowhere/plan.yaml"], "nowhere/plan.yaml: cannot read: No such file or directory"),
    ],
)
def test_what_is_misspelt_is_told_with_the_nearest(
    run_inithold: Inithold, plan: Path, words: list[str], message: str
) -> None:
    done = run_inithold(*words)
    assert done.returncode == (1 if words[0] == "health" else 2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
