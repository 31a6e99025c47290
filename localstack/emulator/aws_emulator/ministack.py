"""Every name of MiniStack that this package uses or replaces.

These names are internal to MiniStack. So its version is pinned, and `check` looks for each name at
the start: a wrong version fails with a clear message rather than with an odd test failure.
"""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

# A response as MiniStack's handlers return it: status, headers, body.
Answer = tuple[int, dict[str, str], bytes]

USED: Mapping[str, Sequence[str]] = {
    "ministack.app": ("app", "_get_module"),
    "ministack.core.router": ("extract_access_key_id", "extract_region"),
    "ministack.core.responses": (
        "get_account_id",
        "get_region",
        "request_scope",
        "set_request_account_id",
        "json_response",
        "error_response_json",
    ),
    "ministack.core.lambda_runtime": ("subprocess", "invalidate_worker"),
    "ministack.services.ecs": (
        "_ACTION_MAP",
        "_clusters",
        "_task_defs",
        "_tasks",
        "_tags",
        "_run_task",
        "_stop_task",
        "_describe_tasks",
        "_list_tasks",
        "_register_task_definition",
        "_recount_cluster",
        "_resolve_cluster_name",
        "_resolve_td_key",
        "_resolve_task",
        "_resolve_container_secrets",
        "_SecretResolutionError",
        "_services",
        "_record_service_task_healthy",
        "_refresh_service_state",
        "_complete_service_deployment",
        "reset",
    ),
    "ministack.services.acm": ("_certificates",),
    "ministack.services.alb": ("_lbs", "_listeners", "_targets", "reset"),
    "ministack.services.cloudformation.provisioners": (
        "_RESOURCE_HANDLERS",
        "_cw_metric_alarm_record",
        "_ec2_sg_permissions",
        "_normalize_container_defs",
        "_pascal_to_camel",
    ),
    "ministack.services.ec2": (
        "_addresses",
        "_nat_gateways",
        "_security_groups",
        "_allocate_address",
        "_release_address",
        "_create_nat_gateway",
        "_delete_nat_gateway",
        "_create_flow_logs",
        "_delete_flow_logs",
    ),
    "ministack.services.secretsmanager": ("_resolve", "_get_random_password", "_rotate_secret"),
    "ministack.services.lambda_svc": (
        "_functions",
        "_execute_function",
        "_execute_function_dispatch",
        "_event_invoke_config",
        "_provided_runtime_code_dir",
        "_provided_code_lock",
        "_resolve_name_and_qualifier",
        "_route_async_failure",
        "invalidate_worker",
        "invoke_async_with_retry",
        "reset",
    ),
    "hypercorn.asyncio.tcp_server": ("TCPServer",),
    "ministack.services.cloudwatch_logs": ("_log_groups", "_create_log_group", "_create_log_stream", "_put_log_events"),
}
# The parameters of each function that this package replaces.
SIGNATURES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "ministack.services.ecs": {
        "_run_task": ["data"],
        "_stop_task": ["data"],
        "_describe_tasks": ["data"],
        "_list_tasks": ["data"],
        "_register_task_definition": ["data"],
    },
    "ministack.services.secretsmanager": {"_rotate_secret": ["data"]},
    "ministack.services.lambda_svc": {
        "_execute_function": ["func", "event"],
        "_execute_function_dispatch": ["func", "config", "event", "request_id", "started"],
        "invoke_async_with_retry": ["func", "event"],
    },
    "ministack.services.cloudformation.provisioners": {"_cw_metric_alarm_record": ["name", "props"]},
}


class WrongMiniStack(Exception):
    """The installed MiniStack is not the version that this package was written for."""


def check() -> None:
    """Check that every name exists. Raises WrongMiniStack."""
    missing = []
    for module, names in USED.items():
        found = importlib.import_module(module)
        missing += [f"{module}.{name}" for name in names if not hasattr(found, name)]
    for module, functions in SIGNATURES.items():
        found = importlib.import_module(module)
        for name, parameters in functions.items():
            if hasattr(found, name) and list(inspect.signature(getattr(found, name)).parameters) != parameters:
                missing.append(f"{module}.{name}({', '.join(parameters)})")
    if missing:
        raise WrongMiniStack(
            "the installed MiniStack is not the one pinned in requirements.txt, or the pinned version changed without "
            "this package; it lacks " + ", ".join(missing)
        )


def module(name: str) -> Any:
    """The MiniStack module of this name, without the prefix `ministack.`."""
    return importlib.import_module(f"ministack.{name}")


def replace(owner: Any, name: str, replacement: Any) -> None:
    """Replace what MiniStack has under this name."""
    setattr(owner, name, replacement)


def run_before(owner: Any, name: str, hook: Callable[..., None]) -> None:
    """Call `hook` with the same arguments before a function of MiniStack runs."""
    original = getattr(owner, name)

    def both(*args: Any, **kwargs: Any) -> Any:
        hook(*args, **kwargs)
        return original(*args, **kwargs)

    setattr(owner, name, both)


def account() -> str:
    """The account of the current request."""
    return str(module("core.responses").get_account_id())


def region() -> str:
    """The region of the current request."""
    return str(module("core.responses").get_region())


def scope(account_id: str, region_name: str) -> AbstractContextManager[Any]:
    """Use this account and region outside of a request."""
    scoped: AbstractContextManager[Any] = module("core.responses").request_scope(account_id, region_name)
    return scoped


def ok(body: Mapping[str, Any]) -> Answer:
    """A response of the JSON 1.1 protocol."""
    answer: Answer = module("core.responses").json_response(dict(body))
    return answer


def error(kind: str, message: str, extra: Mapping[str, Any] | None = None) -> Answer:
    """A client error of the JSON 1.1 protocol."""
    status, headers, body = module("core.responses").error_response_json(kind, message, 400)
    if extra:
        body = json.dumps({**json.loads(body), **extra}).encode()
        headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
    return status, headers, body
