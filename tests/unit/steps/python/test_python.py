"""python.call and the functions of plans written in Python."""

from __future__ import annotations

import asyncio
import logging
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cancelling import cancelled
from golden import assert_golden
from inithold.errors import NotYet
from inithold.lifecycle.python_plan import Plan
from inithold.plan.model import Retry
from inithold.runner.context import Context
from inithold.runner.events import Span
from inithold.runner.stream import Stream
from inithold.steps.base import Change, Step, StepContext
from inithold.steps.python import Call, Function
from inithold.testing import Driven, check, drive
from inithold.text.duration import Duration
from promptness import PROMPTLY

Module = Callable[[str], str]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Module:
    """Writes a module of the test's own into the working directory, and says its name."""
    monkeypatch.chdir(tmp_path)
    names: list[str] = []

    def write(source: str) -> str:
        name = f"module_{len(names)}"
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        names.append(name)
        return name

    return write


def failed(step: Step, case: str, name: str = "", **options: Any) -> Driven:
    result = drive(step, **options)
    assert result.outcome == "failed"
    varying = {name: "MODULE", str(Path.cwd()): "CWD"} if name else None
    assert_golden(f"python/{case}", result.reason, result.finished.hint, varying=varying)
    return result


# -- calling


def test_a_function_is_called_with_its_arguments(module: Module) -> None:
    name = module("def main(games, *, title='none'):\n    print(games, title)")
    step = Call(call=f"{name}:main", args={"games": 20, "title": "chess"})
    result = drive(step)
    assert (result.outcome, result.changes, result.log) == ("changed", ("? runs each time",), ("20 chess",))
    assert not step.verifiable
    assert drive(step).outcome == "changed"


def test_a_function_may_sit_in_a_class(module: Module) -> None:
    name = module("class A:\n    class B:\n        @staticmethod\n        def main(): print('deep')")
    assert drive(Call(call=f"{name}:A.B.main")).log == ("deep",)


def test_a_parameter_ctx_gets_the_context(module: Module) -> None:
    name = module(
        """
        def main(ctx):
            ctx.log("loud", level="warning")
            ctx.log("of " + ctx.step_id + " " + ctx.environ["TRACEPARENT"][:3])
            assert 0 < ctx.remaining(5) <= 5
            ctx.check_cancelled()
        def only(ctx, /): ctx.log("positional")
        def optional(ctx=None): ctx.log("optional")
        """
    )
    result = drive(Call(call=f"{name}:main"))
    assert result.log == ("loud", "of step 00-")
    assert drive(Call(call=f"{name}:only")).log == ("positional",)
    assert drive(Call(call=f"{name}:optional")).log == ("optional",)


def test_a_coroutine_function_is_awaited(module: Module) -> None:
    name = module(
        """
        import asyncio
        async def main():
            await asyncio.sleep(0.01)
            print("awaited")
        async def is_done():
            return False
        """
    )
    assert drive(Call(call=f"{name}:main")).log == ("awaited",)
    assert len(check(Call(call=f"{name}:main", check_=f"{name}:is_done"))) == 1


def test_cancelling_cancels_a_coroutine(module: Module) -> None:
    name = module(
        """
        import asyncio
        from pathlib import Path
        async def main():
            Path("began").touch()
            try:
                await asyncio.sleep(60)
            finally:
                print("cleaned up")
        """
    )
    result, seconds = cancelled(Call(call=f"{name}:main"), Path("began").exists)
    assert result.outcome == "cancelled"
    assert seconds < PROMPTLY
    assert result.log[-1] == "cleaned up"


def test_a_coroutine_ends_when_its_time_is_up(module: Module) -> None:
    name = module("import asyncio\nasync def main(): await asyncio.sleep(60)")
    began = time.monotonic()
    failed(Call(call=f"{name}:main"), "time-is-up", name, timeout=0.3)
    assert time.monotonic() - began < 5


