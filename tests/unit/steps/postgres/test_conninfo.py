"""From URLs to the parameters of libpq, and the places where a server may be."""

from __future__ import annotations

import pytest

from inithold.steps.address import parse
from inithold.steps.postgres.conninfo import parameters, places

URL = "postgresql://app:pw-of-app@db:5433/games"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (URL, [("db:5433", ("db", 5433))]),
        ("postgresql://[::1]/x", [("[::1]:5432", ("::1", 5432))]),
        ("postgresql://a:1,b,[::1]:3/x", [("a:1", ("a", 1)), ("b:5432", ("b", 5432)), ("[::1]:3", ("::1", 3))]),
        ("postgresql:///x?host=a,b", [("a:5432", ("a", 5432)), ("b:5432", ("b", 5432))]),
        ("postgresql:///x?host=a,b&port=7", [("a:7", ("a", 7)), ("b:7", ("b", 7))]),
        ("postgresql://db/x?hostaddr=10.0.0.1", [("db:5432", ("10.0.0.1", 5432))]),
        ("postgresql:///x?host=/run/pg", [("/run/pg/.s.PGSQL.5432", None)]),
        ("postgresql:///x?host=/run/pg&port=1", [("/run/pg/.s.PGSQL.1", None)]),
        ("postgresql:///x", [("postgresql", None)]),
        ("postgresql:///?service=main", [("service main", None)]),
    ],
)
def test_places(url: str, expected: list[tuple[str, tuple[str, int] | None]]) -> None:
    found = places(parameters(parse(url), "inithold"))
    assert [(place.shown, place.target) for place in found] == expected


def test_parameters_of_libpq() -> None:
    given = parameters(parse(f"{URL}?ssl=true&application_name=x&pool_size=3&connect_timeout=4"), "inithold")
    assert given["sslmode"] == "require"
    assert given["connect_timeout"] == "4"
    assert (given["application_name"], given["fallback_application_name"]) == ("x", "inithold")
    assert (given["user"], given["password"], given["dbname"]) == ("app", "pw-of-app", "games")
    assert "pool_size" not in given
    assert "ssl" not in given
