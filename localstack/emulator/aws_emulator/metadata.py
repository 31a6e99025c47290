"""The task metadata endpoint, version 4, where a container reads about itself (AWS documentation,
Amazon ECS task metadata endpoint version 4 for tasks on Fargate)."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

from . import fargate
from .tasks import Container, Record, Task


class Metadata:
    """The documents, found by the token in each container's URL."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._containers: dict[str, tuple[Task, Container]] = {}

    def url(self) -> tuple[str, str]:
        """Create a URL and its token."""
        token = secrets.token_hex(16)
        return f"{self._endpoint}/v4/{token}", token

    def register(self, token: str, task: Task, container: Container) -> None:
        """Assign a token to a container."""
        self._containers[token] = (task, container)

    def get(self, path: str) -> Record | None:
        """The document at a path, or None."""
        token, _, rest = path.removeprefix("/v4/").partition("/")
        registered = self._containers.get(token)
        if registered is None:
            return None
        task, container = registered
        if rest == "":
            return _container(task.snapshot(), container)
        if rest in ("task", "taskWithTags"):
            return _task(task)
        return {} if rest in ("stats", "task/stats") else None


def _task(task: Task) -> Record:
    record = task.snapshot()
    family, _, revision = record["taskDefinitionArn"].rsplit("/", 1)[-1].partition(":")
    document: Record = {
        "Cluster": record["clusterArn"],
        "TaskARN": record["taskArn"],
        "Family": family,
        "Revision": revision,
        "DesiredStatus": record["desiredStatus"],
        "KnownStatus": record["lastStatus"],
        "PullStartedAt": _time(record.get("pullStartedAt")),
        "PullStoppedAt": _time(record.get("pullStoppedAt")),
        "AvailabilityZone": record["availabilityZone"],
        "LaunchType": record["launchType"],
        "Containers": [_container(record, container) for container in task.containers],
    }
    cpu, memory = fargate.cpu_units(record.get("cpu")), fargate.memory_mib(record.get("memory"))
    if cpu is not None and memory is not None:
        document["Limits"] = {"CPU": cpu / 1024, "Memory": memory}
    return {key: value for key, value in document.items() if value is not None}


def _container(record: Record, container: Container) -> Record:
    shown = next(one for one in record["containers"] if one["name"] == container.name)
    document: Record = {
        "DockerId": shown.get("runtimeId"),
        "Name": container.name,
        "DockerName": container.name,
        "Image": container.definition["image"],
        "Labels": {
            "com.amazonaws.ecs.cluster": record["clusterArn"],
            "com.amazonaws.ecs.container-name": container.name,
            "com.amazonaws.ecs.task-arn": record["taskArn"],
        },
        "DesiredStatus": record["desiredStatus"],
        "KnownStatus": shown["lastStatus"],
        "ExitCode": shown.get("exitCode"),
        "StartedAt": _time(record.get("startedAt")),
        "Type": "NORMAL",
        "ContainerARN": shown["containerArn"],
        "Networks": [{"NetworkMode": "awsvpc", "IPv4Addresses": ["127.0.0.1"]}],
    }
    return {key: value for key, value in document.items() if value is not None}


def _time(seconds: Any) -> str | None:
    if not isinstance(seconds, float):
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