def test_cancelling_reaches_a_function_that_asks(module: Module) -> None:
    name = module(
        """
        import time
        from pathlib import Path
        def main(ctx):
            Path("began").touch()
            while True:
                ctx.check_cancelled()
                time.sleep(0.01)
        """
    )
    result, seconds = cancelled(Call(call=f"{name}:main"), Path("began").exists)
    assert result.outcome == "cancelled"
    assert seconds < PROMPTLY


# -- guards

GUARDED = """
from pathlib import Path
done = Path("done").exists
def main(): Path("done").touch()
def yes_or_no(): return done()
def truthy(): return 1 if done() else 0
def changes(): return [] if done() else ["+ user admin", "~ role a -> b", "game chess"]
def generated():
    if not done(): yield "+ user admin"
def of_ctx(ctx): ctx.log("asked"); return done()
def of_argument(title): return done() and title == "chess"
async def awaited(): return done()
"""


@pytest.mark.parametrize(
    ("guard", "changes"),
    [
        ("yes_or_no", ("+ call MODULE:main",)),
        ("truthy", ("+ call MODULE:main",)),
        ("changes", ("+ user admin", "~ role a -> b", "+ game chess")),
        ("generated", ("+ user admin",)),
        ("of_ctx", ("+ call MODULE:main",)),
        ("awaited", ("+ call MODULE:main",)),
    ],
)
def test_a_guard_lets_it_run_once(module: Module, guard: str, changes: tuple[str, ...]) -> None:
    name = module(GUARDED)
    step = Call(call=f"{name}:main", check_=f"{name}:{guard}")
    assert step.verifiable
    first = drive(step)
    assert first.outcome == "changed"
    assert tuple(change.replace(name, "MODULE") for change in first.changes) == changes
    assert drive(step).outcome == "unchanged"


def test_a_guard_gets_the_arguments_it_knows(module: Module) -> None:
    name = module(GUARDED.replace("def main():", "def main(title, games):"))
    step = Call(call=f"{name}:main", check_=f"{name}:of_argument", args={"title": "chess", "games": 3})
    assert drive(step).outcome == "changed"
    assert drive(step).outcome == "unchanged"


def test_answers_of_guards_that_say_nothing(module: Module) -> None:
    name = module(
        "def main(): ...\ndef rows(): return [(1, 2)]\ndef text(): return 'no'\ndef never(): return False"
    )
    failed(Call(call=f"{name}:main", check_=f"{name}:rows"), "guard-rows", name)
    failed(Call(call=f"{name}:main", check_=f"{name}:text"), "guard-text", name)
    failed(Call(call=f"{name}:main", check_=f"{name}:never"), "guard-says-no-afterwards", name)


def test_a_guard_may_answer_with_changes() -> None:
    step = Function(function=lambda: None, guard=lambda: [Change("~", "x", ("more",))])
    assert check(step) == (Change("~", "x", ("more",)),)


# -- failures


def test_an_exception_fails_with_its_place(module: Module) -> None:
    name = module(
        """
        import json
        def main():
            inner()
        def inner():
            raise ValueError("no such game")
        def library():
            json.loads("{")
        def silent():
            assert 1 == 2
        class Odd(Exception):
            def __str__(self): raise RuntimeError
        def odd(): raise Odd
        def interrupt(): raise KeyboardInterrupt
        """
    )
    result = failed(Call(call=f"{name}:main"), "exception", name)
    assert result.finished.exception == "ValueError"
    levels = {event.level for event in result.events if hasattr(event, "text")}
    assert levels == {"debug"}
    assert any("Traceback" in line for line in result.log)
    failed(Call(call=f"{name}:library"), "exception-in-a-library", name)
    failed(Call(call=f"{name}:silent"), "exception-without-text", name)
    failed(Call(call=f"{name}:odd"), "exception-without-words", name)
    failed(Call(call=f"{name}:interrupt"), "keyboard-interrupt", name)


