"""Adds up pytest's JUnit files: count.py FOLDER [BROKEN PART]... The last line is "N passed, N failed".

A file `PART-alone.xml` holds the second chance of the tests that failed in `PART.xml`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

ALONE = "-alone"


def main(folder: Path, broken: list[str]) -> int:
    """Print the sum; 0 only where something passed, nothing failed and no part broke."""
    passed = failed = 0
    for file in sorted(folder.glob("*.xml")):
        if file.stem.endswith(ALONE):
            continue
        again = file.with_name(f"{file.stem}{ALONE}.xml")
        recovered = {name for name, why in _results(again) if why is None} if again.exists() else set()
        for name, why in _results(file):
            if why is None:
                passed += 1
            elif name in recovered:
                passed += 1
                print(f"passed only alone: {name}")
            elif why:
                failed += 1
                print(f"failed: {name}{why}".rstrip())
    if broken:
        print(f"failed: {', '.join(broken)}")
        failed = max(failed, len(broken))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def _results(file: Path) -> Iterator[tuple[str, str | None]]:
    """Each test, and what is wrong with it: None where it passed, nothing where it was skipped and may be."""
    for case in ElementTree.parse(file).iter("testcase"):  # noqa: S314 # written by our own pytest
        name = f"{case.get('classname')}.{case.get('name')}"
        skipped = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            yield name, " "
        elif skipped is None:
            yield name, None
        elif file.stem.startswith("e2e") and skipped.get("type") == "pytest.skip":
            yield name, f" was skipped, and here nothing may be: {skipped.get('message')}"
        else:
            yield name, ""


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
