"""The image and its guides as people use them: a hold that verifies, a plan in `configs:`, their own image."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from docs.pages import DOCS, ROOT, blocks
from e2e.alone import alone, plan_of
from e2e.conftest import Maker
from e2e.engine import Engine, poll
from e2e.images import EXAMPLE, Images, build_inithold
from e2e.test_image import size

GUIDE = DOCS / "how-to" / "in-your-own-image.md"
LOCKED = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
ROLES = """
version: 1
name: roles
steps:
  - id: roles
    uses: postgres.roles
    with: {url: "postgresql://admin@db/games", roles: [{name: app}]}
"""


def health(engine: Engine, container: str) -> str:
    """As the engine has it from the check that is built in."""
    return str(engine.get(f"/containers/{container}/json")["State"]["Health"]["Status"])


def test_last_words_are_where_kubernetes_looks_for_them(engine: Engine, images: Images, tmp_path: Path) -> None:
    """Kubernetes mounts the file, under a read-only root, too."""
    log = tmp_path / "termination-log"
    log.touch()
    log.chmod(0o666)
    mounted = ("--volume", f"{log}:/dev/termination-log")
    command = ("run", "--once", "--", "sh", "-c", "echo no such column; exit 3")
    done = engine.run("docker", "run", "--rm", *LOCKED, *mounted, images.inithold, *command, check=False)
    assert done.returncode == 1
    assert "no such column" in log.read_text()


def test_a_hold_that_verifies(engine: Engine, images: Images) -> None:
    """Without root, read-only: what is lost is made again by the same process, and `rerun` asks for it."""
    command = ("run", "--verify", "1s", "--creates", "/tmp/made", "--", "touch", "/tmp/made")
    container = engine.docker("run", "-d", *LOCKED, images.inithold, *command)
    try:
        poll(lambda: health(engine, container) == "healthy", 60, "ready")
        assert "verifier.py" in engine.docker("exec", container, "cat", "/proc/1/cmdline")
        engine.docker("exec", container, "rm", "/tmp/made")
        again = "again: command: + /tmp/made"
        poll(lambda: again in engine.logs(container)[1], 60, "it runs again")
        said = poll(lambda: engine.docker("exec", container, "inithold", "health", check=False), 30, "an answer")
        poll(
            lambda: engine.docker("exec", container, "inithold", "health", check=False) == "ready",
            60,
            f"ready again, after {said}",
            every=0.3,
        )
        engine.docker("exec", container, "test", "-e", "/tmp/made")
        assert engine.run("docker", "exec", container, "inithold", "rerun").returncode == 0
        state = engine.get(f"/containers/{container}/json")
        assert (state["RestartCount"], state["State"]["Status"]) == (0, "running")
    finally:
        engine.docker("rm", "-f", container)


def test_a_technology_that_is_not_in_it_is_named(engine: Engine, images: Images, tmp_path: Path) -> None:
    plan = tmp_path / "inithold.yaml"
    plan.write_text(ROLES)
    mounted = ("-v", f"{plan}:/app/inithold.yaml:ro")
    tag = f"{images.registry}inithold:some"
    build_inithold(engine, images, tag, "--build-arg", "EXTRAS=otel,mysql")
    try:
        done = engine.run("docker", "run", "--rm", *mounted, tag, check=False)
        assert done.returncode == 2
        assert "pip install 'inithold[postgres]'" in done.stderr
        assert "postgres.roles" in engine.docker("run", "--rm", tag, "kinds")
    finally:
        engine.docker("rmi", "-f", tag)


def test_configs_are_refused_where_the_service_is_read_only(make_stack: Maker) -> None:
    """As image/README.md says: Compose copies the content into the container."""
    stack = alone(
        make_stack,
        "",
        command=None,
        volumes=None,
        configs=[{"source": "plan", "target": "/app/inithold.yaml"}],
    )
    content = yaml.safe_load((stack.folder / "compose.alone.yaml").read_text())
    content["configs"] = {"plan": {"content": plan_of("true")}}
    stack.write("compose.alone.yaml", yaml.safe_dump(content))
    done = stack.compose("up", "-d", "init", check=False)
    assert done.returncode != 0
    assert "read-only" in done.stderr.lower(), done.stderr


def test_the_sizes_in_its_readme_are_those_of_today(engine: Engine, images: Images) -> None:
    """Within a fifth: dependencies grow. Measured on the base that the README names."""
    if not images.wheels:
        pytest.skip("the README's base is the tests' own")
    text = (ROOT / "image" / "README.md").read_text()
    base = re.search(r"on a base of (\d+) MB", text)
    more = [int(number) for number in re.findall(r"(\d+) MB more than the base", text)]
    assert base and len(more) == 2
    tag = f"{images.registry}inithold:sizes"
    build_inithold(engine, images, tag, "--build-arg", "EXTRAS=")
    try:
        own = size(engine, images.base)
        found = [size(engine, image) - own for image in (images.inithold, tag)]
    finally:
        engine.docker("rmi", "-f", tag)
    print(f"base {own:.0f} MB; {found[0]:.0f} and {found[1]:.0f} MB more")
    for written, measured in zip([int(base[1]), *more], [own, *found], strict=True):
        assert abs(measured - written) <= written / 5, f"{measured:.0f} MB, and the README says {written}"


@pytest.fixture
def of_the_guide(engine: Engine, images: Images, tmp_path: Path) -> Iterator[str]:
    """The image that docs/how-to/in-your-own-image.md builds, of the example's sources.

    Where builds reach no index: on the stand-in base, which has catatonit, and from wheels.
    """
    (dockerfile,) = (block for block in blocks(GUIDE) if block.language == "dockerfile")
    text = dockerfile.text
    context = tmp_path / "app"
    shutil.copytree(EXAMPLE, context, ignore=shutil.ignore_patterns("__pycache__", "wheels", ".*"))
    wheels = Path(images.wheels or tmp_path / "none")
    own = tmp_path / "wheels"
    own.mkdir()
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)} if images.wheels else {}
    wheel = (sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(own), str(ROOT))
    engine.run(*wheel, environment=offline)
    install = "RUN --mount=type=bind,from=wheels,target=/wheels PIP_FIND_LINKS=/wheels"
    if images.wheels:
        for file in wheels.glob("*.whl"):
            shutil.copy(file, own)
        text = text.replace("FROM python:3.13-slim", f"FROM {images.base}")
        text = re.sub(r"^RUN apt-get.*\n", "", text, flags=re.MULTILINE)
        install += " PIP_NO_INDEX=1"
    assert "RUN pip install" in text
    (context / "Dockerfile").write_text(text.replace("RUN pip install", f"{install} pip install"))
    tag = f"{images.registry}of-the-guide:latest"
    build = ("docker", "buildx", "build", "-q", "-t", tag, "--build-context", f"wheels={own}", str(context))
    engine.run(*build, timeout=400)
    yield tag
    engine.docker("rmi", "-f", tag)


def test_the_guides_own_image(engine: Engine, of_the_guide: str) -> None:
    """It runs the plan without root and read-only, and has the bytecode of what was copied into it."""
    code = """
