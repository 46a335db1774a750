"""Splits that keep a patient's pictures together and every label and source in proportion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np

from monai_pneumonia.data.datalist import SECTIONS, Datalist, DatalistItem
from monai_pneumonia.errors import UsageError

DEFAULT_FRACTIONS = (0.7, 0.15, 0.15)
_MOST_PIECES = 100
_SHARE_TOLERANCE = 0.005


def _check_shares(fractions: Sequence[float]) -> None:
    if not fractions or min(fractions) < 0 or not abs(sum(fractions) - 1) <= 1e-6:  # not-a-number fails, too
        raise UsageError(f"`fractions` must be shares of a whole, none negative and together 1; got {list(fractions)}")


@dataclass(frozen=True)
class SplitRules:
    """How to split pictures that come without a split.

    Attributes:
        fractions: shares of training, validation and testing; they sum to 1 and none is negative.
        seed: of the shuffle.

    Raises:
        UsageError: the fractions are no shares of a whole.
    """

    fractions: tuple[float, float, float] = DEFAULT_FRACTIONS
    seed: int = 0

    def __post_init__(self) -> None:
        _check_shares(self.fractions)


DEFAULT_SPLIT_RULES = SplitRules()


def split_by_patient(
    items: Sequence[DatalistItem], fractions: Sequence[float] = DEFAULT_FRACTIONS, seed: int = 0
) -> tuple[list[DatalistItem], ...]:
    """Splits items patient-wise, each label and source in proportion.

    Args:
        items: what to split.
        fractions: one share a part, none negative, together 1.
        seed: of the shuffle.

    Returns:
        One list of items a fraction, in the items' order.

    Raises:
        UsageError: the fractions are no shares of a whole, or there are fewer patients than parts.
    """
    _check_shares(fractions)
    parts: list[list[DatalistItem]] = []
    rest = list(items)
    for index, share in enumerate(fractions):
        later = [other for other in fractions[index + 1 :] if other > 0]
        taken, rest = _take(rest, share / (share + sum(later)) if share else 0.0, len(later), seed)
        parts.append(taken)
    return tuple(parts)


def k_folds(items: Sequence[DatalistItem], n_folds: int, seed: int = 0) -> list[tuple[list[DatalistItem], list[DatalistItem]]]:
    """Cross-validation folds, patient-wise, each label and source in proportion.

    Args:
        items: what to split.
        n_folds: number of folds, 2 or more.
        seed: of the shuffle.

    Returns:
        One pair (training, validation) a fold; each item is in one fold's validation part.

    Raises:
        UsageError: fewer than two folds, or more folds than patients.
    """
    patients = len({item.patient for item in items})
    if n_folds < 2 or n_folds > patients:
        raise UsageError(f"`n_folds` must lie between 2 and the number of patients, {patients}; got {n_folds}")
    folds = _fold_of_item(items, n_folds, seed)
    return [
        (
            [item for item, fold in zip(items, folds, strict=True) if fold != held_out],
            [item for item, fold in zip(items, folds, strict=True) if fold == held_out],
        )
        for held_out in range(n_folds)
    ]


def select_fold(datalist: Datalist, fold: int | None, n_folds: int, seed: int = 0) -> Datalist:
    """Replaces training and validation by a fold of the two; testing is never touched.

    Args:
        datalist: the data set.
        fold: 0 to n_folds - 1, or None for the datalist's own splits.
        n_folds: number of folds.
        seed: of the shuffle.

    Raises:
        UsageError: there is no such fold, or too few patients for so many.
    """
    if fold is None:
        return datalist
    if isinstance(fold, bool) or not isinstance(fold, int) or not 0 <= fold < n_folds:
        raise UsageError(f"`fold` must be null or a whole number from 0 to {n_folds - 1} (`n_folds` is {n_folds}), got {fold!r}")
    training, validation = k_folds([*datalist.training, *datalist.validation], n_folds, seed)[fold]
    return datalist.with_sections(training=tuple(training), validation=tuple(validation))


def keep_label_fraction(items: Sequence[DatalistItem], fraction: float, seed: int = 0) -> list[DatalistItem]:
    """Hides the labels and outlines of all but a share of the patients: the set-up of learning from few labels.

    The share is drawn patient-wise within each label and source, at least one patient of each. Shares are nested for a
    seed: what is labelled at 10 % is labelled at 50 %.

    Args:
        items: what to thin out.
        fraction: share of the patients who keep label and outline, in (0, 1].
        seed: of the draw.

    Returns:
        All items, in order; those not drawn have no label, no outline and no boxes.

    Raises:
        UsageError: the fraction lies outside (0, 1].
    """
    if isinstance(fraction, bool) or not isinstance(fraction, (int, float)) or not 0 < fraction <= 1:
        raise UsageError(f"`label_fraction` must be greater than 0 and at most 1, got {fraction!r}")
    kept: set[str] = set()
    for stratum, patients in _patients_by_stratum(items).items():
        order = np.random.default_rng([seed, crc32(stratum.encode())]).permutation(len(patients))
        count = max(1, round(fraction * len(patients)))
        kept.update(patients[index] for index in order[:count])
    return [item if item.patient in kept else replace(item, label=None, mask=None, boxes=(), mask_kind="unknown") for item in items]


def patients_in_several_sections(placed: Iterable[tuple[str, DatalistItem]]) -> Mapping[str, tuple[str, ...]]:
    """The patients whose pictures are spread over several sections.

    Args:
        placed: (section, item) pairs, as :meth:`Datalist.items` gives them.

    Returns:
        Patient to the sections, in the order of :data:`SECTIONS`.
    """
    sections: dict[str, set[str]] = {}
    for section, item in placed:
        sections.setdefault(item.patient, set()).add(section)
    return {patient: tuple(section for section in SECTIONS if section in found) for patient, found in sections.items() if len(found) > 1}


def _take(items: list[DatalistItem], share: float, later_parts: int, seed: int) -> tuple[list[DatalistItem], list[DatalistItem]]:
    """Takes a share of the items, patient-wise and stratified, and leaves a patient at least for each later part."""
    if share == 0:
        return [], items
    patients = len({item.patient for item in items})
    if patients < later_parts + 1:
        raise UsageError(f"{patients} patient(s) are left for {later_parts + 1} parts of `fractions`: give more patients, or fewer parts")
    if later_parts == 0:
        return items, []
    taken, pieces = _pieces(share, min(patients, _MOST_PIECES), later_parts)
    folds = _fold_of_item(items, pieces, seed)
    return (
        [item for item, fold in zip(items, folds, strict=True) if fold < taken],
        [item for item, fold in zip(items, folds, strict=True) if fold >= taken],
    )


def _pieces(share: float, most: int, later_parts: int) -> tuple[int, int]:
    """The fewest equal pieces, and how many of them to take, that come near a share (.7 is 7 of 10)."""
    best = (1.0, 1, later_parts + 1)
    for pieces in range(later_parts + 1, most + 1):
        taken = min(max(round(share * pieces), 1), pieces - later_parts)
        best = min(best, (abs(taken / pieces - share), taken, pieces))
        if best[0] <= _SHARE_TOLERANCE:
            break
    return best[1], best[2]


def _stratum(item: DatalistItem) -> str:
    return f"{item.label} / {item.source}"


def _patients_by_stratum(items: Sequence[DatalistItem]) -> dict[str, list[str]]:
    """Patients sorted by id, under the rarest stratum that any picture of theirs belongs to."""
    counts: dict[str, int] = {}
    strata: dict[str, set[str]] = {}
    for item in items:
        counts[_stratum(item)] = counts.get(_stratum(item), 0) + 1
        strata.setdefault(item.patient, set()).add(_stratum(item))
    grouped: dict[str, list[str]] = {}
    for patient in sorted(strata):
        rarest = min(strata[patient], key=lambda stratum: (counts[stratum], stratum))
        grouped.setdefault(rarest, []).append(patient)
    return grouped


def _fold_of_item(items: Sequence[DatalistItem], n_folds: int, seed: int) -> list[int]:
    """The fold that each item is held out in, by scikit-learn's StratifiedGroupKFold."""
    import warnings

    from sklearn.model_selection import StratifiedGroupKFold

    strata = np.unique([_stratum(item) for item in items], return_inverse=True)[1]
    if np.bincount(strata).max() < n_folds:
        # It refuses strata that are all smaller than the number of folds: then only patients and sizes can be balanced.
        strata = np.zeros(len(items), dtype=int)
    # Shuffled here, for its own shuffling undoes the stratification before scikit-learn 1.8.
    patients, patient_of_item = np.unique([item.patient for item in items], return_inverse=True)
    groups = np.random.default_rng(seed).permutation(len(patients))[patient_of_item]
    folds = np.zeros(len(items), dtype=int)
    splitter = StratifiedGroupKFold(n_splits=n_folds)
    with warnings.catch_warnings():
        # It warns of, and copes with, strata smaller than the number of folds.
        warnings.filterwarnings("ignore", message="The least populated class")
        for fold, (_, held_out) in enumerate(splitter.split(np.zeros(len(items)), strata, groups)):
            folds[held_out] = fold
    return [int(fold) for fold in folds]
