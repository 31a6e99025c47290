"""A second process that kills the emulator's process groups when the emulator is killed.

The reaper holds the read end of a pipe and a list of process groups. The kernel closes the pipe when
the emulator ends for any reason. The reaper then kills every group on the list.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress


class Reaper:
    """The emulator's end of the pipe. Create it before any thread, because it forks."""

    def __init__(self) -> None:
        read, self._write = os.pipe()
        if os.fork() == 0:
            os.close(self._write)
            _reap(read)
        os.close(read)

    def add(self, group: int) -> None:
        """Add a process group to kill when the emulator ends."""
        os.write(self._write, b"+%d\n" % group)

    def remove(self, group: int) -> None:
        """Remove a process group that has ended."""
        os.write(self._write, b"-%d\n" % group)


def _reap(pipe: int) -> None:
    """Run the reaper. It has its own session, so that signals to the emulator's group, such as
    Ctrl-C, do not reach it. It keeps none of the emulator's pipes open."""
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        groups: set[int] = set()
        with os.fdopen(pipe, "rb") as lines:
            for line in lines:
                (groups.add if line[:1] == b"+" else groups.discard)(int(line[1:]))
        for group in groups:
            with suppress(OSError):
                os.killpg(group, signal.SIGKILL)
    finally:
        os._exit(0)
