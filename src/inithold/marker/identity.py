"""Which process vouches for a marker, and whether that very process still lives.

A pid alone is not enough: a restarted container has the same small pids. The start time (field 22 of
`/proc/PID/stat`, see proc_pid_stat(5)), the boot id and the inode of the pid namespace make it this process of
this container of this boot, and all of them survive exec.
"""

from __future__ import annotations

import os

PROC = "/proc"
MOST_BYTES = 1_048_576
"""A marker is never longer."""
_VOUCHING = b'"vouched_by":{'


def identity(pid: int) -> dict[str, int | str | None]:
    """What is known of a living process: pid, start time, boot id, pid namespace; None where it cannot be told."""
    return {
        "pid": pid,
        "start_time": _start_time(pid),
        "boot_id": _boot_id(),
        "pid_namespace": _pid_namespace(),
    }


def instance_id(pid: int) -> str:
    """A UUID of a living process, the same whoever asks: `service.instance.id` of OpenTelemetry's conventions."""
    from uuid import NAMESPACE_OID, uuid5  # noqa: PLC0415 - a health check does not need it

    return str(uuid5(NAMESPACE_OID, " ".join(f"{name}={value}" for name, value in identity(pid).items())))


def why_not(vouching: dict[str, object]) -> str | None:
    """Why the process that a marker names does not vouch for it here and now; None if it does.

    Args:
        vouching: as `identity` returned it.
    """
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
        # Absent; a zombie, whose start time is not told; or hidden: /proc may show no processes of others.
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
    """Who vouches, of a marker's content.

    As inithold writes it, this is a flat object without spaces, and taking that apart costs a tenth of importing a
    JSON parser. Anything else is left to the parser.

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
        with open(f"{PROC}/{pid}/stat", "rb") as stream:  # noqa: PTH123 - pathlib takes as long to import as all this
            stat = stream.read()
    except OSError:
        return None
    # The second field, the command's name in brackets, may hold spaces and brackets itself.
    state, *rest = stat[stat.rindex(b")") + 2 :].split()
    return None if state in (b"Z", b"X") else int(rest[18])


def _boot_id() -> str | None:
    try:
        # Opened as bytes: an encoding other than UTF-8 would be imported.
        with open(f"{PROC}/sys/kernel/random/boot_id", "rb") as stream:  # noqa: PTH123
            return stream.read().strip().decode()
    except OSError:
        return None


def _pid_namespace() -> int | None:
    try:
        return os.stat(f"{PROC}/self/ns/pid").st_ino  # noqa: PTH116
    except OSError:
        return None
