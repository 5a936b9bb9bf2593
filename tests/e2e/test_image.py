"""The image of image/Dockerfile: small, without root, read-only, quick to start, and usable without a file."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import pytest
import yaml

from e2e.alone import alone, plan_of
from e2e.conftest import Maker
from e2e.engine import Engine, poll
from e2e.images import Images, build_inithold
from e2e.moments import moment

MB = 1_000_000
# Every module that a run with telemetry and its sender load, and whether its bytecode is there.
WITHOUT_BYTECODE = """
import os, sys
from importlib import import_module
for name in ("delivery", "export", "logs", "sdk", "sender", "signals", "user_code"):
    import_module(f"inithold.watchers.telemetry.{name}")
for name in ("trace_exporter", "metric_exporter", "_log_exporter"):
    for protocol in ("http", "grpc"):
        import_module(f"opentelemetry.exporter.otlp.proto.{protocol}.{name}")
end = os._exit
def report_and_end(code):
    for module in list(sys.modules.values()):
        cached = getattr(getattr(module, "__spec__", None), "cached", None)
        if cached and not os.path.exists(cached):
            print("without bytecode:", module.__name__)
    print("looked at", len(sys.modules), "after exit", code, flush=True)
    end(code)
os._exit = report_and_end
sys.argv = ["inithold", "run", "--once", "--", "true"]
from inithold.__main__ import main
try:
    code = main()
except SystemExit as ended:
    code = ended.code
report_and_end(code or 0)
"""
OTLP = ["-e", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9", "-e", "OTEL_EXPORTER_OTLP_TIMEOUT=1"]


def size(engine: Engine, image: str) -> float:
    """MB of an image, unpacked, as `docker images` says it."""
    return int(engine.docker("image", "inspect", "-f", "{{.Size}}", image)) / MB


@pytest.fixture(scope="module")
def lean(engine: Engine, images: Images) -> Iterator[str]:
    """The image without any extra."""
    tag = f"{images.registry}inithold:lean"
    build_inithold(engine, images, tag, "--build-arg", "EXTRAS=")
    yield tag
    engine.docker("rmi", "-f", tag)


def test_its_size_with_all_technologies_and_with_none(engine: Engine, images: Images, lean: str) -> None:
    base = size(engine, images.base)
    whole, core = size(engine, images.inithold) - base, size(engine, lean) - base
    print(f"base {base:.0f} MB; with all technologies {whole:.0f} MB more, with none {core:.0f} MB more")
    assert core <= 30
    assert whole <= 200


def test_it_has_every_technology_unless_told_otherwise(engine: Engine, images: Images, lean: str) -> None:
    names = ["grpc", "psycopg", "alembic", "pika", "redis", "pymysql", "jinja2", "opentelemetry"]
    code = f"from importlib.util import find_spec as f; print([n for n in {names} if f(n)])"
    run = ("run", "--rm", "--entrypoint", "python")
    assert engine.docker(*run, images.inithold, "-c", code) == str(names)
    assert engine.docker(*run, lean, "-c", code) == "[]"


def test_what_it_says_of_itself(engine: Engine, images: Images) -> None:
    found = engine.get(f"/images/{images.inithold}/json")["Config"]
    assert found["User"] == "inithold"
    assert found["Entrypoint"] == ["inithold"]
    assert found["Cmd"] == ["run"]
    assert found["Healthcheck"]["Test"][:3] == ["CMD", "inithold", "health"]
    assert found["Healthcheck"]["StartPeriod"] == 15 * 60 * 10**9
    labels = {name.removeprefix("org.opencontainers.image.") for name in found["Labels"]}
    assert {"title", "description", "licenses", "version"} <= labels
    said = engine.docker("run", "--rm", images.inithold, "--version")
    assert found["Labels"]["org.opencontainers.image.version"] in said


def test_without_root_and_read_only(engine: Engine, images: Images) -> None:
    run = ["run", "--rm", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    arguments = ["run", "--once", "--", "sh", "-c", "id -u; touch /opt/x || echo read-only"]
    with_tmpfs = engine.docker(*run, "--tmpfs", "/tmp", images.inithold, *arguments)
    assert with_tmpfs.splitlines() == ["10001", "read-only"]
    # /dev/shm is there without a word, and a user without root can write to it.
    in_shm = engine.docker(*run, "-e", "INITHOLD_MARKER=/dev/shm/ready", images.inithold, *arguments)
    assert in_shm == with_tmpfs
    without = engine.run("docker", *run, images.inithold, *arguments, check=False)
    assert without.returncode == 2
    assert "/tmp/init-complete cannot be written" in without.stderr
    assert "tmpfs" in without.stderr


def test_help_and_a_command(engine: Engine, images: Images) -> None:
    assert "Usage: inithold" in engine.docker("run", "--rm", images.inithold, "--help")
    failed = engine.run("docker", "run", "--rm", images.inithold, "run", "--", "sh", "-c", "exit 7", check=False)
    assert failed.returncode == 1
    assert "exited 7" in failed.stderr
    container = engine.docker("run", "-d", images.inithold, "run", "--", "echo", "seeded")
    try:
        poll(
            lambda: engine.get(f"/containers/{container}/json")["State"]["Health"]["Status"] == "healthy",
            30,
            "ready",
        )
        assert engine.logs(container)[0] == "seeded\n"
        assert "ready" in engine.docker("exec", container, "inithold", "health")
        assert engine.docker("exec", container, "cat", "/proc/1/cmdline").split("\0")[:2] == ["catatonit", "-P"]
    finally:
        engine.docker("rm", "-f", container)


def test_bytecode_of_everything_that_a_run_loads(engine: Engine, images: Images) -> None:
    code = ["--entrypoint", "python", images.inithold, "-c", WITHOUT_BYTECODE]
    said = engine.docker("run", "--rm", "--init", *OTLP, *code)
    assert "after exit 0" in said
    assert "without bytecode" not in said


def test_bytecode_of_the_users_own_migrations_and_services(engine: Engine, images: Images) -> None:
    code = """
