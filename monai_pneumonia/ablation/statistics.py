"""Paired differences: two arms on the same pictures, under the same resamples of the patients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from monai_pneumonia.errors import BadInputError
from monai_pneumonia.metrics.bootstrap import DEFAULT_CONFIDENCE, DEFAULT_RESAMPLES, draw_patients, percentile_interval
from monai_pneumonia.metrics.weighted import Floats


class Measurable(Protocol):
    """Items with a value for every metric under each row of weights."""

    def statistics(self, weights: Floats) -> Mapping[str, Floats]:
        """From weights [R, N] to one value a row [R] for each metric, NaN where undefined."""

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Pair:
    """An arm and its reference on the same items of one fold.

    Attributes:
        arm: the arm's predictions of the items.
        reference: the reference's.
        patients: whose each item is [N].
    """

    arm: Measurable
    reference: Measurable
    patients: tuple[str, ...]

    def __post_init__(self) -> None:
        if not len(self.arm) == len(self.reference) == len(self.patients):
            raise BadInputError(
                f"a pair must be about the same items, got {len(self.arm)} of the arm, {len(self.reference)} of the reference and "
                f"{len(self.patients)} patients"
            )


@dataclass(frozen=True)
class Difference:
    """A paired difference with its interval.

    Attributes:
        arm: the arm's value, mean over the folds in which the metric is defined.
        reference: the reference's.
        difference: arm - reference; None where no fold defines the metric.
        low: lower end of the interval; None where too few resamples define it.
        high: upper end.
        folds: in how many folds the metric is defined.
        n: items, over all folds; a picture that several folds predict counts once in each.
        patients: distinct patients.
    """

    arm: float | None
    reference: float | None
    difference: float | None
    low: float | None
    high: float | None
    folds: int
    n: int
    patients: int


class PatientDraws:
    """How often each patient is drawn in each resample, the same for all that is compared.

    Args:
        strata: patients that are resampled among themselves, such as those of one fold; a patient is in one stratum.
        resamples: how many.
        seed: of the draws.

    Raises:
        BadInputError: a patient is in two strata.
    """

    def __init__(self, strata: Sequence[Sequence[str]], resamples: int = DEFAULT_RESAMPLES, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)
        names: list[str] = []
        counts = []
        for stratum in strata:
            members = sorted(set(stratum))
            if members:
                counts.append(draw_patients(generator, len(members), resamples))
            names += members
        if len(set(names)) < len(names):
            raise BadInputError("a patient is in two of the strata that are resampled apart: folds must be patient-wise")
        self._column = {name: at for at, name in enumerate(names)}
        self._counts = np.concatenate(counts, axis=1).astype(np.float64) if counts else np.zeros((resamples, 0))

    def weights(self, patients: Sequence[str]) -> Floats:
        """Weights of items [R, N], given whose each is [N]."""
        return np.asarray(self._counts[:, [self._column[name] for name in patients]])


def paired_differences(
    pairs: Sequence[Pair], draws: PatientDraws, metrics: Sequence[str], confidence: float = DEFAULT_CONFIDENCE
) -> dict[str, Difference]:
    """Differences of an arm to its reference, each the mean over folds.

    A fold that leaves a metric undefined, in the whole or in a resample, is left out of that mean, for both arms alike.

    Args:
        pairs: one a fold (and seed).
        draws: the resamples; every patient of the pairs must be in them.
        metrics: which metrics.
        confidence: the share of the resamples that an interval spans.
    """
    whole = _per_fold(pairs, lambda pair: np.ones((1, len(pair.patients))), metrics)
    drawn = _per_fold(pairs, lambda pair: draws.weights(pair.patients), metrics)
    everyone = {name for pair in pairs for name in pair.patients}
    differences = {}
    for metric in metrics:
        arm, reference = whole[metric]
        defined = np.isfinite(arm[:, 0]) & np.isfinite(reference[:, 0])
        folds = int(defined.sum())
        items = sum(len(pair.patients) for pair, keep in zip(pairs, defined, strict=True) if keep)
        if not folds:
            differences[metric] = Difference(None, None, None, None, None, 0, items, 0)
            continue
        own, other = float(arm[defined, 0].mean()), float(reference[defined, 0].mean())
        low, high = (
            percentile_interval(_mean_of_defined(drawn[metric][0] - drawn[metric][1]), confidence) if len(everyone) > 1 else (None, None)
        )
        patients = {name for pair, keep in zip(pairs, defined, strict=True) if keep for name in pair.patients}
        differences[metric] = Difference(own, other, own - other, low, high, folds, items, len(patients))
    return differences


def _per_fold(pairs: Sequence[Pair], weights_of: Callable[[Pair], Floats], metrics: Sequence[str]) -> dict[str, tuple[Floats, Floats]]:
    """Metric to the values of arm and reference, [folds, R] each."""
    rows: dict[str, tuple[list[Floats], list[Floats]]] = {metric: ([], []) for metric in metrics}
    for pair in pairs:
        weights = weights_of(pair)
        arm, reference = pair.arm.statistics(weights), pair.reference.statistics(weights)
        for metric, (own, other) in rows.items():
            own.append(arm[metric])
            other.append(reference[metric])
    return {metric: (np.stack(own), np.stack(other)) for metric, (own, other) in rows.items()} if pairs else {}


def _mean_of_defined(values: Floats) -> Floats:
    """The mean over folds [R] of values [folds, R], NaN where no fold has one."""
    defined = np.isfinite(values)
    count = defined.sum(axis=0)
    total = np.where(defined, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