import importlib.util, pathlib
files = [*pathlib.Path("migrations").rglob("*.py"), *pathlib.Path("services").rglob("*.py")]
print(len(files) > 10, [str(f) for f in files if not pathlib.Path(importlib.util.cache_from_source(f)).exists()])
"""
    assert engine.docker("run", "--rm", of_the_guide, "python", "-c", code) == "True []"
    unset = engine.run("docker", "run", "--rm", *LOCKED, of_the_guide, check=False)
    assert unset.returncode == 2
    assert "${DATABASE_URL}: the variable is not set" in unset.stderr
    container = engine.docker("run", "-d", *LOCKED, of_the_guide, "inithold", "run", "--", "id", "-u")
    try:
        poll(lambda: "holding (catatonit" in engine.logs(container)[1], 60, "it holds")
        assert engine.logs(container)[0] == "10001\n"
    finally:
        engine.docker("rm", "-f", container)


def test_without_a_plan_it_says_what_to_do(engine: Engine, images: Images) -> None:
    done = engine.run("docker", "run", "--rm", images.inithold, check=False)
    assert done.returncode == 2
    assert "there is no inithold.yaml in /app" in done.stderr
    assert "put or mount one there, or name a plan as the argument" in done.stderr
    assert "inithold run -- COMMAND" in done.stderr
    assert "Traceback" not in done.stderr
