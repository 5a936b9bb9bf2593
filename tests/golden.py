"""Messages for people, kept as files: `tests/golden/<technology>/<case>.txt`, read like any other text in review.

`UPDATE_GOLDEN=1 python -m pytest ...` writes them again. Where another version of a server says it in other words,
`<case>.<server and version>.txt` has those.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"


def assert_golden(
    case: str, message: str, hint: str | None = None, *, varying: Mapping[str, str] | None = None
) -> None:
    """Compare what a failure says with its file.

    Args:
        case: `technology/what-happens`.
        message: what failed and what was seen.
        hint: what to do next.
        varying: what differs from run to run, such as a port or a temporary folder, and what stands for it.
    """
    text = f"{message}\n" if hint is None else f"{message}\nhint: {hint}\n"
    # The longest first: a port may be part of a folder's name.
    for value, name in sorted((varying or {}).items(), key=lambda item: -len(item[0])):
        text = text.replace(value, name)
    file = FOLDER / f"{case}.txt"
    others = [other.read_text() for other in file.parent.glob(f"{file.stem}.*.txt")]
    if os.environ.get("UPDATE_GOLDEN"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert file.is_file(), f"{file} is missing: UPDATE_GOLDEN=1 writes it\n{text}"
    assert text in others or text == file.read_text()
