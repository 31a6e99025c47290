"""A second process that kills what is left when the emulator is killed.

It holds the other end of a pipe and a list of process groups. The kernel closes the pipe when the
emulator is gone, however it went; then every group on the list is killed.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress


class Keeper:
    """The emulator's end of the pipe. Start it before any thread is started: it forks."""

    def __init__(self) -> None:
        read, self._write = os.pipe()
        if os.fork() == 0:
            os.close(self._write)
            _keep(read)
        os.close(read)

    def add(self, group: int) -> None:
        """Kill this process group when the emulator is gone."""
        os.write(self._write, b"+%d\n" % group)

    def remove(self, group: int) -> None:
        """This group has ended."""
        os.write(self._write, b"-%d\n" % group)


def _keep(pipe: int) -> None:
    """The keeper's whole life. It leaves the session, so that signals to the emulator's group,
    such as Ctrl-C, don't reach it, and holds none of the emulator's pipes open."""
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        groups: set[int] = set()
        with os.fdopen(pipe, "rb") as lines:
            for line in lines:
                (groups.add if line[:1] == b"+" else groups.discard)(int(line[1:]))
        for group in groups:
            with suppress(OSError):
                os.killpg(group, signal.SIGKILL)
    finally:
        os._exit(0)
