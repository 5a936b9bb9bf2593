"""The first Compose example of the README and the last part of the tutorial, as pasted.

Only the images differ: the reader's own, and those that this machine can have.
"""

from __future__ import annotations

import yaml

from docs.pages import DOCS, ROOT, blocks
from e2e.conftest import Maker
from e2e.images import STAND_INS

IMAGES = {"postgres:17": STAND_INS["POSTGRES_IMAGE"]}


def test_the_first_example_works_as_pasted(make_stack: Maker) -> None:
    first = next(block for block in blocks(ROOT / "README.md") if block.language == "yaml")
    stack = make_stack("compose.readme.yaml")
    content = yaml.safe_load(first.text)
    for service in content["services"].values():
        own = stack.images.example if service["image"] == "my-app" else service["image"]
        service["image"] = IMAGES.get(own, own) if stack.images.wheels else own
        service["pull_policy"] = "never"
    content["services"]["api"]["command"] = ["sleep", "600"]
    stack.write("compose.readme.yaml", yaml.safe_dump(content))
    stack.compose("up", "-d", "--wait")
    assert stack.health("init") == "healthy"
    tables = stack.compose("exec", "-T", "db", "psql", "-U", "postgres", "-Atc", "SELECT count(*) FROM users")
    assert tables.stdout.strip() == "0"
    before = stack.logs("init")
    stack.compose("up", "-d", "--wait", "--force-recreate", "--no-deps", "api")
    assert stack.logs("init") == before


def test_the_tutorial_s_stack_works_as_pasted(make_stack: Maker) -> None:
    page = list(blocks(DOCS / "tutorial" / "first-init.md"))
    plan = next(block.text for block in page if block.language == "yaml" and "pg_tables" in block.text)
    (dockerfile,) = (block.text for block in page if block.language == "dockerfile")
    content = yaml.safe_load(
        next(block.text for block in page if block.language == "yaml" and "build: ." in block.text)
    )
    stack = make_stack("compose.tutorial.yaml")
    base, install, *rest = dockerfile.splitlines()
    assert base == "FROM python:3.13-slim" and install == "RUN pip install --no-cache-dir 'inithold[postgres]'"
    stack.write("tutorial/Dockerfile", "\n".join([f"FROM {stack.images.example}", "USER root", *rest]))
    stack.write("tutorial/inithold.yaml", plan)
    content["services"]["init"]["build"] = "./tutorial"
    content["services"]["init"]["image"] = f"{stack.images.registry}tutorial:latest"
    if stack.images.wheels:
        content["services"]["db"] |= {"image": STAND_INS["POSTGRES_IMAGE"], "pull_policy": "never"}
    content["services"]["api"] |= {"image": stack.images.base, "pull_policy": "never"}
    stack.write("compose.tutorial.yaml", yaml.safe_dump(content))
    stack.compose("up", "-d", "--wait", "--build")
    assert stack.health("init") == "healthy"
    players = stack.compose("exec", "-T", "db", "psql", "-U", "app", "game", "-Atc", "SELECT name FROM players")
    assert players.stdout.split() == ["Ada", "Grace"]
    stack.compose("restart", "api")
    stack.compose("up", "-d", "--wait")
    runs = stack.exec("init", "inithold", "status", "--all", "--json").stdout
    assert runs.count('"run_id"') == 1, "it still shows one run"
