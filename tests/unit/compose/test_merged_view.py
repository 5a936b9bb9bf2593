"""Our view of a stack is Compose's own: held against `docker compose config`."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from inithold.compose.read.discover import find_files
from inithold.compose.read.merge import read_mount
from inithold.compose.read.project import Service, load_project
from inithold.compose.read.tree import Mapping, Scalar, Sequence, Value, plain
from unit.compose.case import CASES, COMPOSE_VERSIONS, compose_config, docker_environment, major, options_of

_RAW = ("--no-interpolate", "--no-path-resolution", "--no-normalize", "--no-consistency", "--no-env-resolution")
_FIELDS = [
    "image",
    "command",
    "entrypoint",
    "environment",
    "depends_on",
    "healthcheck",
    "restart",
    "init",
    "tmpfs",
    "profiles",
    "deploy",
    "user",
    "read_only",
    "labels",
    "scale",
    "working_dir",
    "networks",
    "env_file",
    "cap_add",
    "logging",
]
SHAPES = {
    "merge keys": """
        x-a: &a {image: x, labels: {a: "1"}, restart: "no"}
        x-b: &b {image: y, command: c, labels: [b=1]}
        services:
          one:
            <<: [*a, *b]
            labels:
              <<: {z: "1"}
              c: "2"
          two:
            image: last
            <<: *a
            command: [a, *cmd]
            entrypoint: &cmd sh
        """.replace(", *cmd", "").replace("&cmd ", ""),
    "forms": """
        services:
          a: {image: x, command: "", entrypoint: [], tmpfs: /run, healthcheck: {test: NONE}, profiles: [p]}
          b: {image: x, command: null, environment: [A=1, A=2, B, C=], healthcheck: {test: [NONE]}}
          c:
            image: x
            command: |
              a b
              c
            entrypoint: >-
              folded
              text
            depends_on: [a, b]
            networks: [one, two]
            env_file: a.env
          d: {image: x, depends_on: {a: {condition: service_healthy, restart: true, required: false}}}
        networks: {one: {}, two: {}}
        """,
    "extends": """
        services:
          base:
            image: x
            restart: "no"
            environment: {A: "1"}
            healthcheck: {test: a, interval: 1s}
            depends_on: [db]
          mid: {extends: base, environment: [B=2], command: mid}
          top:
            extends: {service: mid}
            depends_on: {other: {condition: service_healthy}}
            healthcheck: {interval: 2s}
            labels: [k]
          db: {image: y}
          other: {image: y}
        """,
    "documents": """
        services:
          a: {image: x, command: one}
        ---
        services:
          a: {command: two, healthcheck: {test: a}}
          b: {image: y}
        """,
}
LAYERS = {
    "reset and override": [
        """
        services:
          a:
            image: x
            command: [a]
            depends_on: [b, c]
            healthcheck: {test: a, interval: 1s}
            environment: {A: "1"}
          b:
            image: x
            restart: "no"
            tmpfs: [/a]
            cap_add: [NET_ADMIN]
            logging: {driver: syslog, options: {a: b}}
          c: {image: x, labels: {a: "1"}, deploy: {replicas: 2, labels: {a: b}}}
        """,
        """
        services:
          a:
            command: !override [b]
            depends_on: !override {c: {condition: service_healthy}}
            healthcheck: {interval: !reset null}
            environment: !reset {}
          b:
            restart: !reset null
            tmpfs: /b
            cap_add: [NET_ADMIN, SYS_TIME]
            logging: {driver: json-file}
          c: {deploy: {replicas: 3}, labels: [b=2], restart: always}
        """,
        """
        services:
          a: {environment: [B=2], healthcheck: {timeout: 3s, disable: true}}
          b: {logging: {options: {c: d}}, command: null, restart: unless-stopped}
          c: {depends_on: [a, b]}
        """,
    ],
    "a service taken away": [
        "services: {a: {image: x, command: one}, b: {image: y}, c: {image: z}}",
        "services: {a: !reset null, b: !override {image: q}, c: !reset {}}",
        "services: {a: {image: again}}",
    ],
    "dependencies of each form": [
        "services: {a: {image: x, depends_on: [b]}, b: {image: x}, c: {image: x}}",
        "services: {a: {depends_on: {b: {condition: service_healthy}, c: {condition: service_started}}}}",
        "services: {a: {depends_on: {b: !reset {}, c: {restart: true, condition: service_started}}}}",
        "services: {a: {depends_on: [c, b]}}",
        "services: {a: {depends_on: {c: !override {condition: service_healthy, required: false}}}}",
    ],
    "commands": [
        "services: {a: {image: x, entrypoint: e, command: c}, b: {image: x, entrypoint: [e, f], command: [c]}}",
        "services: {a: {entrypoint: null, command: }, b: {entrypoint: e g, command: ''}}",
        "services: {a: {entrypoint: [], command: [d]}, b: {entrypoint: '', command: !reset null}}",
        "services: {a: {entrypoint: [''], command: d e}, b: {entrypoint: !override [x], command: y}}",
    ],
    "healthchecks": [
        "services: {a: {image: x, healthcheck: {test: a b, interval: 1s, retries: 3}}, b: {image: x}}",
        "services: {a: {healthcheck: {test: [CMD, c], start_interval: 1s}}, b: {healthcheck: {disable: true}}}",
        "services: {a: {healthcheck: {test: [NONE]}}, b: {healthcheck: {test: z, disable: false}}}",
        "services: {a: {healthcheck: {test: NONE, interval: null}}, b: {healthcheck: !override {test: y}}}",
    ],
    "files of variables": [
        "services: {a: {image: x, env_file: a.env, environment: {A: '1', B: }}}",
        "services: {a: {env_file: [{path: b.env, required: false}, a.env], environment: [A=2, C]}}",
        "services: {a: {env_file: !override b.env, environment: null}}",
    ],
    "deploy": [
        "services: {a: {image: x, scale: 2, deploy: {replicas: 2, restart_policy: {condition: on-failure}}}}",
        "services: {a: {scale: 1, deploy: {restart_policy: {delay: 5s}, placement: {constraints: [b]}}}}",
        "services: {a: {scale: !reset null, deploy: {restart_policy: !reset null, mode: replicated}}}",
    ],
    "anchors and extensions": [
        "x-h: &h {test: a, interval: 1s}\n"
        "x-s: &s {image: x, x-own: [1], restart: always, environment: &e {A: '1'}}\n"
        "services:\n  a: {<<: *s, healthcheck: {<<: *h, interval: 2s}}\n"
        "  b: {<<: [{restart: 'no'}, *s], healthcheck: *h, environment: {<<: *e, B: '2'}}",
        "x-h: &h {timeout: 9s}\nservices: {a: {healthcheck: *h}, b: {healthcheck: !override {test: z}}}",
    ],
    "a reset beside a merge key": [
        "services: {a: {image: x, command: one, restart: always, labels: {q: '1'}}, b: {image: x}}",
        "x-s: &s {command: two, labels: {r: '2'}}\n"
        "services: {a: {<<: *s, command: !reset null, restart: !reset null, labels: !reset {}}}",
        "services: {a: {labels: {s: '3'}}}",
    ],
    "extends in each file": [
        "services: {base: {image: x, command: b}, top: {extends: base, restart: always}}",
        "services: {base: {command: c, environment: [A=1]}, top: {restart: 'no'}}",
        "services: {base: {image: z, labels: [q=1]}, top: {extends: {service: base}, entrypoint: f}}",
    ],
    "what comes through mounts": [
        "services: {a: {image: x, secrets: [s, {source: t, target: u}], configs: [c], ports: ['80:80']}}\n"
        "secrets: {s: {file: a}, t: {environment: T}}\nconfigs: {c: {content: z}}",
        "services: {a: {secrets: [{source: s, target: /run/z}, t], configs: [{source: c, target: /y}]}}",
        "services: {a: {secrets: !override [s], ports: !reset [], configs: [{source: c, target: /y, uid: '1'}]}}",
    ],
    "short over long": [
        "services: {a: {image: x, depends_on: {b: {condition: service_healthy, restart: true}}}, b: {image: x}}",
        "services: {a: {depends_on: [b]}}",
    ],
    "names without a value": [
        "services: {a: {image: x, environment: [A=1, B=2], labels: {l: '1', m: '2'}}, "
        "b: {extends: a, environment: [B]}}",
        "services: {a: {environment: [A], labels: [l]}}",
        "services: {a: {environment: {B: }, labels: {m: }}}",
    ],
    "targets": [
        "services: {a: {image: x, volumes: ['./a:/x/', './b:/y//z', /anon/, {type: tmpfs, target: /t/}]}}",
        "services: {a: {volumes: ['./c:/x', {type: bind, source: ./d, target: /y/z}, './e:/anon', './f:/t']}}",
    ],
    "volumes": [
        "services: {a: {image: x, volumes: ['data:/data', ./a:/b:ro, /anon]}}\nvolumes: {data: {}, other: {}}",
        "services: {a: {volumes: ['other:/data', {type: tmpfs, target: /anon}, './c:/d']}}",
    ],
}


@pytest.fixture(scope="module", params=COMPOSE_VERSIONS)
def docker(request: pytest.FixtureRequest) -> dict[str, str]:
    environment = docker_environment(request.param)
    if environment is None:
        pytest.skip("there is no `docker compose` here and no test engine to take it from")
    return environment


def _same(folder: Path, files: list[str], docker: dict[str, str]) -> None:
    theirs = compose_config(folder, files, docker, *_RAW)["services"]
    ours = load_project(files, folder=folder, environment={}).services
    assert set(ours) == set(theirs)
    for name, service in ours.items():
        # Mounts and names are told from the form that is filled in: see below.
        unfilled = [key for key in ("volumes", "depends_on") if "$" in str(theirs[name].get(key))]
        kept = [key for key in [*_FIELDS, "volumes"] if key not in unfilled]
        assert _shown(_plain(service, plain), kept) == _shown(theirs[name], kept), name


def _plain(service: Service, data: Callable[[Value], Any]) -> dict[str, Any]:
    shown = {key: data(value) for key, value in service.view.entries.items()}
    listed = service.value("volumes")
    if isinstance(listed, Sequence):
        mounts = [mount for item in listed.items if (mount := read_mount(item)) is not None]
        shown["volumes"] = [{"target": mount.target, "type": mount.kind} for mount in mounts]
    return shown


def _filled(value: Value | None) -> Any:
    """As Compose shows it: with `$$` for the `$` that is left."""
    if isinstance(value, Mapping):
        return {key: _filled(entry) for key, entry in value.entries.items()}
    if isinstance(value, Sequence):
        return [_filled(item) for item in value.items]
    text = value.text if isinstance(value, Scalar) else ""
    return value.filled.replace("$", "$$") if isinstance(value, Scalar) and "$" in text else plain(value)


def _shown(service: dict[str, Any], fields: list[str]) -> dict[str, Any]:
    shown = {key: _field(key, service[key]) for key in fields if service.get(key) is not None}
    for key in ("secrets", "configs"):
        shown |= {key: _taken(key, service[key])} if service.get(key) else {}
    if shown.get("volumes"):
        shown["volumes"] = sorted((each["target"], each["type"]) for each in service["volumes"])
    return shown


def _taken(key: str, items: list[Any]) -> list[tuple[str, str]]:
    """Source and target, in Compose's own way of writing them."""
    root = "/run/secrets/" if key == "secrets" else ""
    long = [item if isinstance(item, dict) else {"source": item} for item in items]
    return [(item["source"], item.get("target") or (root + item["source"] if root else "")) for item in long]


