"""The life of a task: PROVISIONING, PENDING, RUNNING, DEACTIVATING, STOPPING, STOPPED.

A task is a record, which is what the API shows, and a thread that starts its containers and waits
for what ends it. There is one way to an end: `end`, whoever asks, and the first to ask says why.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from . import cloudwatch, seams
from .images import BadTable, Image, Images
from .processes import PATH, CannotStart, Process, Spawner

Record = dict[str, Any]

# AWS documentation, ContainerDefinition, stopTimeout: 30 s where it is not given.
STOP_TIMEOUT = 30.0


@dataclass(frozen=True)
class Ending:
    """Why a task ends. `kill_after` is how long its containers have after SIGTERM, in seconds, in
    place of their own stopTimeout."""

    code: str
    reason: str
    kill_after: float | None = None


@dataclass
class Container:
    """One container: what it is to run, what the API shows of it, and its process once it has one."""

    definition: Record
    override: Record
    record: Record
    env: dict[str, str]
    process: Process | None = None

    @property
    def name(self) -> str:
        return str(self.definition["name"])

    @property
    def essential(self) -> bool:
        return bool(self.definition.get("essential", True))

    @property
    def stop_timeout(self) -> float:
        return float(self.definition.get("stopTimeout") or STOP_TIMEOUT)

    def argv(self, image: Image) -> list[str]:
        """The command line. A definition's entry point sets the image's command aside, as in
        Docker; an override replaces the command alone, since ECS has no override of entry points."""
        entrypoint = self.definition.get("entryPoint") or image.entrypoint
        command = self.override.get("command") or self.definition.get("command")
        if not command:
            command = [] if self.definition.get("entryPoint") else image.cmd
        return [*entrypoint, *command]


@dataclass
class Ground:
    """What tasks stand on: the spawner, the table of images, the folder for logs."""

    spawner: Spawner
    images: Images
    folder: Path
    # How long a task of this account takes to start, in ms, beyond what starting takes here.
    start_ms: Callable[[str], int] = field(default=lambda account: 0)


class Task:
    """One task. `record` is shared with MiniStack's store; take `snapshot` to read it."""

    def __init__(self, record: Record, containers: list[Container], ground: Ground, account: str, region: str) -> None:
        self.record = record
        self.containers = containers
        self.account = account
        self.region = region
        self._ground = ground
        self._ending: Ending | None = None
        self._ended = threading.Event()
        self._lock = threading.RLock()
        self._folder = ground.folder / self.id

    @property
    def arn(self) -> str:
        return str(self.record["taskArn"])

    @property
    def id(self) -> str:
        return self.arn.rsplit("/", 1)[-1]

    def start(self) -> None:
        """Begin its life."""
        threading.Thread(target=self._live, name=f"task-{self.id[:8]}", daemon=True).start()

    def end(self, ending: Ending) -> None:
        """Ask it to end. Returns at once. The first ending counts."""
        with self._lock:
            if self._ending is not None:
                return
            self._ending = ending
            self._change(
                desiredStatus="STOPPED", stoppingAt=time.time(), stopCode=ending.code, stoppedReason=ending.reason
            )
        self._ended.set()

    def snapshot(self) -> Record:
        """The record at this moment, as the API shows it."""
        with self._lock:
            return copy.deepcopy(
                {key: value for key, value in self.record.items() if value is not None and not key.startswith("_")}
            )

    def pids(self) -> list[tuple[str, int]]:
        """The containers that live: names and process ids."""
        return [
            (container.name, container.process.pid)
            for container in self.containers
            if container.process and not container.process.exited.is_set()
        ]

    # What follows runs on the task's own thread.

    def _live(self) -> None:
        with seams.scope(self.account, self.region):
            try:
                if self._provision() and self._start_containers():
                    self._show("RUNNING", startedAt=time.time())
                    self._watch_containers()
            except Exception as error:  # a bug of ours: the task must not look alive
                self._fail(f"InternalError: {type(error).__name__}: {error}")
                raise
            finally:
                self._ended.wait()
                self._stop_containers()

    def _provision(self) -> bool:
        """Up to the start of its containers. False when it is to end."""
        half = self._ground.start_ms(self.account) / 2000
        for status in ("PENDING", "ACTIVATING"):
            if self._ended.wait(half):
                return False
            self._show(status)
        return True

    def _start_containers(self) -> bool:
        self._change(pullStartedAt=time.time())
        images = []
        for container in self.containers:
            image = self._pull(container)
            if image is None:
                return False
            images.append(image)
        self._change(pullStoppedAt=time.time())
        return all(
            self._start_container(container, image) for container, image in zip(self.containers, images, strict=True)
        )

    def _pull(self, container: Container) -> Image | None:
        name = container.definition["image"]
        try:
            image = self._ground.images.find(name)
        except BadTable as error:
            self._fail(f"CannotPullContainerError: {error}", container)
            return None
        if image is None:
            # The words of AWS where a registry does not know the image (from memory).
            self._fail(
                f"CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve "
                f"ref {name}: {name}: not found",
                container,
            )
            return None
        return None if self._ended.wait(image.pull_ms / 1000) else image

    def _start_container(self, container: Container, image: Image) -> bool:
        with self._lock:
            if self._ending is not None:
                return False
            self._folder.mkdir(parents=True, exist_ok=True)
            env = {"PATH": PATH, "HOME": "/", "HOSTNAME": self.id[:12], **image.env, **container.env}
            argv = container.argv(image)
            sinks = [cloudwatch.FileLog(self._folder / "log")]
            stream = cloudwatch.awslogs(container.definition, self.id, self.account, self.region)
            try:
                process = self._ground.spawner.spawn(
                    argv, env, self._folder, cloudwatch.fan_out([*sinks, *([stream] if stream else [])])
                )
            except CannotStart as error:
                self._fail(
                    f"CannotStartContainerError: failed to create task: OCI runtime create failed: {error}",
                    container,
                    "Task failed to start",
                )
                return False
            container.process = process
            self._change(container, lastStatus="RUNNING", runtimeId=f"{self.id}-{process.pid}")
        return True

    def _watch_containers(self) -> None:
        """Learn of their exits; not sooner, so that a task of a quick program has been RUNNING."""
        for container in self.containers:
            if container.process:
                container.process.when_exited(partial(self._container_exited, container, container.process))

    def _container_exited(self, container: Container, process: Process) -> None:
        with self._lock:
            self._change(container, lastStatus="STOPPED", exitCode=process.exit_code)
        if container.essential:
            self.end(Ending("EssentialContainerExited", "Essential container in task exited"))

    def _stop_containers(self) -> None:
        ending = self._ending
        kill_after = ending.kill_after if ending else None
        self._show("DEACTIVATING")
        self._show("STOPPING")
        living = [(container, container.process) for container in self.containers if container.process]
        for _, process in living:
            process.terminate()
        begun = time.monotonic()
        for container, process in living:
            limit = container.stop_timeout if kill_after is None else kill_after
            if not process.exited.wait(max(0.0, limit - (time.monotonic() - begun))):
                process.kill()
        for container, process in living:
            process.exited.wait()
            self._container_exited(container, process)
        self._change(executionStoppedAt=time.time())
        self._show("DEPROVISIONING")
        with self._lock:
            for container in self.containers:
                container.record["lastStatus"] = "STOPPED"
            self._show("STOPPED", stoppedAt=time.time(), connectivity="DISCONNECTED")

    def _fail(self, reason: str, container: Container | None = None, stopped_reason: str | None = None) -> None:
        if container is not None:
            self._change(container, reason=reason)
        self.end(Ending("TaskFailedToStart", stopped_reason or reason))

    def _show(self, status: str, **fields: Any) -> None:
        with self._lock:
            if self._ending is not None and status in ("PENDING", "ACTIVATING", "RUNNING"):
                return
            self._change(lastStatus=status, **fields)
        seams.module("services.ecs")._recount_cluster(self.record["clusterArn"].rsplit("/", 1)[-1])

    def _change(self, container: Container | None = None, **fields: Any) -> None:
        with self._lock:
            (container.record if container else self.record).update(fields)
            self.record["version"] += 1


class Fleet:
    """All tasks of all accounts, by ARN. Those that have stopped stay."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self._tasks: dict[str, Task] = {}

    def add(self, task: Task) -> None:
        """Take it in, and begin its life."""
        self._tasks[task.arn] = task
        task.start()

    def find(self, arn: str) -> Task | None:
        """The task of this ARN."""
        return self._tasks.get(arn)

    def of(self, account: str | None) -> list[Task]:
        """The tasks of an account, or of all."""
        return [task for task in list(self._tasks.values()) if account in (None, task.account)]

    def clear(self) -> None:
        """End every task at once, and forget it."""
        tasks, self._tasks = self._tasks, {}
        for task in tasks.values():
            task.end(Ending("UserInitiated", "The emulator was reset", kill_after=0))
