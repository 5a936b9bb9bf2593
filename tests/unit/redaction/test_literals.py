"""Secrets that stand literally in a command line."""

from __future__ import annotations

import pytest

from inithold.redaction.literals import find_literals

FOUND = {
    "x --password hunter2": [("PASSWORD", "hunter2")],
    "x --db-password=hunter2 y": [("DB_PASSWORD", "hunter2")],
    "x --api-key 'hunter 2'": [("API_KEY", "hunter 2")],
    "A_TOKEN=hunter2 x": [("A_TOKEN", "hunter2")],
    "export DB_PASS=hunter2; y": [("DB_PASS", "hunter2")],
    "psql postgresql://me:hunter2@db/x": [("POSTGRESQL_PASSWORD", "hunter2")],
    "curl -fs -u me:hunter2 http://x": [("HTTP_PASSWORD", "hunter2")],
    "mysqladmin -u root -phunter2 ping": [("MYSQL_PASSWORD", "hunter2")],
    "mc alias set m http://m:9000 me hunter2": [("MINIO_ROOT_PASSWORD", "hunter2")],
    "psql -c \"ALTER USER x PASSWORD 'hunter2'\"": [("NEW_USER_PASSWORD", "hunter2")],
    "curl -H 'Authorization: Bearer hunter2x'": [("AUTHORIZATION", "hunter2x")],
    "x\x1f--secret\x1fhunter 2\x1fy": [("SECRET", "hunter 2")],
}
NONE = (
    *("x --password-file /run/secrets/x", "x --password $PW", 'x --password "$PW"', "x --password=${PW}"),
    *(
        "PASSWORD_FILE=/x y",
        "curl http://me@x/",
        "x --token-ttl 5",
        "TOKEN=$T x",
        "keytool -x",
        "mc alias set m http://m:9000 $USER $PW --api S3v4",
        "x --password --y",
    ),
)


@pytest.mark.parametrize("text", FOUND)
def test_found(text: str) -> None:
    found = {(each.name, text[each.start : each.end]) for each in find_literals(text)}
    assert set(FOUND[text]) <= found


@pytest.mark.parametrize("behind", [";x", "; x", ")", "&& x", "|x", ">x", "<x", "`"])
@pytest.mark.parametrize(
    "command",
    [
        "mc alias set m http://m:9000 me hunter2",
        "mc config host add m http://m:9000 me hunter2",
        "mysql -u root -phunter2",
        "redis-cli -a hunter2",
        "rabbitmqadmin -u me -p hunter2",
        "curl -fs -u me:hunter2",
    ],
)
def test_a_secret_ends_where_the_shell_ends_the_word(command: str, behind: str) -> None:
    text = f"until ({command}{behind}"
    assert [text[each.start : each.end] for each in find_literals(text)] == ["hunter2"]
    listed = f"{command.replace(' ', chr(0x1F))}{behind}\x1fx"
    assert [listed[each.start : each.end] for each in find_literals(listed)] == [f"hunter2{behind}"]


def test_a_secret_in_quotes_ends_with_them() -> None:
    text = "curl -u 'me:hunter;2)' http://x && redis-cli -a \"hunter 2\" ping && mysql -p'hun;ter'"
    assert sorted(text[each.start : each.end] for each in find_literals(text)) == [
        "hun;ter",
        "hunter 2",
        "hunter;2)",
    ]


@pytest.mark.parametrize("text", NONE)
def test_none(text: str) -> None:
    assert list(find_literals(text)) == []
