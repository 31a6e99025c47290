"""Ports of containers behind load balancers.

All tasks share the network of this machine, so two tasks can't listen on one port. A container
behind a load balancer therefore listens on free ports of 127.0.0.1: its environment says so, and
the record of the container shows them, as Docker's bridge network would.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable

from .tasks import Container

LOOPBACK = "127.0.0.1"


def publish(container: Container, ports: Iterable[int]) -> None:
    """Let the container listen on a free port in place of each of these."""
    bindings = []
    for port in ports:
        free = _free_port()
        bindings.append({"bindIP": LOOPBACK, "containerPort": port, "hostPort": free, "protocol": "tcp"})
        for name, value in container.env.items():
            if value == f"0.0.0.0:{port}":
                container.env[name] = f"{LOOPBACK}:{free}"
    container.record["networkBindings"] = bindings


def published(containers: list[dict[str, object]], name: str, port: int) -> int:
    """Where a container of a task listens, given the records of the task's containers."""
    for container in containers:
        bindings = container.get("networkBindings")
        if container.get("name") == name and isinstance(bindings, list):
            for binding in bindings:
                if binding["containerPort"] == port:
                    return int(binding["hostPort"])
    return port


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as listener:
        return int(listener.getsockname()[1])