def _field(key: str, value: Any) -> Any:
    if key in ("environment", "labels") and isinstance(value, list):
        pairs = [item.partition("=") for item in value]
        value = {name: rest if separator else None for name, separator, rest in pairs}
    if key in ("environment", "labels"):
        # Compose writes a label without a value as an empty one.
        return {name: "" if entry is None and key == "labels" else _text(entry) for name, entry in value.items()}
    if key == "depends_on":
        return {name: {"required": True, **entry} for name, entry in value.items()}
    if key == "tmpfs" and isinstance(value, str):
        return [value]
    if key == "networks":
        return set(value)
    if key == "env_file":
        return [item if isinstance(item, str) else item["path"] for item in value]
    if key == "deploy" and isinstance(value.get("labels"), list):
        return {**value, "labels": dict(item.split("=") for item in value["labels"])}
    return value


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _dedent(text: str) -> str:
    return re.sub(r"(?m)^ {8}", "", text.lstrip("\n"))


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(name: str, tmp_path: Path, docker: dict[str, str]) -> None:
    (tmp_path / "compose.yaml").write_text(_dedent(SHAPES[name]))
    _same(tmp_path, ["compose.yaml"], docker)


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str, tmp_path: Path, docker: dict[str, str]) -> None:
    files = []
    for number, text in enumerate(LAYERS[name]):
        files.append(f"{number}.yaml")
        (tmp_path / files[-1]).write_text(_dedent(text))
        _same(tmp_path, files, docker)


