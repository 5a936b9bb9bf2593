"""Which process vouches for a marker, and whether it is still alive.

A pid alone is not enough, because a restarted container reuses the same small pids. Together with the start time
(field 22 of `/proc/PID/stat`, see proc_pid_stat(5)), the boot id and the inode of the pid namespace it identifies
one process of one container of one boot. All of them survive exec.
"""

from __future__ import annotations

import os

PROC = "/proc"
MOST_BYTES = 1_048_576
"""More than any marker has."""
_VOUCHING = b'"vouched_by":{'


def identity(pid: int) -> dict[str, int | str | None]:
    """Identify a living process: pid, start time, boot id, pid namespace; None for those that are unknown."""
    return {
        "pid": pid,
        "start_time": _start_time(pid),
        "boot_id": _boot_id(),
        "pid_namespace": _pid_namespace(),
    }


def instance_id(pid: int) -> str:
    """A UUID derived from `identity`, for OpenTelemetry's `service.instance.id`; the same in every process."""
    from uuid import NAMESPACE_OID, uuid5  # noqa: PLC0415 - a health check does not need it

    return str(uuid5(NAMESPACE_OID, " ".join(f"{name}={value}" for name, value in identity(pid).items())))


def why_not(vouching: dict[str, object]) -> str | None:
    """Why the process that a marker names no longer vouches for it; None if it does."""
    pid = vouching.get("pid")
    if not isinstance(pid, int) or not 0 < pid < 1 << 31:
        return "it names no process"
    for name, here in (("boot_id", _boot_id()), ("pid_namespace", _pid_namespace())):
        there = vouching.get(name)
        if there is not None and here is not None and there != here:
            return "it was left by an earlier boot" if name == "boot_id" else "it belongs to another container"
    started = _start_time(pid)
    expected = vouching.get("start_time")
    if started is None:
        # Gone, a zombie, or hidden: /proc may be mounted so that it hides other users' processes.
        hidden = not os.path.exists(f"{PROC}/{pid}/stat")  # noqa: PTH110 - as below
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            hidden = False
        except PermissionError:
            pass
        return None if hidden else f"its process {pid} is gone"
    if expected is not None and started != expected:
        return f"its process {pid} is gone, and another has its number"
    return None


def parse(data: bytes) -> object:
    """Extract `vouched_by` from a marker's content.

    inithold writes it as a flat object without spaces, and splitting that takes a tenth of the time to import a
    JSON parser. Anything else goes to the parser.

    Raises:
        ValueError: it is not a marker's content.
    """
    begin = data.find(_VOUCHING)
    if begin < 0 or not data.endswith(b"}}\n"):
        import json  # noqa: PLC0415 - slow to import

        try:
            return json.loads(data)["vouched_by"]
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"not a marker: {error}") from error
    vouching: dict[str, int | str | None] = {}
    for member in data[begin + len(_VOUCHING) : -3].decode().split(","):
        name, _, text = member.partition(":")
        vouching[name.strip('"')] = None if text == "null" else text[1:-1] if text.startswith('"') else int(text)
    return vouching


def _start_time(pid: int) -> int | None:
    try:
        with open(f"{PROC}/{pid}/stat", "rb") as stream:  # noqa: PTH123 - pathlib is slow to import
            stat = stream.read()
    except OSError:
        return None
    # The second field, the command's name in parentheses, may itself contain spaces and parentheses.
    state, *rest = stat[stat.rindex(b")") + 2 :].split()
    return None if state in (b"Z", b"X") else int(rest[18])


def _boot_id() -> str | None:
    try:
        # In binary mode, because text mode may import an encoding.
        with open(f"{PROC}/sys/kernel/random/boot_id", "rb") as stream:  # noqa: PTH123
            return stream.read().strip().decode()
    except OSError:
        return None


def _pid_namespace() -> int | None:
    try:
        return os.stat(f"{PROC}/self/ns/pid").st_ino  # noqa: PTH116
    except OSError:
        return None
