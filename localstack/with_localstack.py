#!/usr/bin/env python3
"""Run a test suite against a real LocalStack in Docker.

    with_localstack.py check                name what this machine lacks, if anything
    with_localstack.py run SUITE [ARG...]   start LocalStack, run the suite, stop LocalStack

The exit code of `run` is the suite's. The suite must be a static executable, because it is the only
program in the image of the tasks and functions. `cargo xtask test --localstack` builds such suites
and calls this script. See README.md beside this file.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

from emulator.podman import ENTRYPOINT, pack

COMPOSE = Path(__file__).resolve().parent / "compose.yaml"
# The address at which compose.yaml publishes LocalStack.
ENDPOINT = "http://127.0.0.1:4566"
# The name of the image in the suites.
IMAGE = "flame-suite:1"
# The variable with the host name at which containers reach this machine.
ADVERTISE = "FLAME_TEST_ADVERTISE"


def main() -> None:
    """Run the command that the arguments name."""
    match sys.argv[1:]:
        case ["check"]:
            check()
        case ["run", suite, *arguments]:
            check()
            sys.exit(run(Path(suite), arguments))
        case _:
            sys.exit(__doc__)


def check() -> None:
    """Exit with a line for each thing that is missing."""
    missing = missing_of_docker()
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        missing.append("this script builds images on Linux on x86_64 only")
    if not os.environ.get("LOCALSTACK_AUTH_TOKEN"):
        missing.append(
            "LOCALSTACK_AUTH_TOKEN is not set: get a token for a plan with ECS at https://app.localstack.cloud"
        )
    if missing:
        fail("\n".join(missing))


def missing_of_docker() -> list[str]:
    """A line for each part of Docker that is missing."""
    if not shutil.which("docker"):
        return ["`docker` was not found: install Docker, https://docs.docker.com/engine/install"]
    missing = []
    if ask("compose", "version").returncode != 0:
        missing.append("`docker compose` is missing: install the Docker plugin docker-compose-plugin")
    info = ask("info")
    if info.returncode != 0:
        last_line = info.stderr.strip().splitlines()[-1:]
        missing.append(f"Docker does not answer: start it, and add your user to its group ({''.join(last_line)})")
    return missing


def run(suite: Path, arguments: list[str]) -> int:
    """Run the suite and return its exit code. LocalStack is stopped however this function ends."""
    # Handle SIGINT explicitly: a shell ignores it for commands that it starts in the background.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    try:
        up()
        make_image(suite)
        return subprocess.run([suite, *arguments], env=environment(), check=False).returncode
    finally:
        down()


def up() -> None:
    """Start LocalStack and wait until it is healthy."""
    started = compose("up", "--wait", "--quiet-pull")
    if started.returncode != 0:
        compose("logs", "--tail=50")
        fail("LocalStack did not start: see its log above")


def make_image(suite: Path) -> None:
    """Build an image FROM scratch that holds the suite."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "image.tar"
        pack(suite, archive)
        made = ask("import", "--change", ENTRYPOINT, str(archive), IMAGE)
    if made.returncode != 0:
        fail(f"the image could not be built: {made.stderr.strip()}")


def environment() -> dict[str, str]:
    """The environment that points the suite to LocalStack."""
    return {
        **os.environ,
        "AWS_ENDPOINT_URL": ENDPOINT,
        "FLAME_TEST_CONTAINERS": "1",
        ADVERTISE: os.environ.get(ADVERTISE) or gateway(),
    }


def gateway() -> str:
    """This machine's address on Docker's default bridge network."""
    asked = ask("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}")
    address = asked.stdout.strip()
    if asked.returncode != 0 or not address:
        fail(
            "Docker did not report the gateway of its network `bridge`: "
            f"set {ADVERTISE} to the host name at which containers reach this machine"
        )
    return address


def down() -> None:
    """Stop LocalStack and delete every container and image that this script caused."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    compose("down", "--volumes")
    left = ask("ps", "--all", "--quiet", "--filter", f"ancestor={IMAGE}").stdout.split()
    if left:
        ask("rm", "--force", *left)
    ask("image", "rm", "--force", IMAGE)


def compose(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run `docker compose` with its output visible."""
    command = ["docker", "compose", f"--file={COMPOSE}", *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)


def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `docker` and capture its output."""
    command = ["docker", *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def fail(message: str) -> NoReturn:
    """Exit with a message, each of its lines prefixed."""
    sys.exit("\n".join(f"localstack: {line}" for line in message.splitlines()))


if __name__ == "__main__":
    main()
