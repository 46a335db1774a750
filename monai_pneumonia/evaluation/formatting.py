"""How numbers are written in tables and figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MISSING = "–"  # noqa: RUF001 - an en dash, as tables have it


def number(value: float | None) -> str:
    """A metric's value with three decimals; a dash where it is undefined."""
    return MISSING if value is None else f"{value:.3f}"


def interval(entry: Mapping[str, Any]) -> str:
    """The interval of an entry of metrics.json, such as ``0.871 to 0.934``; empty where it has none."""
    return "" if entry["low"] is None else f"{entry['low']:.3f} to {entry['high']:.3f}"


def with_interval(entry: Mapping[str, Any]) -> str:
    """Value and interval of an entry of metrics.json, such as ``0.905 (0.871 to 0.934)``."""
    span = interval(entry)
    return number(entry["value"]) + (f" ({span})" if span else "")


def percent(share: float) -> str:
    """A share as a percentage without decimals."""
    return f"{100 * share:.0f} %"