@pytest.mark.parametrize("kind", ["bad", "fixed"])
@pytest.mark.parametrize("case", sorted((CASES / "projects").iterdir()), ids=lambda path: path.name)
def test_projects(case: Path, kind: str, tmp_path: Path, docker: dict[str, str]) -> None:
    for path in [*(case / "bad").rglob("*"), *(case / kind).rglob("*")]:
        if path.is_file():
            target = tmp_path / path.relative_to(case / ("bad" if path.is_relative_to(case / "bad") else kind))
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    options = options_of(case)
    given = [value for name, value in pairwise(options) if name == "-f"]
    _same(tmp_path, find_files(given, {}, tmp_path), docker)


def test_include_and_extends_of_other_files(tmp_path: Path, docker: dict[str, str]) -> None:
    (tmp_path / "sub").mkdir()
    files = {
        "compose.yaml": """
            include:
              - sub/db.yaml
              - path: [sub/x.yaml, sub/x.override.yaml]
                project_directory: .
            services:
              app:
                extends: {file: sub/common.yaml, service: app}
                depends_on: {db: {condition: service_healthy}}
            """,
        "compose.override.yaml": """
            services:
              db: {restart: always}
              app: {healthcheck: !override {test: b}}
            """,
        "sub/db.yaml": 'services: {db: {image: pg, volumes: ["./d:/d"], depends_on: [x]}}',
        "sub/x.yaml": "services: {x: {image: pg}}",
        "sub/x.override.yaml": "services: {x: {image: pg2, command: !override [a]}}",
        "sub/common.yaml": """
            services:
              base: {restart: "no", depends_on: [x]}
              app: {image: a, extends: base, depends_on: [db], healthcheck: {test: a, interval: 1s}}
            """,
    }
    for name, text in files.items():
        (tmp_path / name).write_text(re.sub(r"(?m)^ {12}", "", text.lstrip("\n")))
    _same(tmp_path, ["compose.yaml", "compose.override.yaml"], docker)


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(re.sub(r"(?m)^ {12}", "", text.lstrip("\n")))


