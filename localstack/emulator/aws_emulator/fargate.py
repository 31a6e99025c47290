"""The task sizes of Fargate (AWS documentation, task definition parameters for Fargate, task size)."""

from __future__ import annotations

from typing import Any

GIB = 1024
# For each number of CPU units, the possible memory in MiB.
SIZES: dict[int, list[int]] = {
    256: [512, 1 * GIB, 2 * GIB],
    512: [gib * GIB for gib in range(1, 5)],
    1024: [gib * GIB for gib in range(2, 9)],
    2048: [gib * GIB for gib in range(4, 17)],
    4096: [gib * GIB for gib in range(8, 31)],
    8192: [gib * GIB for gib in range(16, 61, 4)],
    16384: [gib * GIB for gib in range(32, 121, 8)],
}


def cpu_units(value: Any) -> int | None:
    """Convert `"1024"`, `"1 vCPU"` or `"1vcpu"` to CPU units."""
    return _amount(value, "vcpu", 1024)


def memory_mib(value: Any) -> int | None:
    """Convert `"2048"`, `"2 GB"` or `"2GB"` to MiB."""
    return _amount(value, "gb", GIB)


def has(cpu: Any, memory: Any) -> bool:
    """Whether Fargate offers this size."""
    units, mib = cpu_units(cpu), memory_mib(memory)
    return units is not None and mib in SIZES.get(units, [])


def _amount(value: Any, unit: str, factor: int) -> int | None:
    text = str(value).lower().replace(" ", "")
    try:
        return int(float(text[: -len(unit)]) * factor) if text.endswith(unit) else int(text)
    except ValueError:
        return None
