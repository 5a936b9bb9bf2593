"""A rule on what `kubectl apply` compares: it says "configured" each time where the server changes what it got.

A field that a manifest leaves out does not count, but for lists without a merge key: they are compared whole, with
what the server has added to their entries.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kubernetes.manifests import Manifests

ADDED = {("NetworkPolicy", "ports"): "protocol", ("Job", "onPodConditions"): "status"}
"""What the server adds to the entries of such a list."""
QUANTITY = re.compile(r"(\d+)(m|Ki|Mi|Gi)?")


def applying_again_changes_nothing(manifests: Manifests) -> Iterator[str]:
    """Nothing is written otherwise than the server gives it back."""
    for document in manifests.documents:
        for path, value in _values(document):
            where = f"{document['kind']} {document['metadata']['name']}, {path[-1]}"
            if path[-1] == "volumeClaimTemplates":
                yield f"{where}: the server adds a status and more to each"
            elif value in (None, ""):
                yield f"{where}: the server leaves out what is empty"
            elif (added := ADDED.get((document["kind"], path[-1]))) and any(added not in each for each in value):
                yield f"{where}: the server adds {added}"
            elif {"requests", "limits", "emptyDir"} & {*path[:-1]} and not _canonical(path[-1], str(value)):
                yield f"{where}: {value} is not how the server writes it"


def _values(node: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """All values of all mappings below a node, with the keys that lead there."""
    if isinstance(node, list):
        for each in node:
            yield from _values(each, path)
    elif isinstance(node, dict):
        for key, value in node.items():
            yield (*path, key), value
            yield from _values(value, (*path, key))


def _canonical(key: str, value: str) -> bool:
    if key == "medium":
        return True
    found = QUANTITY.fullmatch(value)
    return found is not None and (found[2] is None or int(found[1]) % (1000 if found[2] == "m" else 1024) != 0)
