#!/usr/bin/env python3
"""Real containers for tasks of the emulator, by podman, of an image that is one static executable.

    containers.py make FOLDER PROGRAM   make the image; prints its entry for the table of images
    containers.py run FOLDER [ARG...]   be the process of a task: what the entry says
    containers.py end FOLDER            fail if a container is left; delete all that `make` made

Everything of podman's is in FOLDER: settings and storage of the machine are neither used nor changed.
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
# Where the program is in the image, and how `import` is told of it.
PROGRAM = "app"
ENTRYPOINT = f'ENTRYPOINT ["/{PROGRAM}"]'
# The only other thing in it, as a client of AWS does not start without root certificates.
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# How long `end` waits for containers whose tasks were killed a moment ago.
PATIENCE = 30.0
# The limits are low, as raising them needs a privilege that a sandbox may lack; podman's own
# default is higher. With the host's network 127.0.0.1 is that of whoever runs the tests.
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
    """Do what the command line says."""
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
    """The folder, and how podman is called so that it stays in it."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder).resolve()

    def podman(self, *arguments: str) -> list[str]:
        """A command line. Folders are told by options: podman hands these on, and not the
        settings, to the process that cleans up after a container."""
        options = [
            f"--root={self.folder / 'root'}",
            f"--runroot={self.folder / 'run'}",
            f"--tmpdir={self.folder / 'tmp'}",
            f"--volumepath={self.folder / 'volumes'}",
            f"--network-config-dir={self.folder / 'networks'}",
        ]
        return ["podman", *options, *arguments]

    def env(self) -> dict[str, str]:
        """The environment for it."""
        return {**os.environ, "CONTAINERS_CONF": str(self.folder / "containers.conf")}

    def ask(self, *arguments: str) -> str:
        """What it prints. Ends with what it says when it fails."""
        done = subprocess.run(
            self.podman(*arguments), env=self.env(), stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        if done.returncode != 0:
            fail(f"`podman {' '.join(arguments)}` failed: {done.stderr.decode(errors='replace')}")
        return done.stdout.decode()


def make(store: Store, program: Path) -> None:
    """An image FROM scratch."""
    store.folder.mkdir(parents=True, exist_ok=True)
    (store.folder / "containers.conf").write_text(SETTINGS)
    archive = store.folder / "image.tar"
    pack(program, archive)
    store.ask("import", "--quiet", "--change", ENTRYPOINT, str(archive), IMAGE)
    archive.unlink()
    print(json.dumps({"entrypoint": [sys.executable, "-IS", str(Path(__file__).resolve()), "run", str(store.folder)]}))


def pack(program: Path, archive: Path) -> None:
    """All that is in the image."""
    if not CERTIFICATES.is_file():
        fail(f"{CERTIFICATES} is not there: apt-get install ca-certificates")
    with tarfile.open(archive, "w") as tar:
        tar.add(program, PROGRAM)
        tar.add(CERTIFICATES.resolve(), str(CERTIFICATES))


def end(store: Store) -> None:
    """Nothing may be left; whatever is, goes."""
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
        fail(f"containers were left, {PATIENCE:.0f} s after the end of their tasks: {', '.join(left)}")


def names(store: Store) -> list[str]:
    """All containers, in any state."""
    return store.ask("ps", "--all", "--format={{.Names}} ({{.Status}})").splitlines()


def run(store: Store, arguments: list[str]) -> NoReturn:
    """A container as if it were this process: its output, its exit code, and SIGTERM handed on.

    This process may be killed at any moment, with its group. So the container belongs to a guard
    that has a session of its own; that this one is gone it learns from the end of a pipe.
    """
    wishes, wish = os.pipe()
    codes, code = os.pipe()
    # No line may be printed from here on: all output is the container's.
    if os.fork() == 0:
        os.close(wish)
        os.close(codes)
        guard(store, arguments, wishes, code)
    os.close(wishes)
    os.close(code)

    def hand_on(number: int, frame: object) -> None:
        with suppress(BrokenPipeError):
            os.write(wish, b"T")

    signal.signal(signal.SIGTERM, hand_on)
    # Nothing, where the guard has failed: its error is in the task's log. The code is podman's own
    # for that.
    told = os.read(codes, 1)
    os._exit(told[0] if told else 125)


def guard(store: Store, arguments: list[str], wishes: int, code: int) -> NoReturn:
    """The life of one container."""
    try:
        os.setsid()
        container = Container(store, arguments)
        container.watch(wishes)
        os.write(code, bytes([container.exit_code()]))
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(0)


class Container:
    """One container, and the podman that waits for it."""

    def __init__(self, store: Store, arguments: list[str]) -> None:
        # The working folder of a task is named after it.
        self.name = f"{Path.cwd().name}-{os.getpid()}"
        self.store = store
        self.pid_file = store.folder / f"{self.name}.pid"
        # By their names: values on a command line could be read by everybody on this machine.
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
        # The output is at its end when the container is, not this process.
        with open(os.devnull, "r+b") as nothing:
            for number in (0, 1, 2):
                os.dup2(nothing.fileno(), number)

    def watch(self, wishes: int) -> None:
        """Until the container has ended: what is wished for, as soon as it can be done."""
        over = os.pidfd_open(self.podman.pid)
        wanted: signal.Signals | None = None
        sources = [over, wishes]
        while True:
            # A signal for a container that only starts is held back: look again soon.
            ready, _, _ = select.select(sources, [], [], 0.01 if wanted else None)
            if over in ready:
                return
            if wishes in ready:
                if os.read(wishes, 64):
                    wanted = signal.SIGTERM
                else:
                    wanted = signal.SIGKILL
                    sources.remove(wishes)
            if wanted and self._signal(wanted):
                wanted = None

    def exit_code(self) -> int:
        """As a shell gives it. Nothing is left of the container then."""
        code = self.podman.wait()
        # With its own failures podman may leave what it has made so far.
        if code < 0 or code == 125:
            subprocess.run(
                self.store.podman("rm", "--force", "--ignore", "--time=0", self.name),
                env=self.store.env(),
                check=False,
            )
        self.pid_file.unlink(missing_ok=True)
        return code if code >= 0 else 128 - code

    def _signal(self, number: signal.Signals) -> bool:
        """To the first process of the container; not before it is the program."""
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


def fail(sentence: str) -> NoReturn:
    """End with a sentence."""
    sys.exit(f"containers: {sentence}")


if __name__ == "__main__":
    main()
