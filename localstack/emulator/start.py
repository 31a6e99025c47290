#!/usr/bin/env python3
"""Start the AWS emulator: python3 localstack/emulator/start.py --images FILE

This script creates the emulator's virtual environment if it does not exist, then executes the
emulator in it. It needs only Python. `--help` lists the options; README.md describes the emulator.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent.parent / "target" / "emulator"
REQUIREMENTS = HERE / "requirements.txt"
OLDEST_PYTHON = (3, 11)
# The only variables that the emulator inherits. It must not see the credentials, endpoints or
# settings of the process that starts it.
INHERITED_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")


def main() -> None:
    """Find or create the virtual environment, then execute the emulator."""
    if sys.version_info < OLDEST_PYTHON:
        fail(
            f"the emulator needs Python {'.'.join(map(str, OLDEST_PYTHON))} or newer; this is {sys.version.split()[0]}"
        )
    python = environment() / "bin" / "python"
    env = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
    env["PYTHONPATH"] = str(HERE)
    env["PYTHONPYCACHEPREFIX"] = str(BUILD / "pycache")
    os.execve(python, [str(python), "-m", "aws_emulator", *sys.argv[1:]], env)


def environment() -> Path:
    """The virtual environment for these requirements and this Python, created if it is missing.

    The name of its folder is a hash of both, so changed requirements do not replace the packages
    of an emulator that is running.
    """
    content = REQUIREMENTS.read_bytes() + sys.version.encode() + sys.base_prefix.encode()
    folder = BUILD / "venv" / hashlib.sha256(content).hexdigest()[:16]
    complete = folder / "complete"
    if complete.exists():
        return folder
    with lock(BUILD / "venv.lock"):
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            complete.touch()
    return folder


def make(folder: Path) -> None:
    """Create a virtual environment in `folder` and install the requirements."""
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        fail(
            "this Python can't create virtual environments; install its venv module "
            "(Debian, Ubuntu: apt-get install python3-venv)"
        )
    say(f"creating a virtual environment in {folder}; this happens once")
    run([sys.executable, "-m", "venv", str(folder)])
    # The list pins every package, so pip need not resolve dependencies.
    pip = [
        str(folder / "bin" / "python"),
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--no-deps",
    ]
    run([*pip, "--requirement", str(REQUIREMENTS)])


def run(command: list[str]) -> None:
    """Run a command. If it fails, print its output to stderr and exit."""
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if result.returncode != 0:
        sys.stderr.write(result.stdout.decode(errors="replace"))
        fail(f"this command failed with exit code {result.returncode}: {' '.join(command)}")


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold a lock between processes. The kernel releases it if this process dies."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def say(message: str) -> None:
    """Print a message to stderr: stdout is reserved for the emulator's one line."""
    print(f"emulator: {message}", file=sys.stderr, flush=True)


def fail(message: str) -> NoReturn:
    """Print a message and exit."""
    say(message)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
