"""Faults that tests ask for: answers, delays, cuts, and states of tasks and environments.

Rules are taken in the order in which they were given. One for an operation counts down and is gone;
one for `task` or `environment` holds until it is deleted.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any


class BadFault(Exception):
    """A fault that says nothing, or something unknown."""


@dataclass
class Fault:
    """One rule. See README.md for what each field means."""

    target: str
    account: str | None = None
    count: int = 1
    skip: int = 0
    delay_ms: int = 0
    status: int | None = None
    type: str | None = None
    message: str = ""
    body: Any = None
    reset: bool = False
    reset_after: bool = False
    duplicate: bool = False
    hide_ms: int = 0
    start_ms: int = 0

    @classmethod
    def parse(cls, rule: Any) -> Fault:
        """From JSON. Raises BadFault."""
        known = {one.name for one in fields(cls)}
        if not isinstance(rule, dict) or not isinstance(rule.get("target"), str):
            raise BadFault(f'a fault is an object with a "target", not {rule!r}')
        unknown = set(rule) - known
        if unknown:
            raise BadFault(f"a fault has no {', '.join(sorted(unknown))}; it can have {', '.join(sorted(known))}")
        fault = cls(**rule)
        if fault.status is not None and not fault.type:
            raise BadFault('a fault with a "status" needs a "type", the name of the error')
        if fault.target == "task" and not (fault.hide_ms or fault.start_ms):
            raise BadFault('a fault of "task" needs "hide_ms" or "start_ms"')
        if fault.target == "environment" and not fault.start_ms:
            raise BadFault('a fault of "environment" needs "start_ms"')
        return fault

    def concerns(self, account: str, target: str) -> bool:
        """Whether it is for this."""
        return self.target == target and self.account in (None, account)


class Faults:
    """The rules that are in force."""

    def __init__(self) -> None:
        self._rules: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, rules: Sequence[Any]) -> None:
        """Add rules. Raises BadFault, and then adds none."""
        parsed = [Fault.parse(rule) for rule in rules]
        with self._lock:
            self._rules += parsed

    def clear(self, account: str | None) -> None:
        """Delete the rules of one account, or all."""
        with self._lock:
            self._rules = [] if account is None else [rule for rule in self._rules if rule.account != account]

    def show(self, account: str | None) -> list[dict[str, Any]]:
        """The rules in force, with what is left of their counts."""
        with self._lock:
            return [asdict(rule) for rule in self._rules if account is None or rule.account in (None, account)]

    def take(self, account: str, target: str) -> Fault | None:
        """The rule for this call, which is counted down."""
        with self._lock:
            for rule in self._rules:
                if not rule.concerns(account, target):
                    continue
                if rule.skip > 0:
                    rule.skip -= 1
                    continue
                rule.count -= 1
                if rule.count <= 0:
                    self._rules.remove(rule)
                return rule
        return None

    def start_ms(self, account: str, what: str = "task") -> int:
        """How long a task, or an environment, takes to start."""
        rule = self._that_holds(account, what, "start_ms")
        return rule.start_ms if rule else 0

    def hides(self, account: str, age: float) -> bool:
        """Whether DescribeTasks does not see a task of this age, in seconds, yet."""
        rule = self._that_holds(account, "task", "hide_ms")
        return rule is not None and age * 1000 < rule.hide_ms

    def _that_holds(self, account: str, what: str, name: str) -> Fault | None:
        with self._lock:
            return next((rule for rule in self._rules if rule.concerns(account, what) and getattr(rule, name)), None)
