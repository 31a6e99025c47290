"""Start the emulator, print where it is, and end with whoever started it."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
from pathlib import Path
from typing import NoReturn

from .keeper import Keeper
from .processes import Spawner


def main() -> None:
    """Serve until stdin ends, or a signal comes."""
    options = arguments()
    keeper = Keeper()
    folder = Path(options.dir or tempfile.mkdtemp(prefix="emulator-")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        listener = socket.create_server(("127.0.0.1", options.port), backlog=512)
    except OSError as error:
        sys.exit(f"emulator: can't listen on port {options.port} of 127.0.0.1: {error}")
    endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
    settle(folder, endpoint)
    spawner = Spawner(keeper)
    temporary = None if options.dir else folder

    async def serve_until_over() -> None:
        serving = asyncio.create_task(serve(listener, endpoint, folder, options.images.resolve(), spawner))
        over = asyncio.create_task(ending(options.stay).wait())
        await asyncio.wait([serving, over], return_when=asyncio.FIRST_COMPLETED)
        # Without unwinding: whoever is connected has no more to say, and MiniStack's threads neither.
        failure = serving.exception() if serving.done() else None
        end(spawner, temporary, failure)

    asyncio.run(serve_until_over())


def end(spawner: Spawner, temporary: Path | None, failure: BaseException | None) -> NoReturn:
    """Kill every child, and leave."""
    spawner.kill_all()
    if temporary:
        shutil.rmtree(temporary, ignore_errors=True)
    if failure:
        print(f"emulator: {failure}", file=sys.stderr)
    sys.stderr.flush()
    os._exit(1 if failure else 0)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="start.py", description="An AWS emulator whose containers and functions are real processes."
    )
    parser.add_argument("--images", type=Path, required=True, metavar="FILE", help="the table of images, JSON")
    parser.add_argument(
        "--dir", metavar="FOLDER", help="where logs and working folders are kept (a temporary one, deleted at the end)"
    )
    parser.add_argument("--port", type=int, default=0, help="the port of 127.0.0.1 to listen on (0: a free one)")
    parser.add_argument("--stay", action="store_true", help="don't end when stdin ends")
    options = parser.parse_args()
    if not options.images.is_file():
        parser.error(f"there is no table of images at {options.images}")
    return options


def settle(folder: Path, endpoint: str) -> None:
    """What MiniStack reads of the environment, when it is imported."""
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    tempfile.tempdir = str(temporary)
    os.environ.update(
        {
            "TMPDIR": str(temporary),
            "GATEWAY_PORT": endpoint.rsplit(":", 1)[-1],
            "AWS_ENDPOINT_URL": endpoint,
            "MINISTACK_HOST": "127.0.0.1",
            "LOG_LEVEL": "WARNING",
            # Each invocation holds a thread until it ends.
            "MINISTACK_WORKER_THREADS": "256",
            # There is no Docker here, even where there is one on this machine.
            "DOCKER_HOST": f"unix://{temporary}/none",
        }
    )
    # No line on stdout but ours, whoever prints.
    sys.stdout = sys.stderr
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)


async def serve(listener: socket.socket, endpoint: str, folder: Path, table: Path, spawner: Spawner) -> None:
    """Put the parts together, and serve."""
    from hypercorn.asyncio import serve as hypercorn
    from hypercorn.config import Config

    from . import gateway, seams
    from .ecs import Ecs
    from .faults import Faults
    from .images import Images
    from .lambdas import Lambdas
    from .metadata import Metadata
    from .tasks import Fleet, Ground

    seams.check()
    images, faults, metadata = Images(table), Faults(), Metadata(endpoint)
    fleet = Fleet(Ground(spawner, images, folder, faults.start_ms))
    ecs = Ecs(fleet, metadata, endpoint, faults.hides)
    lambdas = Lambdas(spawner, images, folder, endpoint, lambda account: faults.start_ms(account, "environment"))
    ecs.install()
    lambdas.install()
    gateway.watch_connections()
    application = gateway.Gateway(
        seams.module("app").app, faults, fleet, ecs, lambdas, metadata, ready=lambda: announce(endpoint)
    )
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.keep_alive_timeout = 75
    config.h11_max_incomplete_size = 1 << 20
    config.errorlog = logging.getLogger("hypercorn")
    await hypercorn(application, config, shutdown_trigger=asyncio.Event().wait)


def announce(endpoint: str) -> None:
    """The one line on stdout."""
    print(json.dumps({"endpoint": endpoint}), file=sys.__stdout__, flush=True)


def ending(stay: bool) -> asyncio.Event:
    """Set when it is time to end."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)

    def read_to_the_end() -> None:
        while os.read(0, 65536):
            pass
        loop.call_soon_threadsafe(over.set)

    if not stay:
        threading.Thread(target=read_to_the_end, name="stdin", daemon=True).start()
    return over


if __name__ == "__main__":
    main()
