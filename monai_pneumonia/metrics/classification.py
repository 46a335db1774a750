"""What the class probabilities of a set of pictures are worth, given what is known of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.errors import BadInputError
from monai_pneumonia.metrics.weighted import (
    Flags,
    Floats,
    Indices,
    TieGroups,
    area_under_roc,
    average_precision,
    brier_score,
    calibration_error,
    ratio,
    weighted_confusion,
    weighted_mean,
)

DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class ClassSample:
    """Items of one known class each.

    Attributes:
        probabilities: class probabilities [N, C], in [0, 1].
        truth: the class of each item [N].
        classes: the class names.
    """

    probabilities: Floats
    truth: Indices
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def predicted(self) -> Indices:
        """The likeliest class of each item [N]; of equally likely ones the first."""
        return np.asarray(np.argmax(self.probabilities, axis=1), dtype=np.intp)

    @property
    def present(self) -> Flags:
        """Which classes have an item at all [C]."""
        return np.bincount(self.truth, minlength=len(self.classes)) > 0

    def confusion(self, weights: Floats | None = None) -> Floats:
        """Confusion matrices [R, C, C], rows the labels; without weights a single one of plain counts."""
        used = np.ones((1, len(self))) if weights is None else weights
        return weighted_confusion(self.truth, self.predicted, len(self.classes), used)

    def statistics(self, weights: Floats) -> dict[str, Floats]:
        """Every metric of the class family.

        A mean over classes runs over the classes that the whole sample holds: a resample that lost one of them is undefined, not easier.

        Args:
            weights: weights of the items, one row a resample [R, N].

        Returns:
            One value a resample [R] for each name of the registry; NaN where undefined.
        """
        groups = [TieGroups.of(self.probabilities[:, channel], self.truth == channel, weights) for channel in range(len(self.classes))]
        aucs = np.stack([area_under_roc(group) for group in groups], axis=1)
        counts = self.confusion(weights)
        sensitivity, specificity, f1 = _against_the_rest(counts)
        of_truth = self.probabilities[np.arange(len(self)), self.truth]
        squares = ((self.probabilities - np.eye(len(self.classes))[self.truth]) ** 2).sum(axis=1)
        values = {
            "accuracy": ratio(np.trace(counts, axis1=1, axis2=2), counts.sum(axis=(1, 2))),
            "balanced_accuracy": self._mean_over_present(sensitivity),
            "macro_auc": self._mean_over_present(aucs),
            "macro_f1": self._mean_over_present(f1),
            "class_log_loss": weighted_mean(-np.log(np.maximum(of_truth, np.finfo(np.float64).eps)), weights),
            "class_brier": weighted_mean(squares, weights),
        }
        for channel, name in enumerate(self.classes):
            values[f"auc_{name}"] = aucs[:, channel]
            values[f"average_precision_{name}"] = average_precision(groups[channel])
            values[f"sensitivity_{name}"] = sensitivity[:, channel]
            values[f"specificity_{name}"] = specificity[:, channel]
            values[f"f1_{name}"] = f1[:, channel]
        return values

    def _mean_over_present(self, by_class: Floats) -> Floats:
        """The mean [R] of a value a class [R, C]; NaN unless two classes are present."""
        if self.present.sum() < 2:
            return np.full(len(by_class), np.nan)
        return np.asarray(by_class[:, self.present].mean(axis=1))


@dataclass(frozen=True)
class PneumoniaSample:
    """Items of which it is known whether they are pneumonia.

    Attributes:
        p_pneumonia: probability of pneumonia [N], in [0, 1].
        truth: whether it is pneumonia [N].
        decisions: whether the operating point calls it pneumonia [N].
    """

    p_pneumonia: Floats
    truth: Flags
    decisions: Flags

    def __len__(self) -> int:
        return len(self.truth)

    def statistics(self, weights: Floats) -> dict[str, Floats]:
        """Every metric of the pneumonia family.

        Args:
            weights: weights of the items, one row a resample [R, N].

        Returns:
            One value a resample [R] for each name of the registry; NaN where undefined.
        """
        groups = TieGroups.of(self.p_pneumonia, self.truth, weights)
        counts = weighted_confusion(self.truth.astype(np.intp), self.decisions.astype(np.intp), 2, weights)
        positives, negatives = counts[:, 1].sum(axis=1), counts[:, 0].sum(axis=1)
        f1 = ratio(2 * counts[:, 1, 1], 2 * counts[:, 1, 1] + counts[:, 0, 1] + counts[:, 1, 0])
        return {
            "p_pneumonia_auc": area_under_roc(groups),
            "p_pneumonia_average_precision": average_precision(groups),
            "sensitivity": ratio(counts[:, 1, 1], positives),
            "specificity": ratio(counts[:, 0, 0], negatives),
            "f1": np.where(positives > 0, f1, np.nan),
            "brier": brier_score(groups),
            "calibration_error": calibration_error(groups),
        }


def _against_the_rest(counts: Floats) -> tuple[Floats, Floats, Floats]:
    """Sensitivity, specificity and F1 of each class [R, C] from confusion matrices [R, C, C]; NaN for a class without an item."""
    right = np.diagonal(counts, axis1=1, axis2=2)
    support, given = counts.sum(axis=2), counts.sum(axis=1)
    others = support.sum(axis=1, keepdims=True) - support
    specificity = ratio(others - (given - right), others)
    f1 = ratio(2 * right, support + given)
    absent = support == 0
    return ratio(right, support), np.where(absent, np.nan, specificity), np.where(absent, np.nan, f1)


def split_by_knowledge(
    probabilities: ArrayLike,
    candidates: ArrayLike,
    label_space: LabelSpace,
    p_pneumonia: ArrayLike | None = None,
    decisions: ArrayLike | None = None,
    threshold: float = DEFAULT_THRESHOLD,
) -> tuple[ClassSample, Flags, PneumoniaSample, Flags]:
    """Sorts items by what their labels say: one class, and pneumonia or not. An item may be in both, in one or in neither.

    Args:
        probabilities: class probabilities [N, C], in [0, 1].
        candidates: the classes that each item's label allows [N, C], zeros and ones.
        label_space: the classes, in the order of the channels.
        p_pneumonia: probability of pneumonia [N]; by default 1 - p(normal).
        decisions: whether each item is called pneumonia [N]; by default whether p_pneumonia reaches the threshold.
        threshold: see ``decisions``.

    Returns:
        The items of one known class and where they are [N], the items known to be pneumonia or not and where they are [N].

    Raises:
        BadInputError: a shape that does not fit, a value outside [0, 1] or not a number, or an item that allows no class.
    """
    p, allowed = _checked(probabilities, candidates, len(label_space.classes))
    negative = label_space.negative_index
    p_ill = 1 - p[:, negative] if p_pneumonia is None else _checked_column(p_pneumonia, len(p), "p_pneumonia")
    called = p_ill >= threshold if decisions is None else np.asarray(decisions, dtype=bool)
    if called.shape != (len(p),):
        raise BadInputError(f"decisions must have the shape [{len(p)}], got {list(called.shape)}")

    one_class = allowed.sum(axis=1) == 1
    decided = ~allowed[:, negative] | one_class
    classes = ClassSample(p[one_class], np.argmax(allowed[one_class], axis=1), tuple(label_space.classes))
    return classes, one_class, PneumoniaSample(p_ill[decided], ~allowed[decided, negative], called[decided]), decided


def _checked(probabilities: ArrayLike, candidates: ArrayLike, classes: int) -> tuple[Floats, Flags]:
    p = np.asarray(probabilities, dtype=np.float64)
    allowed = np.asarray(candidates)
    if p.ndim != 2 or p.shape[1] != classes or allowed.shape != p.shape:
        raise BadInputError(
            f"probabilities and candidates must both have the shape [N, {classes}], got {list(p.shape)} and {list(allowed.shape)}"
        )
    if not np.all((p >= 0) & (p <= 1)):
        raise BadInputError("probabilities must lie in [0, 1]; some do not, or are not a number")
    flags = allowed > 0
    if not flags.any(axis=1).all():
        raise BadInputError("an item allows no class at all; an unlabelled item allows them all")
    return p, flags


def _checked_column(values: ArrayLike, length: int, name: str) -> Floats:
    column = np.asarray(values, dtype=np.float64)
    if column.shape != (length,):
        raise BadInputError(f"{name} must have the shape [{length}], got {list(column.shape)}")
    if not np.all((column >= 0) & (column <= 1)):
        raise BadInputError(f"{name} must lie in [0, 1]; some values do not, or are not a number")
    return column


def classification_metrics(
    probabilities: ArrayLike,
    candidates: ArrayLike,
    label_space: LabelSpace,
    p_pneumonia: ArrayLike | None = None,
    decisions: ArrayLike | None = None,
    threshold: float = DEFAULT_THRESHOLD,
) -> dict[str, float]:
    """All metrics of the registry without intervals; cheap enough for every epoch of a training.

    Args:
        probabilities: class probabilities [N, C], in [0, 1].
        candidates: the classes that each item's label allows [N, C], zeros and ones (:meth:`LabelSpace.target`).
        label_space: the classes, in the order of the channels.
        p_pneumonia: probability of pneumonia [N]; by default 1 - p(normal).
        decisions: whether each item is called pneumonia [N]; by default whether p_pneumonia reaches the threshold.
        threshold: see ``decisions``.

    Returns:
        A value for each name of :func:`monai_pneumonia.metrics.metric_names`; NaN where the items leave it undefined.

    Raises:
        BadInputError: a shape that does not fit, a value outside [0, 1] or not a number, or an item that allows no class.
    """
    by_class, _, by_pneumonia, _ = split_by_knowledge(probabilities, candidates, label_space, p_pneumonia, decisions, threshold)
    values = {
        **by_pneumonia.statistics(np.ones((1, len(by_pneumonia)))),
        **by_class.statistics(np.ones((1, len(by_class)))),
    }
    return {name: float(column[0]) for name, column in values.items()}
