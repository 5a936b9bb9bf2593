"""The schema of Flux's Kustomization: PyPI's models, which are generated from its custom resource definitions."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from servers.cached import environment

_READ = """
import json, sys
from cloudcoil.models.fluxcd.kustomize.v1 import Kustomization
for document in json.load(sys.stdin):
    try:
        print(Kustomization.model_validate(document).model_dump_json(by_alias=True, exclude_unset=True))
    except ValueError as error:
        print(json.dumps(str(error)))
"""


def kustomizations(*documents: dict[str, Any]) -> list[dict[str, Any] | str]:
    """Each Kustomization without fields that Flux does not have, or what is wrong with a value."""
    # In an environment of its own: with it comes a plug-in for pytest.
    install = ("python", "-m", "pip", "install", "--quiet", "cloudcoil-models-fluxcd==2.5.1.0", "cloudcoil==0.6.0")
    command = [environment("flux", install) / "python", "-c", _READ]
    done = subprocess.run(command, input=json.dumps(documents), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
