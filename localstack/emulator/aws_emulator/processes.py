"""Child processes, which serve as containers and as execution environments.

Each process has its own session and so a process group that can be killed, frozen and thawed as a
whole. No process outlives the emulator: the kernel kills it when the thread that started it ends
(PDEATHSIG, through `setpriv` if that is installed), and the reaper kills its group.
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

from .reaper import Reaper

# Docker's default for an image that sets no PATH.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

LineSink = Callable[[str], None]


class CannotStart(Exception):
    """The program does not exist or cannot be executed."""


@dataclass(frozen=True)
class _SpawnRequest:
    argv: list[str]
    options: dict[str, Any]
    answer: queue.SimpleQueue[subprocess.Popen[Any] | Exception] = field(default_factory=queue.SimpleQueue)


class Spawner:
    """Starts every process from one thread that never ends.

    PDEATHSIG depends on the thread that started a child, not on the process. A child of a short-lived
    thread would be killed when that thread ends.
    """

    def __init__(self, reaper: Reaper) -> None:
        self.reaper = reaper
        # Held while a child is forked. Code that writes executables must hold the same lock:
        # otherwise the child inherits the open file, and executing it fails with ETXTBSY.
        self.fork_lock: AbstractContextManager[Any] = nullcontext()
        self._setpriv = shutil.which("setpriv")
        self._requests: queue.SimpleQueue[_SpawnRequest] = queue.SimpleQueue()
        self._living: set[Process] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._serve, name="spawner", daemon=True).start()

    def spawn(self, argv: Sequence[str], env: Mapping[str, str], cwd: Path, sink: LineSink) -> Process:
        """Start a program with exactly this environment. `sink` gets each line that it prints.

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
        self.reaper.add(process.pid)
        process.watch()
        return process

    def popen(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Call `subprocess.Popen` on the spawner's thread; the kernel kills the child with it."""
        prefix = [self._setpriv, "--pdeathsig", "KILL", "--"] if self._setpriv else []
        request = _SpawnRequest([*prefix, *argv], options)
        self._requests.put(request)
        child = request.answer.get()
        if isinstance(child, Exception):
            raise child
        return child

    def kill_all(self) -> None:
        """Kill every running process."""
        with self._lock:
            living = list(self._living)
        for process in living:
            process.kill()

    def _ended(self, process: Process) -> None:
        self.reaper.remove(process.pid)
        with self._lock:
            self._living.discard(process)

    def _serve(self) -> None:
        while True:
            request = self._requests.get()
            try:
                with self.fork_lock:
                    request.answer.put(subprocess.Popen(request.argv, **request.options))
            except Exception as error:  # `popen` raises it in the calling thread
                request.answer.put(error)


class Output:
    """Passes the output of a process to a sink, line by line.

    A thread waits for output. `drain` reads everything that is in the pipe now, so a caller that
    knows the process has finished a step has also seen the lines printed before.
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
        """Pass everything printed so far to the sink."""
        with self._lock:
            while self._open:
                try:
                    chunk = os.read(self._pipe, 65536)
                except BlockingIOError:
                    return
                self._take(chunk)

    def finish(self, seconds: float) -> None:
        """Wait for the end of the output, but no longer than this: a process that has left the
        session may hold the pipe open."""
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
    """One child process and the group that it leads."""

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
        """The exit code as a shell and Docker report it: 128 plus the signal, if a signal ended it."""
        return self.returncode if self.returncode >= 0 else 128 - self.returncode

    def watch(self) -> None:
        """Start the thread that waits for the process."""
        threading.Thread(target=self._wait, name=f"wait-{self.pid}", daemon=True).start()

    def when_exited(self, listener: Callable[[], None]) -> None:
        """Call `listener` when the process and its output have ended; immediately if they have."""
        with self._lock:
            if not self.exited.is_set():
                self._listeners.append(listener)
                return
        listener()

    def terminate(self) -> None:
        """Send SIGTERM to the process alone, as Docker does to PID 1 of a container."""
        with self._lock:
            if not self._gone:
                os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to the whole group."""
        self._signal_group(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop the whole group until `thaw`."""
        self._signal_group(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the group continue."""
        self._signal_group(signal.SIGCONT)

    def _signal_group(self, number: signal.Signals) -> None:
        with self._lock:
            if not self._gone:
                with suppress(ProcessLookupError):
                    os.killpg(self.pid, number)

    def _wait(self) -> None:
        # The process is not reaped yet, so its id cannot be reused while the rest of its group is
        # killed. When the first process of a container ends, all others end.
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
