"""The schema of Flux's Kustomization: PyPI's models, which are generated from its custom resource definitions."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from servers.cached import environment

_READ = """
import json, sys
from cloudcoil.models.fluxcd.kustomize.v1 import Kustomization
read = Kustomization.model_validate(json.load(sys.stdin))
print(read.model_dump_json(by_alias=True, exclude_unset=True))
"""


def kustomization(document: dict[str, Any]) -> dict[str, Any]:
    """A Kustomization without fields that Flux does not have; raises `ValueError` for a wrong value."""
    # In an environment of its own: with it comes a plug-in for pytest.
    install = ("python", "-m", "pip", "install", "--quiet", "cloudcoil-models-fluxcd==2.5.1.0", "cloudcoil==0.6.0")
    command = [environment("flux", install) / "python", "-c", _READ]
    done = subprocess.run(command, input=json.dumps(document), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ValueError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found
