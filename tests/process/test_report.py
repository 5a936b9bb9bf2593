"""`inithold report` as a process: where it reads from, where it writes to, and how it says no."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from records import failed, ready, write
from servers.inithold import Inithold
from stopping import until

PLAN = "version: 1\nname: reported\nsteps:\n"
STEPS = "  - {id: make, uses: command.run, with: {run: [touch, made], creates: made}}\n"


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The record of a run."""
    run_inithold = Inithold(tmp_path_factory.mktemp("ran"))
    (run_inithold.folder / "inithold.yaml").write_text(PLAN + STEPS)
    assert run_inithold("run", "--once").returncode == 0
    return Path(f"{run_inithold.marker}.record.json").read_bytes()


@pytest.fixture
def ran(record: bytes, tmp_path: Path) -> Path:
    """The record where a run in the test's folder leaves it."""
    (tmp_path / "inithold.yaml").write_text(PLAN + STEPS)
    (tmp_path / "init-complete.record.json").write_bytes(record)
    return tmp_path / "init-complete.record.json"


def test_the_current_record_is_the_default(run_inithold: Inithold, ran: Path, tmp_path: Path) -> None:
    done = run_inithold("report", "-o", "report.html")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{tmp_path}/report.html\n", "")
    page = (tmp_path / "report.html").read_text()
    assert "<title>reported: ready in " in page
    assert "+</span> made" in page
    assert [path.name for path in tmp_path.glob("*.new")] == []


def test_the_record_of_a_real_run_tells_its_phases_apart(ran: Path) -> None:
    (step,) = json.loads(ran.read_text())["steps"]
    assert [phase["phase"] for phase in step["phases"]] == ["checking", "applying", "checking"]
    assert step["started"] <= step["phases"][0]["at"] <= step["phases"][1]["at"] <= step["ended"]


@pytest.mark.parametrize("variable", ["INITHOLD_RECORD", "INITHOLD_MARKER"])
def test_variables_say_where_the_record_is(run_inithold: Inithold, ran: Path, variable: str) -> None:
    value = str(ran) if variable == "INITHOLD_RECORD" else str(run_inithold.marker)
    env = {"INITHOLD_MARKER": "/nowhere", "INITHOLD_OUTPUT": str(ran.parent / "r.html")} | {variable: value}
    assert run_inithold("report", env=env).returncode == 0
    assert (ran.parent / "r.html").exists()


