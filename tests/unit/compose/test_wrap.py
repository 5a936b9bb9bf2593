"""The wrapped command: it runs exactly as before, in all its forms, and the portable script behaves."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from inithold.compose.stack.command import DEFAULT_MARKER
from inithold.compose.stack.hold import script
from unit.compose.case import compose_config, docker_environment, run, run_json

SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)] or ["sh"]
FORMS = {
    "words": "entrypoint: java -jar ./x.jar",
    "quotes": r"""entrypoint: /init.sh "quoted word" 'lit $$eral' es\ caped""",
    "variable": "entrypoint: run ${WORDS:-a b} --flag",
    "single quoted": "entrypoint: 'its \"fine\"'",
    "double quoted": 'entrypoint: "run \\"two words\\" $${x}"',
    "folded": 'entrypoint: >\n      sh -c "a;\n      b ${WORDS:-x}"',
    "literal": "entrypoint: |\n      run --all\n      --more",
    "flow list": "entrypoint: ['/bin/sh', -c]",
    "flow list of lines": "entrypoint: [\n      '/bin/sh',  # the shell\n      -c ]",
    "block list": "entrypoint:\n      - sh\n      - '-c'   # what follows\n      - |\n        $$1\n        echo 2",
    "list at the key": "entrypoint:\n    - /bin/sh\n    - -c",
    "dropped": "entrypoint: a b && c",
}
COMMANDS = [
    "",
    "command: up --now 'and here'",
    "command: [echo, 'a b', \"$$X\"]",
    "command: |\n      one\n      two",
]


@pytest.fixture(scope="module")
def docker() -> dict[str, str]:
    environment = docker_environment()
    if environment is None:
        pytest.skip("there is no `docker compose` here and no test engine to take it from")
    return environment


def _stack(*fields: str) -> str:
    return "services:\n" + _service("init", *fields)


def _service(name: str, *fields: str) -> str:
    own = "".join(f"    {field}\n" for field in fields if field)
    dependent = (
        f"  web-{name}: {{image: x, depends_on: {{{name}: {{condition: service_completed_successfully}}}}}}\n"
    )
    return f"  {name}:\n    image: ${{IMAGE:-standin/none:1}}\n{own}{dependent}"


def _argv(folder: Path, docker: dict[str, str]) -> tuple[list[str] | None, list[str] | None]:
    init = compose_config(folder, ["compose.yaml"], docker)["services"]["init"]
    return init.get("entrypoint"), init.get("command")


@pytest.mark.parametrize("wrap", ["inithold", "shell"])
def test_entrypoint_and_command_are_kept_exactly(wrap: str, tmp_path: Path, docker: dict[str, str]) -> None:
    pairs = [(form, command) for form in FORMS.values() for command in COMMANDS]
    stack = "".join(_service(f"init{number}", *pair) for number, pair in enumerate(pairs))
    (tmp_path / "compose.yaml").write_text(f"services:\n{stack}")
    before = compose_config(tmp_path, ["compose.yaml"], docker)["services"]
    run(tmp_path, "fix", "--wrap", wrap)
    after = compose_config(tmp_path, ["compose.yaml"], docker)["services"]
    for number in range(len(pairs)):
        old, new = before[f"init{number}"], after[f"init{number}"]
        assert new.get("command") == old.get("command")
        count = len(new["entrypoint"]) - len(old["entrypoint"])
        assert new["entrypoint"][count:] == old["entrypoint"]
        if wrap == "inithold":
            assert new["entrypoint"][:count] == ["inithold", "run", "--"]
            continue
        texts = {script(DEFAULT_MARKER, one_line=True), script(DEFAULT_MARKER, one_line=False)}
        assert new["entrypoint"][:2] == ["sh", "-c"]
        assert new["entrypoint"][2] in texts
        assert new["entrypoint"][3:count] == ["sh"]
        assert new["init"] is True


@pytest.mark.parametrize("empty", ["entrypoint: []", 'entrypoint: ""', 'entrypoint: [""]'])
@pytest.mark.parametrize("command", COMMANDS[1:])
def test_no_entrypoint_at_all(empty: str, command: str, tmp_path: Path, docker: dict[str, str]) -> None:
    (tmp_path / "compose.yaml").write_text(_stack(empty, command))
    _, words = _argv(tmp_path, docker)
    assert words
    run(tmp_path, "fix", "--wrap", "inithold")
    # The engine takes `[""]` for no entrypoint, too.
    kept_empty = [""] if "[" in empty and '""' in empty else []
    assert _argv(tmp_path, docker) == (kept_empty, ["inithold", "run", "--", *words])
    (tmp_path / "compose.yaml").write_text(_stack(empty, command))
    run(tmp_path, "fix", "--wrap", "shell")
    entrypoint, kept = _argv(tmp_path, docker)
    assert entrypoint is not None
    assert (entrypoint[:2], entrypoint[3:], kept) == (["sh", "-c"], ["sh"], words)


def test_an_unknown_entrypoint_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    (tmp_path / "compose.yaml").write_text(_stack("command: migrate"))
    before = (tmp_path / "compose.yaml").read_bytes()
    outcome = run(tmp_path, "fix", "--wrap", "shell")
    assert outcome.code == 1
    assert "its entrypoint is the image's, which no engine here knows" in outcome.output
    assert (tmp_path / "compose.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("image", "command", "wrapped", "kept"),
    [
        ("standin/redis:7", "command: redis-cli ping", ["/usr/local/bin/entrypoint"], ["redis-cli", "ping"]),
        ("standin/redis:7", "", ["/usr/local/bin/entrypoint"], ["redis-server"]),
        ("standin/busybox:1", "command: [echo, a b]", [], ["echo", "a b"]),
        ("standin/busybox:1", "", [], ["sh"]),
    ],
)
def test_the_image_is_asked(
    image: str, command: str, wrapped: list[str], kept: list[str], tmp_path: Path, docker: dict[str, str]
) -> None:
    program = shutil.which("docker", path=docker["PATH"]) or "docker"
    if subprocess.run(
        [program, "image", "inspect", image], env=docker, check=False, capture_output=True
    ).returncode:
        pytest.skip(f"no engine answers that has {image}")

    def fix(form: str, name: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "compose.yaml").write_text(_stack(command).replace("standin/none:1", name))
        fixing = [sys.executable, "-m", "inithold", "compose", "fix", "--wrap", form]
        return subprocess.run(fixing, cwd=tmp_path, env=docker, check=False, capture_output=True, text=True)

    assert fix("shell", image).returncode == 0
    entrypoint, words = _argv(tmp_path, docker)
    assert (entrypoint or [])[4:] == wrapped
    assert words == kept

    # Its own image has no inithold: nothing is changed.
    refused = fix("inithold", image)
    assert refused.returncode == 1
    assert f"the image {image} does not contain inithold" in refused.stdout
    assert (tmp_path / "compose.yaml").read_text() == _stack(command).replace("standin/none:1", image)

    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "inithold").touch()
    (tmp_path / "image" / "Dockerfile").write_text(f"FROM {image}\nCOPY inithold /usr/local/bin/\n")
    own = f"inithold-wrap-{uuid.uuid4().hex[:10]}"
    subprocess.run(
        [program, "build", "-q", "-t", own, tmp_path / "image"], env=docker, check=True, capture_output=True
    )
    before = _containers(program, docker)
    try:
        done = fix("inithold", own)
        assert done.returncode == 0
        assert f"note: the image {own} must contain inithold" in done.stdout
        assert {name for name in _containers(program, docker) - before if own in name} == set(), "one is left"
    finally:
        subprocess.run([program, "rmi", own], env=docker, check=True, capture_output=True)
    entrypoint, words = _argv(tmp_path, docker)
    assert (entrypoint, words) == (
        (["inithold", "run", "--", *wrapped], kept) if wrapped else (None, ["inithold", "run", "--", *kept])
    )


def _containers(program: str, docker: dict[str, str]) -> set[str]:
    listed = [program, "ps", "-a", "--format", "{{.ID}} {{.Image}}"]
    return set(subprocess.run(listed, env=docker, check=True, capture_output=True, text=True).stdout.splitlines())


def _start(shell: str, marker: Path, one_line: bool, *command: str) -> subprocess.Popen[bytes]:
    text = script(str(marker), one_line=one_line).replace("$$", "$")
    argv = [shell, "sh"] if shell == "busybox" else [shell]
    pipe = subprocess.PIPE
    return subprocess.Popen([*argv, "-c", text, "sh", *command], stdin=pipe, stdout=pipe, stderr=pipe)


def _until(condition: object, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while not condition():  # type: ignore[operator]
        assert process.poll() is None, "it ended"
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("one_line", [True, False])
@pytest.mark.parametrize("shell", SHELLS)
class TestScript:
    """The portable wrapper, in each shell of this machine."""

    def test_runs_publishes_and_holds(self, shell: str, one_line: bool, tmp_path: Path) -> None:
        marker = tmp_path / "marker"
        marker.write_text("stale")
        seen = tmp_path / "seen"
        command = f'test -e {marker}; echo $? > {seen}; cat; echo "$1"'
        process = _start(shell, marker, one_line, "sh", "-c", command, "x", "a  b")
        assert process.stdin is not None
        process.stdin.write(b"in\xff\n")
        process.stdin.close()
        _until(lambda: marker.read_bytes() == b"ready\n" if marker.exists() else False, process)
        assert seen.read_text() == "1\n", "the stale marker was still there"
        process.send_signal(signal.SIGTERM)
        # The end of the output comes only when nothing of the hold is left over.
        process.stdin = None
        assert process.communicate(timeout=20) == (b"in\xff\na  b\n", b"")
        assert process.returncode == 0

    def test_a_failure_exits_1_and_says_the_code(self, shell: str, one_line: bool, tmp_path: Path) -> None:
        marker = tmp_path / "marker"
        process = _start(shell, marker, one_line, "sh", "-c", "echo out; echo err >&2; exit 7")
        out, err = process.communicate(timeout=20)
        assert process.returncode == 1
        assert out == b"out\n"
        assert err == b"err\ninithold: the command failed with exit code 7\n"
        assert not marker.exists()

    def test_a_signal_reaches_the_command(self, shell: str, one_line: bool, tmp_path: Path) -> None:
        marker, started = tmp_path / "marker", tmp_path / "started"
        command = f"trap 'echo told; exit 3' TERM; touch {started}; while :; do sleep 0.05; done"
        process = _start(shell, marker, one_line, "sh", "-c", command)
        _until(started.exists, process)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=20)
        assert (process.returncode, out) == (143, b"told\n")
        assert not marker.exists()

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
    def test_other_stop_signals(self, number: signal.Signals, shell: str, one_line: bool, tmp_path: Path) -> None:
        """An image may name them as its STOPSIGNAL; a shell has what it starts in the background ignore them."""
        marker, started = tmp_path / "marker", tmp_path / "started"
        program = f"import pathlib, time; pathlib.Path({str(started)!r}).touch(); time.sleep(60)"
        process = _start(shell, marker, one_line, sys.executable, "-c", program)
        _until(started.exists, process)
        process.send_signal(number)
        process.communicate(timeout=20)
        assert process.returncode == 128 + number
        assert not marker.exists()

        process = _start(shell, marker, one_line, "true")
        _until(marker.exists, process)
        process.send_signal(number)
        process.communicate(timeout=20)
        assert process.returncode == 0

    def test_a_marker_that_cannot_be_written(self, shell: str, one_line: bool, tmp_path: Path) -> None:
        process = _start(shell, tmp_path / "none" / "marker", one_line, "true")
        _, err = process.communicate(timeout=20)
        assert process.returncode != 0
        assert err

    def test_a_command_that_is_not_there(self, shell: str, one_line: bool, tmp_path: Path) -> None:
        process = _start(shell, tmp_path / "marker", one_line, str(tmp_path / "none"))
        _, err = process.communicate(timeout=20)
        assert process.returncode == 1
        assert b"exit code 127" in err


def test_a_marker_that_is_a_folder_is_no_success(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    marker.mkdir()
    process = _start(SHELLS[0], marker, True, "true")
    process.communicate(timeout=20)
    assert process.returncode == 1
    assert list(marker.iterdir()) == []


@pytest.mark.parametrize("wrap", ["inithold", "shell"])
def test_a_command_gets_its_shell_before_it_is_wrapped(wrap: str, tmp_path: Path, docker: dict[str, str]) -> None:
    (tmp_path / "compose.yaml").write_text(_stack("entrypoint: []", "command: migrate && seed"))
    outcome = run(tmp_path, "fix", "--wrap", wrap, "--unsafe")
    assert outcome.code == 0, outcome.output
    _, words = _argv(tmp_path, docker)
    assert (words or [])[-3:] == ["sh", "-c", "migrate && seed"]


def test_what_follows_inithold_run_is_left_to_a_hand(tmp_path: Path) -> None:
    """It holds: a shell would never come to what is behind it."""
    (tmp_path / "compose.yaml").write_text(_stack("command: inithold run && seed"))
    assert [each["fix"] for each in run_json(tmp_path, []) if each["id"] == "unshelled-command"] == [[]]


def test_what_cannot_be_wrapped_is_awaited_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ENTRYPOINT that nobody here knows: the one-shot stays one, and its dependents wait until it is done."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    (tmp_path / "compose.yaml").write_text("""\
services:
  migrate: {image: ory/x, command: migrate sql, restart: on-failure}
  web: {image: web, depends_on: [migrate]}
