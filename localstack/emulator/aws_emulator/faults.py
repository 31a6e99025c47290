"""Faults that tests ask for: errors, delays, connection resets, and slow tasks and environments.

The first matching rule applies. A rule for an operation is used up by its `count`. A rule for `task` or
`environment` applies until it is deleted.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any


class InvalidFault(Exception):
    """A rule with no effect, or with an unknown field."""


@dataclass
class Fault:
    """One rule. README.md describes each field."""

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
        """Parse a rule from JSON. Raises InvalidFault."""
        known = {one.name for one in fields(cls)}
        if not isinstance(rule, dict) or not isinstance(rule.get("target"), str):
            raise InvalidFault(f'a fault is an object with a "target", not {rule!r}')
        unknown = set(rule) - known
        if unknown:
            raise InvalidFault(f"a fault has no {', '.join(sorted(unknown))}; it can have {', '.join(sorted(known))}")
        fault = cls(**rule)
        if fault.status is not None and not fault.type:
            raise InvalidFault('a fault with a "status" needs a "type", the name of the error')
        if fault.target == "task" and not (fault.hide_ms or fault.start_ms):
            raise InvalidFault('a fault of "task" needs "hide_ms" or "start_ms"')
        if fault.target == "environment" and not fault.start_ms:
            raise InvalidFault('a fault of "environment" needs "start_ms"')
        return fault

    def concerns(self, account: str, target: str) -> bool:
        """Whether the rule applies to this account and target."""
        return self.target == target and self.account in (None, account)


class Faults:
    """The active rules."""

    def __init__(self) -> None:
        self._rules: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, rules: Sequence[Any]) -> None:
        """Add rules. Raises InvalidFault if one is invalid, and then adds none of them."""
        parsed = [Fault.parse(rule) for rule in rules]
        with self._lock:
            self._rules += parsed

    def clear(self, account: str | None) -> None:
        """Delete the rules of one account, or all rules."""
        with self._lock:
            self._rules = [] if account is None else [rule for rule in self._rules if rule.account != account]

    def show(self, account: str | None) -> list[dict[str, Any]]:
        """The active rules with their remaining counts."""
        with self._lock:
            return [asdict(rule) for rule in self._rules if account is None or rule.account in (None, account)]

    def take(self, account: str, target: str) -> Fault | None:
        """The rule for this call. Its count goes down by one."""
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
        """How long a task or an environment takes to start, in milliseconds."""
        rule = self._standing_rule(account, what, "start_ms")
        return rule.start_ms if rule else 0

    def hides(self, account: str, age: float) -> bool:
        """Whether DescribeTasks still reports a task of this age, in seconds, as MISSING."""
        rule = self._standing_rule(account, "task", "hide_ms")
        return rule is not None and age * 1000 < rule.hide_ms

    def _standing_rule(self, account: str, what: str, name: str) -> Fault | None:
        with self._lock:
            return next((rule for rule in self._rules if rule.concerns(account, what) and getattr(rule, name)), None)
