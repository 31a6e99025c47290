#!/usr/bin/env python3
"""A real LocalStack in Docker, for as long as a suite of tests runs against it.

    real.py check                say what is missing for that, if anything is
    real.py run SUITE [ARG...]   start it, run the suite, end it; the exit code is the suite's

The suite must be static: it is the only program in the image that tasks and functions are made of.
`cargo xtask test --localstack` builds such suites, and calls this. See README.md beside this file.
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

from containers import ENTRYPOINT, pack

COMPOSE = Path(__file__).resolve().parent / "compose.yaml"
# Where the composition listens.
ENDPOINT = "http://127.0.0.1:4566"
# The suites call it so.
IMAGE = "flame-suite:1"
# Has the host by which containers reach this machine.
ADVERTISE = "FLAME_TEST_ADVERTISE"


def main() -> None:
    """Do what the command line says."""
    match sys.argv[1:]:
        case ["check"]:
            check()
        case ["run", suite, *arguments]:
            check()
            sys.exit(run(Path(suite), arguments))
        case _:
            sys.exit(__doc__)


def check() -> None:
    """All that is missing, in a sentence each."""
    missing = docker_lacks()
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        missing.append("the suites are made images on Linux on x86_64 alone")
    if not os.environ.get("LOCALSTACK_AUTH_TOKEN"):
        missing.append(
            "LOCALSTACK_AUTH_TOKEN is not set: get a token at https://app.localstack.cloud, of a plan that has ECS"
        )
    if missing:
        fail("\n".join(missing))


def docker_lacks() -> list[str]:
    """What is missing of Docker."""
    if not shutil.which("docker"):
        return ["`docker` can't be found: install Docker, https://docs.docker.com/engine/install"]
    missing = []
    if ask("compose", "version").returncode != 0:
        missing.append("`docker compose` is not there: install Docker's plugin docker-compose-plugin")
    info = ask("info")
    if info.returncode != 0:
        said = info.stderr.strip().splitlines()[-1:]
        missing.append(f"Docker does not answer: start it, and join its group ({''.join(said)})")
    return missing


def run(suite: Path, arguments: list[str]) -> int:
    """The suite's exit code. Whatever ends this, the composition ends with it."""
    # SIGINT, too: whoever starts this in the background may have it ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    try:
        up()
        make_image(suite)
        return subprocess.run([suite, *arguments], env=environment(), check=False).returncode
    finally:
        down()


def up() -> None:
    """LocalStack, in good health."""
    started = compose("up", "--wait", "--quiet-pull")
    if started.returncode != 0:
        compose("logs", "--tail=50")
        fail("LocalStack did not get up: what it said stands above")


def make_image(suite: Path) -> None:
    """The image FROM scratch, of the suite."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "image.tar"
        pack(suite, archive)
        made = ask("import", "--change", ENTRYPOINT, str(archive), IMAGE)
    if made.returncode != 0:
        fail(f"the image can't be made: {made.stderr.strip()}")


def environment() -> dict[str, str]:
    """What tells the suite of all this."""
    return {
        **os.environ,
        "AWS_ENDPOINT_URL": ENDPOINT,
        "FLAME_TEST_CONTAINERS": "1",
        ADVERTISE: os.environ.get(ADVERTISE) or gateway(),
    }


def gateway() -> str:
    """The address of this machine on Docker's own bridge."""
    asked = ask("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}")
    address = asked.stdout.strip()
    if asked.returncode != 0 or not address:
        fail(
            "Docker does not tell the gateway of its network `bridge`: "
            f"set {ADVERTISE} to the host by which containers reach this machine"
        )
    return address


def down() -> None:
    """Nothing is left, unless Docker says so."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    compose("down", "--volumes")
    left = ask("ps", "--all", "--quiet", "--filter", f"ancestor={IMAGE}").stdout.split()
    if left:
        ask("rm", "--force", *left)
    ask("image", "rm", "--force", IMAGE)


def compose(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Docker compose, which shows what it does."""
    command = ["docker", "compose", f"--file={COMPOSE}", *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)


def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Docker, silently."""
    command = ["docker", *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def fail(sentence: str) -> NoReturn:
    """End with a sentence."""
    sys.exit("\n".join(f"localstack: {line}" for line in sentence.splitlines()))


if __name__ == "__main__":
    main()
