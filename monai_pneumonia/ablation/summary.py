"""The rows of ablation.csv as means over folds, for figures and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from monai_pneumonia.ablation.measuring import ALL_SOURCES, Row
from monai_pneumonia.ablation.study import REFERENCE_ARM

FULL_LABELS = 1.0


@dataclass(frozen=True)
class Key:
    """What a mean over folds and seeds is of."""

    arm: str
    label_fraction: float
    split: str
    metric: str
    source: str = ALL_SOURCES


class Summary:
    """Values of every training, by what they are of.

    Args:
        rows: of ablation.csv.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self._values: dict[Key, list[float]] = {}
        self.arms: tuple[str, ...] = ()
        seconds: dict[str, dict[tuple[int, int, float], float]] = {}
        splits: dict[str, None] = {}
        sources: dict[str, None] = {}
        for row in rows:
            if row.value is not None:
                self._values.setdefault(Key(row.arm, row.label_fraction, row.split, row.metric, row.source), []).append(row.value)
            seconds.setdefault(row.arm, {})[row.seed, row.fold, row.label_fraction] = row.seconds
            splits[row.split] = None
            if row.source != ALL_SOURCES:
                sources[row.source] = None
        self.arms = tuple(seconds)
        self.splits = tuple(splits)
        self.sources = tuple(sorted(sources))
        self.seconds = {arm: sum(trainings.values()) for arm, trainings in seconds.items()}
        self.trainings = {arm: len(trainings) for arm, trainings in seconds.items()}

    def values(self, key: Key) -> Sequence[float]:
        """One value for each fold and seed that defines it."""
        return self._values.get(key, [])

    def mean(self, key: Key) -> float | None:
        """The mean over folds and seeds; None where none defines it."""
        values = self.values(key)
        return sum(values) / len(values) if values else None

    def fractions(self, arm: str) -> tuple[float, ...]:
        """The shares of labels that an arm was trained at, rising."""
        return tuple(sorted({key.label_fraction for key in self._values if key.arm == arm}))

    def main_fraction(self) -> float:
        """The share of labels that most of a page is about: all of them, or the greatest that was trained."""
        return max((key.label_fraction for key in self._values if key.arm == REFERENCE_ARM), default=FULL_LABELS)

    def metrics(self, prefix: str = "") -> tuple[str, ...]:
        """The metrics whose name starts in a way, in the order of the rows."""
        return tuple(dict.fromkeys(key.metric for key in self._values if key.metric.startswith(prefix)))
