"""The kernel's count of out-of-memory kills.

Files: https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files and, for version 1,
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")


def oom_kills() -> int | None:
    """How many processes in this process's cgroup the kernel has killed out of memory; None if unknown."""
    files: list[Path] = []
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            own = path.strip("/")
            if not controllers:
                files.append(_GROUPS / own / "memory.events")
            elif "memory" in controllers.split(","):
                # A container may see the host's path, but have only its own group mounted.
                files += [_GROUPS / "memory" / each / "memory.oom_control" for each in (own, "")]
    for file in files:
        with suppress(OSError, ValueError, IndexError):
            words = file.read_text().split()
            return int(words[words.index("oom_kill") + 1])
    return None
