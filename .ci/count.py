"""Adds up pytest's JUnit files: count.py FOLDER [BROKEN PART]... The last line is "N passed, N failed"."""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree


def main(folder: Path, broken: list[str]) -> int:
    """Print the sum; 0 only where something passed, nothing failed and no part broke."""
    passed = failed = 0
    for file in sorted(folder.glob("*.xml")):
        for case in ElementTree.parse(file).iter("testcase"):  # noqa: S314 # written by our own pytest
            skipped = case.find("skipped")
            name = f"{case.get('classname')}.{case.get('name')}"
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
                print(f"failed: {name}")
            elif skipped is None:
                passed += 1
            elif file.stem == "e2e" and skipped.get("type") == "pytest.skip":
                failed += 1
                print(f"failed: {name} was skipped, and here nothing may be: {skipped.get('message')}")
    if broken:
        print(f"failed: {', '.join(broken)}")
        failed = max(failed, len(broken))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
