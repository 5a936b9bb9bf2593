"""The package of examples/redis-streams, which the page on writing a kind shows: installed by pip, and used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from servers.inithold import Inithold
from servers.redis import Redis

PACKAGE = Path(__file__).parents[2] / "examples" / "redis-streams"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pip has installed the package into, by its own build, with what is there already."""
    folder = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    install = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder), str(PACKAGE)]
    done = subprocess.run(install, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def env(site: Path, redis_server: Redis) -> dict[str, str | None]:
    return {"PYTHONPATH": str(site), "REDIS_URL": redis_server.url(5)}


def test_its_own_tests_pass(site: Path, redis_server: Redis, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, PACKAGE / "tests"],
        env={"PYTHONPATH": str(site), "REDIS_URL": redis_server.url(), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout + done.stderr


def test_it_is_listed_described_and_has_its_place_in_the_schema(
    run_inithold: Inithold, env: dict[str, str | None]
) -> None:
    assert "redis_streams.group  Create a consumer group" in run_inithold("kinds", env=env).stdout
    described = run_inithold("kinds", "redis_streams.group", env=env).stdout
    assert "XINFO GROUPS" in described and "start  (text; default: $)" in described
    assert '"redis_streams.group"' in run_inithold("schema", env=env).stdout


def test_plan_wait_and_run(run_inithold: Inithold, env: dict[str, str | None]) -> None:
    stream = f"events-{uuid4().hex[:8]}"
    plan = (PACKAGE / "inithold.yaml").read_text().replace("game_events", stream)
    (run_inithold.folder / "inithold.yaml").write_text(plan)
    line = f"+ group bots of stream {stream}"
    planned = run_inithold("plan", "--exit-code", env=env)
    assert (planned.returncode, line in planned.stdout) == (3, True), planned.stderr

    gate = run_inithold.start("wait", "--", "echo", "let in", env=env)
    gate.wait_for_output(line)
    done = run_inithold("run", "--once", env=env)
    assert done.returncode == 0, done.stderr
    assert gate.wait() == 0
    assert gate.stdout == "let in\n"
    assert run_inithold("plan", "--exit-code", env=env).returncode == 0


def test_its_password_is_shown_nowhere(run_inithold: Inithold, env: dict[str, str | None]) -> None:
    url = str(env["REDIS_URL"]).replace("pw-of-redis", "planted-password")
    plan = (PACKAGE / "inithold.yaml").read_text().replace('"${REDIS_URL}"', url)
    (run_inithold.folder / "inithold.yaml").write_text(plan)
    done = run_inithold("run", env=env)
    assert done.returncode == 1
    assert "planted-password" not in done.stdout + done.stderr


def test_its_check_needs_the_rights_that_it_names(
    run_inithold: Inithold, env: dict[str, str | None], redis_server: Redis
) -> None:
    import redis

    user, stream = f"user-{uuid4().hex[:8]}", f"events-{uuid4().hex[:8]}"
    with redis.Redis.from_url(redis_server.url()) as client:
        client.xgroup_create(stream, "bots", mkstream=True)
        client.execute_command("ACL", "SETUSER", user, "on", ">pw-of-few", f"~{stream}", "+xinfo|groups")
        plan = (PACKAGE / "inithold.yaml").read_text().replace("game_events", stream)
        (run_inithold.folder / "inithold.yaml").write_text(plan)
        few = {**env, "REDIS_URL": redis_server.url(user=user, password="pw-of-few")}
        try:
            done = run_inithold("wait", "--step", "group", "--timeout", "20s", env=few)
            assert done.returncode == 0, done.stderr
        finally:
            client.execute_command("ACL", "DELUSER", user)
            client.delete(stream)
