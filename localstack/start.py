#!/usr/bin/env python3
"""Start the AWS emulator: python3 localstack/start.py --images FILE

Makes the virtual environment when it is not there, and becomes the emulator in it. Needs nothing
but Python. `--help` says what it takes; README.md beside this file says what it is.
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
HOUSE = HERE.parent / "target" / "emulator"
REQUIREMENTS = HERE / "requirements.txt"
OLDEST_PYTHON = (3, 11)
# What the emulator gets of the environment that it is started in. It must not see credentials,
# endpoints or settings of whoever starts it.
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")


def main() -> None:
    """Find or make the virtual environment, then become the emulator."""
    if sys.version_info < OLDEST_PYTHON:
        fail(
            f"the emulator needs Python {'.'.join(map(str, OLDEST_PYTHON))} or newer; this is {sys.version.split()[0]}"
        )
    python = environment() / "bin" / "python"
    env = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    env["PYTHONPATH"] = str(HERE)
    env["PYTHONPYCACHEPREFIX"] = str(HOUSE / "pycache")
    os.execve(python, [str(python), "-m", "emulator", *sys.argv[1:]], env)


def environment() -> Path:
    """The virtual environment for these requirements and this Python, made now if need be.

    Its folder is named after what is in it, so a change of the requirements does not pull the
    packages from under an emulator that runs.
    """
    content = REQUIREMENTS.read_bytes() + sys.version.encode() + sys.base_prefix.encode()
    folder = HOUSE / "venv" / hashlib.sha256(content).hexdigest()[:16]
    complete = folder / "complete"
    if complete.exists():
        return folder
    with lock(HOUSE / "venv.lock"):
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            complete.touch()
    return folder


def make(folder: Path) -> None:
    """Make a virtual environment with the requirements in `folder`."""
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        fail(
            "this Python can't make virtual environments; install its venv module "
            "(Debian, Ubuntu: apt-get install python3-venv)"
        )
    say(f"making a virtual environment in {folder}, once")
    run([sys.executable, "-m", "venv", str(folder)])
    # Each package is pinned, so none is looked for beyond the list.
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
    """Run a command, its output to stderr; end with what it said when it fails."""
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if result.returncode != 0:
        sys.stderr.write(result.stdout.decode(errors="replace"))
        fail(f"this command failed with code {result.returncode}: {' '.join(command)}")


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold a lock among processes; given up by the kernel should this process die."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def say(sentence: str) -> None:
    """Tell whoever started this; stdout is for the one line of the emulator."""
    print(f"emulator: {sentence}", file=sys.stderr, flush=True)


def fail(sentence: str) -> NoReturn:
    """End with a sentence."""
    say(sentence)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
