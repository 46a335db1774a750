"""Parts of a data set within which a model is judged on its own: source, view and age group."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from monai_pneumonia.data.datalist import DatalistItem
from monai_pneumonia.metrics.weighted import Flags

UNKNOWN = "unknown"

AGE_GROUPS: Mapping[str, tuple[float, float]] = {"child": (0, 18), "adult": (18, 65), "older": (65, math.inf)}
"""Name of each age group to the ages in years that it holds: from the first, below the second."""


def age_group(age: float | None) -> str:
    """The group of an age in years; ``unknown`` where it is missing or cannot be an age."""
    if age is not None:
        for name, (first, end) in AGE_GROUPS.items():
            if first <= age < end:
                return name
    return UNKNOWN


def age_group_title(name: str) -> str:
    """An age group with its ages, such as ``child (0 to 17)``; other names are left as they are."""
    if name not in AGE_GROUPS:
        return name
    first, end = AGE_GROUPS[name]
    return f"{name} ({first:g} and over)" if math.isinf(end) else f"{name} ({first:g} to {end - 1:g})"


KINDS: Mapping[str, Callable[[DatalistItem], str]] = {
    "by_source": lambda item: item.source or UNKNOWN,
    "by_view": lambda item: item.view or UNKNOWN,
    "by_age": lambda item: age_group(item.age),
}


def parts_of(items: Sequence[DatalistItem]) -> dict[str, dict[str, Flags]]:
    """Kind of part (``by_source``, ``by_view``, ``by_age``) to part name to which items are in it [N].

    Every item is in one part of each kind. Age groups come by age, other parts by name; ``unknown`` comes last.
    """
    parts = {}
    for kind, name_of in KINDS.items():
        names = [name_of(item) for item in items]
        order = [*AGE_GROUPS] if kind == "by_age" else sorted(set(names) - {UNKNOWN})
        parts[kind] = {part: np.array([name == part for name in names], dtype=bool) for part in (*order, UNKNOWN) if part in names}
    return parts
