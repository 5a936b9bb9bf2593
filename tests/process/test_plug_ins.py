"""Step kinds of other packages, found by the entry-point group `inithold.steps`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from servers.inithold import Inithold

MODULE = '''
from inithold import Change, NotYet, Step, StepContext


class Bucket(Step, frozen=True, kw_only=True):
    """Make a folder, as a bucket.

    Args:
        name: of the bucket.
        public: whether anybody may read it.

    Example:
        ```yaml
        - {id: b, uses: store.folder, with: {name: pictures}}
        ```
    """

    kind = "store.folder"
    rights = "to list buckets"

    name: str
    public: bool = False

    def subject(self):
        return f"bucket {self.name}"

    def check(self, context):
        from pathlib import Path
        return () if Path(self.name).exists() else (Change("+", f"bucket {self.name}"),)

    def apply(self, context, changes):
        from pathlib import Path
        context.log("making it")
        Path(self.name).mkdir()


class Nameless(Step, frozen=True, kw_only=True):
    kind = "store.nameless"


not_a_step = 3
'''
ENTRY_POINTS = """[inithold.steps]
store.folder = some_store.steps:Bucket
store.nameless = some_store.steps:Nameless
store.broken = some_store.absent:Bucket
store.raises = some_store.raises:Bucket
store.lacking = some_store.steps:Lacking
store.number = some_store.steps:not_a_step
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str | None]:
    """An installed package, as pip leaves one."""
    site = tmp_path / "site"
    (site / "some_store").mkdir(parents=True)
    (site / "some_store" / "__init__.py").touch()
    (site / "some_store" / "steps.py").write_text(MODULE)
    (site / "some_store" / "raises.py").write_text("raise RuntimeError('needs a newer libc')\n")
    info = site / "some_store-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-store\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return {"PYTHONPATH": str(site)}


def write(run_inithold: Inithold, step: str) -> None:
    (run_inithold.folder / "inithold.yaml").write_text(f"version: 1\nname: plug-in\nsteps:\n  - {step}\n")


def test_is_listed_and_described(run_inithold: Inithold, env: dict[str, str | None]) -> None:
    listed = run_inithold("kinds", env=env)
    assert listed.returncode == 0, listed.stderr
    lines = {line.split()[0]: line.split(maxsplit=1)[-1] for line in listed.stdout.splitlines()}
    assert lines["store.folder"] == "Make a folder, as a bucket."
    assert "database.ready" in lines
    assert "store.nameless" in lines
    for name in ("store.broken", "store.raises", "store.lacking", "store.number"):
        assert "cannot be loaded" in lines[name]
    described = run_inithold("kinds", "store.folder", env=env).stdout
    for said in ("whether anybody may read it", "name  (text; required)", "to list buckets", "uses: store.folder"):
        assert said in described


def test_is_in_the_schema(run_inithold: Inithold, env: dict[str, str | None]) -> None:
    done = run_inithold("schema", env=env)
    assert done.returncode == 0, done.stderr
    assert "store.folder" in json.loads(done.stdout)["$defs"]["StepEntry"]["properties"]["uses"]["enum"]


def test_is_run_as_any_other(run_inithold: Inithold, env: dict[str, str | None], tmp_path: Path) -> None:
    write(run_inithold, "{id: b, uses: store.folder, with: {name: '${NAME}', public: true}}")
    env["NAME"] = "pictures"
    assert "+ bucket pictures" in run_inithold("plan", env=env).stdout
    done = run_inithold("run", "--once", env=env)
    assert done.returncode == 0, done.stderr
    assert "making it" in done.stderr
    assert (tmp_path / "pictures").is_dir()
    assert run_inithold("wait", env=env).returncode == 0


def test_its_fields_are_checked(run_inithold: Inithold, env: dict[str, str | None]) -> None:
    write(run_inithold, "{id: b, uses: store.folder, with: {nmae: x, public: perhaps}}")
    done = run_inithold("run", env=env)
    assert done.returncode == 2
    assert "inithold.yaml:4:" in done.stderr
    assert "unknown key 'nmae'; did you mean 'name'?" in done.stderr
    assert "public: " in done.stderr


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("store.broken", "No module named 'some_store.absent'"),
        ("store.raises", "RuntimeError: needs a newer libc"),
        ("store.lacking", "Lacking"),
        ("store.number", "not a subclass of inithold.Step"),
    ],
)
def test_one_that_cannot_be_loaded(
    run_inithold: Inithold, env: dict[str, str | None], kind: str, said: str
) -> None:
    write(run_inithold, f"{{id: b, uses: {kind}}}")
    done = run_inithold("plan", env=env)
    assert done.returncode == 2, done.stderr
    assert f"kind '{kind}' cannot be loaded: " in done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    described = run_inithold("kinds", kind, env=env)
    assert described.returncode == 2
    assert said in described.stderr


def test_an_unknown_one_names_the_nearest(run_inithold: Inithold, env: dict[str, str | None]) -> None:
    write(run_inithold, "{id: b, uses: store.foldr, with: {name: x}}")
    assert "did you mean 'store.folder'?" in run_inithold("plan", env=env).stderr


def test_in_a_plan_written_in_python(run_inithold: Inithold, env: dict[str, str | None], tmp_path: Path) -> None:
    (tmp_path / "init.py").write_text(
        "from inithold import Plan\nfrom some_store.steps import Bucket\n"
        "plan = Plan('python')\n"
        "made = plan.add(Bucket(name='songs'))\n"
        "@plan.step(needs=[made])\ndef seed(ctx):\n    ctx.log('seeding ' + ctx.step_id)\n"
        "@plan.step(check=lambda: True)\nasync def warm(): ...\n"
        "if __name__ == '__main__':\n    raise SystemExit(plan.run())\n"
    )
    env["PYTHONPATH"] = f"{env['PYTHONPATH']}:{tmp_path}"
    planned = run_inithold("plan", "init:plan", env=env)
    assert planned.returncode == 0, planned.stderr
    assert "+ bucket songs" in planned.stdout
    init = run_inithold.start(program=(sys.executable, "init.py"), env={**env, "INITHOLD_ONCE": "1"})
    assert init.wait() == 0, init.stderr
    assert "seeding seed" in init.stderr
    steps = json.loads(run_inithold("status", "--json").stdout)["steps"]
    assert {step["id"]: step["state"] for step in steps} == {
        "store.folder": "changed",
        "seed": "changed",
        "warm": "unchanged",
    }
