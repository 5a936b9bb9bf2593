"""The database kinds, as far as nothing is contacted."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inithold.steps import database
from inithold.steps.base import Step
from inithold.steps.database.script import Script

URL = "postgresql://app:pw-of-app@db:5433/games"


def faults(step: Step) -> list[str]:
    return [message for _, message in step.validate()]


# -- scripts


def spans(text: str, technology: str = "postgresql") -> list[str]:
    return [text[one.start : one.end] for one in Script(text, "x.sql", technology).statements]


@pytest.mark.parametrize(
    ("technology", "text", "expected"),
    [
        ("postgresql", "SELECT 1; SELECT 2", ["SELECT 1;", "SELECT 2"]),
        ("postgresql", ";; SELECT 1;;", ["SELECT 1;"]),
        ("postgresql", "SELECT ';' ; SELECT \";\";", ["SELECT ';' ;", 'SELECT ";";']),
        ("postgresql", "SELECT 'it''s;'; SELECT 1", ["SELECT 'it''s;';", "SELECT 1"]),
        ("postgresql", r"SELECT 'a\'; SELECT E'b\';'", [r"SELECT 'a\';", r"SELECT E'b\';'"]),
        ("postgresql", "DO $$ BEGIN; END $$; SELECT 1", ["DO $$ BEGIN; END $$;", "SELECT 1"]),
        ("postgresql", "SELECT $a$;$b$;$a$; SELECT $1;", ["SELECT $a$;$b$;$a$;", "SELECT $1;"]),
        ("postgresql", "/* ; /* ; */ ; */ SELECT 1; -- ;", ["SELECT 1;"]),
        ("postgresql", "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2);", None),
        ("mysql", 'SELECT "a\\";"; # ;\nSELECT `;`; SELECT 5--3; -- ;', None),
        ("mysql", "/*!40101 SET NAMES utf8 */; SELECT 1", ["/*!40101 SET NAMES utf8 */;", "SELECT 1"]),
        ("sqlite", "SELECT [;]; SELECT 1", ["SELECT [;];", "SELECT 1"]),
    ],
)
def test_semicolons_that_end_statements(technology: str, text: str, expected: list[str] | None) -> None:
    if expected is None:
        expected = {"mysql": ['SELECT "a\\";";', "SELECT `;`;", "SELECT 5--3;"]}.get(technology, [text])
    assert spans(text, technology) == expected


@given(
    text=st.text(alphabet="ab ;'\"$`\\-/*#()[]\nE.", max_size=80),
    technology=st.sampled_from(["postgresql", "mysql", "sqlite"]),
)
def test_any_text_is_scanned_in_order(text: str, technology: str) -> None:
    script = Script(text, "x.sql", technology)
    at = 0
    for one in script.statements:
        assert at <= one.start < one.end <= len(text)
        at = one.end
    assert len(script.packed().text) <= len(text)
    assert script.packed().text.count("\n") <= text.count("\n")
    list(script.problems())


def test_own_transaction_is_left_out_and_places_stay() -> None:
    script = Script("-- dump\nBEGIN;\nINSERT INTO t VALUES (1);\nCOMMIT;\n", "dump.sql", "postgresql")
    bare = script.without_own_transaction()
    assert [one.words for one in bare.statements] == ["INSERT INTO t VALUES ( 1 )"]
    assert bare.nth(1) == "dump.sql, statement 1 (line 3)"
    assert len(bare.text) == len(script.text)


@pytest.mark.parametrize("text", ["BEGIN; SELECT 1; ROLLBACK;", "SELECT 1; COMMIT;", "BEGIN", "BEGIN; SELECT 1"])
def test_other_transactions_are_left_alone(text: str) -> None:
    assert Script(text, "x", "postgresql").without_own_transaction().text == text


def test_lines_are_not_guessed_where_bodies_have_semicolons() -> None:
    script = Script("CREATE PROCEDURE p() BEGIN SELECT 1; END; SELECT 2", "x", "mysql")
    assert script.count is None
    assert script.nth(2) == "x, statement 2"


# -- what is refused before any step runs


@pytest.mark.parametrize(
    ("url", "text", "expected"),
    [
        (URL, "SELECT 1;\n\\connect other", "sql, line 2: a command of psql, not SQL"),
        (URL, "COPY t (a) FROM stdin;\n1\n\\.\n", "sql, line 1: COPY from or to the client"),
        (URL, " -- nothing\n ;", "sql holds no statement"),
        ("mysql://db/x", "DELIMITER //\nSELECT 1//", "sql, line 1: a command of the mysql client"),
        ("sqlite:///x.db", "\n.read other.sql", "sql, line 2: a command of the sqlite3 shell"),
    ],
)
def test_what_only_a_client_understands_is_refused(url: str, text: str, expected: str) -> None:
    (fault,) = faults(database.Sql(url=url, sql=text))
    assert fault.startswith(expected)


def test_copy_between_server_and_file_is_the_servers_affair() -> None:
    assert not faults(database.Sql(url=URL, sql="COPY t FROM '/srv/data.csv'; SELECT 'copy t from stdin'"))


def test_sql_wants_exactly_one_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert faults(database.Sql(url=URL)) == ["give either sql or file"]
    assert faults(database.Sql(url=URL, sql="SELECT 1", file="x.sql")) == ["give either sql or file, not both"]
    assert faults(database.Sql(url=URL, file="x.sql")) == ["x.sql: No such file or directory"]
    assert faults(database.Sql(url=URL, file=".")) == [".: Is a directory"]
    assert faults(database.Sql(url=URL, sql="SELECT 1", unless=" ")) == ["unless is empty"]
    (tmp_path / "x.sql").write_bytes("SELECT 'é'".encode("latin-1"))
    assert faults(database.Sql(url=URL, file="x.sql")) == ["x.sql: not UTF-8 text (byte 8)"]
    (tmp_path / "x.sql").write_text("\ufeffSELECT 'é'")
    assert faults(database.Sql(url=URL, file="x.sql")) == []


def test_faults_of_url_and_script_are_reported_together() -> None:
    assert len(faults(database.Sql(url="redis://db", unless=""))) == 3


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sslmod=require", "url has an unknown parameter 'sslmod': did you mean 'sslmode'?"),
        ("ssl=maybe", "url has ssl=maybe: expected true, false or one of sslmode's values"),
        ("sslmode=require&prepared_statement_cache_size=0&pool_size=3&app=x", None),
    ],
)
def test_parameters_of_others_pass_and_misspelt_ones_do_not(query: str, expected: str | None) -> None:
    assert faults(database.Ready(url=f"{URL}?{query}")) == ([expected] if expected else [])


def test_database_in_memory_is_refused() -> None:
    assert faults(database.Ready(url="sqlite:///:memory:")) == [
        "url is a database in memory, which nobody else can see: give a file"
    ]


@pytest.mark.parametrize(
    "tables",
    [["users"], ["users", {"billing.games": ["id"]}], {"users": None, '"odd.name"': ["id"]}],
)
def test_tables_are_a_list_a_mapping_or_both(tables: object) -> None:
    step = msgspec.convert({"url": URL, "tables": json.loads(json.dumps(tables))}, database.Tables)
    assert not faults(step)


def test_bad_table_names() -> None:
    assert faults(database.Tables(url=URL, tables=["a.b.c"])) == [
        "'a.b.c' is not a name: expected table or schema.table"
    ]
    assert faults(database.Tables(url=URL, tables=[])) == ["tables is empty"]


@pytest.mark.parametrize(
    ("url", "extras"),
    [(URL, ("postgres",)), ("mariadb://db/x", ("mysql",)), ("sqlite:///x", ()), ("nonsense", ())],
)
def test_the_url_decides_the_extra(url: str, extras: tuple[str, ...]) -> None:
    assert tuple(database.Ready(url=url).extras()) == extras


def test_sql_without_guard_cannot_be_checked() -> None:
    assert not database.Sql(url=URL, sql="SELECT 1").verifiable
    assert database.Sql(url=URL, sql="SELECT 1", unless="SELECT 1").verifiable


# -- from URLs to libpq
