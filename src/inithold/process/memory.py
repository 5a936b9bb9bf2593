"""What the kernel says about memory that ran out.

The file is described in https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files
"""

from __future__ import annotations

from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")


def oom_kills() -> int | None:
    """How many processes of this one's control group the kernel has killed for want of memory; None if unknown."""
    try:
        own = Path("/proc/self/cgroup").read_text().strip().rpartition("::")[2].strip("/")
        lines = (_GROUPS / own / "memory.events").read_text().split()
        return int(lines[lines.index("oom_kill") + 1])
    except (OSError, ValueError, IndexError):
        return None
