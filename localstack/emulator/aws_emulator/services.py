"""Deployments of ECS services.

MiniStack decides when a deployment is complete, and stops the old tasks then. It learns from here
which tasks are up, because `tasks` runs them instead of MiniStack.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import ministack


def task_changed(record: Mapping[str, Any]) -> None:
    """Tell the service of a task that the task is running or has stopped. Tasks of no service are
    ignored. The caller must not hold the lock of the task: other tasks of the service may be stopped."""
    group = str(record["group"])
    if not group.startswith("service:"):
        return
    cluster = str(record["clusterArn"]).rsplit("/", 1)[-1]
    service = f"{cluster}/{group.removeprefix('service:')}"
    ecs = ministack.module("services.ecs")
    if record["lastStatus"] == "RUNNING":
        ecs._record_service_task_healthy(service, record)
    ecs._refresh_service_state(cluster, group)
    ecs._complete_service_deployment(cluster, service)
