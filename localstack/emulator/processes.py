"""Child processes: containers and execution environments are these.

A process has a session of its own, hence a process group that can be killed, frozen and thawed as
a whole. None outlives the emulator: the kernel kills it when the thread that started it ends
(PDEATHSIG, by `setpriv` where there is one), and the keeper kills its group.
"""

from __future__ import annotations

import os
import queue
import select
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .keeper import Keeper

# What a container of a bare image has (Docker's default).
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

LineSink = Callable[[str], None]


class CannotStart(Exception):
    """The program is not there, or can't be executed."""


@dataclass(frozen=True)
class _Order:
    argv: list[str]
    options: dict[str, Any]
    answer: queue.SimpleQueue[subprocess.Popen[Any] | Exception] = field(default_factory=queue.SimpleQueue)


class Spawner:
    """Starts every process from one thread that never ends.

    PDEATHSIG follows the thread that started a child, not the process; a child started by a
    passing thread would be killed when that thread ends.
    """

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        # Held while a child is forked. Whoever writes executables holds the same lock, or the
        # child would inherit the file open for writing, and could not be executed (ETXTBSY).
        self.fork_lock: AbstractContextManager[Any] = nullcontext()
        self._setpriv = shutil.which("setpriv")
        self._orders: queue.SimpleQueue[_Order] = queue.SimpleQueue()
        self._living: set[Process] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._serve, name="spawner", daemon=True).start()

    def spawn(self, argv: Sequence[str], env: Mapping[str, str], cwd: Path, sink: LineSink) -> Process:
        """Start a program with exactly this environment. `sink` is given each line that it prints.

        Raises CannotStart.
        """
        program = argv[0] if argv else ""
        if shutil.which(program, path=env.get("PATH", PATH)) is None:
            raise CannotStart(f'exec: "{program}": executable file not found in $PATH')
        read, write = os.pipe()
        try:
            child = self.popen(
                argv,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=write,
                stderr=write,
                start_new_session=True,
            )
        except OSError as error:
            os.close(read)
            raise CannotStart(str(error)) from error
        finally:
            os.close(write)
        process = Process(child, Output(read, sink), self._ended)
        with self._lock:
            self._living.add(process)
        self.keeper.add(process.pid)
        process.watch()
        return process

    def popen(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """`subprocess.Popen`, on the spawner's thread, of a child that the kernel kills with it."""
        prefix = [self._setpriv, "--pdeathsig", "KILL", "--"] if self._setpriv else []
        order = _Order([*prefix, *argv], options)
        self._orders.put(order)
        child = order.answer.get()
        if isinstance(child, Exception):
            raise child
        return child

    def kill_all(self) -> None:
        """Kill every process that lives."""
        with self._lock:
            living = list(self._living)
        for process in living:
            process.kill()

    def _ended(self, process: Process) -> None:
        self.keeper.remove(process.pid)
        with self._lock:
            self._living.discard(process)

    def _serve(self) -> None:
        while True:
            order = self._orders.get()
            try:
                with self.fork_lock:
                    order.answer.put(subprocess.Popen(order.argv, **order.options))
            except Exception as error:  # raised where it was ordered
                order.answer.put(error)


class Output:
    """What a process prints, line by line, to a sink.

    A thread waits for it. `drain` takes what is in the pipe at this moment, so that whoever was
    told by the process that it has finished has all that it printed before.
    """

    LONGEST_LINE = 256 * 1024

    def __init__(self, pipe: int, sink: LineSink) -> None:
        os.set_blocking(pipe, False)
        self._pipe = pipe
        self._sink = sink
        self._partial = b""
        self._open = True
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._pump, name="output", daemon=True)
        self._thread.start()

    def drain(self) -> None:
        """Give the sink all that has been printed up to now."""
        with self._lock:
            while self._open:
                try:
                    chunk = os.read(self._pipe, 65536)
                except BlockingIOError:
                    return
                self._take(chunk)

    def finish(self, seconds: float) -> None:
        """Wait for the end of the output, for so long at most: a process that left the session may
        hold it open."""
        self._thread.join(seconds)

    def _pump(self) -> None:
        while self._open:
            select.select([self._pipe], [], [])
            self.drain()

    def _take(self, chunk: bytes) -> None:
        *lines, rest = (self._partial + chunk).split(b"\n")
        if rest and (not chunk or len(rest) > self.LONGEST_LINE):
            lines, rest = [*lines, rest], b""
        self._partial = rest
        for line in lines:
            self._sink(line.decode(errors="replace").rstrip("\r"))
        if not chunk:
            self._open = False
            os.close(self._pipe)


class Process:
    """One child, and the group that it leads."""

    def __init__(self, child: subprocess.Popen[bytes], output: Output, ended: Callable[[Process], None]) -> None:
        self.pid = child.pid
        self.output = output
        self.exited = threading.Event()
        self.returncode = 0
        self._child = child
        self._ended = ended
        self._listeners: list[Callable[[], None]] = []
        self._gone = False
        self._lock = threading.Lock()

    @property
    def exit_code(self) -> int:
        """As a shell and Docker give it: 128 and the signal, where a signal ended it."""
        return self.returncode if self.returncode >= 0 else 128 - self.returncode

    def watch(self) -> None:
        """Start the thread that waits for the end."""
        threading.Thread(target=self._wait, name=f"wait-{self.pid}", daemon=True).start()

    def when_exited(self, listener: Callable[[], None]) -> None:
        """Call this once it has ended, its output included; at once if it has."""
        with self._lock:
            if not self.exited.is_set():
                self._listeners.append(listener)
                return
        listener()

    def terminate(self) -> None:
        """SIGTERM to the process itself, as to PID 1 of a container."""
        with self._lock:
            if not self._gone:
                os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the whole group."""
        self._signal_group(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop the whole group until `thaw`."""
        self._signal_group(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the group go on."""
        self._signal_group(signal.SIGCONT)

    def _signal_group(self, number: signal.Signals) -> None:
        with self._lock:
            if not self._gone:
                with suppress(ProcessLookupError):
                    os.killpg(self.pid, number)

    def _wait(self) -> None:
        # Not reaped yet: so its number is still its own when the rest of the group is killed. With
        # the first process of a container all others end.
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        self._signal_group(signal.SIGKILL)
        with self._lock:
            self.returncode = self._child.wait()
            self._gone = True
        self._ended(self)
        self.output.finish(1.0)
        with self._lock:
            self.exited.set()
            listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener()
