"""The Django example of docs/how-to/django.md, built on the image of image/Dockerfile and run."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.pages import DOCS, ROOT
from e2e.engine import Engine
from e2e.example_pages import check_files, check_sizes
from e2e.images import Images
from e2e.project import Project

EXAMPLE = ROOT / "examples" / "django"
PAGE = DOCS / "how-to" / "django.md"
ASK = """
import time, urllib.error, urllib.request
while True:
    try:
        print(urllib.request.urlopen("http://127.0.0.1:8000").read().decode())
        break
    except urllib.error.URLError as error:
        if not isinstance(error.reason, ConnectionRefusedError):
            raise
        time.sleep(0.1)
"""
NEW_MIGRATION = """
from django.db import migrations

class Migration(migrations.Migration):
    dependencies = [("catalog", "0001_initial")]
    operations = [migrations.RunSQL("INSERT INTO catalog_book (title) VALUES ('Dune')")]
"""


@pytest.fixture
def library(engine: Engine, images: Images, with_postgres: str, tmp_path: Path) -> Iterator[Project]:
    """The example, built under a name of its own."""
    folder = tmp_path / "library"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    variables = {**images.variables(), "INITHOLD_IMAGE": with_postgres, "IMAGE_REGISTRY": f"{tmp_path.name}/"}
    made = Project(engine, folder, {**variables, "WEB_PORT": "0"})
    made.environment["IMAGE_REGISTRY"] = f"{made.name}/"
    made.compose("build", "--quiet", timeout=400)
    yield made
    made.remove()
    made.run("docker", "rmi", "-f", f"{made.name}/library", check=False)


def books(made: Project) -> list[str]:
    """The titles that the app lists, once it listens: its container has no health check."""
    shown = made.compose("exec", "-T", "web", "python", "-c", ASK).stdout
    found: list[str] = json.loads(shown)["books"]
    return found


@pytest.mark.timeout(600)
def test_it_migrates_once_and_again_when_there_is_a_new_migration(library: Project) -> None:
    library.compose("up", "-d", "--wait")
    assert books(library) == ["The Hobbit"]
    library.compose("exec", "-T", "web", "python", "manage.py", "has_superuser")
    library.compose("up", "-d", "--wait")
    library.compose("up", "-d", "--wait", "--force-recreate", "web")
    log = library.compose("logs", "init").stdout
    assert log.count("holding") == 1, log
    (library.folder / "catalog" / "migrations" / "0002_dune.py").write_text(NEW_MIGRATION)
    library.compose("build", "--quiet", timeout=400)
    library.compose("up", "-d", "--wait")
    assert books(library) == ["Dune", "The Hobbit"]
    log = library.compose("logs", "init").stdout
    assert re.search(r"migrate +changed", log)
    assert re.search(r"superuser +unchanged", log)
    assert "change-me" not in log

    superuser = ("run", "--rm", "-T", "--no-deps", "init", "python", "manage.py", "createsuperuser", "--noinput")
    assert library.compose(*superuser, check=False).returncode != 0, "it fails if the user exists"
    library.compose("exec", "-T", "web", "python", "manage.py", "migrate", "--check")
    library.compose("exec", "-T", "db", "psql", "-U", "library", "-c", "DELETE FROM django_migrations")
    pending = library.compose("exec", "-T", "web", "python", "manage.py", "migrate", "--check", check=False)
    assert pending.returncode == 1

    check_sizes(PAGE, library, "web", ["/opt/inithold", "/usr/bin/catatonit"])


def test_the_page_shows_the_files_of_the_example() -> None:
    check_files(PAGE, EXAMPLE, {"Dockerfile", "inithold.yaml", "compose.yaml"})
