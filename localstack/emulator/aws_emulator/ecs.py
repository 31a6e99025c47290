"""RunTask, StopTask, DescribeTasks and ListTasks: their checks and their responses.

These four operations replace MiniStack's. They use MiniStack's stores of clusters, task definitions
and tags; MiniStack handles all other ECS operations. The checks and error types are from the API
reference. The error messages are from memory and may differ from those of AWS.
"""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from . import fargate, ministack, ports
from .metadata import Metadata
from .ministack import Answer
from .tasks import Container, Ending, Record, Task, Tasks

MAX_TASKS_PER_CALL = 10
MAX_TASKS_DESCRIBED = 100
MAX_OVERRIDES_LENGTH = 8192
FARGATE_PROVIDERS = ("FARGATE", "FARGATE_SPOT")
CLIENT_TOKEN = re.compile(r"[\x21-\x7e]{1,64}")
STARTED_BY = re.compile(r"[A-Za-z0-9_/-]{1,128}")


class Rejected(Exception):
    """An error response for the caller."""

    def __init__(self, kind: str, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.kind = kind
        self.extra = extra

    def answer(self) -> Answer:
        """The error in the JSON protocol."""
        return ministack.error(self.kind, str(self), self.extra)


def invalid(message: str) -> Rejected:
    """InvalidParameterException, the most frequent error."""
    return Rejected("InvalidParameterException", message)


class Ecs:
    """The four operations."""

    def __init__(self, tasks: Tasks, metadata: Metadata, endpoint: str, hides: Callable[[str, float], bool]) -> None:
        self._tasks = tasks
        self._metadata = metadata
        self._endpoint = endpoint
        self._hides = hides
        self._tokens: dict[tuple[str, str, str, str], tuple[str, list[str]]] = {}
        self._token_lock = threading.Lock()
        self._original = ministack.module("services.ecs")

    def install(self) -> None:
        """Replace MiniStack's operations with these."""
        register = self._original._register_task_definition
        replacements = {
            "RunTask": ("_run_task", self.run_task),
            "StopTask": ("_stop_task", self.stop_task),
            "DescribeTasks": ("_describe_tasks", self.describe_tasks),
            "ListTasks": ("_list_tasks", self.list_tasks),
            "RegisterTaskDefinition": (
                "_register_task_definition",
                lambda data: check_definition(data) or register(data),
            ),
        }
        for action, (name, function) in replacements.items():
            handler = _answering(function)
            ministack.replace(self._original, name, handler)
            self._original._ACTION_MAP[action] = handler
        ministack.run_before(self._original, "reset", self._reset)

    def run_task(self, data: Mapping[str, Any]) -> Answer:
        """RunTask."""
        cluster = self._cluster(data)
        definition = self._definition(data)
        self._check_run(data, cluster, definition)
        token = data.get("clientToken")
        if token is None:
            return _started(self._start(data, cluster, definition))
        if not CLIENT_TOKEN.fullmatch(token):
            raise invalid("clientToken must be 1 to 64 characters in the range of 33-126.")
        return _started(self._start_once(token, data, cluster, definition))

    def stop_task(self, data: Mapping[str, Any]) -> Answer:
        """StopTask. Responds immediately; the task stops afterwards."""
        task = self._find(self._cluster(data), data.get("task", ""))
        if task is None:
            raise invalid("The referenced task was not found.")
        task.end(Ending("UserInitiated", data.get("reason") or "Task stopped by user"))
        return ministack.ok({"task": task.snapshot()})

    def describe_tasks(self, data: Mapping[str, Any]) -> Answer:
        """DescribeTasks, for at most 100 tasks."""
        cluster = self._cluster(data)
        asked = data.get("tasks") or []
        if not asked:
            raise invalid("Tasks cannot be empty.")
        if len(asked) > MAX_TASKS_DESCRIBED:
            raise invalid(f"Tasks can have at most {MAX_TASKS_DESCRIBED} items.")
        with_tags = "TAGS" in (data.get("include") or [])
        tasks, failures = [], []
        for reference in asked:
            task = self._find(cluster, reference)
            if task is None or self._hides(task.account, time.time() - task.record["createdAt"]):
                failures.append({"arn": _task_arn(cluster, reference), "reason": "MISSING"})
            else:
                tasks.append(self._shown(task, with_tags))
        return ministack.ok({"tasks": tasks, "failures": failures})

    def list_tasks(self, data: Mapping[str, Any]) -> Answer:
        """ListTasks, by family, startedBy, desiredStatus, launchType or service."""
        cluster = self._cluster(data)
        filters = {
            name for name in ("family", "startedBy", "desiredStatus", "launchType", "serviceName") if data.get(name)
        }
        if "startedBy" in filters and len(filters) > 1:
            # API reference, ListTasks: "it must be the only filter that you use".
            raise invalid("startedBy cannot be used with other filters.")
        arns = [
            task.arn
            for task in self._tasks.of(ministack.account())
            if task.region == ministack.region() and _matches(task.record, cluster, data)
        ]
        start, size = int(data.get("nextToken") or 0), int(data.get("maxResults") or 100)
        page: Record = {"taskArns": arns[start : start + size]}
        if start + size < len(arns):
            page["nextToken"] = str(start + size)
        return ministack.ok(page)

    def spot(self, arn: str, kill_ms: int | None) -> bool:
        """Interrupt a task as Spot does: SIGTERM now, then SIGKILL after `kill_ms`, or after each
        container's stopTimeout. False if there is no such task."""
        task = self._tasks.find(arn)
        if task is not None:
            kill_after = None if kill_ms is None else kill_ms / 1000
            task.end(Ending("SpotInterruption", "Your Spot Task was interrupted.", kill_after))
        return task is not None

    def _reset(self) -> None:
        self._tasks.clear()
        self._tokens.clear()

    # Looking up clusters, definitions and tasks.

    def _cluster(self, data: Mapping[str, Any]) -> Record:
        name = self._original._resolve_cluster_name(data.get("cluster") or "default")
        cluster: Record | None = self._original._clusters.get(name) if name else None
        if cluster is None or cluster["status"] != "ACTIVE":
            raise Rejected("ClusterNotFoundException", "Cluster not found.")
        return cluster

    def _definition(self, data: Mapping[str, Any]) -> Record:
        reference = data.get("taskDefinition") or ""
        definition: Record | None = self._original._task_defs.get(self._original._resolve_td_key(reference))
        if definition is None:
            raise Rejected("ClientException", "TaskDefinition not found.")
        if definition.get("status") == "INACTIVE":
            raise Rejected("ClientException", "TaskDefinition is inactive.")
        return definition

    def _find(self, cluster: Record, reference: str) -> Task | None:
        task = self._tasks.find(_task_arn(cluster, reference))
        return task if task and task.record["clusterArn"] == cluster["clusterArn"] else None

    # Checks of RunTask.

    def _check_run(self, data: Mapping[str, Any], cluster: Record, definition: Record) -> None:
        if not 1 <= int(data.get("count", 1)) <= MAX_TASKS_PER_CALL:
            raise invalid(f"Count must be between 1 and {MAX_TASKS_PER_CALL}.")
        started_by = data.get("startedBy")
        if started_by and not STARTED_BY.fullmatch(started_by) and "_deploymentId" not in data:
            raise invalid("startedBy can have up to 128 letters, numbers, hyphens, forward slashes and underscores.")
        _check_network(data, definition)
        _check_overrides(data, definition)
        _check_launch(data, cluster, definition)
        launch_type, _ = _capacity(data, cluster)
        if launch_type == "FARGATE" and not fargate.has(*_size(data, definition)):
            raise Rejected("ClientException", "No Fargate configuration exists for given values.")

    # Starting.

    def _start_once(self, token: str, data: Mapping[str, Any], cluster: Record, definition: Record) -> list[Record]:
        key = (ministack.account(), ministack.region(), cluster["clusterName"], token)
        wanted = json.dumps(data, sort_keys=True)
        with self._token_lock:
            if key not in self._tokens:
                tasks = self._start(data, cluster, definition)
                self._tokens[key] = (wanted, [task["taskArn"] for task in tasks])
                return tasks
            before, arns = self._tokens[key]
        if before != wanted:
            raise Rejected(
                "ConflictException",
                "The RunTask request could not be processed due to conflicts. The "
                "provided clientToken is already in use with a different RunTask request.",
                resourceIds=arns,
            )
        return [self._shown(task) for task in map(self._tasks.find, arns) if task is not None]

    def _start(self, data: Mapping[str, Any], cluster: Record, definition: Record) -> list[Record]:
        """Start the tasks, and return them as they were before they started."""
        tasks = [self._make(data, cluster, definition) for _ in range(int(data.get("count", 1)))]
        for task in tasks:
            self._original._tasks[task.arn] = task.record
            tags = self._tags(data, definition)
            if tags:
                self._original._tags[task.arn] = tags
        shown = [self._shown(task) for task in tasks]
        for task in tasks:
            self._tasks.add(task)
        return shown

    def _shown(self, task: Task, with_tags: bool = True) -> Record:
        tags = self._original._tags.get(task.arn, []) if with_tags else []
        return {**task.snapshot(), "tags": tags}

    def _tags(self, data: Mapping[str, Any], definition: Record) -> list[Record]:
        propagated = data.get("propagateTags") == "TASK_DEFINITION"
        tags = list(self._original._tags.get(definition["taskDefinitionArn"], [])) if propagated else []
        own = list(data.get("tags") or [])
        return [tag for tag in tags if tag["key"] not in {one["key"] for one in own}] + own

    def _make(self, data: Mapping[str, Any], cluster: Record, definition: Record) -> Task:
        account, region = ministack.account(), ministack.region()
        arn = _task_arn(cluster, uuid.uuid4().hex)
        launch_type, provider = _capacity(data, cluster)
        cpu, memory = _size(data, definition)
        now = time.time()
        attachment = _network_attachment(data)
        overrides = data.get("overrides") or {}
        by_name = {override["name"]: override for override in overrides.get("containerOverrides") or []}
        containers = [
            self._container(one, by_name.get(one["name"], {}), arn, attachment)
            for one in definition["containerDefinitions"]
        ]
        record: Record = {
            "taskArn": arn,
            "clusterArn": cluster["clusterArn"],
            "taskDefinitionArn": definition["taskDefinitionArn"],
            "overrides": {"containerOverrides": [], "inferenceAcceleratorOverrides": [], **overrides},
            "lastStatus": "PROVISIONING",
            "desiredStatus": "RUNNING",
            "launchType": launch_type,
            "capacityProviderName": provider,
            "cpu": cpu,
            "memory": memory,
            "platformVersion": "1.4.0" if launch_type == "FARGATE" else None,
            "platformFamily": "Linux" if launch_type == "FARGATE" else None,
            "connectivity": "CONNECTED",
            "connectivityAt": now,
            "createdAt": now,
            "group": data.get("group") or f"family:{definition['family']}",
            "startedBy": data.get("startedBy"),
            "version": 1,
            "containers": [container.record for container in containers],
            "attachments": [attachment] if attachment else [],
            "attributes": [{"name": "ecs.cpu-architecture", "value": _architecture(definition)}],
            "availabilityZone": f"{region}a",
            "enableExecuteCommand": bool(data.get("enableExecuteCommand")),
            "healthStatus": "UNKNOWN",
            "ephemeralStorage": definition.get("ephemeralStorage") or {"sizeInGiB": 20},
            "_deployment_id": data.get("_deploymentId"),
        }
        for container in containers:
            ports.publish(container, self._published_ports(data, cluster, container))
        task = Task(record, containers, self._tasks.host, account, region)
        for container in containers:
            url, token = self._metadata.url()
            container.env["ECS_CONTAINER_METADATA_URI_V4"] = url
            self._metadata.register(token, task, container)
        return task

    def _published_ports(self, data: Mapping[str, Any], cluster: Record, container: Container) -> list[int]:
        """The ports of a service's container that is behind a load balancer."""
        name = str(data.get("group") or "").removeprefix("service:")
        service = self._original._services.get(f"{cluster['clusterName']}/{name}") or {}
        for target in service.get("loadBalancers") or []:
            if target.get("containerName") == container.name and "_deploymentId" in data:
                mappings = container.definition.get("portMappings") or []
                return sorted({int(target["containerPort"]), *(int(one["containerPort"]) for one in mappings)})
        return []

    def _container(self, definition: Record, override: Record, task_arn: str, attachment: Record | None) -> Container:
        container_arn = task_arn.replace(":task/", ":container/") + f"/{uuid.uuid4()}"
        record: Record = {
            "containerArn": container_arn,
            "taskArn": task_arn,
            "name": definition["name"],
            "image": definition["image"],
            "lastStatus": "PENDING",
            "networkBindings": [],
            "networkInterfaces": [],
            "healthStatus": "UNKNOWN",
            "cpu": str(override.get("cpu", definition.get("cpu", 0))),
        }
        if attachment:
            record["networkInterfaces"] = [{"attachmentId": attachment["id"], "privateIpv4Address": "127.0.0.1"}]
        for name in ("memory", "memoryReservation"):
            if override.get(name) or definition.get(name):
                record[name] = str(override.get(name) or definition.get(name))
        env = {**self._standard_variables(), **_pairs(definition), **_pairs(override)}
        return Container(definition, override, record, env)

    def _standard_variables(self) -> dict[str, str]:
        """The variables that every container gets. The credentials stand in for a task role. They
        belong to the task's account, so the task's SDK sees the same resources as its owner."""
        return {
            "AWS_REGION": ministack.region(),
            "AWS_DEFAULT_REGION": ministack.region(),
            "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
            "AWS_ENDPOINT_URL": self._endpoint,
            "AWS_ACCESS_KEY_ID": ministack.account(),
            "AWS_SECRET_ACCESS_KEY": "emulator",
        }


def check_definition(data: Mapping[str, Any]) -> Answer | None:
    """Reject a task definition with a size that Fargate does not offer; MiniStack accepts it."""
    if "FARGATE" in (data.get("requiresCompatibilities") or []):
        if not data.get("cpu") or not data.get("memory"):
            raise Rejected("ClientException", "Fargate requires that 'cpu' and 'memory' be defined at the task level.")
        if not fargate.has(data["cpu"], data["memory"]):
            raise Rejected("ClientException", "No Fargate configuration exists for given values.")
    return None


def _answering(function: Callable[[Mapping[str, Any]], Answer]) -> Callable[[Mapping[str, Any]], Answer]:
    def handler(data: Mapping[str, Any]) -> Answer:
        try:
            return function(data)
        except Rejected as rejected:
            return rejected.answer()

    return handler


def _check_network(data: Mapping[str, Any], definition: Record) -> None:
    network = (data.get("networkConfiguration") or {}).get("awsvpcConfiguration")
    if definition.get("networkMode") != "awsvpc":
        if network:
            raise invalid("Network Configuration is not valid for the given networkMode of this task definition.")
    elif network is None:
        raise invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    elif not network.get("subnets"):
        raise invalid("subnets can not be empty.")


def _check_overrides(data: Mapping[str, Any], definition: Record) -> None:
    overrides = data.get("overrides") or {}
    # API reference, TaskOverride: "a total of 8192 characters [...] This limit includes the JSON
    # formatting characters of the override structure".
    if len(json.dumps(overrides, separators=(",", ":"), ensure_ascii=False)) > MAX_OVERRIDES_LENGTH:
        raise invalid(f"Container Overrides length must be at most {MAX_OVERRIDES_LENGTH}.")
    names = {container["name"] for container in definition["containerDefinitions"]}
    for override in overrides.get("containerOverrides") or []:
        if override.get("name") not in names:
            raise invalid(
                f"Override for container named {override.get('name')} is not a container in the TaskDefinition."
            )


def _check_launch(data: Mapping[str, Any], cluster: Record, definition: Record) -> None:
    strategy, launch_type = data.get("capacityProviderStrategy"), data.get("launchType")
    if strategy and launch_type:
        raise invalid(
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again."
        )
    for item in strategy or []:
        if item.get("capacityProvider") not in (cluster.get("capacityProviders") or []):
            raise invalid(
                "The specified capacity provider strategy cannot contain a capacity provider that is not "
                "associated with the cluster. Associate the capacity provider with the cluster and try again."
            )
    launch_type, provider = _capacity(data, cluster)
    requires = definition.get("requiresCompatibilities") or []
    if launch_type == "FARGATE":
        if requires and "FARGATE" not in requires:
            raise invalid("Task definition does not support launch_type FARGATE.")
    elif provider is not None:
        # The provider of the cluster has an instance for each task.
        if requires and not {"EC2", "MANAGED_INSTANCES"} & set(requires):
            raise invalid("Task definition does not support launch_type EC2.")
    elif "_deploymentId" not in data:
        # No instance belongs to the cluster itself.
        raise invalid("No Container Instances were found in your cluster.")


def _capacity(data: Mapping[str, Any], cluster: Record) -> tuple[str, str | None]:
    """The launch type and capacity provider: EC2 if neither the call nor the cluster names one."""
    launch_type = data.get("launchType")
    strategy = data.get("capacityProviderStrategy") or (
        None if launch_type else cluster.get("defaultCapacityProviderStrategy")
    )
    if not strategy:
        return launch_type or "EC2", None
    chosen = max(strategy, key=lambda item: (item.get("base", 0), item.get("weight", 0)))["capacityProvider"]
    return ("FARGATE" if chosen in FARGATE_PROVIDERS else "EC2"), chosen


def _size(data: Mapping[str, Any], definition: Record) -> tuple[Any, Any]:
    overrides = data.get("overrides") or {}
    return overrides.get("cpu") or definition.get("cpu"), overrides.get("memory") or definition.get("memory")


def _architecture(definition: Record) -> str:
    return str((definition.get("runtimePlatform") or {}).get("cpuArchitecture") or "X86_64").lower()


def _network_attachment(data: Mapping[str, Any]) -> Record | None:
    network = (data.get("networkConfiguration") or {}).get("awsvpcConfiguration")
    if not network:
        return None
    details = {
        "subnetId": network["subnets"][0],
        "networkInterfaceId": f"eni-{uuid.uuid4().hex[:17]}",
        "privateIPv4Address": "127.0.0.1",
    }
    return {
        "id": str(uuid.uuid4()),
        "type": "ElasticNetworkInterface",
        "status": "ATTACHED",
        "details": [{"name": name, "value": value} for name, value in details.items()],
    }


def _task_arn(cluster: Record, reference: str) -> str:
    """The ARN of a task, given its ARN or its id."""
    if reference.startswith("arn:"):
        return reference
    return f"{cluster['clusterArn'].replace(':cluster/', ':task/')}/{reference}"


def _matches(record: Record, cluster: Record, data: Mapping[str, Any]) -> bool:
    family = record["taskDefinitionArn"].rsplit("/", 1)[-1].rsplit(":", 1)[0]
    return (
        record["clusterArn"] == cluster["clusterArn"]
        and record["desiredStatus"] == (data.get("desiredStatus") or "RUNNING")
        and data.get("family") in (None, "", family)
        and data.get("startedBy") in (None, "", record.get("startedBy"))
        and data.get("launchType") in (None, "", record["launchType"])
        and (not data.get("serviceName") or record["group"] == f"service:{data['serviceName']}")
    )


def _pairs(definition: Mapping[str, Any]) -> dict[str, str]:
    return {one["name"]: str(one["value"]) for one in definition.get("environment") or []}


def _started(tasks: list[Record]) -> Answer:
    return ministack.ok({"tasks": tasks, "failures": []})