def test_several_exceptions_of_a_group(module: Module) -> None:
    name = module(
        """
        import asyncio
        async def main():
            async with asyncio.TaskGroup() as group:
                group.create_task(fail(KeyError("a")))
                group.create_task(fail(ValueError("b")))
        async def fail(error): raise error
        """
    )
    failed(Call(call=f"{name}:main"), "exception-group", name)


def test_sys_exit_is_what_it_says(module: Module) -> None:
    name = module("import sys\ndef good(): sys.exit(0)\ndef bad(): sys.exit(3)\ndef ugly(): sys.exit('oh no')")
    assert drive(Call(call=f"{name}:good")).outcome == "changed"
    failed(Call(call=f"{name}:bad"), "sys-exit", name)
    failed(Call(call=f"{name}:ugly"), "sys-exit-text", name)


def test_a_coroutine_that_cancels_itself(module: Module) -> None:
    name = module("import asyncio\nasync def main(): raise asyncio.CancelledError")
    failed(Call(call=f"{name}:main"), "cancelled-itself", name)


def test_a_generator_function_does_nothing(module: Module) -> None:
    name = module("def main(): yield 1\nasync def other(): yield 1")
    failed(Call(call=f"{name}:main"), "generator", name)
    failed(Call(call=f"{name}:other"), "generator", name)


def test_not_yet_is_tried_again(module: Module) -> None:
    name = module(
        """
        from inithold.errors import NotYet
        tries = []
        def main():
            tries.append(1)
            if len(tries) < 3: raise NotYet("a little more")
        """
    )
    result = drive(Call(call=f"{name}:main"))
    assert (result.outcome, result.finished.attempts) == ("changed", 3)
    assert result.waited_for[0] == "a little more"


def test_an_exception_is_tried_again_only_with_retry(module: Module) -> None:
    name = module("tries = []\ndef main():\n    tries.append(1)\n    if len(tries) < 3: raise OSError('flaky')")
    step = Call(call=f"{name}:main")
    assert drive(step).outcome == "failed"
    result = drive(step, retry=Retry(attempts=5, delay=Duration(0.01)))
    assert (result.outcome, result.finished.attempts) == ("changed", 3)


def test_arguments_that_do_not_fit(module: Module) -> None:
    name = module("def main(games, title='x'): ...\ndef other(context): ...")
    failed(Call(call=f"{name}:main", args={"gaems": 1}), "arguments", name)
    failed(Call(call=f"{name}:other"), "context-by-another-name", name)


def test_what_cannot_be_imported(module: Module) -> None:
    name = module("def main(): ...\nvalue = 3")
    failed(Call(call=f"{name}:mian"), "no-function", name)
    failed(Call(call=f"{name}:value"), "no-callable", name)
    broken = module("def main(:")
    failed(Call(call=f"{broken}:main"), "syntax-error", broken)
    imports = module("x = 1\nimport no_such_module_here")
    failed(Call(call=f"{imports}:main"), "import-of-import", imports)
    raises = module("def load():\n    raise RuntimeError('no configuration')\nload()")
    failed(Call(call=f"{raises}:main"), "module-raises", raises)
    exits = module("import sys\nsys.exit(1)")
    failed(Call(call=f"{exits}:main"), "module-exits", exits)
    failed(Call(call="no_such_package.seed:main"), "no-module", str(Path.cwd()))
    failed(Call(call=f"{name}:main", check_=f"{name}:is_dnoe"), "no-guard", name)


def test_a_secret_in_an_exception_is_in_no_message(module: Module) -> None:
    name = module(
        """
        from inithold.redaction.redact import SECRETS
        def main():
            SECRETS.add("planted-in-exception")
            print("planted-in-exception")
            raise ValueError("login with planted-in-exception failed " + "x" * 1980 + "planted-in-exception")
        """
    )
    result = drive(Call(call=f"{name}:main"))
    assert "planted" not in result.reason
    assert not any("planted-in-exception" in str(event) for event in result.events)


# -- what it prints and logs


