"""Every way a plan can be wrong is refused whole, with file, line and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from inithold.errors import DocumentError, InitholdError, PlanError
from inithold.plan.load import LARGEST, load_file, load_text

STEP = "  - id: there\n    uses: file.ready\n    with: {path: /}\n"
HEAD = "version: 1\nname: test\nsteps:\n"


def refusal(text: str, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(PlanError) as caught:
        load_text(text, "inithold.yaml", environment or {})
    assert caught.value.exit_code == 2
    return str(caught.value)


def one(text: str, environment: dict[str, str] | None = None) -> str:
    message = refusal(text, environment)
    assert "\n" not in message, "one mistake, one fault"
    return message


def test_unset_variable_is_an_error_and_not_a_blank() -> None:
    message = one(HEAD + '  - {id: a, uses: file.ready, with: {path: "${NOWHERE}"}}\n')
    assert message.startswith("inithold.yaml:4:")
    assert "${NOWHERE}: the variable is not set" in message
    assert "${NOWHERE:-...}" in message


def test_unset_variable_with_a_message() -> None:
    message = one(HEAD + '  - {id: a, uses: file.ready, with: {path: "${WHERE:?say where}"}}\n')
    assert "${WHERE}: say where" in message


def test_empty_variable_with_a_message_is_an_error_only_with_a_colon() -> None:
    plan = HEAD + '  - {{id: a, uses: file.ready, with: {{path: "/${{X{}say}}"}}}}\n'
    assert "say" in one(plan.format(":?"), {"X": ""})
    assert load_text(plan.format("?"), "x", {"X": ""})


def test_missing_secret_file(tmp_path: Path) -> None:
    message = one(
        HEAD + '  - {id: a, uses: file.ready, with: {path: "${secret:db}"}}\n',
        {"INITHOLD_SECRETS_DIR": str(tmp_path)},
    )
    assert f"there is no file {tmp_path}/db" in message


def test_secret_name_cannot_leave_its_folder(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "outside").write_text("x")
    message = one(
        HEAD + '  - {id: a, uses: file.ready, with: {path: "${secret:../outside}"}}\n',
        {"INITHOLD_SECRETS_DIR": str(tmp_path / "secrets")},
    )
    assert "${secret:" in message


@pytest.mark.parametrize("value", ["${", "${}", "${A", "${A!}", "${-x}", "${secret:}"])
def test_broken_interpolation(value: str) -> None:
    assert "inithold.yaml:4:" in one(HEAD + f"  - {{id: a, uses: file.ready, with: {{path: '{value}'}}}}\n")


def test_unknown_key_names_the_nearest() -> None:
    message = one(HEAD + STEP + "    retri: {attempts: 3}\n")
    assert message == "inithold.yaml:7:5: step 'there': unknown key 'retri'; did you mean 'retry'?"


def test_unknown_top_level_key() -> None:
    assert (
        one(HEAD + STEP + "tiemout: 5s\n") == "inithold.yaml:7:1: unknown key 'tiemout'; did you mean 'timeout'?"
    )


def test_unknown_field_of_a_kind() -> None:
    message = refusal(HEAD + "  - {id: a, uses: file.ready, with: {paht: /}}\n")
    assert "unknown key 'paht'; did you mean 'path'?" in message
    assert "'path' is missing" in message


def test_unknown_kind_names_the_nearest() -> None:
    message = one(HEAD + "  - {id: a, uses: databse.ready}\n")
    assert (
        message
        == "inithold.yaml:4:13: step 'a': uses: unknown kind 'databse.ready'; did you mean 'database.ready'?"
    )


def test_duplicate_id() -> None:
    assert (
        one(HEAD + STEP + STEP) == "inithold.yaml:7:5: step 'there': id: there is another step 'there' in line 4"
    )


def test_duplicate_key() -> None:
    assert one(HEAD + STEP + "    timeout: 1s\n    timeout: 2s\n").endswith("the key 'timeout' is given twice")


def test_cycle_is_printed_as_a_path() -> None:
    steps = "".join(
        f"  - {{id: {name}, uses: file.ready, with: {{path: /}}, needs: [{need}]}}\n"
        for name, need in (("a", "c"), ("b", "a"), ("c", "b"))
    )
    message = one(HEAD + steps)
    assert "circular needs: " in message
    path = message.partition("circular needs: ")[2].split(" -> ")
    assert path[0] == path[-1]
    assert {"a": "c", "b": "a", "c": "b"}[path[0]] == path[1]
    assert len(path) == 4


def test_need_of_itself() -> None:
    assert "a -> a" in one(HEAD + "  - {id: a, uses: file.ready, with: {path: /}, needs: [a]}\n")


def test_need_of_an_unknown_step() -> None:
    message = one(HEAD + STEP + "    needs: [thre]\n")
    assert message == "inithold.yaml:7:13: step 'there': needs[0]: there is no step 'thre'; did you mean 'there'?"


def test_wrong_type() -> None:
    assert "needs: expected a list, got a mapping" in one(HEAD + STEP + "    needs: {}\n")
    assert "expected a mapping, got a list" in one("version: 1\nsteps: [[1]]\n")


@pytest.mark.parametrize("value", ["5 s", "fast", "-1s", "1d", '""', '"5."'])
def test_bad_duration(value: str) -> None:
    assert "timeout: expected a duration such as 250ms, 5s, 2m or 1h" in one(
        HEAD + STEP + f"    timeout: {value}\n"
    )


@pytest.mark.parametrize("value", ["5", '"5"', "${FIVE:-5}", "1m5"])
def test_a_duration_without_its_unit(value: str) -> None:
    message = one(HEAD + STEP + f"    timeout: {value}\n")
    assert "timeout: expected a duration with a unit, such as 5s" in message


def test_bad_choice_names_the_nearest() -> None:
    message = one(HEAD + STEP + "    on_failure: contineu\n")
    assert "on_failure: expected fail or continue; did you mean 'continue'?" in message


def test_bad_when() -> None:
    assert "when: expected true, 1, yes, on, or false" in one(HEAD + STEP + "    when: perhaps\n")


def test_bad_id() -> None:
    assert "id: " in one(HEAD + '  - {id: "a b", uses: file.ready, with: {path: /}}\n')


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~\n"])
def test_empty_plan(text: str) -> None:
    assert "the plan is empty" in one(text)


def test_no_steps() -> None:
    assert "the plan has no steps" in one("version: 1\nsteps: []\n")


def test_version_of_another_format() -> None:
    assert "version: expected 1" in one(HEAD.replace("1", "2", 1) + STEP)


def test_not_a_mapping() -> None:
    assert "expected a mapping" in one("- a\n- b\n")


def test_lock_without_a_name() -> None:
    assert "needs a name" in one("version: 1\nlock: postgresql://db/x\nsteps:\n" + STEP)


def test_lock_that_is_not_postgresql() -> None:
    assert "lock: has the scheme 'redis'" in one(
        HEAD + STEP + "lock: redis://r\n"
    ) or "lock has the scheme" in one(HEAD + STEP + "lock: redis://r\n")


def test_all_faults_come_together_in_file_order() -> None:
    message = refusal(
        """\
