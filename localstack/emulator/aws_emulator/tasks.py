"""The life cycle of a task: PROVISIONING, PENDING, RUNNING, DEACTIVATING, STOPPING, STOPPED.

A task is a record, which the API returns, and a thread, which starts the containers and waits until
the task ends. Every task ends through `end`; the first call decides the reason.
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

from . import cloudwatch, ministack, services
from .images import Image, Images, InvalidImageTable
from .processes import PATH, CannotStart, Process, Spawner

Record = dict[str, Any]

# AWS documentation, ContainerDefinition, stopTimeout: the default is 30 s.
STOP_TIMEOUT = 30.0


@dataclass(frozen=True)
class Ending:
    """Why a task ends. `kill_after` is the time between SIGTERM and SIGKILL, in seconds; it replaces
    the stopTimeout of the containers."""

    code: str
    reason: str
    kill_after: float | None = None


@dataclass
class Container:
    """One container: its definition, its API record, and its process once it has started."""

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
        """The command line. The definition's entry point discards the image's command, as in Docker.
        An override replaces only the command: ECS has no override for the entry point."""
        entrypoint = self.definition.get("entryPoint") or image.entrypoint
        command = self.override.get("command") or self.definition.get("command")
        if not command:
            command = [] if self.definition.get("entryPoint") else image.cmd
        return [*entrypoint, *command]


@dataclass
class TaskHost:
    """The resources that tasks need: the spawner, the table of images, the folder for logs."""

    spawner: Spawner
    images: Images
    folder: Path
    # The delay before a task of this account starts, in milliseconds.
    start_ms: Callable[[str], int] = field(default=lambda account: 0)


class Task:
    """One task. MiniStack's store shares `record`; use `snapshot` to read it."""

    def __init__(self, record: Record, containers: list[Container], host: TaskHost, account: str, region: str) -> None:
        self.record = record
        self.containers = containers
        self.account = account
        self.region = region
        self._host = host
        self._ending: Ending | None = None
        self._ended = threading.Event()
        self._lock = threading.RLock()
        self._folder = host.folder / self.id

    @property
    def arn(self) -> str:
        return str(self.record["taskArn"])

    @property
    def id(self) -> str:
        return self.arn.rsplit("/", 1)[-1]

    def start(self) -> None:
        """Start the task's thread."""
        threading.Thread(target=self._run, name=f"task-{self.id[:8]}", daemon=True).start()

    def end(self, ending: Ending) -> None:
        """Ask the task to end. Returns immediately. The first ending counts."""
        with self._lock:
            if self._ending is not None:
                return
            self._ending = ending
            self._change(
                desiredStatus="STOPPED", stoppingAt=time.time(), stopCode=ending.code, stoppedReason=ending.reason
            )
        self._ended.set()

    def snapshot(self) -> Record:
        """A copy of the record as the API shows it."""
        with self._lock:
            return copy.deepcopy(
                {key: value for key, value in self.record.items() if value is not None and not key.startswith("_")}
            )

    def pids(self) -> list[tuple[str, int]]:
        """Name and process id of each running container."""
        return [
            (container.name, container.process.pid)
            for container in self.containers
            if container.process and not container.process.exited.is_set()
        ]

    # The methods below run on the task's own thread.

    def _run(self) -> None:
        with ministack.scope(self.account, self.region):
            try:
                if self._provision() and self._start_containers():
                    self._show("RUNNING", startedAt=time.time())
                    services.task_changed(self.record)
                    self._watch_containers()
            except Exception as error:  # a bug in the emulator: the task must not look alive
                self._fail(f"InternalError: {type(error).__name__}: {error}")
                raise
            finally:
                self._ended.wait()
                self._stop_containers()
                services.task_changed(self.record)

    def _provision(self) -> bool:
        """Advance to the start of the containers. False if the task is ending."""
        half = self._host.start_ms(self.account) / 2000
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
            image = self._host.images.find(name)
        except InvalidImageTable as error:
            self._fail(f"CannotPullContainerError: {error}", container)
            return None
        if image is None:
            # The message of AWS for an image that the registry does not have (from memory).
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
            try:
                secrets = ministack.module("services.ecs")._resolve_container_secrets(container.definition)
            except ministack.module("services.ecs")._SecretResolutionError as error:
                self._fail(f"ResourceInitializationError: {error}", container)
                return False
            own = {"PATH": PATH, "HOME": "/", "HOSTNAME": self.id[:12]}
            env = {**own, **image.env, **container.env, **secrets}
            argv = container.argv(image)
            sinks = [cloudwatch.FileLog(self._folder / "log")]
            stream = cloudwatch.awslogs(container.definition, self.id, self.account, self.region)
            try:
                process = self._host.spawner.spawn(
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
        """Watch for exits. This starts only now, so that even a short task was RUNNING once."""
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
        ministack.module("services.ecs")._recount_cluster(self.record["clusterArn"].rsplit("/", 1)[-1])

    def _change(self, container: Container | None = None, **fields: Any) -> None:
        with self._lock:
            (container.record if container else self.record).update(fields)
            self.record["version"] += 1


class Tasks:
    """All tasks of all accounts by ARN, including stopped tasks."""

    def __init__(self, host: TaskHost) -> None:
        self.host = host
        self._tasks: dict[str, Task] = {}

    def add(self, task: Task) -> None:
        """Add a task and start it."""
        self._tasks[task.arn] = task
        task.start()

    def find(self, arn: str) -> Task | None:
        """The task with this ARN, or None."""
        return self._tasks.get(arn)

    def of(self, account: str | None) -> list[Task]:
        """The tasks of one account, or of all accounts."""
        return [task for task in list(self._tasks.values()) if account in (None, task.account)]

    def clear(self) -> None:
        """End every task immediately and remove it."""
        tasks, self._tasks = self._tasks, {}
        for task in tasks.values():
            task.end(Ending("UserInitiated", "The emulator was reset", kill_after=0))
