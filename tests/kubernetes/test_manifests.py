"""What kubectl renders of the overlay keeps the official schemas and our rules."""

from __future__ import annotations

import re
import shutil
from itertools import zip_longest
from pathlib import Path

import kubernetes_validate
import pytest

from docs.pages import DOCS, blocks
from kubernetes.manifests import (
    EXAMPLE,
    PASSWORDS,
    ROOT,
    Document,
    Manifests,
    applied,
    as_written,
    kustomize,
    load,
    overlay,
    rendered,
)
from kubernetes.rules import RULES
from servers.kubectl import kubectls

GUIDE = DOCS / "how-to" / "kubernetes.md"
VERSIONS = ("1.29", "1.34", kubernetes_validate.latest_version())
GATE = "inithold/gate"
SHAPES = pytest.mark.parametrize("as_job", [False, True], ids=["deployment", "job"])


def validate(manifests: Manifests, version: str) -> None:
    for document in manifests.documents:
        kubernetes_validate.validate(document, version, strict=True)


@SHAPES
@pytest.mark.parametrize("version", VERSIONS)
def test_the_official_schemas_are_kept(version: str, as_job: bool) -> None:
    validate(applied(as_job=as_job), version)


@SHAPES
@pytest.mark.parametrize("version", VERSIONS)
def test_the_schemas_are_strict(version: str, as_job: bool) -> None:
    manifests = applied(as_job=as_job)
    context = manifests.pod("init").containers[0]["securityContext"]
    context["readOnlyRootFileSystem"] = context.pop("readOnlyRootFilesystem")
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(manifests, version)


@SHAPES
@pytest.mark.parametrize("rule", RULES)
def test_our_rules_are_kept(rule: str, as_job: bool) -> None:
    assert list(RULES[rule](applied(as_job=as_job))) == []


@SHAPES
def test_every_kubectl_renders_the_same(as_job: bool) -> None:
    if len(kubectls()) < 2:
        pytest.skip(f"only one kubectl that knows Components is here: {kubectls()[0]}")
    first, *others = (rendered(as_job=as_job, kubectl=path) for path in kubectls())
    assert all(other == first for other in others)


@SHAPES
def test_the_overlay_changes_what_it_says_and_nothing_else(as_job: bool) -> None:
    found, before = applied(as_job=as_job), Manifests(as_written(as_job=as_job))
    (secret,) = found.of("Secret")
    assert secret["metadata"]["name"] == "game-scheduler"
    assert secret["data"].keys() == PASSWORDS.keys()
    images = {image["name"]: image for image in overlay()["images"]}
    for _, container in before.containers():
        image = images[container["image"].partition(":")[0]]
        container["image"] = f"{image.get('newName', image['name'])}:{image['newTag']}"
    for document in found.of("Deployment"):
        if document["metadata"]["labels"].get(GATE):
            pod = document["spec"]["template"]["spec"]
            (gate,) = pod.pop("initContainers")
            assert gate["name"] == "wait"
            pod["volumes"] = [volume for volume in pod["volumes"] if volume["name"] not in ("plan", "secrets")]
            if not pod["volumes"]:
                del pod["volumes"]
    assert by_name(found.documents) == by_name([*before.documents, secret])


WORKLOADS = """
apiVersion: apps/v1
kind: {kind}
metadata: {{name: worker, labels: {{inithold/gate: enabled}}}}
spec:
  selector: {{matchLabels: {{app: worker}}}}
  template:
    metadata: {{labels: {{app: worker}}}}
    spec:
      initContainers: [{{name: own, image: tools:1}}]
      containers: [{{name: worker, image: worker:7}}, {{name: proxy, image: proxy:1}}]
      volumes: [{{name: data, emptyDir: {{}}}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: other}}
spec:
  selector: {{matchLabels: {{app: other}}}}
  template:
    metadata: {{labels: {{app: other}}}}
    spec: {{containers: [{{name: other, image: other:1}}]}}
"""


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet"])
def test_the_gate_comes_first_and_runs_the_workload_s_own_image(kind: str, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE / "gate", tmp_path / "gate")
    (tmp_path / "workloads.yaml").write_text(WORKLOADS.format(kind=kind))
    (tmp_path / "kustomization.yaml").write_text("resources: [workloads.yaml]\ncomponents: [gate]\n")
    (first, *others) = (kustomize(tmp_path, path) for path in kubectls())
    assert all(other == first for other in others)
    workloads = {document["metadata"]["name"]: document for document in load(first)}
    pod = workloads["worker"]["spec"]["template"]["spec"]
    assert [container["name"] for container in pod["initContainers"]] == ["wait", "own"]
    assert pod["initContainers"][0]["image"] == "worker:7"
    assert {volume["name"] for volume in pod["volumes"]} == {"data", "plan", "secrets"}
    assert "initContainers" not in workloads["other"]["spec"]["template"]["spec"]


