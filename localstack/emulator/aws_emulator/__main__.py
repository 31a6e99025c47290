"""Start the emulator, print its address, and exit with the process that started it."""

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

from .processes import Spawner
from .reaper import Reaper


def main() -> None:
    """Serve until stdin closes or a signal arrives."""
    options = arguments()
    reaper = Reaper()
    folder = Path(options.dir or tempfile.mkdtemp(prefix="emulator-")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        listener = socket.create_server(("127.0.0.1", options.port), backlog=512)
    except OSError as error:
        sys.exit(f"emulator: can't listen on port {options.port} of 127.0.0.1: {error}")
    endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
    configure_ministack(folder, endpoint)
    spawner = Spawner(reaper)
    temporary = None if options.dir else folder

    async def serve_until_shutdown() -> None:
        serving = asyncio.create_task(serve(listener, endpoint, folder, options.images.resolve(), spawner))
        shutdown = asyncio.create_task(shutdown_requested(options.stay).wait())
        await asyncio.wait([serving, shutdown], return_when=asyncio.FIRST_COMPLETED)
        # Exit without unwinding: clients and MiniStack's threads have nothing left to finish.
        failure = serving.exception() if serving.done() else None
        exit_now(spawner, temporary, failure)

    asyncio.run(serve_until_shutdown())


def exit_now(spawner: Spawner, temporary: Path | None, failure: BaseException | None) -> NoReturn:
    """Kill every child process and exit."""
    spawner.kill_all()
    if temporary:
        shutil.rmtree(temporary, ignore_errors=True)
    if failure:
        print(f"emulator: {failure}", file=sys.stderr)
    sys.stderr.flush()
    os._exit(1 if failure else 0)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="start.py", description="An AWS emulator in which containers and functions are real processes."
    )
    parser.add_argument("--images", type=Path, required=True, metavar="FILE", help="the table of images, a JSON file")
    parser.add_argument(
        "--dir",
        metavar="FOLDER",
        help="the folder for logs and working folders (default: a temporary one)",
    )
    parser.add_argument("--port", type=int, default=0, help="the port to listen on (default: a free port)")
    parser.add_argument("--stay", action="store_true", help="keep running when stdin closes")
    options = parser.parse_args()
    if not options.images.is_file():
        parser.error(f"there is no table of images at {options.images}")
    return options


def configure_ministack(folder: Path, endpoint: str) -> None:
    """Set the environment variables that MiniStack reads when it is imported."""
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
            # Each invocation occupies a thread until it ends.
            "MINISTACK_WORKER_THREADS": "256",
            # MiniStack must not find Docker, even on a machine that has it.
            "DOCKER_HOST": f"unix://{temporary}/none",
        }
    )
    # stdout carries only the line with the endpoint: send all other output to stderr.
    sys.stdout = sys.stderr
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)


async def serve(listener: socket.socket, endpoint: str, folder: Path, table: Path, spawner: Spawner) -> None:
    """Build the application and serve it."""
    from hypercorn.asyncio import serve as hypercorn
    from hypercorn.config import Config

    from . import cloudformation, gateway, ministack, rotation
    from .ecs import Ecs
    from .faults import Faults
    from .functions import Functions
    from .images import Images
    from .load_balancers import LoadBalancers
    from .metadata import Metadata
    from .tasks import TaskHost, Tasks

    ministack.check()
    images, faults, metadata = Images(table), Faults(), Metadata(endpoint)
    tasks = Tasks(TaskHost(spawner, images, folder, faults.start_ms))
    ecs = Ecs(tasks, metadata, endpoint, faults.hides)
    functions = Functions(spawner, images, folder, endpoint, lambda account: faults.start_ms(account, "environment"))
    ecs.install()
    functions.install()
    cloudformation.install()
    rotation.install()
    LoadBalancers().install()
    gateway.watch_connections()
    application = gateway.Gateway(
        ministack.module("app").app, faults, tasks, ecs, functions, metadata, ready=lambda: announce(endpoint)
    )
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.keep_alive_timeout = 75
    config.h11_max_incomplete_size = 1 << 20
    config.errorlog = logging.getLogger("hypercorn")
    await hypercorn(application, config, shutdown_trigger=asyncio.Event().wait)


def announce(endpoint: str) -> None:
    """Print the endpoint: the only line on stdout."""
    print(json.dumps({"endpoint": endpoint}), file=sys.__stdout__, flush=True)


def shutdown_requested(stay: bool) -> asyncio.Event:
    """An event that is set when the emulator should exit."""
    loop, shutdown = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, shutdown.set)

    def read_until_closed() -> None:
        while os.read(0, 65536):
            pass
        loop.call_soon_threadsafe(shutdown.set)

    if not stay:
        threading.Thread(target=read_until_closed, name="stdin", daemon=True).start()
    return shutdown


if __name__ == "__main__":
    main()
