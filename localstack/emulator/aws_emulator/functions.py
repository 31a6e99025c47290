"""Invocations of functions with an image or a `provided` runtime.

Each concurrent invocation has its own environment; a free environment is used again. MiniStack
handles reserved concurrency, aliases, versions, and functions with other runtimes.
"""

from __future__ import annotations

import contextvars
import json
import subprocess
import threading
import time
import types
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import cloudwatch, ministack
from .environment import Environment, Outcome, Program
from .images import Image, Images, InvalidImageTable
from .processes import PATH, Spawner
from .runtime_api import Event

Config = Mapping[str, Any]

# AWS documentation, Lambda quotas: the payload of an invocation, in bytes.
LARGEST_SYNC = 6 * 1024 * 1024
LARGEST_ASYNC = 1024 * 1024
# Seconds before the retries of an event. AWS waits one minute before the first retry and two before
# the second (AWS documentation, error handling for asynchronous invocation).
RETRY_PAUSES = (1.0, 2.0)
THROTTLED_PAUSE = 0.5


@dataclass
class Call:
    """Details of an Invoke that the gateway knows and MiniStack does not pass on."""

    request_id: str
    client_context: str | None = None
    trace_id: str | None = None
    duplicate: bool = False


CALL: contextvars.ContextVar[Call | None] = contextvars.ContextVar("call", default=None)


