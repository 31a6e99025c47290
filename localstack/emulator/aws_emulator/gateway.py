"""Handles every request before MiniStack does: control paths, faults, counts.

The gateway is an ASGI application around MiniStack's own.
"""

from __future__ import annotations

import asyncio
import base64
import contextvars
import json
import re
import socket
import struct
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from . import ministack, protocols
from .ecs import Ecs
from .faults import Fault, Faults, InvalidFault
from .functions import CALL, LARGEST_ASYNC, LARGEST_SYNC, Call, Functions
from .metadata import Metadata
from .protocols import Operation
from .tasks import Tasks

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

DEFAULT_ACCOUNT = "000000000000"
# The connection of the current request; `watch_connections` sets it.
CONNECTION: contextvars.ContextVar[Any] = contextvars.ContextVar("connection")


class Gateway:
    """The application that the server runs."""

    def __init__(
        self,
        inner: App,
        faults: Faults,
        tasks: Tasks,
        ecs: Ecs,
        functions: Functions,
        metadata: Metadata,
        ready: Callable[[], None],
    ) -> None:
        self._inner = inner
        self._faults = faults
        self._tasks = tasks
        self._ecs = ecs
        self._functions = functions
        self._metadata = metadata
        self._ready = ready
        self._calls: Counter[tuple[str, str]] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._inner(scope, receive, self._announcing_ready(send))
        elif scope["type"] != "http":
            await self._inner(scope, receive, send)
        elif scope["path"].startswith("/v4/"):
            await self._serve_metadata(scope, receive, send)
        elif scope["path"] in CONTROL:
            await self._serve_control(scope, receive, send)
        else:
            await self._serve_api(scope, receive, send)

    def _announcing_ready(self, send: Send) -> Send:
        async def announce(message: Message) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                self._ready()

        return announce

    async def _serve_metadata(self, scope: Scope, receive: Receive, send: Send) -> None:
        document = self._metadata.get(scope["path"])
        status = 404 if document is None else 200
        await respond(send, status, {"content-type": "application/json"}, json.dumps(document or {}).encode())

    # Calls of AWS operations.

    async def _serve_api(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope.get("query_string", b"").decode()
        operation = protocols.operation(scope["method"], scope["path"], headers, query, body)
        account = account_of(headers, query)
        self._calls[account, operation.name] += 1
        fault = self._faults.take(account, operation.name)
        if fault and fault.delay_ms:
            await asyncio.sleep(fault.delay_ms / 1000)
        if fault and fault.reset:
            reset_connection()
        elif fault and (fault.status is not None or fault.body is not None):
            await self._answer_with_fault(send, scope["method"], operation, fault)
        else:
            if operation.name == "Invoke":
                rejection = too_large(headers, body)
                if rejection:
                    return await respond(send, 413, *rejection)
                send = self._prepare_invoke(headers, fault, send)
            await self._inner(scope, replay(body, receive), discard if fault and fault.reset_after else send)
            if fault and fault.reset_after:
                reset_connection()

    async def _answer_with_fault(self, send: Send, method: str, operation: Operation, fault: Fault) -> None:
        if fault.status is not None:
            headers, body = protocols.error(operation.protocol, fault.type or "", fault.message)
            await respond(send, fault.status, headers, b"" if method == "HEAD" else body)
        else:
            headers, body = protocols.success(operation.protocol, fault.body)
            await respond(send, 200, headers, body)

    def _prepare_invoke(self, headers: Mapping[str, str], fault: Fault | None, send: Send) -> Send:
        """Pass on the details of the request that MiniStack's executor does not get. The invocation
        and the response have the same id, as in AWS."""
        context = base64.b64decode(headers.get("x-amz-client-context", "")).decode("latin-1")
        call = Call(str(uuid.uuid4()), context or None, headers.get("x-amzn-trace-id"), bool(fault and fault.duplicate))
        CALL.set(call)

        async def with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                others = [
                    (name, value)
                    for name, value in message.get("headers", [])
                    if name.lower() not in (b"x-amzn-requestid", b"x-amz-request-id")
                ]
                message = {**message, "headers": [*others, (b"x-amzn-requestid", call.request_id.encode())]}
            await send(message)

        return with_id

    # Control.

    async def _serve_control(self, scope: Scope, receive: Receive, send: Send) -> None:
        account = (parse_qs(scope.get("query_string", b"").decode()).get("account") or [None])[0]
        method, path = scope["method"], scope["path"]
        status = 200
        try:
            body = json.loads(await read_body(receive) or b"null")
            if path == "/_faults":
                answer = self._control_faults(method, body, account)
            elif path == "/_spot":
                if not self._ecs.spot(body["task"], body.get("kill_ms")):
                    status = 404
                answer = {}
            elif path == "/_calls":
                answer = self._counts(account)
            else:
                answer = self._running(account)
        except (InvalidFault, ValueError, TypeError, KeyError) as error:
            status, answer = 400, {"message": f"{type(error).__name__}: {error}"}
        await respond(send, status, {"content-type": "application/json"}, json.dumps(answer).encode())

    def _control_faults(self, method: str, rules: Any, account: str | None) -> Any:
        if method == "POST":
            self._faults.add(rules if isinstance(rules, list) else [rules])
        elif method == "DELETE":
            self._faults.clear(account)
        return self._faults.show(account)

    def _counts(self, account: str | None) -> Any:
        counts: dict[str, dict[str, int]] = {}
        for (caller, name), count in self._calls.items():
            counts.setdefault(caller, {})[name] = count
        return counts if account is None else counts.get(account, {})

    def _running(self, account: str | None) -> Any:
        containers = [
            {"account": task.account, "task": task.arn, "container": name, "pid": pid}
            for task in self._tasks.of(account)
            for name, pid in task.pids()
        ]
        return {"containers": containers, "environments": self._functions.running(account)}


CONTROL = ("/_faults", "/_spot", "/_calls", "/_running")


def too_large(headers: Mapping[str, str], body: bytes) -> tuple[dict[str, str], bytes] | None:
    """The error for a payload above the quota, or None."""
    limit = LARGEST_ASYNC if headers.get("x-amz-invocation-type") == "Event" else LARGEST_SYNC
    if len(body) <= limit:
        return None
    return protocols.error(
        "rest-json",
        "RequestTooLargeException",
        f"Request must be smaller than {limit} bytes for the InvokeFunction operation",
    )


def account_of(headers: Mapping[str, str], query: str) -> str:
    """The account of a request: its access key, if that is a number of 12 digits."""
    key = ministack.module("core.router").extract_access_key_id(headers, parse_qs(query))
    return key if re.fullmatch(r"\d{12}", key or "") else DEFAULT_ACCOUNT


async def read_body(receive: Receive) -> bytes:
    """Read the whole body of a request."""
    chunks = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return b"".join(chunks)


def replay(body: bytes, receive: Receive) -> Receive:
    """Let MiniStack read a body that the gateway has already read."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def respond(send: Send, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Send a complete response."""
    named = {"x-amzn-requestid": str(uuid.uuid4()), **headers, "content-length": str(len(body))}
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def discard(message: Message) -> None:
    """Discard a response."""


def watch_connections() -> None:
    """Record each connection, so that `reset_connection` finds that of the current request."""
    from hypercorn.asyncio.tcp_server import TCPServer

    original = TCPServer.run

    async def run(self: Any) -> None:
        CONNECTION.set(self.writer)
        await original(self)

    TCPServer.run = run


def reset_connection() -> None:
    """Close the connection of the current request with a TCP reset, discarding its response."""
    writer = CONNECTION.get()
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
