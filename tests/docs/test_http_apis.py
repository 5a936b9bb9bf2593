"""The examples of docs/how-to/http-apis.md, each against a small server with the paths and answers of its API."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from docs.pages import DOCS, blocks
from inithold.plan.load import load_text
from inithold.steps.http import Resource
from inithold.testing import check, drive
from servers.json_api import JsonApi
from servers.rabbitmq import RabbitMQ

PAGE = DOCS / "how-to" / "http-apis.md"
TOKEN = "token-of-the-tests"


def steps(base: str, *names: str) -> list[Resource]:
    """The steps of the page with these ids, pointed at another server."""
    variables = {"KEYCLOAK_TOKEN": TOKEN, "GRAFANA_TOKEN": TOKEN, "VAULT_TOKEN": TOKEN}
    variables["RABBITMQ_MANAGEMENT_URL"] = base
    found: dict[str, Resource] = {}
    for block in blocks(PAGE):
        if block.language == "yaml":
            text = yaml.safe_dump({"name": "page", "steps": yaml.safe_load(block.text)}, sort_keys=False)
            for service in ("elasticsearch:9200", "keycloak:8080", "grafana:3000", "connect:8083"):
                text = text.replace(f"http://{service}", base)
            text = text.replace("http://registry:8081", base).replace("http://vault:8200", base)
            plan = load_text(text, str(PAGE), variables)
            found |= {planned.id: planned.step for planned in plan.steps if isinstance(planned.step, Resource)}
    return [found[name] for name in names]


def made_once(*resources: Resource) -> None:
    for step in resources:
        first = drive(step)
        assert first.outcome == "changed", first.reason
        assert first.changes[0].startswith("+ ")
        assert drive(step).outcome == "unchanged"


@contextmanager
def elasticsearch(store: dict[str, Any]) -> Iterator[str]:
    def get(path: Mapping[str, str], _: Any) -> tuple[int, Any]:
        if path["name"] not in store:
            return 404, {"error": {"type": "resource_not_found_exception"}}
        return 200, {"index_templates": [{"name": path["name"], "index_template": store[path["name"]]}]}

    def put(path: Mapping[str, str], body: Any) -> tuple[int, Any]:
        body["template"]["settings"]["index"] = {
            name: str(value) for name, value in body["template"]["settings"]["index"].items()
        }
        store[path["name"]] = {**body, "composed_of": []}
        return 200, {"acknowledged": True}

    with JsonApi({"GET /_index_template/{name}": get, "PUT /_index_template/{name}": put}) as api:
        yield api.url


def test_elasticsearch() -> None:
    store: dict[str, Any] = {}
    with elasticsearch(store) as url:
        (step,) = steps(url, "template")
        made_once(step)
        store["logs"]["priority"] = 5
        assert [str(change) for change in check(step)] == ["~ priority 5 -> 7"]
        assert drive(step).outcome == "changed"
        assert store["logs"]["priority"] == 7


def test_keycloak() -> None:
    realms: dict[str, Any] = {}
    clients: list[dict[str, Any]] = []

    def get_realm(path: Mapping[str, str], _: Any) -> tuple[int, Any]:
        realm = realms.get(path["realm"])
        return (200, {**realm, "id": "uuid"}) if realm else (404, {"error": "Realm not found."})

    def create_realm(_: Mapping[str, str], body: Any) -> tuple[int, Any]:
        realms[body["realm"]] = body
        return 201, None

    def update_realm(path: Mapping[str, str], body: Any) -> tuple[int, Any]:
        realms[path["realm"]] |= body
        return 204, None

    def create_client(_: Mapping[str, str], body: Any) -> tuple[int, Any]:
        clients.append({**body, "id": "uuid", "redirectUris": ["https://other.example/*", *body["redirectUris"]]})
        return 201, None

    routes = {
        "GET /admin/realms/{realm}": get_realm,
        "POST /admin/realms": create_realm,
        "PUT /admin/realms/{realm}": update_realm,
        "GET /admin/realms/{realm}/clients?clientId={id}": lambda path, _: (
            200,
            [client for client in clients if client["clientId"] == path["id"]],
        ),
        "POST /admin/realms/{realm}/clients": create_client,
    }
    with JsonApi(routes, token=TOKEN) as api:
        realm, client = steps(api.url, "realm", "client")
        made_once(realm, client)
        realms["games"]["enabled"] = False
        assert drive(realm).changes == ("~ enabled false -> true",)
        clients[0]["redirectUris"] = []
        result = drive(client)
        assert result.outcome == "failed"
        assert "redirectUris lacks https://app.example/*" in result.reason
        assert "does not say how to change" in (result.finished.hint or "")


def test_grafana() -> None:
    store: dict[str, Any] = {}

    def create(_: Mapping[str, str], body: Any) -> tuple[int, Any]:
        store[body["uid"]] = {**body, "id": 1, "readOnly": False}
        return 200, {"message": "Datasource added"}

    def update(path: Mapping[str, str], body: Any) -> tuple[int, Any]:
        store[path["uid"]] |= body
        return 200, {"message": "Datasource updated"}

    routes = {
        "GET /api/datasources/uid/{uid}": lambda path, _: (
            (200, store[path["uid"]]) if path["uid"] in store else (404, {"message": "Data source not found"})
        ),
        "POST /api/datasources": create,
        "PUT /api/datasources/uid/{uid}": update,
    }
    with JsonApi(routes, token=TOKEN) as api:
        (step,) = steps(api.url, "metrics")
        made_once(step)
        store["metrics"]["url"] = "http://old:9090"
        assert drive(step).changes == ("~ url http://old:9090 -> http://prometheus:9090",)


def test_kafka_connect() -> None:
    store: dict[str, Any] = {}

    def put(path: Mapping[str, str], body: Any) -> tuple[int, Any]:
        status = 200 if path["name"] in store else 201
        store[path["name"]] = {key: str(value) for key, value in body.items()} | {"name": path["name"]}
        return status, {"name": path["name"], "config": store[path["name"]], "tasks": []}

    routes = {
        "GET /connectors/{name}": lambda path, _: (
            (200, {"name": path["name"], "config": store[path["name"]], "tasks": []})
            if path["name"] in store
            else (404, {"error_code": 404})
        ),
        "PUT /connectors/{name}/config": put,
    }
    with JsonApi(routes) as api:
        (step,) = steps(api.url, "connector")
        made_once(step)
        store["orders"]["tasks.max"] = "3"
        assert drive(step).changes == ("~ tasks.max 3 -> 1",)


def test_a_schema_registry() -> None:
    versions: list[str] = []

    def register(_: Mapping[str, str], body: Any) -> tuple[int, Any]:
        versions.append(body["schema"])
        return 200, {"id": len(versions)}

    routes = {
        "GET /subjects/{subject}/versions/latest": lambda path, _: (
            (200, {"subject": path["subject"], "version": len(versions), "id": 1, "schema": versions[-1]})
            if versions
            else (404, {"error_code": 40401})
        ),
        "POST /subjects/{subject}/versions": register,
    }
    with JsonApi(routes) as api:
        (step,) = steps(api.url, "schema")
        made_once(step)
        versions.append('"string"')
        assert drive(step).outcome == "changed"
        assert len(versions) == 3


def test_vault() -> None:
    mounts: dict[str, Any] = {"sys/": {"type": "system"}}

    def mount(path: Mapping[str, str], body: Any) -> tuple[int, Any]:
        mounts[f"{path['name']}/"] = {**body, "accessor": "kv_1"}
        return 204, None

    routes = {
        "GET /v1/sys/mounts": lambda _, __: (200, {"data": mounts}),
        "POST /v1/sys/mounts/{name}": mount,
    }
    with JsonApi(routes) as api:
        made_once(*steps(api.url, "secrets"))


def test_rabbitmq(rabbitmq: RabbitMQ) -> None:
    (step,) = steps(rabbitmq.management_url(), "policy")
    try:
        made_once(step)
        rabbitmq.api("PUT", "/api/policies/%2F/expiry", {"pattern": "^x", "definition": {"expires": 60000}})
        assert drive(step).changes == ("~ pattern ^x -> ^tmp", "~ apply-to all -> queues")
    finally:
        rabbitmq.api("DELETE", "/api/policies/%2F/expiry")


@pytest.mark.parametrize(("given", "words"), [(TOKEN, ""), ("wrong", "401")])
def test_a_wrong_token_is_rejected(given: str, words: str) -> None:
    with JsonApi({"GET /thing": lambda _, __: (200, {})}, token=TOKEN) as api:
        result = drive(Resource(url=f"{api.url}/thing", headers={"Authorization": f"Bearer {given}"}))
        assert result.outcome == ("failed" if words else "unchanged")
        assert words in result.reason