""")
    run(tmp_path, "fix", "--unsafe", "--wrap", "inithold")
    assert "{migrate: {condition: service_completed_successfully}}" in (tmp_path / "compose.yaml").read_text()


@pytest.mark.parametrize(
    ("image", "how"),
    [
        ("image: busybox", "build your own from it, or `--wrap shell`"),
        ("build: .", "`pip install inithold` where"),
    ],
)
def test_how_an_image_comes_to_contain_inithold(image: str, how: str, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(f"""\
services:
  init: {{{image}, entrypoint: chmod, command: "777 /data"}}
  web: {{image: web, depends_on: {{init: {{condition: service_completed_successfully}}}}}}
""")
    assert f"must contain inithold: {how}" in run(tmp_path, "fix", "--wrap", "inithold").output


@pytest.mark.parametrize("restart", ['restart: "no"', "restart: on-failure", ""])
def test_a_policy_that_comes_with_an_override(restart: str, tmp_path: Path) -> None:
    """Each combination of the files is clean."""
    base, override = tmp_path / "compose.yaml", tmp_path / "compose.override.yaml"
    base.write_text(f"""\
services:
  migrate:
    image: app
    entrypoint: []
    command: ./migrate
    {restart}
  web: {{image: app, depends_on: {{migrate: {{condition: service_completed_successfully}}}}}}
""")
    override.write_text("services:\n  migrate:\n    deploy: {restart_policy: {condition: none}}\n")
    run(tmp_path, "fix", "--wrap", "inithold")
    assert "restart: unless-stopped" in base.read_text().replace('"', "")
    assert "{condition: any}" in override.read_text()
    assert run_json(tmp_path, []) == run_json(tmp_path, ["-f", "compose.yaml"]) == []
