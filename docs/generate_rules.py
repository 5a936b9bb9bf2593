"""Write docs/reference/rules/ from the pages beside the compose rules, with an index.

python docs/generate_rules.py           write docs/reference/rules/
python docs/generate_rules.py --check   exit 1 if a page is missing, out of date, or has no rule
"""

from __future__ import annotations

import sys
from pathlib import Path

from inithold.compose.rules import RULES

FOLDER = Path(__file__).parent / "reference" / "rules"
HEAD = """\
# The rules of `inithold compose check`

Each finding names its rule. To silence it, put `# inithold: ignore[RULE]` on the line of the finding, alone on
the line above it, or beside the name of the service; separate several rules with commas. `inithold compose fix`
fixes the findings that say so, and those marked unsafe only with `--unsafe`.

| rule | what it finds |
| --- | --- |
"""


def pages() -> dict[str, str]:
    """Every page by its file name."""
    made = {}
    rows = []
    for rule in RULES:
        title, _, rest = rule.page.partition("\n")
        made[f"{rule.id}.md"] = f"# {rule.id}\n\n{title}.\n{rest}\n"
        rows.append(f"| [{rule.id}]({rule.id}.md) | {title} |")
    toctree = "\n".join(rule.id for rule in RULES)
    made["index.md"] = f"{HEAD}{chr(10).join(rows)}\n\n```{{toctree}}\n:hidden:\n\n{toctree}\n```\n"
    return made


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` report those that are out of date."""
    there = {path.name: path.read_text() for path in FOLDER.glob("*.md")} if FOLDER.is_dir() else {}
    wanted = pages()
    if "--check" in arguments:
        wrong = sorted(name for name in {*there, *wanted} if there.get(name) != wanted.get(name))
        for name in wrong:
            print(f"{FOLDER / name} is out of date; run docs/generate_rules.py", file=sys.stderr)
        return 1 if wrong else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in there.keys() - wanted.keys():
        (FOLDER / name).unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