class Functions:
    """All environments by function and version."""

    def __init__(
        self, spawner: Spawner, images: Images, folder: Path, endpoint: str, start_ms: Callable[[str], int]
    ) -> None:
        self._spawner = spawner
        self._images = images
        self._folder = folder
        self._endpoint = endpoint
        # The delay before an environment of this account starts, in milliseconds.
        self._start_ms = start_ms
        self._pools: dict[str, list[Environment]] = {}
        self._lock = threading.Lock()
        self._original = ministack.module("services.lambda_svc")

    def install(self) -> None:
        """Replace MiniStack's executor with this one."""
        dispatch = self._original._execute_function_dispatch

        def execute(func: Any, config: Config, event: Any, request_id: str, started: float) -> Any:
            if is_emulated(config):
                return self._execute(func, config, event)
            return dispatch(func, config, event, request_id, started)

        ministack.replace(self._original, "_execute_function_dispatch", execute)
        ministack.replace(self._original, "invoke_async_with_retry", self._invoke_event)
        ministack.run_before(self._original, "invalidate_worker", self._forget)
        ministack.run_before(self._original, "reset", self._clear)
        handler = ministack.module("services.cloudformation.provisioners")._RESOURCE_HANDLERS["AWS::Lambda::Function"]
        delete = handler["delete"]

        def delete_with_environments(name: str, properties: Mapping[str, Any]) -> None:
            self._forget(name)
            delete(name, properties)

        handler["delete"] = delete_with_environments
        self._spawner.fork_lock = self._original._provided_code_lock
        # MiniStack's own Python and Node workers must not outlive the emulator either.
        popen = types.SimpleNamespace(**{**vars(subprocess), "Popen": self._spawner.popen})
        ministack.replace(ministack.module("core.lambda_runtime"), "subprocess", popen)

    def running(self, account: str | None) -> list[dict[str, Any]]:
        """The running environments of one account, or of all accounts."""
        with self._lock:
            pools = [(key.split(":"), list(pool)) for key, pool in self._pools.items()]
        return [
            {"account": key[0], "function": key[2], "pid": environment.pid, "frozen": environment.frozen}
            for key, pool in pools
            if account in (None, key[0])
            for environment in pool
            if environment.pid is not None
        ]

    # One invocation.

    def _execute(self, func: Mapping[str, Any], config: Config, event: Any) -> dict[str, Any]:
        """Run an event. Returns what MiniStack's dispatcher returns: body, error flag and log."""
        call = CALL.get() or Call(str(uuid.uuid4()))
        request = Event(
            call.request_id,
            json.dumps(event).encode(),
            config["FunctionArn"],
            client_context=call.client_context,
            trace_id=call.trace_id or _new_trace(),
        )
        try:
            environment = self._lease(func, config)
            if call.duplicate:
                # Lease both environments before either starts, so that they are different.
                call.duplicate = False
                second = self._lease(func, config)
                threading.Thread(target=self._run, args=(second, request, config), daemon=True).start()
        except _CannotRun as error:
            return _cannot_run(str(error))
        outcome = self._run(environment, request, config)
        return {
            "body": outcome.body.decode(errors="replace"),
            "raw_payload": True,
            "error": outcome.failed,
            "function_error": "Unhandled",
            "log": "\n".join(outcome.lines),
            "log_source": "rie",
        }

    def _run(self, environment: Environment, request: Event, config: Config) -> Outcome:
        outcome = environment.invoke(request, float(config.get("Timeout") or 3))
        _logs(environment.program).put(outcome.lines)
        return outcome

    def _lease(self, func: Mapping[str, Any], config: Config) -> Environment:
        """Lease a free environment, or create one. Raises _CannotRun."""
        key = _key(config)
        with self._lock:
            pool = self._pools.setdefault(key, [])
            pool[:] = [environment for environment in pool if not environment.dead]
            for environment in pool:
                if environment.lease():
                    return environment
        program = self._program(func, config)
        # This delay stands for the time in which Lambda fetches the image.
        time.sleep(self._start_ms(program.env["AWS_ACCESS_KEY_ID"]) / 1000)
        environment = Environment(self._spawner, program, cloudwatch.FileLog(program.folder / "log"))
        with self._lock:
            self._pools.setdefault(key, []).append(environment)
        return environment

    def _program(self, func: Mapping[str, Any], config: Config) -> Program:
        account, region = config["FunctionArn"].split(":")[4], config["FunctionArn"].split(":")[3]
        folder = self._folder / "lambda" / account / config["FunctionName"]
        folder.mkdir(parents=True, exist_ok=True)
        version = config.get("Version") or "$LATEST"
        group = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{config['FunctionName']}"
        stream = f"{time.strftime('%Y/%m/%d', time.gmtime())}/[{version}]{uuid.uuid4().hex}"
        # The function's own variables override the common variables, but not the reserved ones (AWS
        # documentation, Lambda, reserved environment variables).
        common = {"PATH": PATH, "LANG": "en_US.UTF-8", "TZ": ":UTC"}
        reserved = {
            "LAMBDA_TASK_ROOT": str(folder),
            "_HANDLER": config.get("Handler") or "",
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_LAMBDA_FUNCTION_NAME": config["FunctionName"],
            "AWS_LAMBDA_FUNCTION_VERSION": version,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config.get("MemorySize") or 128),
            "AWS_LAMBDA_LOG_GROUP_NAME": group,
            "AWS_LAMBDA_LOG_STREAM_NAME": stream,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_ENDPOINT_URL": self._endpoint,
            "AWS_ACCESS_KEY_ID": account,
            "AWS_SECRET_ACCESS_KEY": "emulator",
        }
        own = {name: str(value) for name, value in ((config.get("Environment") or {}).get("Variables") or {}).items()}
        argv, image_env = self._command(func, config)
        return Program(argv, {**common, **image_env, **own, **reserved}, folder)

    def _command(self, func: Mapping[str, Any], config: Config) -> tuple[list[str], dict[str, str]]:
        if config.get("PackageType") == "Image":
            image = self._image(config.get("ImageUri") or "")
            own = (config.get("ImageConfigResponse") or {}).get("ImageConfig") or config.get("ImageConfig") or {}
            command = own.get("Command") or ([] if own.get("EntryPoint") else image.cmd)
            return [*(own.get("EntryPoint") or image.entrypoint), *command], image.env
        if not func.get("code_zip"):
            raise _CannotRun("the function has no code")
        return [str(Path(self._original._provided_runtime_code_dir(func["code_zip"])) / "bootstrap")], {}

    def _image(self, uri: str) -> Image:
        try:
            image = self._images.find(uri)
        except InvalidImageTable as error:
            raise _CannotRun(str(error)) from error
        if image is None:
            raise _CannotRun(f"the table of images has no {uri!r}")
        return image

    # Asynchronous invocations.

    def _invoke_event(self, func: Mapping[str, Any], event: Any) -> None:
        """Run an event on its own thread, in the context of its request."""
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._deliver, func, event), name="event", daemon=True).start()

    def _deliver(self, func: Mapping[str, Any], event: Any) -> None:
        config: Config = func.get("config") or func
        _, _, _, region, account, _, name, *qualifier = config["FunctionArn"].split(":")
        with ministack.scope(account, region):
            settings = (
                self._original._event_invoke_config(
                    self._original._functions.get(name) or func, qualifier[0] if qualifier else None
                )
                or {}
            )
            retries = settings.get("MaximumRetryAttempts")
            left = 2 if retries is None else int(retries)
            gives_up = time.monotonic() + float(settings.get("MaximumEventAgeInSeconds") or 21600)
            while True:
                result = self._original._execute_function(func, event)
                if not result.get("error"):
                    return
                # A throttled event did not run, so it uses up no retry.
                throttled = bool(result.get("throttle"))
                pause = THROTTLED_PAUSE if throttled else RETRY_PAUSES[-1 if left < 2 else 0]
                if (left <= 0 and not throttled) or time.monotonic() + pause > gives_up:
                    break
                left -= 0 if throttled else 1
                time.sleep(pause)
            target = ((settings.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination")
            target = target or (config.get("DeadLetterConfig") or {}).get("TargetArn")
            if target:
                self._original._route_async_failure(target, name, event, result)

    # Removing environments.

    def _forget(
        self,
        func_name: str,
        qualifier: str | None = None,
        account: str | None = None,
        region: str | None = None,
    ) -> None:
        """Retire the environments of a function that was changed or deleted. An environment that is
        running an event finishes that event first."""
        wanted = (account or ministack.account(), region or ministack.region(), func_name)
        with self._lock:
            keys = [
                key
                for key in self._pools
                if tuple(key.split(":")[:3]) == wanted and qualifier in (None, key.split(":")[3])
            ]
            retired = [environment for key in keys for environment in self._pools.pop(key)]
        for environment in retired:
            environment.retire()

    def _clear(self) -> None:
        with self._lock:
            retired = [environment for pool in self._pools.values() for environment in pool]
            self._pools.clear()
        for environment in retired:
            environment.kill()


class _CannotRun(Exception):
    """The function has no program to run."""


def is_emulated(config: Config) -> bool:
    """Whether this package runs the function, rather than MiniStack."""
    return config.get("PackageType") == "Image" or str(config.get("Runtime") or "").startswith("provided")


def _logs(program: Program) -> cloudwatch.Stream:
    """The log stream of an environment, taken from its variables."""
    env = program.env
    return cloudwatch.Stream(
        env["AWS_ACCESS_KEY_ID"],
        env["AWS_REGION"],
        env["AWS_LAMBDA_LOG_GROUP_NAME"],
        env["AWS_LAMBDA_LOG_STREAM_NAME"],
        create_group=True,
    )


def _cannot_run(message: str) -> dict[str, Any]:
    body = {"errorType": "Runtime.InvalidEntrypoint", "errorMessage": message}
    return {
        "body": json.dumps(body),
        "raw_payload": True,
        "error": True,
        "function_error": "Unhandled",
        "log": message,
    }


def _new_trace() -> str:
    """The trace id that Lambda generates for a call without one."""
    return f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Parent={uuid.uuid4().hex[:16]};Sampled=0"


def _key(config: Config) -> str:
    _, _, _, region, account, _, name = config["FunctionArn"].split(":")[:7]
    return f"{account}:{region}:{name}:{config.get('Version') or '$LATEST'}"