PRINTING = """
import logging, sys
log = logging.getLogger("app.seed")
def main():
    print("printed")
    print("to stderr", file=sys.stderr)
    log.debug("not of interest")
    log.info("seeding %d", 3)
    log.warning("careful")
    log.error("bad %s", "thing", 1)
    sys.stdout.write("unended")
"""


def in_worker(name: str) -> Step:
    return Call(call=f"{name}:main")


def in_run(name: str) -> Step:
    variables: dict[str, Any] = {}
    exec(Path(f"{name}.py").read_text(), variables)
    return Function(function=variables["main"])


@pytest.mark.parametrize("step", [in_worker, in_run])
def test_prints_and_records_reach_the_log_once(module: Module, step: Callable[[str], Step]) -> None:
    name = module(PRINTING)
    root = logging.getLogger()
    with bare_logging():
        before = (list(root.handlers), root.level, sys.stdout, sys.stderr, logging.lastResort)
        result = drive(step(name))
        assert (list(root.handlers), root.level, sys.stdout, sys.stderr, logging.lastResort) == before
    found = [(event.text, event.level) for event in result.events if hasattr(event, "text")]
    assert found[:4] == [
        ("printed", "info"),
        ("to stderr", "info"),
        ("app.seed: seeding 3", "info"),
        ("app.seed: careful", "warning"),
    ]
    assert found[4][0].startswith("app.seed: 'bad %s' (TypeError")
    assert found[5:] == [("unended", "info")]


def test_records_reach_the_log_and_the_users_own_handlers() -> None:
    with bare_logging() as seen:
        logging.getLogger().addHandler(Keep(seen))
        handlers = list(logging.getLogger().handlers)
        result = drive(Function(function=lambda: logging.getLogger("app").warning("both")))
        assert logging.getLogger().handlers == handlers
    assert result.log == ("app: both",)
    assert [record.getMessage() for record in seen] == ["both"]


def configures_logging() -> None:
    logging.basicConfig(level=logging.DEBUG, format="%(levelname)s %(message)s")
    logging.getLogger("app").debug("own format")


def test_logging_that_the_function_sets_up_works_and_stays() -> None:
    with bare_logging():
        first = drive(Function(function=configures_logging))
        assert logging.getLogger().level == logging.DEBUG
        second = drive(Function(function=configures_logging))
    assert [line for line in first.log if "own format" in line] == ["DEBUG own format"]
    assert [line for line in second.log if "own format" in line] == ["DEBUG own format"]


def test_in_a_worker_every_thread_and_program_is_heard(module: Module) -> None:
    name = module(
        """
        import subprocess, sys, threading, warnings
        def main():
            thread = threading.Thread(target=print, args=("from a thread",))
            thread.start()
            thread.join()
            warnings.warn("a warning")
            for percent in (0, 50, 100): print(f"\\r{percent} %", end="", file=sys.stderr)
            print(file=sys.stderr)
            subprocess.run(["sh", "-c", "echo from a program; echo and its stderr >&2"], check=True)
            sys.stdout.close()
        """
    )
    result = drive(Call(call=f"{name}:main"))
    assert result.outcome == "changed"
    assert {"from a thread", "100 %", "from a program", "and its stderr"} <= set(result.log)
    assert any("UserWarning: a warning" in line for line in result.log)


def test_other_threads_keep_their_output(module: Module, capsys: pytest.CaptureFixture[str]) -> None:
    name = module("def main(): ...")
    began, printed = threading.Event(), threading.Event()

    def other() -> None:
        began.wait(10)
        print("from elsewhere")
        printed.set()

    thread = threading.Thread(target=other)
    thread.start()

    def function() -> None:
        began.set()
        printed.wait(10)
        print("from the step")

    result = drive(Function(function=function))
    thread.join()
    assert result.log == ("from the step",)
    assert capsys.readouterr().out == "from elsewhere\n"
    assert name


