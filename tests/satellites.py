"""Programs for the tests of `inithold.process.satellite`: what they do is the first message."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from inithold.process.satellite import Channel


def main(channel: Channel) -> int:
    order = channel.receive()
    assert order is not None
    return {name: each for name, each in globals().items() if callable(each)}[order["do"]](channel, order) or 0


def tell(channel: Channel, order: dict[str, object]) -> None:
    """Say what it is, and echo until its input ends."""
    channel.send(
        {
            "arguments": sys.orig_argv,
            "environment": dict(os.environ),
            "path": sys.path,
            "stdin": os.read(0, 10).decode(),
            "descriptors": sorted(int(entry.name) for entry in Path("/proc/self/fd").iterdir()),
            "group": os.getpgrp(),
            "parent": os.getppid(),
            "imported": "decimal" in sys.modules,
            "signals": [
                [str(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
                [str(signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)],
            ],
        }
    )
    while (message := channel.receive()) is not None:
        channel.send({"echo": message})
    channel.send({"end": "of input"})


def misbehave(channel: Channel, order: dict[str, object]) -> None:
    """Print, run programs, fork, and close the standard streams."""
    channel.send({"at": 0})
    print("printed", flush=True)
    channel.send({"at": 1})
    print("to stderr", file=sys.stderr, flush=True)
    shell = "ls /proc/self/fd | tr '\\n' ' '; echo; echo junk >&4; echo junk >&100"
    subprocess.run(["sh", "-c", shell], check=False)
    child = os.fork()
    if child == 0:
        try:
            channel.send({"from": "the fork"})
        except ValueError:
            print("refused", flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    os.close(1)
    os.close(2)
    channel.send({"at": 2})


def leave_behind(channel: Channel, order: dict[str, object]) -> None:
    """End, while a program it started keeps the outputs open."""
    subprocess.Popen(["sleep", "30"])
    channel.send({"said": "all"})


def exit_at_once(channel: Channel, order: dict[str, object]) -> None:
    os._exit(3)


def kill_itself(channel: Channel, order: dict[str, object]) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(60)


def hang(channel: Channel, order: dict[str, object]) -> None:
    channel.send({"pid": os.getpid()})
    time.sleep(300)


def close_everything(channel: Channel, order: dict[str, object]) -> None:
    os.closerange(3, 1024)
    time.sleep(300)


def write_junk(channel: Channel, order: dict[str, object]) -> None:
    for descriptor in range(3, 300):
        try:
            os.write(descriptor, b"junk\n")
        except OSError:
            continue
    time.sleep(300)
