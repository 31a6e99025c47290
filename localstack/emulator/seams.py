"""Every name of MiniStack that this package uses or replaces.

None of them is promised by MiniStack. So its version is pinned, and `check` looks for each name at
start: a wrong version ends with a sentence instead of a strange failure in a test.
"""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

# An answer as MiniStack's handlers give it: status, headers, body.
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
        "reset",
    ),
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
# What a replaced function is called with: its parameters, by name.
SIGNATURES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "ministack.services.ecs": {
        "_run_task": ["data"],
        "_stop_task": ["data"],
        "_describe_tasks": ["data"],
        "_list_tasks": ["data"],
        "_register_task_definition": ["data"],
    },
    "ministack.services.lambda_svc": {
        "_execute_function": ["func", "event"],
        "_execute_function_dispatch": ["func", "config", "event", "request_id", "started"],
        "invoke_async_with_retry": ["func", "event"],
    },
}


class WrongMiniStack(Exception):
    """The installed MiniStack is not the one that this package was written for."""


def check() -> None:
    """Look for every name. Raises WrongMiniStack."""
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
            "the installed MiniStack is not the one pinned in requirements.txt, or the pin was changed without this "
            "package; it lacks " + ", ".join(missing)
        )


def module(name: str) -> Any:
    """One of MiniStack's modules, by its name below `ministack`."""
    return importlib.import_module(f"ministack.{name}")


def replace(owner: Any, name: str, replacement: Any) -> None:
    """Put ours in the place of what MiniStack has under this name."""
    setattr(owner, name, replacement)


def before(owner: Any, name: str, ours: Callable[..., None]) -> None:
    """Let ours run, with the same arguments, before a function of MiniStack's."""
    theirs = getattr(owner, name)

    def both(*args: Any, **kwargs: Any) -> Any:
        ours(*args, **kwargs)
        return theirs(*args, **kwargs)

    setattr(owner, name, both)


def account() -> str:
    """The account of the request that is being served."""
    return str(module("core.responses").get_account_id())


def region() -> str:
    """The region of the request that is being served."""
    return str(module("core.responses").get_region())


def scope(account_id: str, region_name: str) -> AbstractContextManager[Any]:
    """Work for this account and region, outside a request."""
    scoped: AbstractContextManager[Any] = module("core.responses").request_scope(account_id, region_name)
    return scoped


def ok(body: Mapping[str, Any]) -> Answer:
    """An answer of the JSON 1.1 protocol."""
    answer: Answer = module("core.responses").json_response(dict(body))
    return answer


def error(kind: str, message: str, extra: Mapping[str, Any] | None = None) -> Answer:
    """A client error of the JSON 1.1 protocol."""
    status, headers, body = module("core.responses").error_response_json(kind, message, 400)
    if extra:
        body = json.dumps({**json.loads(body), **extra}).encode()
        headers = {name: value for name, value in headers.items() if name.lower() != "content-length"}
    return status, headers, body