def by_name(documents: list[Document]) -> list[Document]:
    return sorted(documents, key=lambda document: (document["kind"], document["metadata"]["name"]))


def test_the_overlay_takes_every_manifest_and_fetches_nothing() -> None:
    resources = set(overlay()["resources"])
    assert resources == {f"manifests/{path.name}" for path in (EXAMPLE / "manifests").iterdir()}
    assert overlay()["components"] == ["gate"]
    deprecated = {"bases", "patchesStrategicMerge", "patchesJson6902", "commonLabels", "vars"}
    assert not overlay().keys() & deprecated


def test_no_password_is_kept_with_the_manifests() -> None:
    assert (EXAMPLE / "secrets" / ".gitignore").read_text().splitlines() == ["*", "!.gitignore"]
    for path in EXAMPLE.rglob("*.yaml"):
        assert all(document["kind"] != "Secret" for document in load(path.read_text()))


def test_both_inits_differ_only_in_what_makes_them_so() -> None:
    held, once = applied().pod("init"), applied(as_job=True).pod("init")
    assert held.labels == once.labels
    own = {"restartPolicy", "containers"}
    assert {k: v for k, v in held.spec.items() if k not in own} == {
        k: v for k, v in once.spec.items() if k not in own
    }
    (container,), (of_job,) = held.containers, once.containers
    assert [*container.pop("command"), "--once"] == of_job.pop("command")
    assert container == of_job | {kind: container[kind] for kind in ("startupProbe", "readinessProbe")}


def test_the_plan_is_that_of_the_compose_example_less_its_seed() -> None:
    ours = applied().plan()
    text = (EXAMPLE.parent / "game-scheduler" / "inithold.yaml").read_text()
    compose = {entry["id"]: entry for entry in load(text)[0]["steps"]}
    assert [step.id for step in ours.steps] == [name for name in compose if name != "seed"]
    plan = load(applied().plan_text())[0]
    for entry in plan["steps"]:
        for key in ("tables", "exchanges", "queues", "bindings", "config"):
            assert entry["with"].get(key) == compose[entry["id"]]["with"].get(key), (entry["id"], key)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_guide_s_manifests_keep_the_official_schemas(version: str) -> None:
    documents = [load(block.text)[0] for block in blocks(GUIDE) if block.language == "yaml"]
    assert [document["kind"] for document in documents] == ["Deployment", "Deployment", "Job"]
    validate(Manifests(documents), version)


def test_requests_are_what_was_measured_rounded_up() -> None:
    """By the numbers on the page; a request holds what is needed, and little more."""
    page = (DOCS / "how-to" / "kubernetes-operations.md").read_text()
    rows = dict(re.findall(r"^\| (.+?) \| (?:less than )?([\d.]+) MB", page, re.MULTILINE))
    run = next(number for what, number in rows.items() if what.startswith("a run that migrates"))
    needs = {"init": float(run), "wait": float(rows["a gate, until init has run"])}
    requests = {
        container["name"]: int(container["resources"]["requests"]["memory"].removesuffix("Mi")) * 1.048576
        for manifests in (applied(), applied(as_job=True))
        for _, container in manifests.containers()
        if container["name"] in needs
    }
    assert all(needs[name] <= requests[name] <= 1.6 * needs[name] for name in needs), requests
    ((init, gate),) = re.findall(r"requests \((\d+) MiB\s+for init, (\d+) MiB\s+for a gate\)", page)
    assert requests == {"init": int(init) * 1.048576, "wait": int(gate) * 1.048576}


def test_the_guide_s_first_command_applies_what_is_there() -> None:
    guide = (ROOT / "docs" / "how-to" / "kubernetes.md").read_text()
    (folder,) = re.findall(r"^\$ kubectl apply -k (\S+)$", guide, re.MULTILINE)
    assert (ROOT / folder / "kustomization.yaml").is_file()


def test_the_guide_shows_what_the_example_does() -> None:
    for as_job, (number, name) in ((False, (0, "init")), (False, (1, "api")), (True, (2, "init"))):
        shown = [load(block.text)[0] for block in blocks(GUIDE) if block.language == "yaml"][number]
        example = applied(as_job=as_job).named(shown["kind"], name)
        assert differences(shown["spec"], example["spec"]) == []


def differences(shown: object, whole: object, path: str = "") -> list[str]:
    """Where what is shown, which may leave things out, is not as in the whole; the image is the reader's own."""
    if isinstance(shown, dict) and isinstance(whole, dict):
        return [line for key in shown for line in differences(shown[key], whole.get(key), f"{path}/{key}")]
    if isinstance(shown, list) and isinstance(whole, list) and shown and isinstance(shown[0], dict):
        pairs = zip_longest(shown, whole[: len(shown)])
        return [line for one, other in pairs for line in differences(one, other, f"{path}[]")]
    return [] if shown == whole or path.endswith("/image") else [f"{path}: {shown!r}, and not {whole!r}"]
