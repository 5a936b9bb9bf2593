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
        "x --password --y",
    ),
)


@pytest.mark.parametrize("text", FOUND)
def test_found(text: str) -> None:
    found = {(each.name, text[each.start : each.end]) for each in find_literals(text)}
    assert set(FOUND[text]) <= found


@pytest.mark.parametrize("text", NONE)
def test_none(text: str) -> None:
    assert list(find_literals(text)) == []