import importlib.util, pathlib
files = [file for file in pathlib.Path("/app").rglob("*.py")]
print(len(files), [str(f) for f in files if not pathlib.Path(importlib.util.cache_from_source(f)).exists()])
"""
    said = engine.docker("run", "--rm", images.example, "python", "-c", code)
    count, _, missing = said.partition(" ")
    assert int(count) > 10
    assert missing == "[]"


@pytest.mark.parametrize("options", [[], ["--read-only", "--tmpfs", "/tmp"]], ids=["writable", "read-only"])
def test_a_first_start_is_as_quick_as_a_second(options: list[str], engine: Engine, images: Images) -> None:
    options = ["--no-healthcheck", "--network", "none", *options]
    first: list[float] = []
    second: list[float] = []

    def ratio() -> float:
        """Without bytecode it is four. Of the quickest, too, since the machine may be busy with other tests."""
        return min(min(first) / min(second), statistics.median(first) / statistics.median(second))

    while len(first) < 3 or (ratio() > 1.2 and len(first) < 21):
        container = engine.docker("create", *options, *OTLP, images.inithold, "run", "--once", "--", "true")
        for times in (first, second):
            engine.docker("start", "-a", container)
            state = engine.get(f"/containers/{container}/json")["State"]
            times.append(moment(state["FinishedAt"]) - moment(state["StartedAt"]))
        engine.docker("rm", container)
    once, again = statistics.median(first), statistics.median(second)
    print(f"first start {once:.2f} s, second {again:.2f} s: {once / again:.2f} times, at best {ratio():.2f}")
    assert ratio() <= 1.2


def test_a_plan_in_the_compose_file_itself(make_stack: Maker) -> None:
    stack = alone(
        make_stack,
        "",
        command=None,
        read_only=None,
        volumes=None,
        configs=[{"source": "plan", "target": "/app/inithold.yaml"}],
    )
    content = yaml.safe_load((stack.folder / "compose.alone.yaml").read_text())
    plan = plan_of("sh", "-c", "echo $${GREETING}", when="${SEED:-true}").replace("name: alone", "name: inline")
    content["configs"] = {"plan": {"content": plan.replace("${SEED", "$${SEED")}}
    content["services"]["init"]["environment"] = {"GREETING": "hello"}
    stack.write("compose.alone.yaml", yaml.safe_dump(content))
    stack.up("init")
    assert stack.record()["name"] == "inline"
    assert "hello" in stack.logs("init")
