"""Makes a process end with its parent (Linux; elsewhere this does nothing).

The kernel sends the signal when the *thread* that started the process ends, so start it from the main thread or
from one that lives as long as its process. The setting survives exec, and is cleared in forked children (prctl(2),
PR_SET_PDEATHSIG). Uses as little of the standard library as possible.

Run as a program, it execs another one that then ends with its parent:

    python -I -S dies_with_parent.py PARENT DESCRIPTOR GUARD PROGRAM [ARGUMENT]...

If PROGRAM cannot be executed, the errno goes to DESCRIPTOR, which is otherwise just closed. GUARD is the reading
end of a pipe, or -1: when the other end is closed, the whole process group is killed, because the kernel's signal
does not reach the program's own children.
"""

import _signal  # type: ignore[import-not-found] # `signal` itself takes `enum`, which takes longer than the rest
import os
import sys

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; exit now if that has already happened."""
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - nothing else needs it

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(_signal.SIGKILL))
        if os.getppid() != parent:
            os._exit(128 + _signal.SIGKILL)


def command(program: "list[str]", descriptor: int, guard: int) -> "list[str]":
    """The command line that execs `program`.

    Args:
        descriptor: receives the errno if it cannot be executed.
        guard: the reading end of a pipe, or -1. A byte on the pipe ends the guard without killing the group.
    """
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(descriptor), str(guard), *program]


def _guard_group(pipe: int, highest: int) -> None:
    """Leave a process behind that kills this one's group when the pipe is closed.

    It is a grandchild, so that the program has no unknown child.
    """
    group = os.getpid()
    try:
        child = os.fork()
    except OSError:
        os.close(pipe)
        return  # without a guard, only the program itself ends with its parent
    if child:
        os.waitpid(child, 0)
        os.close(pipe)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    os.chdir("/")
    os.dup2(pipe, 0)
    os.closerange(1, highest + 1)
    if not os.read(0, 1):
        os.killpg(group, _signal.SIGKILL)
    os._exit(0)


def _become(parent: int, descriptor: int, guard: int, program: "list[str]") -> None:
    os.set_inheritable(descriptor, False)
    if guard >= 0:
        _guard_group(guard, max(descriptor, guard))
    die_with(parent)
    # The interpreter ignores these, and the program would inherit that.
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, _signal.SIG_DFL)
    # The interpreter may also have set LC_CTYPE (PEP 538), so pass on the original environment.
    with open("/proc/self/environ", "rb") as file:  # noqa: PTH123 - `pathlib` is slow
        given = dict(entry.split(b"=", 1) for entry in file.read().split(b"\0") if b"=" in entry)
    try:
        os.execvpe(program[0], program, given)  # noqa: S606 - that is the point
    except OSError as error:
        os.write(descriptor, str(error.errno).encode())
        os._exit(127)


if __name__ == "__main__":
    _become(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
