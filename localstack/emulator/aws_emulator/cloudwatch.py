"""The destinations of log lines: a file and CloudWatch Logs."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import ministack
from .processes import LineSink


class FileLog:
    """Appends lines to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, line: str) -> None:
        with self._path.open("a") as file:
            file.write(line + "\n")


class Stream:
    """Writes lines to a stream of CloudWatch Logs. If the log group does not exist and may not be
    created, the lines are dropped, as the awslogs driver does."""

    def __init__(self, account: str, region: str, group: str, stream: str, create_group: bool) -> None:
        self._where = (account, region)
        self._names = {"logGroupName": group, "logStreamName": stream}
        self._create_group = create_group
        self._ready = False
        self._lock = threading.Lock()

    def __call__(self, line: str) -> None:
        self.put([line])

    def put(self, lines: Sequence[str]) -> None:
        """Write lines, all with the current time."""
        logs = ministack.module("services.cloudwatch_logs")
        with self._lock, ministack.scope(*self._where):
            if self._ready or self._prepare(logs):
                now = int(time.time() * 1000)
                logs._put_log_events(
                    {**self._names, "logEvents": [{"timestamp": now, "message": line} for line in lines]}
                )

    def _prepare(self, logs: Any) -> bool:
        group = self._names["logGroupName"]
        if group not in logs._log_groups:
            if not self._create_group:
                return False
            logs._create_log_group({"logGroupName": group})
        if self._names["logStreamName"] not in logs._log_groups[group]["streams"]:
            logs._create_log_stream(self._names)
        self._ready = True
        return True


def awslogs(definition: Mapping[str, Any], task_id: str, account: str, region: str) -> Stream | None:
    """The stream of a container that uses the awslogs driver with a stream prefix, which Fargate
    requires. None for other containers."""
    config = definition.get("logConfiguration") or {}
    options = config.get("options") or {}
    group, prefix = options.get("awslogs-group"), options.get("awslogs-stream-prefix")
    if config.get("logDriver") != "awslogs" or not group or not prefix:
        return None
    create = str(options.get("awslogs-create-group", "")).lower() == "true"
    stream = f"{prefix}/{definition['name']}/{task_id}"
    return Stream(account, options.get("awslogs-region") or region, group, stream, create)


def fan_out(sinks: Sequence[LineSink]) -> LineSink:
    """Combine several sinks into one."""

    def sink(line: str) -> None:
        for one in sinks:
            one(line)

    return sink
