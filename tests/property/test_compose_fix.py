"""Any stack, any layout: a fix is idempotent, touches only what it names, changes the stack as announced."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from inithold.compose.fix import FixResult, fix_stack
from inithold.compose.read.project import load_project
from inithold.compose.stack.roles import Stack, Wrap, read_stack
from unit.compose.announced import RAW, announce, assert_only_concerned, comparable
from unit.compose.case import compose_config, docker_environment


@dataclass(frozen=True)
class Sample:
    """A stack as files, and what it is fixed with."""

    files: dict[str, str]
    marked: bool
    wrap: Wrap | None
    unsafe: bool
    engine: int | None


def _quoted(draw: st.DrawFn, text: str) -> str:
    return draw(st.sampled_from([f'"{text}"', f"'{text}'", text if text not in ("no",) else '"no"']))


def _comment(draw: st.DrawFn) -> str:
    return draw(st.sampled_from(["", "", "   # why: because", " # ünï 🚀", "  #"]))


def _command(draw: st.DrawFn, key: str) -> list[str]:
    form = draw(st.integers(0, 7))
    c = _comment(draw)
    if form == 0:
        return [f"{key}: alembic upgrade head{c}"]
    if form == 1:
        return [f'{key}: ["alembic", "upgrade", "head"]{c}']
    if form == 2:
        return [f"{key}:{c}", "  - alembic", "  - 'upgrade'   # item", '  - "head"']
    if form == 3:
        return [f"{key}: >", "  sh -c 'a &&", "  b ${VAR:-x}'"]
    if form == 4:
        return [f"{key}: |", "  run --all", "  --more"]
    if form == 5:
        return [f"{key}: 'it''s \"$${{x}}\" done'{c}"]
    if form == 6:
        return [f'{key}: "tab\\there ${{VAR-a b}}"{c}']
    return [f"{key}: [sh, -c,", "  'echo {a}; exit 0',", "  ]"]


def _healthcheck(draw: st.DrawFn, marker: str, step: str) -> list[str]:
    test = draw(
        st.sampled_from(
            [
                f"test -f {marker}",
                f'["CMD", "test", "-f", "{marker}"]',
                f"['CMD-SHELL', '[ -f {marker} ]']",
                "NONE",
                '"exit 0"',
                "[CMD, inithold, health]",
                '["NONE"]',
            ]
        )
    )
    keys = [f"test: {test}"]
    for key, values in (
        ("interval", ["1s", "5s", '"30s"', "1m30s", "'${INTERVAL:-10s}'"]),
        ("timeout", ["3s", "'10s'"]),
        ("retries", ["3"]),
        ("start_period", ["0s", "5s", "20m", "'${P:-1m}'"]),
        ("start_interval", ["200ms", "1s"]),
        ("disable", ["true", "false"]),
    ):
        if draw(st.booleans()):
            keys.append(f"{key}: {draw(st.sampled_from(values))}")
    keys = draw(st.permutations(keys))
    if draw(st.integers(0, 3)) == 0:
        return ["healthcheck: {" + ", ".join(keys) + "}" + _comment(draw)]
    lines = ["healthcheck:" + draw(st.sampled_from(["", " &health", "  # checked"]))]
    for key in keys:
        lines.append(f"{step}{key}{_comment(draw)}")
        if draw(st.integers(0, 5)) == 0:
            lines.append("")
    return lines


def _depends(draw: st.DrawFn, targets: list[str], step: str) -> list[str]:
    conditions = ["service_started", "service_healthy", "service_completed_successfully"]
    form = draw(st.integers(0, 4))
    if form == 0:
        return [f"depends_on: [{', '.join(_quoted(draw, each) for each in targets)}]{_comment(draw)}"]
    if form == 1:
        indent = draw(st.sampled_from(["", step]))
        return ["depends_on:", *(f"{indent}- {_quoted(draw, each)}{_comment(draw)}" for each in targets)]
    if form == 2:
        inner = ", ".join(f"{each}: {{condition: {draw(st.sampled_from(conditions))}}}" for each in targets)
        return [f"depends_on: {{{inner}}}{_comment(draw)}"]
    lines = [f"depends_on:{_comment(draw)}"]
    for each in targets:
        condition = _quoted(draw, draw(st.sampled_from(conditions)))
        lines += [f"{step}{each}:", f"{step}{step}condition: {condition}{_comment(draw)}"]
        if draw(st.integers(0, 3)) == 0:
            lines.append(f"{step}{step}restart: {draw(st.sampled_from(['true', 'false']))}{_comment(draw)}")
        if draw(st.integers(0, 4)) == 0:
            lines.append(f"{step}{step}required: true")
    return lines


def _service(draw: st.DrawFn, name: str, groups: list[list[str]], step: str) -> list[str]:
    lines = [f"{step}{name}:{_comment(draw)}"]
    for group in draw(st.permutations(groups)):
        if draw(st.integers(0, 4)) == 0:
            lines.append(f"{step}{step}# about {name}")
        lines += [f"{step}{step}{line}" if line else "" for line in group]
        if draw(st.integers(0, 5)) == 0:
            lines.append("")
    return lines


def _init(draw: st.DrawFn, step: str, merged: bool) -> list[list[str]]:
    groups = [["image: app"]] if not merged else [["<<: *common"]]
    kind = draw(st.sampled_from(["one-shot", "one-shot", "hold", "inithold", "once"]))
    if kind == "one-shot":
        if draw(st.booleans()):
            groups.append(_command(draw, "entrypoint"))
        elif draw(st.booleans()):
            groups.append([draw(st.sampled_from(["entrypoint: []", 'entrypoint: ""']))])
        if draw(st.booleans()):
            groups.append(_command(draw, "command"))
    elif kind == "hold":
        groups.append(['command: ["sh", "-c", "./setup && touch /tmp/ready && sleep infinity"]'])
    elif kind == "inithold":
        groups.append([draw(st.sampled_from(["command: inithold run -- x", "command: [inithold, run]"]))])
    else:
        groups.append(
            [draw(st.sampled_from(["command: inithold run --once", "command: [inithold, run, --once, p.yaml]"]))]
        )
    if draw(st.booleans()):
        policy = draw(st.sampled_from(["no", "on-failure", "on-failure:3", "always", "unless-stopped"]))
        groups.append([f"restart: {_quoted(draw, policy)}{_comment(draw)}"])
    if draw(st.booleans()):
        groups.append(_healthcheck(draw, draw(st.sampled_from(["/tmp/ready", "/tmp/init-complete"])), step))
    if draw(st.booleans()):
        groups.append(_depends(draw, ["db"], step))
    if draw(st.integers(0, 4)) == 0:
        groups.append(["deploy:", f"{step}replicas: 2"])
    return groups


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """Stacks with init services, in the layouts people write."""
    step = draw(st.sampled_from(["  ", "    ", "   "]))
    common = draw(st.sampled_from([[], ["restart: always"], ["restart: 'no'", "environment: {A: '${A}'}"]]))
    lines = [draw(st.sampled_from(["# a stack", "---", ""]))]
    merged = bool(common)
    if merged:
        lines += ["x-common: &common", *(f"{step}{each}" for each in ["image: app", *common])]
    inits = ["init", "seed"][: draw(st.integers(1, 2))]
    shared = draw(st.booleans())
    if shared:
        lines.append("x-after: &after")
        for each in inits:
            lines += [f"{step}{each}:", f"{step}{step}condition: service_completed_successfully"]
    lines.append("services:")
    lines += _service(draw, "db", [["image: postgres"], ["environment: {PASSWORD: '${PASSWORD}'}"]], step)
    for name in inits:
        lines += _service(draw, name, _init(draw, step, merged and draw(st.booleans())), step)
    dependents = draw(st.integers(1, 3))
    for number in range(dependents):
        groups = [["image: web"], [draw(st.sampled_from(["ports: ['80:80']", "tty: true", "labels: [a=b]"]))]]
        form = draw(st.integers(0, 2)) if shared else 0
        if form == 1:
            groups.append(["depends_on: *after"])
        elif form == 2:
            groups.append(
                ["depends_on:", f"{step}<<: *after", f"{step}db:", f"{step}{step}condition: service_started"]
            )
        else:
            groups.append(_depends(draw, draw(st.permutations([*inits, "db"])), step))
        lines += _service(draw, f"web{number}", groups, step)
        if draw(st.booleans()):
            lines.append("")
    files = {"compose.yaml": _finish(draw, lines)}
    if draw(st.booleans()):
        files["compose.override.yaml"] = _finish(draw, _override(draw, inits, step))
    engine = draw(st.sampled_from([None, 24, 27]))
    return Sample(files, draw(st.booleans()), draw(st.sampled_from([None, *Wrap])), draw(st.booleans()), engine)


def _override(draw: st.DrawFn, inits: list[str], step: str) -> list[str]:
    lines = ["services:"]
    for name in inits:
        if draw(st.booleans()):
            options = [
                ["restart: 'no'"],
                ["healthcheck: {disable: true}"],
                ["healthcheck:", f"{step}disable: true   # in development"],
                ["command: !override [other, command]"],
                ["environment: [A=b]"],
                ["healthcheck: !reset null"],
            ]
            lines += _service(draw, name, [draw(st.sampled_from(options))], step)
    lines += _service(draw, "web0", [_depends(draw, inits, step), ["tty: true"]], step)
    return lines


def _finish(draw: st.DrawFn, lines: list[str]) -> str:
    newline = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    return newline.join(lines) + draw(st.sampled_from([newline, "", newline * 2]))


def _loader(sample: Sample, folder: Path) -> Any:
    def load(texts: dict[Path, str]) -> Stack:
        project = load_project(list(sample.files), folder=folder, environment={}, texts=texts)
        stack = read_stack(project, sample.engine)
        stack.wrap = sample.wrap
        return stack

    return load


def _lay_out(sample: Sample, folder: Path) -> None:
    for name, text in sample.files.items():
        (folder / name).write_bytes((b"\xef\xbb\xbf" if sample.marked else b"") + text.encode())


_SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
# A failing sample is small enough as it is: to shrink it takes minutes.
_SETTINGS = settings(_SETTINGS, phases=(Phase.explicit, Phase.reuse, Phase.generate))


@_SETTINGS
@given(samples())
def test_fix_is_idempotent_and_keeps_the_rest(sample: Sample) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _lay_out(sample, folder)
        fixed = fix_stack(_loader(sample, folder), (), unsafe=sample.unsafe)
        for path, text in fixed.texts.items():
            changes = [change for finding in fixed.fixed for change in finding.changes]
            concerned = {(change.service, change.path[0]) for change in changes}
            assert_only_concerned(sample.files[path.name], text, concerned)
        again = _loader(sample, folder)
        second = fix_stack(lambda texts: again({**fixed.texts, **texts}), (), unsafe=sample.unsafe)
        assert {**fixed.texts, **second.texts} == fixed.texts
        assert not second.fixed
        done = {(each.rule, each.service, each.init) for each in fixed.fixed}
        still = {(each.rule, each.service, each.init) for each in second.left if each not in second.refused}
        assert not done & still, "what was fixed is found again"


@pytest.fixture(scope="module")
def docker() -> dict[str, str]:
    environment = docker_environment()
    if environment is None:
        pytest.skip("there is no `docker compose` here and no test engine to take it from")
    return environment


@settings(_SETTINGS, max_examples=25)
@given(sample=samples())
def test_config_changes_as_announced(sample: Sample, docker: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _lay_out(sample, folder)
        files = list(sample.files)
        before = compose_config(folder, files, docker, *RAW)["services"]
        fixed: FixResult = fix_stack(_loader(sample, folder), (), unsafe=sample.unsafe)
        for path, text in fixed.texts.items():
            path.write_bytes(text.encode())
        after = compose_config(folder, files, docker, *RAW)["services"]
        announce(before, [change for finding in fixed.fixed for change in finding.changes])
        assert comparable(after) == comparable(before)
