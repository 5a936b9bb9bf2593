"""No page, message or metadata names a version or an address of the project that does not exist."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

from docs.pages import ROOT, documents
from inithold.version import DOCUMENTATION

OWN = re.compile(
    r"(?:https?://[\w.-]*inithold[\w.-]*|\b[\w-]*inithold[\w-]*\.(?:readthedocs\.)?(?:io|org|dev)\b"
    r"|\b(?:github\.com|ghcr\.io|pypi\.org|docker\.io)/[\w./-]*inithold)[\w./-]*"
)
DERIVED = tuple(f"docs/reference/{name}.schema.json" for name in ("plan", "preview", "record"))
"""Made from the constant, as are the first lines of drafts."""


def files() -> Iterator[tuple[str, str]]:
    """Every text file of the repository and what it says."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = [name for name in listed.stdout.split("\0") if name] or [
        str(path.relative_to(ROOT)) for folder in ("docs", "src", "tests") for path in (ROOT / folder).rglob("*.*")
    ]
    for name in names:
        path = ROOT / name
        if path.is_file() and path.suffix not in (".png", ".pyc") and name != "tests/docs/test_addresses.py":
            yield name, path.read_text(errors="replace")


def test_one_place_names_an_address_of_the_project() -> None:
    wrong = []
    for name, text in files():
        for line in text.splitlines():
            for address in OWN.findall(line):
                derived = name in DERIVED or "# yaml-language-server: $schema=" in line
                foreign = "acme" in address or "example" in address or "somebody" in address  # stacks of tests
                place = name in ("src/inithold/version.py", "README.md")
                if not (place or foreign or (derived and address.startswith(DOCUMENTATION))):
                    wrong.append(f"{name}: {address}")
    assert not wrong


def test_the_readme_says_that_there_is_no_release_yet() -> None:
    """The first release changes that sentence, and with it this test."""
    install = (ROOT / "README.md").read_text().partition("## Install")[2]
    assert "There is no release yet" in install
    assert DOCUMENTATION in install
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()


def test_no_page_names_a_release() -> None:
    named = [
        f"{path.name}: {found[0]}"
        for path in [*documents(), *ROOT.glob("*.md"), ROOT / "image" / "README.md"]
        for found in re.finditer(r"inithold(?:==|>=|~=|:|@| )v?\d+\.\d+|\bv0\.\d+\.\d+", path.read_text())
    ]
    assert not named


def test_files_that_pages_name_are_there() -> None:
    examples = ("nats.py", "inithold_folder.py")
    named = r"`((?:examples|benchmarks|image|tests|scripts|demo|docs|src)/[\w./-]+)`"
    missing = [
        f"{path.name}: {found[1]}"
        for path in [*documents(), *ROOT.glob("*.md")]
        for found in re.finditer(named, path.read_text())
        if not (ROOT / found[1]).exists() and not found[1].endswith(examples)
    ]
    assert not missing