def test_two_records_are_compared_and_three_are_listed(run_inithold: Inithold, ran: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert run_inithold("run", "--once").returncode == 0
    names = ["init-complete.record.json", "init-complete.record.1.json", "init-complete.record.2.json"]
    assert "two runs compared" in run_inithold("report", *names[:2], "-o", "-").stdout
    assert "3 runs of reported" in run_inithold("report", *names, "-o", "-").stdout


def test_it_says_where_it_wrote(run_inithold: Inithold, ran: Path, tmp_path: Path) -> None:
    done = run_inithold("report", "-o", "page.html", env={"INITHOLD_RECORD": str(ran)})
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{tmp_path}/page.html\n", "")
    assert run_inithold("report", "-o", "/dev/null", env={"INITHOLD_RECORD": str(ran)}).stdout == ""


def test_a_failed_run_beside_a_ready_one_is_said_first(run_inithold: Inithold, tmp_path: Path) -> None:
    records = []
    for command in ("true", "false"):
        text = f"steps:\n  - {{id: only, uses: command.run, with: {{run: '{command}'}}}}\n"
        (tmp_path / "inithold.yaml").write_text(text)
        records.append(tmp_path / f"{command}.json")
        run_inithold("run", "--once", "--record", records[-1])
    page = run_inithold("report", *records, "-o", "-").stdout
    verdict = "The earlier run was ready; the later run failed at only."
    assert verdict in page
    assert page.index(verdict) < page.index("the whole run") < page.index("Ended otherwise")
    assert "verdict" not in run_inithold("report", records[0], records[0], "-o", "-").stdout.partition("<h1>")[2]


@pytest.mark.parametrize("arguments", [["status", "--json"], ["status", "--all", "--json"]])
def test_status_can_be_piped_into_it(ran: Path, tmp_path: Path, arguments: list[str]) -> None:
    inithold = [sys.executable, "-m", "inithold"]
    env = {"PATH": os.environ["PATH"], "INITHOLD_RECORD": str(ran)}
    status = subprocess.run([*inithold, *arguments], env=env, capture_output=True, check=True)
    command = [*inithold, "report", "-", "-o", "-"]
    done = subprocess.run(
        command, input=status.stdout, env={"PATH": ""}, cwd=tmp_path, capture_output=True, check=True
    )
    assert done.stdout.startswith(b"<!doctype html>")
    assert done.stdout.endswith(b"</html>")


def test_a_missing_record_is_one_clear_line(run_inithold: Inithold, tmp_path: Path) -> None:
    done = run_inithold("report", "-o", "report.html")
    assert done.returncode == 1
    assert done.stderr.startswith(f"inithold: there is no record at {run_inithold.marker}.record.json\nnext: ")
    assert not (tmp_path / "report.html").exists()


def test_a_bad_record_leaves_the_report_that_was_there(run_inithold: Inithold, ran: Path, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("kept")
    (tmp_path / "bad.json").write_text('{"half": ')
    done = run_inithold("report", ran, "bad.json", "-o", "report.html")
    assert done.returncode == 1
    assert "bad.json is not an inithold record" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "report.html").read_text() == "kept"


@pytest.mark.parametrize("target", ["absent/report.html", ".", "inithold.yaml/report.html"])
def test_where_it_cannot_be_written_it_says_so(run_inithold: Inithold, ran: Path, target: str) -> None:
    done = run_inithold("report", "-o", target)
    assert done.returncode == 1
    assert f"the report cannot be written to {target}: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_link_is_followed_and_a_device_is_not_replaced(
    run_inithold: Inithold, ran: Path, tmp_path: Path
) -> None:
    (tmp_path / "link.html").symlink_to(tmp_path / "real.html")
    assert run_inithold("report", "-o", "link.html").returncode == 0
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "real.html").read_text().startswith("<!doctype html>")
    assert "<!doctype html>" in run_inithold("report", "-o", "/dev/stdout").stdout
    assert run_inithold("report", "-o", "/dev/null").returncode == 0
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_pipe_is_written_where_somebody_reads_it(run_inithold: Inithold, ran: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = run_inithold("report", "-o", "pipe", seconds=20)
    assert done.returncode == 1
    assert "the report cannot be written to pipe: nobody reads it" in done.stderr
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE) as reader:
        until(lambda: run_inithold("report", "-o", "pipe", seconds=20).returncode == 0, 20)
        assert reader.communicate()[0].startswith(b"<!doctype html>")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_full_device_is_told(run_inithold: Inithold, ran: Path) -> None:
    done = run_inithold("report", "-o", "/dev/full")
    assert done.returncode == 1
    assert "No space left on device" in done.stderr


def test_without_the_extra_one_line_says_how_to_get_it(run_inithold: Inithold, ran: Path, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import sys\n"
        "class Without:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'jinja2':\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Without())\n"
    )
    done = run_inithold("report", "-o", "report.html", env={"PYTHONPATH": str(tmp_path / "site")})
    assert done.returncode == 1
    assert done.stderr == (
        "inithold: the report needs an extra that is not installed: pip install 'inithold[report]'\n"
    )
    assert run_inithold("report", "--help", env={"PYTHONPATH": str(tmp_path / "site")}).returncode == 0


def test_no_secret_comes_into_the_page(run_inithold: Inithold, tmp_path: Path) -> None:
    url = "postgresql://app:hunter2hunter2@127.0.0.1:1/games"
    step = f"  - {{id: db, uses: database.ready, timeout: 300ms, with: {{url: '{url}'}}}}\n"
    say = "  - {id: say, uses: command.run, needs: [], with: {run: [sh, -c, 'echo $API_TOKEN; exit 1']}}\n"
    (tmp_path / "inithold.yaml").write_text(PLAN + step + say)
    assert run_inithold("run", "--once", env={"API_TOKEN": "sesame-sesame"}).returncode == 1
    page = run_inithold("report", "-o", "-").stdout
    assert "app@127.0.0.1:1" in page
    assert "hunter2" not in page
    assert "sesame-sesame" not in page


def test_records_as_files_are_read(run_inithold: Inithold, tmp_path: Path) -> None:
    write(ready(), tmp_path / "a.json")
    write(failed(began=1_770_003_600.0), tmp_path / "b.json")
    assert run_inithold("report", "b.json", "a.json", "-o", "r.html").returncode == 0
    assert "two runs compared" in (tmp_path / "r.html").read_text()
