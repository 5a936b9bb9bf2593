"""What else people use, beside inithold: `make rivals` runs it and writes the tables of two pages.

Four ways to wire one init service into a Compose stack, over the same operations on a Docker engine; and
`ansible-playbook --check` for the same roles, database and grants on a PostgreSQL server.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.result import keep, kept, machine
from e2e import engine as engines
from e2e import images as image_builds
from e2e.project import COMPOSE_5, exports
from e2e.stack import Stack
from e2e.wirings import NOTHING_TO_DO, OPERATIONS, RECREATED, WIRINGS, Operation, perform, wire
from servers.ansible import ansible_playbook
from servers.postgresql import PostgreSQL

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "explanation" / "beside-others.md"
README = ROOT / "README.md"
PLAYBOOK = Path(__file__).with_name("playbook")
DRIFT = ("ALTER ROLE game_app NOLOGIN", "REVOKE USAGE ON SCHEMA public FROM game_app")


# -- four wirings of one init


def operations_table(results: Mapping[str, Sequence[Operation]]) -> str:
    """Runs of init so far and seconds of the last command, for each operation and wiring."""
    rows = [("docker compose", *results), ("---", *["--:"] * len(results))]
    for index, commands in enumerate(OPERATIONS):
        cells = [f"{one[index].runs}, {one[index].seconds:.1f} s" for one in results.values()]
        rows.append((f"`{'; '.join(commands)}`", *cells))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def summary(page: str) -> str:
    """The README's lines, from the page: all runs, an `up` with nothing to do, a dependent that is recreated."""
    lines = kept(page, "wirings").splitlines()
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    head, _, *operations = [row for row in rows if len(row) > 1]
    runs = [cell.partition(",")[0] for cell in operations[-1][1:]]
    seconds = lambda index: [cell.partition(", ")[2] for cell in operations[index][1:]]  # noqa: E731
    shown = [
        (f"over {len(operations)} operations of Compose", *head[1:]),
        ("---", *["--:"] * len(runs)),
        ("runs of init", *runs),
        ("`up -d` with nothing to do", *seconds(NOTHING_TO_DO)),
        ("recreating a service that waits for init", *seconds(RECREATED)),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in shown)


def wirings() -> str:
    """Measure all four; the table."""
    engine = engines.find()
    engine = replace(engine, environment={**engine.environment, **exports(COMPOSE_5)})
    results: dict[str, list[Operation]] = {}
    with image_builds.built(engine) as images, tempfile.TemporaryDirectory() as folder:
        for name, wiring in WIRINGS.items():
            stack = Stack(engine, images, Path(folder))
            wire(stack, wiring)
            try:
                results[name] = perform(stack)
            finally:
                stack.down()
            print(f"{name}: {results[name][-1].runs} runs", file=sys.stderr, flush=True)
    return f"{machine()}, Compose {COMPOSE_5}\n\n{operations_table(results)}"


# -- a preview of roles, a database and grants


@dataclass(frozen=True)
class Preview:
    """What a preview said of a server, and what it cost.

    Args:
        exit: its exit code.
        output: standard output and error.
        processor_time: in seconds, of all its processes.
    """

    exit: int
    output: str
    processor_time: float

    @property
    def changed(self) -> list[str]:
        """Of a playbook: the tasks that are marked as changed."""
        return re.findall(r"^TASK \[(.+?)\] \*+\n(?:[^\n]+\n)*?changed:", self.output, re.MULTILINE)

    @property
    def changes(self) -> list[str]:
        """Of a plan: the lines of difference."""
        return [found[0].strip() for found in re.finditer(r"(?<= )[+~] .+$", self.output, re.MULTILINE)]


def _run(command: Sequence[str | Path], environment: Mapping[str, str]) -> Preview:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Preview(done.returncode, done.stdout + done.stderr, spent)


def previews() -> dict[str, tuple[Preview, Preview]]:
    """What inithold and what the playbook say of a server: empty, all in place, after drift by hand."""
    with PostgreSQL() as server, tempfile.TemporaryDirectory() as home:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": home,
            "LC_ALL": "C.UTF-8",
            "SERVER_URL": server.dsn("").rstrip("/"),
            "PGPORT": str(server.port),
            "PGUSER": server.user,
            "PGPASSWORD": server.password,
            "ADMIN_PASSWORD": "admin-of-the-games",
            "APP_PASSWORD": "app-of-the-games",
            "INITHOLD_MARKER": f"{home}/marker",
        }
        inithold = (sys.executable, "-m", "inithold")
        plan, playbook = PLAYBOOK / "inithold.yaml", PLAYBOOK / "playbook.yaml"
        ansible = (ansible_playbook(), "-i", "localhost,", playbook)

        def both() -> tuple[Preview, Preview]:
            return (
                _run([*inithold, "plan", plan], environment),
                _run([*ansible, "--check", "--diff"], environment),
            )

        found = {"an empty server": both()}
        for apply in (ansible, (*inithold, "run", "--once", plan)):  # each must find nothing left to do
            if (done := _run(apply, environment)).exit:
                raise RuntimeError(done.output)
        found["all in place"] = both()
        for statement in DRIFT:
            server.execute(statement, "games")
        found["after drift by hand"] = both()
        return found


def previews_table(found: Mapping[str, tuple[Preview, Preview]]) -> str:
    """What each says, and the ratio of processor time."""
    empty, same, drift = found.values()
    ratio = same[1].processor_time / same[0].processor_time
    reason = re.search(r"Module failed: (.+)", empty[1].output)
    rows = [
        ("PostgreSQL", "`inithold plan`", "`ansible-playbook --check --diff`"),
        ("---",) * 3,
        (
            "an empty server",
            f"exit {empty[0].exit}, {len(empty[0].changes)} changes listed",
            f"exit {empty[1].exit}: {reason[1] if reason else ''}",
        ),
        (
            "all in place",
            f"nothing to change; {same[0].processor_time:.2f} s of processor time",
            f"nothing to change; {same[1].processor_time:.2f} s, {ratio:.0f} times as much",
        ),
        (
            "after `ALTER ROLE ... NOLOGIN` and `REVOKE USAGE` by hand",
            "<br>".join(f"`{line}`" for line in drift[0].changes),
            "<br>".join(f'`changed` at the task "{task}"' for task in drift[1].changed) + ", without what",
        ),
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def write_readme() -> None:
    """Bring the README up to the page."""
    keep(README, summary(PAGE.read_text()), "wirings")


def main(names: Sequence[str]) -> int:
    """Measure all, or `wirings` or `previews` alone."""
    if not names or "previews" in names:
        keep(PAGE, previews_table(previews()), "previews")
    if not names or "wirings" in names:
        keep(PAGE, wirings(), "wirings")
    write_readme()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
