"""Network load balancers that really listen, on 127.0.0.1.

A listener that CloudFormation creates listens on its port until CloudFormation deletes it. It
terminates TLS with its certificate, which has to be imported into ACM. It forwards each connection
to a task of a service, or to a registered address, that accepts it.
"""

from __future__ import annotations

import asyncio
import os
import random
import ssl
import threading
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from . import ministack, ports

LISTENER = "AWS::ElasticLoadBalancingV2::Listener"
T = TypeVar("T")
Address = tuple[str, int]
Record = Mapping[str, Any]


class LoadBalancers:
    """The open listeners of all accounts, by ARN."""

    def __init__(self) -> None:
        # A loop of its own: CloudFormation blocks the emulator's loop until a listener listens.
        self._loop = asyncio.new_event_loop()
        self._servers: dict[str, asyncio.Server] = {}
        threading.Thread(target=self._loop.run_forever, name="load-balancers", daemon=True).start()

    def install(self) -> None:
        """Open and close listeners with the resources of CloudFormation."""
        handlers = ministack.module("services.cloudformation.provisioners")._RESOURCE_HANDLERS
        original = handlers[LISTENER]

        def create(logical_id: str, properties: Record, stack: str) -> Any:
            created = original["create"](logical_id, properties, stack)
            try:
                self._open(created[0])
            except ValueError:
                original["delete"](created[0], properties)
                raise
            return created

        def update(physical_id: str, old: Record, new: Record, stack: str, logical_id: str) -> Any:
            updated = original["update"](physical_id, old, new, stack, logical_id)
            self._close(physical_id)
            self._open(updated[0])
            return updated

        def delete(physical_id: str, properties: Record) -> None:
            self._close(physical_id)
            original["delete"](physical_id, properties)

        handlers[LISTENER] = {**original, "create": create, "update": update, "delete": delete}
        ministack.run_before(ministack.module("services.alb"), "reset", self._close_all)

    def _open(self, arn: str) -> None:
        balancers = ministack.module("services.alb")
        listener = balancers._listeners[arn]
        balancer = balancers._lbs.get(listener["LoadBalancerArn"]) or {}
        if balancer.get("Type") != "network":
            return
        tls = _tls(listener) if listener["Protocol"] == "TLS" else None
        scope = (ministack.account(), ministack.region())

        def targets() -> list[Address]:
            with ministack.scope(*scope):
                return _targets(balancers._listeners.get(arn) or listener)

        try:
            self._servers[arn] = self._wait_for(
                asyncio.start_server(_forwarder(targets), ports.LOOPBACK, listener["Port"], ssl=tls)
            )
        except OSError as error:
            raise ValueError(f"the emulator can't listen on port {listener['Port']}: {error}") from error

    def _close(self, arn: str) -> None:
        server = self._servers.pop(arn, None)
        if server is not None:
            self._wait_for(_close(server))

    def _wait_for(self, what: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result()

    def _close_all(self) -> None:
        for arn in list(self._servers):
            self._close(arn)


async def _close(server: asyncio.Server) -> None:
    server.close()


def _tls(listener: Record) -> ssl.SSLContext:
    arn = listener["Certificates"][0]
    certificate = ministack.module("services.acm")._certificates.get(arn)
    if certificate is None or not certificate.get("_private_key"):
        raise ValueError(f"Certificate ARN '{arn}' is not valid: ACM has no imported certificate of this name")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # The module ssl reads certificates only from files.
    with TemporaryDirectory() as folder:
        chain = Path(folder) / "chain.pem"
        chain.write_text(certificate["_pem_body"] + "\n" + certificate["_pem_chain"])
        key = Path(folder) / "key.pem"
        with os.fdopen(os.open(key, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(certificate["_private_key"])
        context.load_cert_chain(chain, key)
    return context


def _targets(listener: Record) -> list[Address]:
    """The running tasks and the registered addresses behind a listener."""
    found: list[Address] = []
    for action in listener["DefaultActions"]:
        group = action.get("TargetGroupArn")
        registered = ministack.module("services.alb")._targets.get(group, [])
        # A task registers with the port of its container, but listens on another one here.
        found += [(one["Id"], int(one["Port"])) for one in registered if one["Id"] != ports.LOOPBACK]
        for service in ministack.module("services.ecs")._services.values():
            for target in service.get("loadBalancers") or []:
                if target.get("targetGroupArn") == group:
                    found += _tasks_of(service, target)
    return found


def _tasks_of(service: Record, target: Record) -> list[Address]:
    name, port = target["containerName"], int(target["containerPort"])
    return [
        (ports.LOOPBACK, ports.published(task["containers"], name, port))
        for task in list(ministack.module("services.ecs")._tasks.values())
        if task.get("group") == f"service:{service['serviceName']}"
        and task["clusterArn"] == service["clusterArn"]
        and task["lastStatus"] == "RUNNING"
        and task["desiredStatus"] == "RUNNING"
    ]


def _forwarder(targets: Callable[[], list[Address]]) -> Callable[..., Any]:
    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected = await _connect(targets())
        if connected is None:
            writer.transport.abort()
            return
        inner_reader, inner_writer = connected
        try:
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
        finally:
            inner_writer.transport.abort()
            writer.transport.abort()

    return forward


async def _connect(targets: list[Address]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    for host, port in random.sample(targets, len(targets)):
        try:
            return await asyncio.open_connection(host, port)
        except OSError:
            continue
    return None


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copy until the source ends, and then end the sink, if it can be ended alone."""
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
        else:
            sink.close()
    except OSError:
        # The connection broke: end the other one as well.
        sink.transport.abort()
