"""The table of images, which maps image names to programs of this machine.

    {"image:tag": {"entrypoint": ["/abs/program", "arg"], "cmd": [], "env": {"K": "V"}, "pull_ms": 0}}

The emulator reads the file at each lookup, so it may change at any time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path


class InvalidImageTable(Exception):
    """The table of images cannot be read."""


@dataclass(frozen=True)
class Image:
    """One image. `pull_ms` is the time that pulling it takes, in milliseconds."""

    entrypoint: list[str] = field(default_factory=list)
    cmd: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)
    pull_ms: int = 0


class Images:
    """The table in its file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, name: str) -> Image | None:
        """The image with this name, or None. Raises InvalidImageTable."""
        try:
            table = json.loads(self._path.read_text())
            entry = table.get(name)
            return None if entry is None else Image(**entry)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise InvalidImageTable(f"the table of images {self._path} can't be read: {error}") from error
