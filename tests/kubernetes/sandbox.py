"""A container of the manifests as a process of this machine: as far as a Pod goes without a cluster.

    (container,) = manifests.pod("init").containers
    sandbox = Sandbox(run_inithold, manifests, manifests.pod("init"), variables={"DATABASE_PORT": "54321"})
    init = sandbox.start(container)
    assert sandbox.exec(init, container, container["readinessProbe"]["exec"]["command"]).returncode == 0

It gets what the manifest says: command, working directory, variables, volumes at their places and sizes, the user
and groups, no capability, no new privileges, a root that is read-only, and namespaces of its own. The image is the
application's folder at /app and this machine's programs; the Services' names lead to 127.0.0.1.

Not of the manifest are the limits of processor and memory, seccomp, and the network. Root on Linux only.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from kubernetes.manifests import APPLICATION, PASSWORDS, ROOT, Document, Manifests, Pod
from servers.inithold import Completed, Inithold, Running

_NAMESPACES = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64")
_ETC = ("passwd", "group", "nsswitch.conf", "ld.so.cache")


@cache
def available() -> bool:
    """Can a process be given all this here?"""
    if sys.platform != "linux" or os.geteuid() != 0 or any(map(_missing, ("unshare", "nsenter", "setpriv"))):
        return False
    mount = [*_NAMESPACES, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(mount, capture_output=True, check=False).returncode == 0


class Sandbox:
    """Runs the containers of one Pod; its volumes are made anew for each.

    Args:
        starter: starts processes, and ends them after the test.
        manifests: where the ConfigMap comes from.
        pod: of which a container is run.
        variables: put over those of the manifest.
        passwords: what the Secret holds.
        shared: with `shareProcessNamespace`: the container is not PID 1.
    """

    def __init__(
        self,
        starter: Inithold,
        manifests: Manifests,
        pod: Pod,
        variables: Mapping[str, str],
        passwords: Mapping[str, str] = PASSWORDS,
        *,
        shared: bool = False,
    ) -> None:
        self._starter, self._manifests, self._pod = starter, manifests, pod
        self._variables, self._passwords, self._shared = variables, passwords, shared
        self.folder = starter.folder / f"sandbox-{len(list(starter.folder.glob('sandbox-*')))}"
        (self.folder / "root").mkdir(parents=True)
        self._root = self.folder / "root"

    def start(self, container: Document) -> Running:
        """Start it and return at once."""
        command = self._inside(container, container["command"])
        last = f"{command} & exec sleep infinity" if self._shared else f"exec {command}"
        script = "\n".join(["set -e", *self._image(), *self._volumes(container), *self._closing(), last])
        return self._starter.start(prefix=[*_NAMESPACES, "sh", "-c", script], program=())

    def run(self, container: Document, seconds: float = 60) -> Completed:
        """Run it to its end; the exit code is the container's."""
        running = self.start(container)
        code = running.wait(seconds)
        return Completed(code, running.stdout, running.stderr, 0.0)

    def process(self, running: Running) -> int:
        """The process of the container, as this machine numbers it."""
        at = children(running.pid)
        return children(at[0])[0] if self._shared else at[0]

    def exec(self, running: Running, container: Document, command: Sequence[str]) -> Completed:
        """Run a command in a container that was started, as the kubelet runs an exec probe."""
        enter = ["nsenter", "-t", str(children(running.pid)[0]), "-p", "-m"]
        done = subprocess.run(
            [*enter, *shlex.split(self._inside(container, command))],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={"PATH": os.environ["PATH"]},
        )
        return Completed(done.returncode, done.stdout, done.stderr, 0.0)

    def renew(self, running: Running, path: str, text: str) -> None:
        """Change a file of a ConfigMap, as the kubelet does it from outside: the container cannot write there."""
        folder = f"{self._root}{Path(path).parent}"
        script = f"mount -o remount,rw {folder}; cat >{folder}/{Path(path).name}; mount -o remount,ro {folder}"
        enter = ["nsenter", "-t", str(children(running.pid)[0]), "-m", "sh", "-ec", script]
        subprocess.run(enter, input=text, text=True, check=True, timeout=60)

    def _inside(self, container: Document, command: Sequence[str]) -> str:
        context = self._pod.spec["securityContext"]
        user, group = context["runAsUser"], context["runAsGroup"]
        rights = ["--reuid", user, "--regid", group, "--groups", context["fsGroup"], "--no-new-privs"]
        rights += ["--bounding-set=-all", "--inh-caps=-all"]
        variables = [f"{name}={value}" for name, value in self._environment(container).items()]
        words = ["env", "-i", "-C", container["workingDir"], *variables, *command]
        return shlex.join(str(word) for word in ["chroot", self._root, "setpriv", *rights, "--", *words])

    def _environment(self, container: Document) -> dict[str, str]:
        """As the kubelet makes it: in order, `$(NAME)` being what was set before."""
        path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
        found = {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        for entry in container.get("env", []):
            reference = entry.get("valueFrom", {}).get("secretKeyRef")
            if reference is None:
                value = re.sub(r"\$\((\w+)\)", lambda name: found[name[1]], entry["value"])
                found[entry["name"]] = value
            elif reference["key"] in self._passwords or not reference.get("optional"):
                found[entry["name"]] = self._passwords[reference["key"]]
        return found | dict(self._variables)

    def _image(self) -> list[str]:
        root = self._root
        lines = [f"mount -t tmpfs -o mode=755 tmpfs {root}", f"mkdir -p {root}/etc {root}/proc {root}/dev"]
        lines += [f"cp /etc/{name} {root}/etc/" for name in _ETC if Path("/etc", name).exists()]
        services = " ".join(document["metadata"]["name"] for document in self._manifests.of("Service"))
        lines.append(f"echo 127.0.0.1 localhost {services} >{root}/etc/hosts")
        for folder in _SYSTEM:
            if Path(folder).is_symlink():
                lines.append(f"ln -s {Path(folder).readlink()} {root}{folder}")
            elif Path(folder).is_dir():
                lines += self._bound(Path(folder), folder)
        return [*lines, *self._bound(APPLICATION, "/app"), f"mount --rbind /dev {root}/dev"]

    def _closing(self) -> list[str]:
        """What comes after the volumes, since it may lie below one: the interpreter, and this repository."""
        lines = []
        for folder in dict.fromkeys((Path(sys.base_prefix), Path(sys.prefix), ROOT)):
            if not any(folder.is_relative_to(system) for system in _SYSTEM):
                lines += self._bound(folder, str(folder))
        return [*lines, f"mount -t proc proc {self._root}/proc", f"mount -o remount,ro {self._root}"]

    def _bound(self, folder: Path, at: str) -> list[str]:
        there = f"{self._root}{at}"
        return [f"mkdir -p {there}", f"mount --bind {folder} {there}", f"mount -o remount,bind,ro {there}"]

    def _volumes(self, container: Document) -> list[str]:
        lines: list[str] = []
        for mount in sorted(container.get("volumeMounts", []), key=lambda mount: str(mount["mountPath"])):
            volume, there = self._pod.volume(mount["name"]), f"{self._root}{mount['mountPath']}"
            size = volume.get("emptyDir", {}).get("sizeLimit", "1Mi").removesuffix("i")
            lines += [f"mkdir -p {there}", f"mount -t tmpfs -o mode=777,size={size} tmpfs {there}"]
            files = self._files(volume)
            for name, text in files.items():
                lines.append(f"printf %s {shlex.quote(text)} >{there}/{name}")
            if "secret" in volume:
                mode, group = volume["secret"]["defaultMode"], self._pod.spec["securityContext"]["fsGroup"]
                lines += [f"chown root:{group} {there}/*", f"chmod {mode:o} {there}/*"]
            if mount.get("readOnly"):
                lines.append(f"mount -o remount,ro {there}")
        return lines

    def _files(self, volume: Document) -> dict[str, str]:
        if "configMap" in volume:
            return dict(self._manifests.named("ConfigMap", volume["configMap"]["name"])["data"])
        items = volume.get("secret", {}).get("items", [])
        return {item["path"]: self._passwords[item["key"]] for item in items if item["key"] in self._passwords}


def children(pid: int) -> list[int]:
    """The processes that one has started, in order."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _missing(name: str) -> bool:
    return shutil.which(name) is None
