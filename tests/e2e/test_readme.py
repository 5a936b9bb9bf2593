"""The README's first Compose example, as pasted: with an image that has inithold and Alembic, and nothing else."""

from __future__ import annotations

import yaml

from docs.pages import ROOT, blocks
from e2e.conftest import Maker
from e2e.images import STAND_INS

IMAGES = {"postgres:17": STAND_INS["POSTGRES_IMAGE"]}


def test_the_first_example_works_as_pasted(make_stack: Maker) -> None:
    first = next(block for block in blocks(ROOT / "README.md") if block.language == "yaml")
    stack = make_stack("compose.readme.yaml")
    content = yaml.safe_load(first.text)
    # Only the images differ: the reader's own, and those that this machine can have.
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
