"""Metrics of a yes-or-no score under many sets of item weights at once.

A bootstrap resample is nothing but a whole-number weight for each item: how often it was drawn. Every function here takes all
resamples as one matrix [R, N], which makes a thousand of them as quick as a handful of calls to scikit-learn. A row of ones gives the
plain value. A metric that a resample leaves undefined is NaN there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.intp]

CALIBRATION_BINS = 10


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Divides; NaN where the denominator is zero."""
    result = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    np.divide(numerator, denominator, out=result, where=denominator != 0)
    return result


@dataclass(frozen=True)
class TieGroups:
    """What was seen at each distinct score, by rising score.

    Items with the same score cannot be told apart by it, so they enter every metric together and the order of the input never counts.

    Attributes:
        scores: the distinct scores [G].
        positives: summed weight of the positive items at each score [R, G].
        negatives: summed weight of the negative items at each score [R, G].
    """

    scores: Floats
    positives: Floats
    negatives: Floats

    @classmethod
    def of(cls, scores: Floats, truth: Flags, weights: Floats) -> TieGroups:
        """Groups items by score.

        Args:
            scores: one score an item [N].
            truth: whether an item is positive [N].
            weights: weights of the items, one row a resample [R, N]; whole numbers, not negative.
        """
        order = np.argsort(scores, kind="stable")
        ranked = scores[order]
        starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]]) if len(ranked) else np.array([], dtype=np.intp)
        if not len(starts):
            empty = np.zeros((len(weights), 0))
            return cls(ranked, empty, empty)
        sorted_weights = weights[:, order]
        total = np.add.reduceat(sorted_weights, starts, axis=1)
        positives = np.add.reduceat(sorted_weights * truth[order], starts, axis=1)
        return cls(ranked[starts], positives, total - positives)


def area_under_roc(groups: TieGroups) -> Floats:
    """The share of (positive, negative) pairs in the right order, ties counted half [R]; NaN without both kinds."""
    below = np.cumsum(groups.negatives, axis=1) - groups.negatives / 2
    pairs = groups.positives.sum(axis=1) * groups.negatives.sum(axis=1)
    return ratio((groups.positives * below).sum(axis=1), pairs)


def average_precision(groups: TieGroups) -> Floats:
    """The precision at each threshold, weighted by the recall it adds [R]; NaN without both kinds.

    scikit-learn gives 1 where every item is positive. That says nothing of the score, so it is undefined here.
    """
    positives, negatives = groups.positives[:, ::-1], groups.negatives[:, ::-1]
    found = np.cumsum(positives, axis=1)
    precision = np.nan_to_num(ratio(found, found + np.cumsum(negatives, axis=1)))
    all_positives = positives.sum(axis=1)
    both = np.where(negatives.sum(axis=1) > 0, all_positives, 0)
    return ratio((positives * precision).sum(axis=1), both)


def brier_score(groups: TieGroups) -> Floats:
    """The mean squared distance between a probability and what was true, 0 or 1 [R]."""
    squares = groups.positives * (1 - groups.scores) ** 2 + groups.negatives * groups.scores**2
    return ratio(squares.sum(axis=1), (groups.positives + groups.negatives).sum(axis=1))


@dataclass(frozen=True)
class ReliabilityBins:
    """Items in bins of equal mass, by rising score.

    Attributes:
        mass: summed weight in each bin [R, bins].
        score_sum: summed weight times score in each bin [R, bins].
        positives: summed weight of the positive items in each bin [R, bins].
    """

    mass: Floats
    score_sum: Floats
    positives: Floats

    @property
    def mean_score(self) -> Floats:
        """The mean score in each bin [R, bins]; NaN in an empty one."""
        return ratio(self.score_sum, self.mass)

    @property
    def share_positive(self) -> Floats:
        """The share of positive items in each bin [R, bins]; NaN in an empty one."""
        return ratio(self.positives, self.mass)


def equal_mass_bins(groups: TieGroups, bins: int = CALIBRATION_BINS) -> ReliabilityBins:
    """Cuts the ranked items into bins that hold the same number, as nearly as tied scores allow.

    A score goes to the bin in which the middle of its ranks falls, so that tied items stay together.

    Args:
        groups: the items.
        bins: number of bins.
    """
    mass = groups.positives + groups.negatives
    total = mass.sum(axis=1, keepdims=True)
    # Whole numbers on both sides of the division: a rank on a boundary falls the same way on every machine.
    position = np.floor_divide(bins * (2 * np.cumsum(mass, axis=1) - mass), np.maximum(2 * total, 1)).astype(np.intp)
    # Only a score of weight zero at the very end has its middle on the upper edge of the last bin.
    cell = np.minimum(position, bins - 1) + bins * np.arange(len(mass))[:, np.newaxis]

    def summed(values: Floats) -> Floats:
        sums: Floats = np.bincount(cell.ravel(), weights=values.ravel(), minlength=bins * len(mass)).astype(np.float64)
        return sums.reshape(len(mass), bins)

    return ReliabilityBins(summed(mass), summed(mass * groups.scores), summed(groups.positives))


def calibration_error(groups: TieGroups, bins: int = CALIBRATION_BINS) -> Floats:
    """The expected calibration error [R]: over bins of equal mass, the mean distance of mean score and share of positive items."""
    cut = equal_mass_bins(groups, bins)
    return ratio(np.abs(cut.score_sum - cut.positives).sum(axis=1), cut.mass.sum(axis=1))


def weighted_mean(values: Floats, weights: Floats) -> Floats:
    """The mean of one value an item [N] under each row of weights [R, N], as [R]."""
    return ratio(weights @ values, weights.sum(axis=1))


def weighted_confusion(truth: Indices, predicted: Indices, classes: int, weights: Floats) -> Floats:
    """Confusion matrices [R, C, C]: rows are the labels, columns the predictions.

    Args:
        truth: the class of each item [N].
        predicted: the class given to each item [N].
        classes: number of classes C.
        weights: weights of the items, one row a resample [R, N].
    """
    cells = np.zeros((len(truth), classes * classes))
    cells[np.arange(len(truth)), truth * classes + predicted] = 1
    return (weights @ cells).reshape(len(weights), classes, classes)
