"""What a hold that verifies says of drift: none of the secrets that its checks, and what they ask, give away."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from planted import PLANTED, Stage, assert_nothing_of_them, everything, make_stage, url_coded
from servers.inithold import Completed, Inithold
from servers.mariadb import MariaDB
from servers.otlp import Collector
from servers.postgresql import PostgreSQL

IDS = ("told", "raised", "guarded", "roles", "database", "mysql")


@pytest.fixture
def stage(tmp_path: Path, run_inithold: Inithold) -> Stage:
    return make_stage(tmp_path, run_inithold)


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgreSQL]:
    """A server whose admin has a planted password."""
    with PostgreSQL(password=PLANTED["url-password"]) as own:
        yield own


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDB]:
    """A server with a user that a test may shut itself out of."""
    with MariaDB() as own:
        yield own


def write(stage: Stage, postgres: PostgreSQL, mariadb: MariaDB, on_drift: str) -> None:
    """A plan that holds until there is a file `drift`, roles have other passwords, and a login is rejected."""
    address = f"postgresql://admin:{url_coded('url-password')}@127.0.0.1:{postgres.port}"
    stage.write(
        f"""
        - id: told
          uses: python.call
          needs: []
          with: {{call: "functions:prints", check: "functions:holds_after", args: {{path: drift}}}}
        - id: raised
          uses: python.call
          needs: []
          with: {{call: "functions:prints", check: "functions:raises_after", args: {{path: drift}}}}
        - id: guarded
          uses: command.run
          needs: []
          with:
            run: [python, says_everything.py, "0", "${{APP_PASSWORD}}", "${{secret:one}}"]
            unless: "test ! -e drift || python says_everything.py 3"
            env:
              OTHER_PASSWORD: {json.dumps(PLANTED["command-env"])}
              PARTS_PASSWORD: {json.dumps(PLANTED["url-parts"])}
              HEADER_TOKEN: {json.dumps(PLANTED["header"])}
              UNPARSABLE_SECRET: {json.dumps(PLANTED["unparsable-url"])}
        - id: roles
          uses: postgres.roles
          needs: []
          with:
            url: "{address}/postgres?sslpassword={url_coded("url-query")}"
            roles: [{{name: app_of_secrets, login: true, password: "${{APP_PASSWORD}}"}}]
        - id: database
          uses: postgres.database
          needs: []
          with: {{url: "{address}/games_of_secrets"}}
        - id: mysql
          uses: mysql.database
          needs: []
          with: {{host: 127.0.0.1, port: {mariadb.port}, user: app, password: "${{APP_KEY}}", database: games}}
        """
    )
    plan = stage.folder / "inithold.yaml"
    plan.write_text(plan.read_text().replace("steps:", f"hold: {{on_drift: {on_drift}, grace: 1s}}\nsteps:", 1))


def let_drift(stage: Stage, postgres: PostgreSQL, mariadb: MariaDB) -> None:
    (stage.folder / "drift").touch()
    postgres.execute("DROP DATABASE games_of_secrets")
    postgres.execute("ALTER ROLE app_of_secrets PASSWORD 'another'")
    mariadb.execute("SET PASSWORD FOR 'app'@'%' = PASSWORD('another')")


@pytest.mark.parametrize(
    ("on_drift", "log_format"), [("unhealthy", "plain"), ("rerun", "plain"), ("rerun", "json")]
)
def test_of_all_that_drifts(
    stage: Stage, postgres: PostgreSQL, mariadb: MariaDB, otlp: Collector, on_drift: str, log_format: str
) -> None:
    password = PLANTED["environment-key"].replace("\\", "\\\\").replace("'", "''")
    mariadb.execute(f"CREATE OR REPLACE USER 'app'@'%' IDENTIFIED BY '{password}'")
    mariadb.execute("GRANT ALL ON games.* TO 'app'@'%'")
    write(stage, postgres, mariadb, on_drift)
    talk = ("--log-level", "debug", "--log-format", log_format)
    init = stage.run_inithold.start("run", "--verify", "1s", *talk, env=stage.env | otlp.env(), cwd=stage.folder)
    init.wait_for_hold(60)
    let_drift(stage, postgres, mariadb)
    for step in IDS:
        init.wait_for_output(f"no longer in place: {step}: ")
    if on_drift == "unhealthy":
        shown = [stage.run(*command) for command in (("status",), ("status", "--json"), ("health",))]
        assert all(step in shown[0].stdout for step in IDS)
        init.signal(signal.SIGTERM)
        code = 0
    else:  # what cannot be fixed fails the run that follows
        shown = [stage.run("status")]
        code = 1
    assert init.wait(60) == code
    assert "raised:" in init.output
    otlp.wait_for(lambda collector: any("no longer in place" in record.body for record in collector.logs))
    shown.append(Completed(code, init.stdout, init.stderr, 0))
    for done in shown:
        assert_nothing_of_them(everything(stage, done, otlp))