def test_two_functions_side_by_side_are_told_apart() -> None:
    plan = Plan("side-by-side")
    meeting = threading.Barrier(2, timeout=10)

    def function(ctx: StepContext) -> None:
        meeting.wait()
        print(f"printed by {ctx.step_id}")
        logging.getLogger("app").warning("logged by %s", ctx.step_id)
        meeting.wait()

    for name in ("one", "two"):
        plan.add(Function(function=function), id=name, needs=[])
    from inithold.runner.run import Runner
    from inithold.testing import Collected

    collected = Collected()
    with bare_logging():
        Runner(plan.checked(), Stream([collected]), Span("0" * 31 + "1", "0" * 15 + "1")).run()
    said = sorted((event.step, event.text) for event in collected.events if hasattr(event, "text"))
    assert said == [
        ("one", "app: logged by one"),
        ("one", "printed by one"),
        ("two", "app: logged by two"),
        ("two", "printed by two"),
    ]


def test_a_watcher_that_prints_is_not_captured() -> None:
    class Printing:
        def see(self, event: Any) -> None:
            if hasattr(event, "text"):
                print(f"watched: {event.text}")

        def close(self) -> None:
            return

    context = Context("step", Span("0" * 31 + "1", "0" * 15 + "1"), Stream([Printing()]), None)

    def function(ctx: StepContext) -> None:
        print("printed")
        ctx.log("said")

    Function(function=function).apply(context, ())


def test_a_worker_that_ends_between_two_attempts_is_started_again(module: Module) -> None:
    name = module(
        """
        import os, threading
        from pathlib import Path
        from inithold.errors import NotYet
        def main():
            if Path("been").exists(): return
            Path("been").touch()
            threading.Timer(0.2, os._exit, (1,)).start()
            raise NotYet("a little more")
        """
    )
    result = drive(Call(call=f"{name}:main"), retry=Retry(delay=Duration(1.0)))
    assert (result.outcome, result.finished.attempts) == ("changed", 2)


# -- plans


def test_functions_of_a_plan() -> None:
    plan = Plan("decorated")
    done: list[str] = []

    @plan.step(check=lambda: "seed" in done)
    def seed(ctx: StepContext) -> None:
        done.append(ctx.step_id)

    @plan.step(needs=["seed"])
    async def awaited() -> None:
        await asyncio.sleep(0)

    steps = plan.checked().steps
    assert [(step.id, step.kind, step.step.verifiable) for step in steps] == [
        ("seed", "python.call", True),
        ("awaited", "python.call", False),
    ]
    assert steps[0].step.subject().endswith("seed")
    assert drive(steps[0].step).outcome == "failed", "its id is step here"
    assert drive(steps[1].step).outcome == "changed"


def test_a_call_in_a_plan_written_in_python_is_checked_by_its_plan_names() -> None:
    plan = Plan("calls")
    plan.add(Call(call="app.seed:main", check_="app.seed:is_seeded"))
    assert plan.checked().steps[0].step.verifiable


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"call": "app.seed"}, "call"),
        ({"call": ":main"}, "call"),
        ({"call": "app.seed:"}, "call"),
        ({"call": "app seed:main"}, "call"),
        ({"call": "a:b", "check_": "b"}, "check"),
        ({"call": "a:b", "args": {"not a name": 1}}, "args"),
    ],
)
def test_fields_that_do_not_fit(fields: dict[str, Any], field: str) -> None:
    assert [name for name, _ in Call(**fields).validate()] == [field]


def test_what_is_no_function() -> None:
    assert [name for name, _ in Function(function=3, guard="x").validate()] == ["function", "guard"]


def test_a_guard_may_say_not_yet() -> None:
    def guard() -> bool:
        raise NotYet("the cache is cold")

    with pytest.raises(NotYet, match="the cache is cold"):
        check(Function(function=print, guard=guard))


class Keep(logging.Handler):
    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self.records = records

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def bare_logging() -> Iterator[list[logging.LogRecord]]:
    """The root logger as a process begins with it, without the handlers of the test runner."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    root.handlers, root.level = [], logging.WARNING
    root.manager._clear_cache()  # type: ignore[attr-defined]
    try:
        yield []
    finally:
        root.handlers = handlers
        root.setLevel(level)
