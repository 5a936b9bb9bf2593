"""A process that ends with the one that started it (Linux; elsewhere this does nothing).

The kernel sends the signal when the *thread* ends that started the process: so start it from the main thread, or
from one that lives as long as its process. It survives exec, and is cleared in forked children (prctl(2),
PR_SET_PDEATHSIG). Standard library only.
"""

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; ends it now where that has happened already.

    Args:
        parent: process id of the one that started this.
    """
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - nothing else needs it

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != parent:
            os._exit(128 + signal.SIGKILL)