version: 1
nam: test
steps:
  - id: first
    uses: file.redy
  - id: second
    uses: file.ready
    timeout: soon
    with: {path: "${UNSET}"}
  - id: second
    uses: tcp.ready
    needs: [thirst]
    with: {address: nowhere}
"""
    )
    lines = message.splitlines()
    positions = [int(line.split(":")[1]) for line in lines]
    assert positions == sorted(positions)
    for expected in (
        "'nam'",
        "file.redy",
        "timeout",
        "${UNSET}",
        "another step",
        "'thirst'",
        "expected host:port",
    ):
        assert sum(expected in line for line in lines) == 1, expected
    assert len(lines) == 7


def test_not_yaml() -> None:
    with pytest.raises(DocumentError, match=r"^inithold.yaml:3:1: not valid YAML: "):
        load_text("steps: [\nid: {", "inithold.yaml", {})


def test_tab_as_indentation() -> None:
    with pytest.raises(DocumentError, match=r"^inithold.yaml:2:1: not valid YAML"):
        load_text("steps:\n\t- a\n", "inithold.yaml", {})


def test_two_documents() -> None:
    with pytest.raises(DocumentError, match="another document"):
        load_text("a: 1\n---\nb: 1\n", "inithold.yaml", {})


def test_unknown_tag_is_refused_or_read_as_plain_text_but_never_run() -> None:
    message = refusal(HEAD + "  - {id: a, uses: file.ready, with: {path: !!python/object/apply:os.system [id]}}\n")
    assert "path" in message


def test_binary_file(tmp_path: Path) -> None:
    (tmp_path / "plan").write_bytes(b"\x7fELF\x00\x01")
    with pytest.raises(DocumentError, match="not a text file"):
        load_file(str(tmp_path / "plan"))


def test_latin_1_file(tmp_path: Path) -> None:
    (tmp_path / "plan").write_bytes(b"version: 1\nname: caf\xe9\n")
    with pytest.raises(DocumentError, match=r"plan:2: not UTF-8: byte 0xe9"):
        load_file(str(tmp_path / "plan"))


def test_byte_order_mark_and_crlf_are_fine(tmp_path: Path) -> None:
    (tmp_path / "plan").write_bytes(b"\xef\xbb\xbf" + (HEAD + STEP).replace("\n", "\r\n").encode())
    assert load_file(str(tmp_path / "plan")).steps[0].id == "there"


def test_ten_megabytes(tmp_path: Path) -> None:
    (tmp_path / "plan").write_text("# " + "x" * 10_000_000)
    with pytest.raises(DocumentError, match=f"larger than {LARGEST // 1_048_576} MiB"):
        load_file(str(tmp_path / "plan"))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="cannot read: No such file"):
        load_file(str(tmp_path / "absent.yaml"))
    with pytest.raises(DocumentError, match="cannot read: Is a directory"):
        load_file(str(tmp_path))


def test_aliases_that_explode() -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "values once its aliases are followed" in one("\n".join(levels))


def test_alias_that_contains_itself() -> None:
    assert "contains itself" in one("version: 1\nsteps: &a [*a]\n")


@pytest.mark.parametrize("depth", [5_000, 100_000])
@pytest.mark.parametrize("opening", ["[", "- ", "{a: "])
def test_nested_very_deeply(opening: str, depth: int) -> None:
    with pytest.raises(InitholdError, match="nested too deeply"):
        load_text("version: 1\nsteps:\n  " + opening * depth, "inithold.yaml", {})


@pytest.mark.parametrize(
    ("written", "text"),
    [("no", "no"), ("on", "on"), ("yes", "yes"), ("1:30", "1:30"), ("012", "012"), ("1_000", "1_000"), ("y", "y")],
)
def test_yaml_1_1_traps_are_texts(written: str, text: str) -> None:
    plan = load_text(HEAD + f"  - {{id: a, uses: file.ready, with: {{path: {written}}}}}\n", "x", {})
    assert plan.steps[0].step.path == text  # type: ignore[attr-defined]


def test_octal_of_yaml_1_2_is_a_number() -> None:
    plan = load_text(
        HEAD + "  - {id: a, uses: tcp.ready, with: {address: 'a:1'}, retry: {attempts: 0o17}}\n", "x", {}
    )
    assert plan.steps[0].retry is not None
    assert plan.steps[0].retry.attempts == 15


@pytest.mark.parametrize("value", ["no", "off", "0", "false", '""', "~", "FALSE", "No"])
def test_when_no(value: str) -> None:
    assert not load_text(HEAD + STEP + f"    when: {value}\n", "x", {}).steps[0].enabled


@pytest.mark.parametrize("value", ["yes", "on", "1", "true", "TRUE", "On"])
def test_when_yes(value: str) -> None:
    assert load_text(HEAD + STEP + f"    when: {value}\n", "x", {}).steps[0].enabled


def test_extension_keys_and_merge_keys() -> None:
    plan = load_text(
        "version: 1\nx-common: &common {timeout: 7s, needs: []}\nsteps:\n"
        "  - <<: *common\n    id: a\n    uses: file.ready\n    with: {path: /}\n",
        "x",
        {},
    )
    assert plan.steps[0].timeout == 7.0


def test_missing_extra_is_one_line_with_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    from inithold.process import extras

    monkeypatch.setattr(extras, "installed", lambda extra: extra not in ("redis", "postgres"))
    message = refusal(
        HEAD
        + "  - {id: a, uses: redis.ready, with: {url: 'redis://r'}}\n"
        + "  - {id: b, uses: database.ready, with: {url: 'postgresql://db/x'}}\n"
    )
    assert "pip install 'inithold[postgres,redis]'" in message
    assert "inithold.yaml:4:13: step 'a'" in message


@pytest.mark.parametrize(
    ("hold", "said"),
    [
        ("{verify: 1 minute}", "hold.verify: expected a duration such as 250ms, 5s, 2m or 1h, or never"),
        ("{verify: 60}", "hold.verify: expected a duration with a unit, such as 60s, or never"),
        ("{verify: 10ms}", "hold.verify: expected at least 1s, or never"),
        ("{verify: 1m, on_drift: restart}", "hold.on_drift: expected rerun or exit or unhealthy"),
        ("{verify: 1m, grace: soon}", "hold.grace: expected a duration"),
        ("{verfy: 1m}", "unknown key 'verfy'; did you mean 'verify'?"),
    ],
)
def test_a_bad_hold(hold: str, said: str) -> None:
    message = one(HEAD + STEP + f"hold: {hold}\n")
    assert message.startswith("inithold.yaml:7:")
    assert said in message
