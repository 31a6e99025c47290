#!/usr/bin/env python3
"""Run the emulator's tasks as podman containers of an image that holds one static executable.

    podman.py make FOLDER PROGRAM   build the image; print its entry for the table of images
    podman.py run FOLDER [ARG...]   run one container, as the process of a task
    podman.py end FOLDER            delete everything that `make` created; fail if a container is left

podman keeps all its files in FOLDER. It neither uses nor changes the machine's settings and storage.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

IMAGE = "localhost/app:1"
# The program's path in the image, and the instruction that `import` needs for it.
PROGRAM = "app"
ENTRYPOINT = f'ENTRYPOINT ["/{PROGRAM}"]'
# The only other file in the image: an AWS client does not start without root certificates.
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# How long `end` waits for the containers of tasks that have just been killed.
PATIENCE = 30.0
# These limits are below podman's defaults, because raising a limit needs a privilege that a
# sandbox may lack. With the host's network, 127.0.0.1 is the address of the tests' own process.
SETTINGS = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
netns = "host"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
"""


def main() -> None:
    """Run the command that the arguments name."""
    match sys.argv[1:]:
        case ["make", folder, program]:
            make(Store(folder), Path(program))
        case ["run", folder, *arguments]:
            run(Store(folder), arguments)
        case ["end", folder]:
            end(Store(folder))
        case _:
            sys.exit(__doc__)


class Store:
    """The folder that podman keeps its files in, and the command lines that keep podman in it."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder).resolve()

    def podman(self, *arguments: str) -> list[str]:
        """A podman command line. The folders are options rather than settings, because podman passes
        only options on to the process that cleans up after a container."""
        options = [
            f"--root={self.folder / 'root'}",
            f"--runroot={self.folder / 'run'}",
            f"--tmpdir={self.folder / 'tmp'}",
            f"--volumepath={self.folder / 'volumes'}",
            f"--network-config-dir={self.folder / 'networks'}",
        ]
        return ["podman", *options, *arguments]

    def env(self) -> dict[str, str]:
        """The environment for a podman command."""
        return {**os.environ, "CONTAINERS_CONF": str(self.folder / "containers.conf")}

    def ask(self, *arguments: str) -> str:
        """Run podman and return its output. Exit with its error message if it fails."""
        done = subprocess.run(
            self.podman(*arguments), env=self.env(), stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if done.returncode != 0:
            fail(f"`podman {' '.join(arguments)}` failed: {done.stderr.decode(errors='replace')}")
        return done.stdout.decode()


def make(store: Store, program: Path) -> None:
    """Build an image FROM scratch."""
    store.folder.mkdir(parents=True, exist_ok=True)
    (store.folder / "containers.conf").write_text(SETTINGS)
    archive = store.folder / "image.tar"
    pack(program, archive)
    store.ask("import", "--quiet", "--change", ENTRYPOINT, str(archive), IMAGE)
    archive.unlink()
    print(json.dumps({"entrypoint": [sys.executable, "-IS", str(Path(__file__).resolve()), "run", str(store.folder)]}))


def pack(program: Path, archive: Path) -> None:
    """Write the image's whole content to an archive."""
    if not CERTIFICATES.is_file():
        fail(f"{CERTIFICATES} does not exist: apt-get install ca-certificates")
    with tarfile.open(archive, "w") as tar:
        tar.add(program, PROGRAM)
        tar.add(CERTIFICATES.resolve(), str(CERTIFICATES))


def end(store: Store) -> None:
    """Delete everything. Fail if a container outlived its task."""
    until = time.monotonic() + PATIENCE
    left = names(store)
    while left and time.monotonic() < until:
        time.sleep(0.1)
        left = names(store)
    if left:
        store.ask("rm", "--all", "--force", "--time=0")
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        if Path(line.split()[1]).is_relative_to(store.folder):
            subprocess.run(["umount", line.split()[1]], check=True)
    shutil.rmtree(store.folder)
    if left:
        fail(f"containers still existed {PATIENCE:.0f} s after their tasks had ended: {', '.join(left)}")


