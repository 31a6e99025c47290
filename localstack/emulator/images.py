"""The table of images: a name is a program of this machine.

    {"image:tag": {"entrypoint": ["/abs/program", "arg"], "cmd": [], "env": {"K": "V"}, "pull_ms": 0}}

The file is read at each look-up, so it may change while the emulator runs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path


class BadTable(Exception):
    """The file of images can't be read."""


@dataclass(frozen=True)
class Image:
    """One entry. `pull_ms` is how long pulling it takes, in milliseconds."""

    entrypoint: list[str] = field(default_factory=list)
    cmd: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    pull_ms: int = 0


class Images:
    """The file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, name: str) -> Image | None:
        """The image of this name. Raises BadTable."""
        try:
            table = json.loads(self._path.read_text())
            entry = table.get(name)
            return None if entry is None else Image(**entry)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise BadTable(f"the table of images {self._path} can't be read: {error}") from error