def test_names_start_at_the_project_folder(tmp_path: Path, docker: dict[str, str]) -> None:
    """In a file of another folder too: Compose takes them from the folder of the first file."""
    files = {
        "compose.yaml": "services: {db: {image: pg}}",
        "deploy/prod.yaml": """
            include: [parts/queue.yaml]
            services:
              app: {extends: {file: parts/base.yaml, service: app}, depends_on: [queue]}
            """,
        "parts/queue.yaml": "services: {queue: {image: mq, extends: {file: common.yaml, service: common}}}",
        "parts/base.yaml": "services: {app: {image: a, extends: {file: common.yaml, service: common}}}",
        "parts/common.yaml": 'services: {common: {restart: "no", command: c}}',
    }
    _write(tmp_path, files)
    _same(tmp_path, ["compose.yaml", "deploy/prod.yaml"], docker)


def test_an_include_has_a_folder_and_variables_of_its_own(tmp_path: Path, docker: dict[str, str]) -> None:
    files = {
        "compose.yaml": """
            include:
              - path: parts/a.yaml
                project_directory: ${WHERE:-elsewhere}
                env_file: [conf/x.env, /dev/null]
              - other/b.yaml
            services: {top: {image: x}}
            """,
        "parts/a.yaml": """
            include: ["${NAME}.yaml"]
            services: {a: {image: a, extends: {file: base.yaml, service: base}}}
            """,
        "elsewhere/inner.yaml": "services: {inner: {image: i}}",
        "elsewhere/base.yaml": "services: {base: {command: b}}",
        "other/b.yaml": 'include: ["${PART}.yaml"]',
        "other/dotenv.yaml": "services: {from-dotenv: {image: d}}",
        "conf/x.env": "NAME=inner",
        "other/.env": "PART=dotenv",
    }
    _write(tmp_path, files)
    theirs = compose_config(tmp_path, ["compose.yaml"], docker)["services"]
    project = load_project(["compose.yaml"], folder=tmp_path, environment={})
    assert project.notes == []
    assert set(project.services) == set(theirs) == {"a", "inner", "from-dotenv", "top"}
    assert theirs["a"]["command"] == [project.services["a"].text("command")]