def names(store: Store) -> list[str]:
    """The names of all containers, in any state."""
    return store.ask("ps", "--all", "--format={{.Names}} ({{.Status}})").splitlines()


def run(store: Store, arguments: list[str]) -> NoReturn:
    """Run a container in place of this process: same output, same exit code, SIGTERM passed on.

    This process and its group may be killed at any moment. So a second process, the guard, owns
    the container. The guard has its own session, and a pipe that closes tells it when this process
    is gone.
    """
    requests, request = os.pipe()
    codes, code = os.pipe()
    # Print nothing from here on: all output belongs to the container.
    if os.fork() == 0:
        os.close(request)
        os.close(codes)
        guard(store, arguments, requests, code)
    os.close(requests)
    os.close(code)

    def pass_on(number: int, frame: object) -> None:
        with suppress(BrokenPipeError):
            os.write(request, b"T")

    signal.signal(signal.SIGTERM, pass_on)
    # The read returns nothing if the guard failed. Its error is then in the task's log, and 125 is
    # the exit code that podman itself uses for its own failures.
    exit_code = os.read(codes, 1)
    os._exit(exit_code[0] if exit_code else 125)


def guard(store: Store, arguments: list[str], requests: int, code: int) -> NoReturn:
    """Own one container from its start to its end."""
    try:
        os.setsid()
        container = Container(store, arguments)
        container.watch(requests)
        os.write(code, bytes([container.exit_code()]))
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(0)


class Container:
    """One container, and the podman process that waits for it."""

    def __init__(self, store: Store, arguments: list[str]) -> None:
        # A task's working folder has the task's id as its name.
        self.name = f"{Path.cwd().name}-{os.getpid()}"
        self.store = store
        self.pid_file = store.folder / f"{self.name}.pid"
        # Only the names: every user of this machine can read the values on a command line.
        variables = [f"--env={name}" for name in os.environ]
        self.podman = subprocess.Popen(
            store.podman(
                "run",
                "--rm",
                f"--name={self.name}",
                f"--pidfile={self.pid_file}",
                "--log-driver=passthrough",
                "--pull=never",
                "--http-proxy=false",
                *variables,
                IMAGE,
                *arguments,
            ),
            env=store.env(),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        # The output must end with the container, not with this process.
        with open(os.devnull, "r+b") as nothing:
            for number in (0, 1, 2):
                os.dup2(nothing.fileno(), number)

    def watch(self, requests: int) -> None:
        """Deliver signals to the container until it has ended.

        `T` on the pipe asks for SIGTERM; the end of the pipe asks for SIGKILL.
        """
        ended = os.pidfd_open(self.podman.pid)
        pending: signal.Signals | None = None
        sources = [ended, requests]
        while True:
            # A container that is still starting cannot take a signal yet: try again soon.
            ready, _, _ = select.select(sources, [], [], 0.01 if pending else None)
            if ended in ready:
                return
            if requests in ready:
                if os.read(requests, 64):
                    pending = signal.SIGTERM
                else:
                    pending = signal.SIGKILL
                    sources.remove(requests)
            if pending and self._signal(pending):
                pending = None

    def exit_code(self) -> int:
        """The exit code as a shell reports it. Nothing of the container remains afterwards."""
        code = self.podman.wait()
        # When podman itself fails, it may leave a partly created container.
        if code < 0 or code == 125:
            subprocess.run(
                self.store.podman("rm", "--force", "--ignore", "--time=0", self.name),
                env=self.store.env(),
                check=False,
            )
        self.pid_file.unlink(missing_ok=True)
        return code if code >= 0 else 128 - code

    def _signal(self, number: signal.Signals) -> bool:
        """Signal the container's first process. False while that is still runc, not the program."""
        with suppress(OSError, ValueError):
            pid = int(self.pid_file.read_text())
            first = os.pidfd_open(pid)
            try:
                if Path(f"/proc/{pid}/comm").read_text().startswith("runc"):
                    return False
                signal.pidfd_send_signal(first, number)
                return True
            finally:
                os.close(first)
        return False


def fail(message: str) -> NoReturn:
    """Exit with a message."""
    sys.exit(f"podman.py: {message}")


if __name__ == "__main__":
    main()
