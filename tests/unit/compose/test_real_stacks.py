"""What the stacks of other people taught: each is of a kind that was judged wrongly once."""

from __future__ import annotations

from pathlib import Path

import pytest

from unit.compose.case import run, run_json


def _ids(folder: Path, *options: str) -> list[str]:
    return [str(each["id"]) for each in run_json(folder, list(options))]


@pytest.mark.parametrize(
    ("test", "blind"),
    [
        ('["CMD", "bash", "-c", "echo > /dev/tcp/localhost/8080"]', False),
        ('["CMD-SHELL", "printf x >/dev/tcp/127.0.0.1/8080"]', False),
        ('["CMD-SHELL", ": > /dev/tcp/127.0.0.1/8080"]', False),
        ('["CMD-SHELL", "bash -c \'echo > /dev/udp/localhost/53\'"]', False),
        ('["CMD-SHELL", "echo ok > /dev/null"]', True),
        ('["CMD-SHELL", "echo ok 2>&1"]', True),
        ('["CMD-SHELL", "echo ok"]', True),
        ('["CMD-SHELL", "echo ok\\nnc -z localhost 80"]', False),
        ('["CMD-SHELL", "nc -z localhost 80\\nexit 0"]', True),
        ('["CMD-SHELL", "nc -z localhost 80 || exit"]', False),
        ('["CMD-SHELL", "nc -z localhost 80 || echo down"]', True),
        ('["CMD-SHELL", "sleep 5 && true"]', True),
        ('["CMD-SHELL", "nc -z localhost 80 && echo up"]', False),
        ('["CMD-SHELL", "nc -z localhost 80 | true"]', True),
        ('["CMD-SHELL", "set -o pipefail; nc -z localhost 80 | true"]', False),
        ('["CMD-SHELL", "nc -z localhost 80 || return 0"]', True),
        ("""["CMD-SHELL", "sh -c 'exit 0'"]""", True),
        ("""["CMD-SHELL", "sh -c 'nc -z localhost 80 || exit 1'"]""", False),
    ],
)
def test_a_probe_that_always_succeeds_and_one_that_does_not(test: str, blind: bool, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(f"""\
services:
  proxy: {{image: proxy, healthcheck: {{test: {test}}}}}
  web: {{image: web, depends_on: {{proxy: {{condition: service_healthy}}}}}}
""")
    assert _ids(tmp_path) == (["blind-healthcheck"] if blind else [])


@pytest.mark.parametrize(
    ("init", "web", "skips"),
    [
        ("profiles: [setup]", "", False),
        ("profiles: [setup]", "profiles: [setup]", True),
        ("profiles: [setup, all]", "profiles: [all]", True),
        ("profiles: [setup]", "profiles: [setup, web]", False),
        ("", "profiles: [web]", True),
        ("", "", True),
    ],
)
def test_an_init_of_another_profile_is_not_skipped(init: str, web: str, skips: bool, tmp_path: Path) -> None:
    """`up` without its profile refuses whatever depends on it."""
    (tmp_path / "compose.yaml").write_text(f"""\
services:
  search: {{image: elasticsearch}}
  setup:
    image: setup
    restart: "no"
    {init}
    depends_on: [search]
  web:
    image: web
    {web}
    depends_on: [search]
""")
    assert ("dependent-skips-init" in _ids(tmp_path)) == skips


@pytest.mark.parametrize(
    ("uses", "skips"),
    [
        ("depends_on: [db]", True),
        ("environment: {DATABASE_URL: postgres://db/app}", True),
        ("depends_on: [cache]", False),
    ],
)
def test_a_cache_is_not_what_a_migration_prepares(uses: str, skips: bool, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(f"""\
services:
  db: {{image: postgres}}
  cache: {{image: "valkey/valkey:8"}}
  migrator:
    image: app
    restart: "no"
    depends_on: [db, cache]
  live:
    image: live
    {uses}
""")
    assert ("dependent-skips-init" in _ids(tmp_path)) == skips


def test_a_cache_that_is_all_an_init_uses_is_what_it_prepares(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("""\
services:
  cache: {image: redis}
  seed: {image: app, restart: "no", depends_on: [cache]}
  live: {image: live, depends_on: [cache]}
""")
    assert "dependent-skips-init" in _ids(tmp_path)


def test_a_file_without_a_word_beside_others(tmp_path: Path) -> None:
    """Compose takes it, where another file says something."""
    (tmp_path / "compose.yaml").write_text("services:\n  web: {image: web}\n")
    (tmp_path / "extras.yaml").write_text("# Copyright\n")
    (tmp_path / "none.yaml").write_text("")
    outcome = run(tmp_path, "check", "-f", "compose.yaml", "-f", "extras.yaml", "-f", "none.yaml")
    assert (outcome.code, outcome.output) == (0, "no findings\n")
    alone = run(tmp_path, "check", "-f", "extras.yaml")
    assert (alone.code, alone.errors) == (2, "extras.yaml: empty: not a Compose file")


@pytest.mark.parametrize(
    ("service", "healthcheck", "other"),
    [("", " &healthcheck", "image: redis\n    healthcheck: *healthcheck"), (" &redis", "", "<<: *redis")],
)
def test_a_healthcheck_that_services_share_is_fixed_for_all(
    service: str, healthcheck: str, other: str, tmp_path: Path
) -> None:
    stack = f"""\
services:
  redis:{service}
    image: redis
    healthcheck:{healthcheck}
      test: ["CMD", "redis-cli", "ping"]
      interval: 1s
      start_period: 5s
  redis-cache:
    {other}
"""
    (tmp_path / "compose.yaml").write_text(stack)
    outcome = run(tmp_path, "fix", "--unsafe")
    assert outcome.code == 0, outcome.output
    fixed = stack.replace("interval: 1s", "interval: 30s").replace(
        "start_period: 5s\n", "start_period: 5s\n      start_interval: 1s\n"
    )
    assert (tmp_path / "compose.yaml").read_text() == fixed


@pytest.mark.parametrize(
    ("command", "impatient"),
    [
        ('["sh", "-c", "sleep 5s && ./migrate"]', True),
        ('["sh", "-c", "sleep 5\\n./migrate"]', True),
        ("dbmate up", True),
        ("dbmate --wait up", False),
        ("./migrate", False),
        ("[sh, -c, 'for i in 1 2 3; do pg_isready -h db && break; sleep 2; done; ./migrate']", True),
        ("[sh, -c, 'for i in $$(seq 1 5); do nc -z db 5432 && break; sleep 1; done; ./migrate']", True),
        ("[bash, -c, 'for i in {1..9}; do nc -z db 5432 && break; sleep 1; done && ./migrate']", True),
        ("[bash, -c, 'for i in {1..90}; do nc -z db 5432 && break; sleep 1; done; ./migrate']", False),
        (
            "[sh, -c, 'for i in 1 2 3; do nc -z db 5432 && break; sleep 2; done; nc -z db 5432 && ./migrate']",
            False,
        ),
        ("[sh, -c, 'for i in 1 2 3; do ./migrate && exit 0; sleep 2; done; exit 1']", False),
        ("[sh, -c, 'for i in 1 2 3; do ./load $$i; done']", False),
    ],
)
def test_what_does_not_wait(command: str, impatient: bool, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(f"""\
services:
  db: {{image: postgres}}
  init: {{image: app, command: {command}, depends_on: [db]}}
  web: {{image: app, depends_on: {{init: {{condition: service_completed_successfully}}}}}}
""")
    assert ("impatient-init" in _ids(tmp_path)) == impatient


@pytest.mark.parametrize(
    ("image", "skips"),
    [
        ("app", True),
        ("dpage/pgadmin4:8", False),
        ("adminer", False),
        ("quay.io/prometheuscommunity/postgres-exporter", False),
        ("phpmyadmin/phpmyadmin", False),
        ("temporalio/ui", False),
        ("temporalio/admin-tools", False),
        ("ghcr.io/acme/admin-api", True),
    ],
)
def test_a_console_or_an_exporter_need_not_wait(image: str, skips: bool, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(f"""\
services:
  db: {{image: postgres}}
  migrate: {{image: app, restart: "no", depends_on: [db]}}
  web: {{image: app, depends_on: {{migrate: {{condition: service_completed_successfully}}}}}}
  other: {{image: "{image}", depends_on: [db]}}
""")
    assert ("dependent-skips-init" in _ids(tmp_path)) == skips


@pytest.mark.parametrize(
    ("db", "web", "skips"),
    [
        ("container_name: app_db", "environment: {DATABASE_URL: 'postgres://u:p@app_db/app'}", True),
        ("hostname: store", "environment: {DB_HOST: store}", True),
        ("networks: {default: {aliases: [store]}}", "environment: {DB_HOST: store}", True),
        ("", "links: [db]", True),
        ("", "links: ['db:store'], environment: {DB_HOST: store}", True),
        ("hostname: store", "environment: {DB_HOST: elsewhere}", False),
    ],
)
def test_the_names_of_a_server(db: str, web: str, skips: bool, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(f"""\
services:
  db: {{image: postgres, {db}}}
  migrate: {{image: app, restart: "no", depends_on: [db]}}
  web: {{image: app, {web}}}
""")
    assert ("dependent-skips-init" in _ids(tmp_path)) == skips


def test_a_proxy_is_nothing_that_an_init_prepares(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("""\
services:
  api: {image: app}
  proxy: {image: "nginx:1", depends_on: [api]}
  create-namespace: {image: app, restart: "no", depends_on: [proxy]}
  worker: {image: app, depends_on: [proxy]}
""")
    assert _ids(tmp_path) == ["unadopted-one-shot"]


@pytest.mark.parametrize(
    ("service", "image"), [("db-backup", "app"), ("nightly", "prodrigestivill/postgres-backup-local")]
)
def test_a_backup_need_not_wait(service: str, image: str, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(f"""\
services:
  db: {{image: postgres}}
  migrate: {{image: app, restart: "no", depends_on: [db]}}
  web: {{image: app, depends_on: {{migrate: {{condition: service_completed_successfully}}}}}}
  {service}: {{image: {image}, depends_on: [db]}}
""")
    assert "dependent-skips-init" not in _ids(tmp_path)


def test_who_starts_behind_a_service_that_skips_init_is_fixed_with_it(tmp_path: Path) -> None:
    """As in Plane's and Zammad's stacks."""
    stack = """\
services:
  db: {image: postgres}
  migrate: {image: app, restart: "no", depends_on: [db]}
  proxy: {image: nginx, environment: {DATABASE_URL: "postgres://db/app"}, depends_on: [worker]}
  worker: {image: app, depends_on: [db, api]}
  api: {image: app, depends_on: [db]}
"""
    (tmp_path / "compose.yaml").write_text(stack)
    skipping = [each for each in run_json(tmp_path, []) if each["id"] == "dependent-skips-init"]
    assert [each["service"] for each in skipping] == ["api"]
    run(tmp_path, "fix", "--unsafe")
    assert "dependent-skips-init" not in _ids(tmp_path)


def test_the_last_of_a_chain_prepares_what_the_others_do(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("""\
services:
  db: {image: postgres}
  migrate: {image: app, restart: "no", depends_on: [db]}
  seed: {image: app, restart: "no", depends_on: {migrate: {condition: service_completed_successfully}}}
  web: {image: app, depends_on: {seed: {condition: service_completed_successfully}}}
  cron: {image: app, environment: {DATABASE_URL: postgres://db/app}}
""")
    skipping = [each for each in run_json(tmp_path, []) if each["id"] == "dependent-skips-init"]
    assert [(each["service"], each["related"]) for each in skipping] == [("cron", "seed")]


@pytest.mark.parametrize(
    ("service", "never"),
    [
        ('image: redis, healthcheck: {test: "false"}', True),
        ('image: redis, healthcheck: {test: [CMD-SHELL, "exit 1"]}', True),
        ("image: redis, healthcheck: {test: [CMD, redis-cli ping]}", True),
        ('image: redis, healthcheck: {test: [CMD, redis-cli, -p, "6380", ping]}', True),
        ("image: redis, command: redis-server --port 6380, healthcheck: {test: redis-cli ping}", True),
        ("image: redis, command: redis-server --port 6380, healthcheck: {test: redis-cli -p 6380 ping}", False),
        ("image: redis, command: redis-server /etc/redis.conf, healthcheck: {test: redis-cli -p 7 ping}", False),
        ("image: postgres, command: postgres -p 5433, healthcheck: {test: pg_isready -U me}", True),
        ('image: postgres, environment: {PGPORT: "5433"}, healthcheck: {test: pg_isready -p 5433}', False),
        ("image: postgres, healthcheck: {test: pg_isready -d app -U me}", False),
        ("command: uvicorn app:app --port 8001, healthcheck: {test: curl -f http://localhost:8000/}", True),
        ("command: uvicorn app:app --port 8001, healthcheck: {test: curl -f http://localhost:8001/}", False),
        ("command: gunicorn -b 0.0.0.0:8001 app, healthcheck: {test: curl -f http://localhost/}", True),
        ("command: gunicorn -b :8001 -b :8002 app, healthcheck: {test: curl -f http://localhost:8002/}", False),
        ("command: uvicorn app:app --port $$PORT, healthcheck: {test: curl -f http://localhost:8000/}", False),
        ("command: sh -c 'nginx & uvicorn a --port 1234', healthcheck: {test: curl http://localhost/}", False),
        (
            "command: python manage.py runserver 0.0.0.0:8001, healthcheck: {test: curl http://localhost:8000/}",
            True,
        ),
        ("command: uvicorn app:app --port 8001 --env-file x.ini, healthcheck: {test: curl localhost:8000}", False),
        ("command: ./serve --port 8001, healthcheck: {test: curl -f http://localhost:8000/}", False),
    ],
)
def test_a_probe_that_can_never_succeed(service: str, never: bool, tmp_path: Path) -> None:
    image = "" if "image:" in service else "image: app, "
    (tmp_path / "compose.yaml").write_text(f"""\
services:
  server: {{{image}{service}}}
  web: {{image: web, depends_on: {{server: {{condition: service_healthy}}}}}}
""")
    assert _ids(tmp_path) == (["blind-healthcheck"] if never else [])


def test_an_init_that_reaches_its_dependent_must_not_be_awaited_until_it_is_done(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("""\
services:
  setup: {image: curlimages/curl, command: "curl --retry 9 http://api/setup", restart: on-failure}
  api: {image: api, depends_on: [setup]}
""")
    outcome = run(tmp_path, "fix", "--unsafe", "--wrap", "shell")
    assert "make two of it, since its command needs api" in outcome.output
    assert _ids(tmp_path) == ["one-shot-init"]


def test_what_only_probably_holds_is_none_of_a_safe_fixs(tmp_path: Path) -> None:
    stack = """\
services:
  init:
    image: app
    command: python init.py
    restart: on-failure
    healthcheck:
      test: test -f /tmp/init-complete
  web:
    image: app
    depends_on: {init: {condition: service_healthy}}
"""
    (tmp_path / "compose.yaml").write_text(stack)
    outcome = run(tmp_path, "fix")
    assert (tmp_path / "compose.yaml").read_text() == stack
    assert "if init stays up when it is done, as its healthcheck says" in outcome.output


@pytest.mark.parametrize(
    ("variable", "skips"),
    [
        ("DATABASE_USER: app", True),
        ("APP_DB: app", True),
        ("APP_HOST: app", False),
        ("APP_URL: http://app", False),
    ],
)
def test_a_user_named_like_a_service_is_not_that_service(variable: str, skips: bool, tmp_path: Path) -> None:
    """What an init uses cannot be what skips it: an app that its own migration reaches."""
    (tmp_path / "compose.yaml").write_text(f"""\
services:
  db: {{image: postgres}}
  app-init: {{image: app, restart: "no", depends_on: [db], environment: {{{variable}}}}}
  app: {{image: app, depends_on: [db]}}
""")
    assert ("dependent-skips-init" in _ids(tmp_path)) == skips


@pytest.mark.parametrize(
    ("dsn", "skips"),
    [
        ("postgres://idp:secret@db:5432/idp?sslmode=disable", False),
        ("mysql://idp:secret@tcp(db:3306)/idp", False),
        ("http://idp:4433/", True),
        ("-Ddb.url=jdbc:postgresql://db:5432/idp -Dhost=idp -Dport=1", True),
    ],
)
def test_a_users_or_databases_name_in_a_url_is_no_host(dsn: str, skips: bool, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(f"""\
services:
  db: {{image: postgres}}
  init: {{image: idp, restart: "no", environment: {{DSN: "{dsn}"}}}}
  idp: {{image: idp, depends_on: {{init: {{condition: service_completed_successfully}}}}}}
  web: {{image: web, environment: {{IDP_URL: "http://idp:4433"}}}}
""")
    assert ("dependent-skips-init" in _ids(tmp_path)) == skips


@pytest.mark.parametrize(
    ("service", "skips"),
    [
        ("image: redis", []),
        ("image: getmeili/meilisearch", []),
        ("image: redpandadata/console", []),
        ("image: ankane/pghero", []),
        ("image: app", ["db"]),
        ("image: connect, environment: {BROKERS: 'broker:9092'}", []),
    ],
)
def test_who_needs_what_a_migration_prepares(service: str, skips: list[str], tmp_path: Path) -> None:
    """Servers that have the others' variables by an anchor do not; and a migration does not prepare the broker."""
    environment = "" if "BROKERS" in service else ", environment: *all"
    (tmp_path / "compose.yaml").write_text(f"""\
services:
  db: {{image: postgres}}
  broker: {{image: redpandadata/redpanda}}
  migrate:
    image: app
    restart: "no"
    environment: &all {{DATABASE_URL: "postgres://app@db/app", BROKERS: "broker:9092"}}
  web: {{image: app, depends_on: {{migrate: {{condition: service_completed_successfully}}}}}}
  other: {{{service}{environment}}}
""")
    found = [str(each["message"]) for each in run_json(tmp_path, []) if each["id"] == "dependent-skips-init"]
    assert [message.split()[2].rstrip(",") for message in found] == skips


def test_the_image_of_a_tool_tells_its_program(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("""\
services:
  db: {image: postgres}
  migrate: {image: "flyway/flyway:11", command: migrate, depends_on: [db]}
  web: {image: app, depends_on: [migrate]}
""")
    assert _ids(tmp_path) == ["one-shot-init", "impatient-init", "init-not-awaited"]
    run(tmp_path, "fix", "--wrap", "inithold")
    assert "command: migrate" in (tmp_path / "compose.yaml").read_text(), "its entrypoint is not for sure"


@pytest.mark.parametrize(
    ("guard", "outlives"),
    [
        ("if [ ! -f /keys/app.pem ]; then", False),
        ("if test ! -e /keys/app.pem; then", False),
        ("if true; then", True),
    ],
)
def test_a_file_that_is_all_an_init_makes(guard: str, outlives: bool, tmp_path: Path) -> None:
    """As in OpenCTI's stack: where the file is there, its command does nothing."""
    (tmp_path / "compose.yaml").write_text(f"""\
services:
  keys:
    image: alpine/openssl
    volumes: ["keys:/keys"]
    entrypoint: [sh, -c]
    command: ["{guard} openssl genpkey -out /keys/app.pem; fi && tail -f /dev/null"]
    init: true
    restart: unless-stopped
    healthcheck: {{test: test -f /keys/app.pem, start_period: 15m, start_interval: 1s}}
  web: {{image: web, depends_on: {{keys: {{condition: service_healthy}}}}}}
volumes: {{keys: {{}}}}
""")
    assert _ids(tmp_path) == (["marker-outlives-container"] if outlives else [])


@pytest.mark.parametrize(
    ("command", "cut"),
    [
        ("node server.js 2>&1", False),
        ("node server.js >&2", False),
        ("node server.js 2>&1 | tee log", True),
        ("node server.js > log", True),
    ],
)
def test_a_redirection_into_the_log_is_not_missed(command: str, cut: bool, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(f"services:\n  web: {{image: web, command: {command}}}\n")
    assert _ids(tmp_path) == (["unshelled-command"] if cut else [])


def test_a_service_is_no_suggestion_for_its_own_dependency(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services:\n  apm-server: {image: apm, depends_on: [fleet-server]}\n")
    (finding,) = run_json(tmp_path, [])
    assert finding["by_hand"] == "name a service of the stack, or give the file it is in with -f"


def test_what_starts_behind_a_service_that_names_init(tmp_path: Path) -> None:
    """As in Budibase's stack: the service that does not wait is reported, not those behind it."""
    (tmp_path / "compose.yaml").write_text("""\
services:
  couchdb: {image: "apache/couchdb:3"}
  couch-init:
    image: curlimages/curl
    command: [sh, -c, "sleep 10 && curl -X PUT couchdb:5984/_users"]
    depends_on: [couchdb]
  worker: {image: worker, depends_on: [couch-init]}
  app: {image: app, environment: {COUCH_DB_URL: "http://couchdb:5984"}, depends_on: [worker]}
""")
    assert sorted(_ids(tmp_path)) == ["impatient-init", "init-not-awaited", "one-shot-init"]
