"""One execution environment of a function: a process that handles one event at a time.

Between two events the environment is frozen: every process of its group is stopped from the moment
it asks for the next event until there is one. Only SIGKILL ends it, because Lambda sends no SIGTERM
to a function without extensions (AWS documentation, Lambda execution environment, shutdown phase).
"""

from __future__ import annotations

import dataclasses
import json
import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .processes import CannotStart, Process, Spawner
from .runtime_api import Event, RuntimeApi

# AWS documentation, Lambda execution environment: the init phase is limited to 10 s. After that it
# runs again, within the timeout of the function.
INIT_LIMIT = 10.0
# How long a response is held back until the process asks for its next event.
POLL_DELAY = 0.1
# AWS documentation, Lambda quotas: the payload of a response, in bytes.
MAX_RESPONSE = 6 * 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Program:
    """The program that an environment runs."""

    argv: list[str]
    env: Mapping[str, str]
    folder: Path


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of an event. If `failed` is true, the response is a function error."""

    body: bytes
    failed: bool
    lines: list[str]


class Failure(Exception):
    """An environment could not respond. The caller gets this kind and message."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    def body(self, request_id: str) -> bytes:
        """The payload of the function error."""
        return json.dumps({"errorType": self.kind, "errorMessage": f"RequestId: {request_id} Error: {self}"}).encode()


