"""Percentile intervals by drawing patients, not pictures: pictures of one patient are no independent evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from monai_pneumonia.errors import BadInputError
from monai_pneumonia.metrics.weighted import Floats, Indices

DEFAULT_RESAMPLES = 1000
DEFAULT_CONFIDENCE = 0.95

MINIMUM_DEFINED = 0.9
"""Share of resamples in which a metric must be defined to be given an interval.

A group of k patients is missing from a share exp(-k) of the resamples: one patient leaves 63 %, two 86 %, three 95 %. So an interval needs
three patients or so of each kind that the metric compares; with fewer, what the remaining resamples show is mostly the picture itself.
"""

_CELLS_AT_ONCE = 1 << 21

Statistics = Callable[[Floats], Mapping[str, Floats]]


@dataclass(frozen=True)
class Estimate:
    """A metric with its interval.

    Attributes:
        value: the metric over all items; None where they leave it undefined.
        low: lower end of the interval; None where too few resamples define the metric.
        high: upper end of the interval; None like ``low``.
        n: number of items it is made from.
        patients: number of distinct patients among them.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    patients: int


def bootstrap_estimates(
    statistics: Statistics,
    patients: Sequence[str],
    resamples: int = DEFAULT_RESAMPLES,
    seed: int = 0,
    confidence: float = DEFAULT_CONFIDENCE,
) -> dict[str, Estimate]:
    """Estimates every metric of a sample, with percentile intervals over resamples of its patients.

    The same patients, seed and number of resamples give the same intervals, whatever else is estimated before or after.

    Args:
        statistics: from weights of the items [R, N] to one value a row [R] for each metric, NaN where undefined.
        patients: who each of the N items belongs to.
        resamples: how many times to draw; 0 gives no intervals.
        seed: seed of the draws.
        confidence: the share of the resamples that an interval spans, between 0 and 1.

    Raises:
        BadInputError: a negative number of resamples or seed, or a confidence that is not between 0 and 1.
    """
    if resamples < 0 or seed < 0 or not 0 < confidence < 1:
        raise BadInputError(
            "resamples and seed must not be negative, confidence must lie between 0 and 1; "
            f"got resamples {resamples}, seed {seed}, confidence {confidence}"
        )
    names, owner = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    whole = {name: float(column[0]) for name, column in statistics(np.ones((1, len(patients)))).items()}
    drawn: dict[str, list[Floats]] = {name: [] for name in whole}
    # A single patient can only be drawn again: a resample says nothing.
    if len(names) > 1:
        for weights in _patient_weights(len(names), owner, resamples, seed):
            for name, column in statistics(weights).items():
                drawn[name].append(column)
    estimates = {}
    for name, value in whole.items():
        low, high = (
            percentile_interval(np.concatenate(drawn[name]) if drawn[name] else np.array([]), confidence)
            if np.isfinite(value)
            else (None, None)
        )
        estimates[name] = Estimate(value if np.isfinite(value) else None, low, high, len(patients), len(names))
    return estimates


def _patient_weights(patients: int, owner: Indices, resamples: int, seed: int) -> Iterator[Floats]:
    """Yields weights of the items [r, N] until all resamples are drawn; a few at a time, so that memory stays flat."""
    generator = np.random.default_rng(seed)
    step = max(1, _CELLS_AT_ONCE // len(owner))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        yield draw_patients(generator, patients, rows)[:, owner].astype(np.float64)


def draw_patients(generator: np.random.Generator, patients: int, resamples: int) -> Indices:
    """How often each of one or more patients is drawn in each resample, as many draws as patients: [R, patients]."""
    drawn = generator.integers(patients, size=(resamples, patients)) + patients * np.arange(resamples)[:, np.newaxis]
    return np.bincount(drawn.ravel(), minlength=resamples * patients).reshape(resamples, patients)


def percentile_interval(values: Floats, confidence: float) -> tuple[float | None, float | None]:
    """The interval that spans a share of the defined resamples of a metric [R]; none where too few define it."""
    defined = values[np.isfinite(values)]
    if not len(defined) or len(defined) < MINIMUM_DEFINED * len(values):
        return None, None
    tail = 50 * (1 - confidence)
    low, high = np.percentile(defined, [tail, 100 - tail])
    return float(low), float(high)
