"""What pages say of another tool, a test shows that runs it; of the rest they give the manual's address."""

from __future__ import annotations

import re

import pytest

from docs.pages import DOCS, ROOT

RUN = {
    "Alembic": "tests/integration/test_alembic.py::test_empty_database_is_brought_to_head_and_then_left_alone",
    "Ansible": "tests/e2e/test_rivals.py::test_a_plan_and_a_playbook",
    "ansible-playbook": "tests/e2e/test_rivals.py::test_a_plan_and_a_playbook",
    "catatonit": "tests/process/test_life.py::test_hold_ends_at_once",
    "dbmate": "tests/process/test_other_gates.py::test_a_wrong_password",
    "Django": "tests/e2e/test_django.py::test_it_migrates_once_and_again_when_there_is_a_new_migration",
    "Knex": "tests/e2e/test_node.py::test_it_migrates_once_and_again_when_there_is_a_new_migration",
    "kubectl": "tests/kubernetes/test_manifests.py::test_every_kubectl_renders_the_same",
    "kustomize": "tests/kubernetes/test_manifests.py::test_every_kubectl_renders_the_same",
    "PgBouncer": "tests/integration/test_lock.py::test_pooled_transactions_are_refused",
    "pg_isready": "tests/process/test_other_gates.py::test_a_wrong_password",
    "pre-commit": "tests/unit/compose/test_offers.py::test_the_hooks_in_a_repository",
    "Prometheus": "tests/grafana/test_prometheus.py::test_a_single_sample",
    "SeaweedFS": "tests/integration/test_s3_bucket.py::test_is_made_once",
    "Swarm": "tests/e2e/test_swarm.py::test_the_services_wait_at_their_gates_until_init_is_done",
    "wait-for-it": "tests/process/test_other_gates.py::test_a_wrong_password",
    "wait-on": "tests/process/test_other_gates.py::test_a_wrong_password",
}
"""The test that runs each tool of which pages say what it does."""
GRAFANA = "https://grafana.com/docs/"
LINKED = {
    "Argo CD": "https://argo-cd.readthedocs.io/",
    "Flux": "https://fluxcd.io/",
    "Coolify": "https://coolify.io/docs/",
    "Dokploy": "https://docs.dokploy.com/",
    "Portainer": "https://docs.portainer.io/",
    "Dockge": "https://github.com/louislam/dockge",
    **dict.fromkeys(("Grafana", "Alloy", "Loki", "Mimir", "Tempo"), GRAFANA),
    "kube-state-metrics": "https://github.com/kubernetes/kube-state-metrics/",
    "Cloudflare": "https://developers.cloudflare.com/",
    "Garage": "https://garagehq.deuxfleurs.fr/documentation/",
    "MinIO": "https://min.io/docs/",
    "RustFS": "https://docs.rustfs.com/",
    "Elasticsearch": "https://www.elastic.co/docs/",
    "OpenSearch": "https://docs.opensearch.org/",
    "Keycloak": "https://www.keycloak.org/docs-api/",
    "Kafka": "https://kafka.apache.org/documentation/",
    "Vault": "https://developer.hashicorp.com/vault/",
}
"""No test runs these: a page that names one links its manual, and says what to configure, not what it does."""
READ = {
    "docs/how-to/new-plan.md": "tests/unit/compose/new/test_commands.py::test_migration_tools_are_guarded",
    "docs/reference/plan.md": "tests/integration/test_one_url.py::",
    "CHANGELOG.md": "tests/integration/test_one_url.py::",
}
"""Pages on what inithold reads in files and URLs that were written for others, and the tests that have such."""
OTHERS = (
    "Airflow|Atlas|Bitnami|Buildah|CapRover|Chef|CircleCI|Colima|Consul|Datadog|Dependabot|Doctrine|"
    "Dokku|Drizzle|Flask|Flyway|GitLab|Helm|Honeycomb|Istio|Jaeger|Jenkins|Kamal|Komodo|Kyverno|"
    "Laravel|Liquibase|LocalStack|MongoDB|Nomad|Odyssey|OpenShift|OrbStack|Pgpool|Podman|Prisma|"
    "Pulumi|Puppet|Rails|Rancher|Renovate|Sequelize|Skaffold|Sqitch|Supavisor|Tekton|Terraform|Tilt|"
    "Traefik|Watchtower|Zitadel|dockerize|dumb-init|golang-migrate|goose|k3s|k8s-wait-for|minikube|"
    "nerdctl|pgcat|s6-overlay|supervisord|systemd|tini|wait4x"
)
"""What else people use; no page speaks of it, until a line above says how that is shown."""
NAMES = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, [*RUN, *LINKED]))}|{OTHERS})(?![\w-])")
PAGES = [
    *DOCS.rglob("*.md"),
    *ROOT.glob("*.md"),
    *(page for part in ("examples", "image", "benchmarks") for page in (ROOT / part).rglob("*.md")),
]


def named(text: str) -> set[str]:
    """The tools that a page names in its sentences; examples, addresses and links do not count."""
    text = re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"`[^`\n]*[/:{$][^`\n]*`|\]\([^)]*\)|https?://\S+", "", text)
    return set(NAMES.findall(text))


def faults(page: str, text: str) -> list[str]:
    if page in READ:
        return []
    return [
        f"{page}: {tool}"
        for tool in sorted(named(text) - RUN.keys())
        if tool not in LINKED or LINKED[tool] not in text
    ]


def test_of_a_tool_that_no_test_runs_pages_give_the_manual() -> None:
    assert not [fault for page in PAGES for fault in faults(str(page.relative_to(ROOT)), page.read_text())]


@pytest.mark.parametrize("test", sorted({*RUN.values(), *READ.values()}))
def test_the_test_exists(test: str) -> None:
    file, _, name = test.partition("::")
    assert re.search(rf"^def {name}", (ROOT / file).read_text(), re.MULTILINE)


def test_a_tool_that_is_talked_about_is_found() -> None:
    assert faults("docs/x.md", "Terraform drops the table.") == ["docs/x.md: Terraform"]
    assert faults("docs/x.md", "Argo CD shows it as Degraded.") == ["docs/x.md: Argo CD"]
    assert not faults(
        "docs/x.md", "[Argo CD](https://argo-cd.readthedocs.io/en/stable/): give it this annotation."
    )
    assert not faults("docs/x.md", "```\nflux\nFlux\n```\n`http://minio:9000`, Knex and the tempo of it")