def test_what_two_includes_share_is_one(tmp_path: Path, docker: dict[str, str]) -> None:
    files = {
        "compose.yaml": "include: [a.yaml, b.yaml]\nservices: {again: {image: x}}",
        "a.yaml": "include: [db.yaml]\nservices: {a: {image: x, depends_on: [db]}, again: {image: x}}",
        "b.yaml": "include: [db.yaml]\nservices: {b: {image: x, depends_on: [db]}}",
        "db.yaml": "services: {db: {image: pg, command: [a], environment: [A=b]}}",
        "over.yaml": "services: {db: {command: [b]}}",
    }
    _write(tmp_path, files)
    _same(tmp_path, ["compose.yaml"], docker)
    _same(tmp_path, ["compose.yaml", "over.yaml"], docker)
    assert len(load_project(["compose.yaml"], folder=tmp_path, environment={}).sources) == 4


CONFLICTS = {
    "two includes": "include: [a.yaml, b.yaml]\nservices: {c: {image: x}}",
    "with its own": "include: [a.yaml]\nservices: {db: {command: [c], labels: {l: '1'}, environment: [A=c, E=f]}}",
    "all three": "include: [a.yaml, b.yaml]\nservices: {db: {image: own, labels: [k=v]}}",
}


@pytest.mark.parametrize("name", CONFLICTS)
def test_what_is_in_an_included_file_too(name: str, tmp_path: Path, docker: dict[str, str]) -> None:
    """Compose 2 refuses it, Compose 5 merges: the including file over the first include over the next."""
    files = {
        "compose.yaml": CONFLICTS[name],
        "a.yaml": "services: {db: {image: pg, command: [a], environment: [A=b], restart: always}}",
        "b.yaml": "services: {db: {image: other, environment: [A=c, C=d], init: true}}",
    }
    _write(tmp_path, files)
    project = load_project(["compose.yaml"], folder=tmp_path, environment={})
    assert "services.db is in an included file, too, and differs: Compose 2 refuses that" in project.notes[0]
    if major(docker) == 2:
        with pytest.raises(AssertionError, match="conflicts with imported resource"):
            compose_config(tmp_path, ["compose.yaml"], docker)
    else:
        _same(tmp_path, ["compose.yaml"], docker)


ITEMS = """
services:
  store-1: {image: x}
  batch: {extends: {service: "${BASE:-store-1}"}}
  app:
    image: ${IMAGE:-x}:${TAG:-${DEFAULT_TAG:-latest}}
    depends_on: ["${STORE:-store}-1"]
    environment: ["${KEY:-A}=b", "C=${D:-e}", "F=$$G", "${PAIR:-H=i}"]
    command: ["${A:+set}", "$B", "${C:-}", "a${D-}b", "$$E"]
    healthcheck: {test: "test -f ${MARKER:-/tmp/ready}", interval: "${EVERY:-5s}"}
    volumes: ["${DATA:-./data}:/data", "${NAMED:-vol}:/vol"]
    networks: ["${NETWORK:-front}"]
    restart: ${RESTART:-always}
volumes: {vol: {}, "1": {}}
networks: {front: {}, "1": {}}
"""


@pytest.mark.parametrize("variables", [{}, {"TAG": "2", "A": "x", "DATA": "/d", "KEY": "K", "RESTART": "no"}])
def test_whatever_compose_fills_in(variables: dict[str, str], tmp_path: Path, docker: dict[str, str]) -> None:
    (tmp_path / "compose.yaml").write_text(ITEMS)
    given = {"B": "", **variables}
    theirs = compose_config(tmp_path, ["compose.yaml"], {**docker, **given}, *_RAW[1:])["services"]
    ours = load_project(["compose.yaml"], folder=tmp_path, environment=given).services
    for name, service in ours.items():
        mine = _plain(service, _filled)
        if "healthcheck" in mine:
            mine["healthcheck"]["test"] = ["CMD-SHELL", mine["healthcheck"]["test"]]
        kept = [field for field in [*_FIELDS, "volumes"] if field in mine]
        assert _shown(mine, kept) == _shown(theirs[name], kept), name
