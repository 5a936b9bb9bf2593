"""A process that ends with the one that started it (Linux; elsewhere this does nothing).

The kernel sends the signal when the *thread* ends that started the process: so start it from the main thread, or
from one that lives as long as its process. It survives exec, and is cleared in forked children (prctl(2),
PR_SET_PDEATHSIG). Standard library only, and as little of it as there can be.

As a program of its own it becomes another one, which then ends with its parent:

    python -I -S dies_with_parent.py PARENT DESCRIPTOR GUARD PROGRAM [ARGUMENT]...

Where that cannot be executed, the number of the error goes to DESCRIPTOR, which is closed otherwise. GUARD is the
end of a pipe, or -1: once nobody has its other end any more, the whole process group is killed. The signal of the
kernel reaches no child of the program.
"""

import _signal  # type: ignore[import-not-found] # `signal` itself takes `enum`, which takes longer than the rest
import os
import sys

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; end now where that has happened already.

    Args:
        parent: process id of the one that started this.
    """
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - nothing else needs it

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(_signal.SIGKILL))
        if os.getppid() != parent:
            os._exit(128 + _signal.SIGKILL)


def command(program: "list[str]", descriptor: int, guard: int) -> "list[str]":
    """The command line that becomes `program`.

    Args:
        program: program and arguments.
        descriptor: that takes the number of the error.
        guard: the reading end of a pipe, or -1. A byte that comes through ends the guard and kills nobody.
    """
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), str(descriptor), str(guard), *program]


def _guard_group(pipe: int, highest: int) -> None:
    """Leave a process behind that kills this one's group when the pipe ends.

    It is a grandchild, so that the program has no child that it does not know.
    """
    group = os.getpid()
    try:
        child = os.fork()
    except OSError:
        os.close(pipe)
        return  # no process to be had: the program alone ends with its parent
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
    # The interpreter ignores them, which would be inherited.
    for number in (_signal.SIGPIPE, _signal.SIGXFSZ):
        _signal.signal(number, _signal.SIG_DFL)
    # It may also have set LC_CTYPE for itself (PEP 538).
    with open("/proc/self/environ", "rb") as file:  # noqa: PTH123 - `pathlib` is slow
        given = dict(entry.split(b"=", 1) for entry in file.read().split(b"\0") if b"=" in entry)
    try:
        os.execvpe(program[0], program, given)  # noqa: S606 - that is the point
    except OSError as error:
        os.write(descriptor, str(error.errno).encode())
        os._exit(127)


if __name__ == "__main__":
    _become(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