class Environment:
    """One environment, which is leased for one event after another."""

    def __init__(self, spawner: Spawner, program: Program, keep_line: Callable[[str], None]) -> None:
        self._spawner = spawner
        self.program = program
        self._keep_line = keep_line
        self._changed = threading.Condition()
        self._leased = True
        self._asking = False  # the process is waiting for an event
        self._dead = False
        self._retired = False
        self._pending: Event | None = None
        self._serving: Event | None = None
        self._answer: tuple[bytes, bool] | None = None
        self._init_error: bytes | None = None
        self._timeout = 0.0
        self._lines: list[str] = []
        self._process: Process | None = None
        self._api: RuntimeApi | None = None

    @property
    def pid(self) -> int | None:
        """The process id while the process is alive."""
        return self._process.pid if self._process and not self._dead else None

    @property
    def frozen(self) -> bool:
        """Whether the process is stopped between two events."""
        return self._asking and self._pending is None and not self._dead

    @property
    def dead(self) -> bool:
        """Whether the environment can take no more events."""
        return self._dead

    def lease(self) -> bool:
        """Reserve the environment for one event. False if it is not free."""
        with self._changed:
            if self._leased or self._dead or not self._asking:
                return False
            self._leased = True
            return True

    def retire(self) -> None:
        """Kill the environment after its current event."""
        with self._changed:
            self._retired = True
            busy = self._leased
        if not busy:
            self.kill()

    def kill(self) -> None:
        """Kill the environment now."""
        with self._changed:
            self._dead = True
            self._changed.notify_all()
        if self._process:
            self._process.kill()
        if self._api:
            self._api.close()

    def invoke(self, event: Event, timeout: float) -> Outcome:
        """Run one event; the caller must hold the lease. Returns when the process has responded or
        crashed, or after `timeout` seconds."""
        begun = time.time()
        try:
            if self._process is None:
                self._initialise(timeout)
            body, failed = self._serve(event, timeout)
        except Failure as failure:
            body, failed = failure.body(event.request_id), True
            self._note(str(failure) if failure.kind == "Sandbox.Timedout" else body.decode())
            self.kill()
        finally:
            with self._changed:
                self._leased = False
                retired = self._retired
            if retired:
                self.kill()
        return Outcome(body, failed, self._collect(event, begun))

    # Requests of the process.

    def next_event(self) -> Event | None:
        """See EventSource."""
        with self._changed:
            self._asking, self._serving = True, None
            self._changed.notify_all()
            if self._pending is None and self._process and not self._dead:
                self._process.freeze()
            while self._pending is None and not self._dead:
                self._changed.wait()
            if self._dead or self._pending is None:
                return None
            event = dataclasses.replace(self._pending, deadline_ms=int((time.time() + self._timeout) * 1000))
            self._pending, self._serving, self._asking = None, event, False
            self._changed.notify_all()
            return event

    def answered(self, request_id: str, failed: bool, body: bytes) -> bool:
        """See EventSource."""
        with self._changed:
            if self._serving is None or self._serving.request_id != request_id or self._answer is not None:
                return False
            self._answer = (body, failed)
            self._changed.notify_all()
            return True

    def init_failed(self, body: bytes) -> None:
        """See EventSource."""
        with self._changed:
            self._init_error = body
            self._changed.notify_all()

    # Handling one event.

    def _initialise(self, timeout: float) -> None:
        """Start the process and wait until it asks for an event."""
        for limit in (INIT_LIMIT, timeout):
            self._start()
            with self._changed:
                self._changed.wait_for(lambda: self._asking or self._dead or self._init_error is not None, limit)
                if self._asking:
                    return
                if self._init_error is not None:
                    raise _reported(self._init_error)
                if self._dead:
                    raise self._crash()
            self._abandon()
        raise _timed_out(timeout)

    def _start(self) -> None:
        self._api = RuntimeApi(self)
        env = {**self.program.env, "AWS_LAMBDA_RUNTIME_API": self._api.address}
        try:
            with self._changed:
                process = self._spawner.spawn(self.program.argv, env, self.program.folder, self._note)
                self._process = process
        except CannotStart as error:
            raise Failure("Runtime.InvalidEntrypoint", str(error)) from error
        process.when_exited(lambda: self._exited(process))

    def _abandon(self) -> None:
        """Kill a process that did not initialise in time."""
        process, api, self._process, self._api = self._process, self._api, None, None
        if process and api:
            process.kill()
            api.close()

    def _serve(self, event: Event, timeout: float) -> tuple[bytes, bool]:
        with self._changed:
            self._timeout, self._answer, self._pending = timeout, None, event
            if self._process:
                self._process.thaw()
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._answer is not None or self._dead, timeout)
            if self._answer is None:
                raise self._crash() if self._dead else _timed_out(timeout)
            body, failed = self._answer
            if not self._changed.wait_for(lambda: self._asking or self._dead, POLL_DELAY):
                # The process has responded but is still busy. It may stay busy until its timeout.
                threading.Timer(timeout, self._kill_unless_asking, [event]).start()
        if len(body) > MAX_RESPONSE and not failed:
            message = f"Response payload size ({len(body)} bytes) exceeded maximum allowed size ({MAX_RESPONSE} bytes)."
            return json.dumps({"errorType": "Function.ResponseSizeTooLarge", "errorMessage": message}).encode(), True
        return body, failed

    def _kill_unless_asking(self, event: Event) -> None:
        with self._changed:
            stuck = self._serving is not None and self._serving.request_id == event.request_id
        if stuck:
            self.kill()

    def _exited(self, process: Process) -> None:
        with self._changed:
            if process is self._process:
                self._dead = True
                self._changed.notify_all()
        if self._dead and self._api:
            self._api.close()

    def _crash(self) -> Failure:
        code = self._process.returncode if self._process else 0
        if code == 0:
            return Failure("Runtime.ExitError", "Runtime exited without providing a reason")
        status = f"exit status {code}" if code > 0 else f"signal: {(signal.strsignal(-code) or str(-code)).lower()}"
        return Failure("Runtime.ExitError", f"Runtime exited with error: {status}")

    def _note(self, line: str) -> None:
        self._lines.append(line)
        self._keep_line(line)

    def _collect(self, event: Event, begun: float) -> list[str]:
        """The lines printed during this event, between the lines that Lambda adds."""
        if self._process:
            self._process.output.drain()
        lines, self._lines = self._lines, []
        took = (time.time() - begun) * 1000
        version = self.program.env.get("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        size = self.program.env.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        return [
            f"START RequestId: {event.request_id} Version: {version}",
            *lines,
            f"END RequestId: {event.request_id}",
            f"REPORT RequestId: {event.request_id}\tDuration: {took:.2f} ms\tBilled Duration: {int(took) + 1} ms\t"
            f"Memory Size: {size} MB\tMax Memory Used: {size} MB",
        ]


def _timed_out(timeout: float) -> Failure:
    return Failure("Sandbox.Timedout", f"Task timed out after {timeout:.2f} seconds")


def _reported(body: bytes) -> Failure:
    """The failure to start that the process itself reported."""
    try:
        said: Any = json.loads(body)
        return Failure(said.get("errorType") or "Runtime.Unknown", said.get("errorMessage") or "")
    except (ValueError, AttributeError):
        return Failure("Runtime.Unknown", body.decode(errors="replace"))
