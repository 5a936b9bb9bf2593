"""What docs/how-to/kubernetes-operations.md shows for Argo CD and Flux keeps the schemas it must keep."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest

from docs.pages import DOCS, blocks
from kubernetes.manifests import applied, load
from servers.flux import kustomizations

PAGE = DOCS / "how-to" / "kubernetes-operations.md"
SHOWN = [load(block.text)[0] for block in blocks(PAGE) if block.language == "yaml" and "metadata:" in block.text]
ANNOTATIONS = [document["metadata"]["annotations"] for document in SHOWN if document.keys() == {"metadata"}]
(FLUX,) = (document for document in SHOWN if "kind" in document)


def test_everything_shown_is_read() -> None:
    assert len(ANNOTATIONS) + 1 == len(SHOWN) == 5
    assert FLUX["kind"] == "Kustomization"


@pytest.mark.parametrize("annotations", ANNOTATIONS, ids=lambda annotations: next(iter(annotations)))
@pytest.mark.parametrize(("kind", "name"), [("Job", "init"), ("ConfigMap", "init-plan")])
def test_kubernetes_accepts_the_annotations(kind: str, name: str, annotations: dict[str, Any]) -> None:
    document = applied(as_job=True).named(kind, name)
    document["metadata"]["annotations"] = annotations
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        document["metadata"]["annotations"] = {**annotations, next(iter(annotations)): -1}
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.timeout(300)
def test_the_kustomization_keeps_the_schema_of_flux() -> None:
    misspelt = {**FLUX, "spec": {**FLUX["spec"], "timeOut": "20m"}}
    wrong = {**FLUX, "spec": {**FLUX["spec"], "wait": "perhaps"}}
    as_read, without_misspelt, refusal = kustomizations(FLUX, misspelt, wrong)
    assert as_read == without_misspelt == FLUX
    assert "spec.wait" in refusal
