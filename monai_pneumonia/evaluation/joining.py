"""Brings predictions and datalist together by id, and accounts for all that does not meet."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monai_pneumonia.data.datalist import SECTIONS, Datalist, DatalistItem
from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.errors import BadInputError, NothingToAnalyseError, UsageError
from monai_pneumonia.evaluation.parts import parts_of
from monai_pneumonia.evaluation.predictions import SUM_TOLERANCE, Predictions
from monai_pneumonia.metrics import ClassSample, PneumoniaSample, split_by_knowledge
from monai_pneumonia.metrics.weighted import Flags, Floats, Indices

ALL_SECTIONS = "all"
UNLABELLED = "unlabelled"


@dataclass(frozen=True)
class LabelledPredictions:
    """Items that have both a prediction and an entry in the datalist, by rising id.

    Attributes:
        labels: the label space.
        items: the datalist's items.
        probabilities: class probabilities [N, C], in [0, 1].
        candidates: the classes that each label allows [N, C].
        p_pneumonia: probability of pneumonia [N], in [0, 1].
        decisions: whether the operating point calls it pneumonia [N].
    """

    labels: LabelSpace
    items: tuple[DatalistItem, ...]
    probabilities: Floats
    candidates: Flags
    p_pneumonia: Floats
    decisions: Flags

    def __len__(self) -> int:
        return len(self.items)

    def where(self, chosen: Flags) -> LabelledPredictions:
        """Only the items that are chosen [N]."""
        return LabelledPredictions(
            self.labels,
            tuple(item for item, keep in zip(self.items, chosen, strict=True) if keep),
            self.probabilities[chosen],
            self.candidates[chosen],
            self.p_pneumonia[chosen],
            self.decisions[chosen],
        )

    def samples(self) -> tuple[ClassSample, Flags, PneumoniaSample, Flags]:
        """The items of one known class and those known to be pneumonia or not, each with where they are [N]."""
        return split_by_knowledge(self.probabilities, self.candidates, self.labels, self.p_pneumonia, self.decisions)


@dataclass(frozen=True)
class Joined:
    """All items of a section with all predictions.

    Attributes:
        datalist: the datalist.
        section: the section evaluated, or ``all``.
        items: the section's items by rising id.
        rows: the row of each item's prediction, -1 where it has none.
        predictions: the predictions.
        elsewhere: predictions whose item is in another section.
    """

    datalist: Datalist
    section: str
    items: tuple[DatalistItem, ...]
    rows: Indices
    predictions: Predictions
    elsewhere: frozenset[str]

    @property
    def states(self) -> tuple[str, ...]:
        """What became of each item: a status of its prediction, or ``without_prediction``."""
        return tuple(self.predictions.statuses[row] if row >= 0 else "without_prediction" for row in self.rows)

    @property
    def answered(self) -> Flags:
        """Which items have a prediction with status ok."""
        return np.array([state == "ok" for state in self.states], dtype=bool)

    def labelled(self) -> LabelledPredictions:
        """The items with a prediction, ready to be measured."""
        answered = self.answered
        rows = self.rows[answered]
        items = tuple(item for item, keep in zip(self.items, answered, strict=True) if keep)
        return LabelledPredictions(
            self.datalist.labels,
            items,
            self.predictions.probabilities[rows],
            np.array([_candidates(self.datalist, item) for item in items]),
            self.predictions.p_pneumonia[rows],
            self.predictions.decisions[rows],
        )


def join(predictions: Predictions, datalist: Datalist, section: str) -> Joined:
    """Finds the prediction of every item of a section.

    Args:
        predictions: the predictions.
        datalist: the datalist.
        section: ``training``, ``validation``, ``testing``, or ``all`` for the three together.

    Raises:
        UsageError: there is no such section.
        BadInputError: an id is twice in the section, or a label is unknown.
        NothingToAnalyseError: the section is empty, no prediction is about it, or none that is succeeded.
    """
    if section not in (*SECTIONS, ALL_SECTIONS):
        raise UsageError(f"a datalist has the sections {', '.join(SECTIONS)} (or '{ALL_SECTIONS}'), not '{section}'")
    chosen = [item for name, item in datalist.items() if section in (name, ALL_SECTIONS)]
    if not chosen:
        raise NothingToAnalyseError(f"the section '{section}' of the datalist '{datalist.name}' is empty")
    twice = sorted(name for name, count in Counter(item.id for item in chosen).items() if count > 1)
    if twice:
        raise BadInputError(f"the datalist '{datalist.name}' has the id '{twice[0]}' twice in '{section}': ids must be unique")
    row_of = {name: row for row, name in enumerate(predictions.ids)}
    items = tuple(sorted(chosen, key=lambda item: item.id))
    others = {item.id: name for name, item in datalist.items() if section not in (name, ALL_SECTIONS)}
    own = {item.id for item in items}
    elsewhere = {name: others[name] for name in predictions.ids if name in others and name not in own}
    rows = np.array([row_of.get(item.id, -1) for item in items], dtype=np.intp)
    joined = Joined(datalist, section, items, rows, predictions, frozenset(elsewhere))
    _check_overlap(joined, elsewhere)
    return joined


def _check_overlap(joined: Joined, elsewhere: Mapping[str, str]) -> None:
    name, section = joined.predictions.name, joined.section
    if not np.any(joined.rows >= 0):
        found = Counter(elsewhere.values())
        hint = "; ".join(f"{count} of them are in '{other}' (--section {other})" for other, count in found.most_common())
        raise NothingToAnalyseError(
            f"none of the {len(joined.predictions.ids)} predictions of {name} is about an item of '{section}' of the datalist "
            f"'{joined.datalist.name}' ({len(joined.items)} items): "
            + (hint or f"the ids are different, such as '{joined.predictions.ids[0]}' there and '{joined.items[0].id}' here")
        )
    if not joined.answered.any():
        counts = Counter(joined.states)
        raise NothingToAnalyseError(
            f"no item of '{section}' has a prediction with status ok: {counts['rejected']} rejected, {counts['error']} error, "
            f"{counts['without_prediction']} without prediction; the column 'reason' of {name} says why"
        )


def _candidates(datalist: Datalist, item: DatalistItem) -> Flags:
    try:
        return datalist.labels.target(item.label) > 0
    except BadInputError as error:
        raise BadInputError(f"the datalist '{datalist.name}', item '{item.id}': {error}") from error


def account(joined: Joined, labelled: LabelledPredictions) -> dict[str, Any]:
    """Counts every item and every prediction once, and what the labels of the measured items decide."""
    states = Counter(joined.states)
    statuses = Counter(joined.predictions.statuses)
    of_section = int(np.sum(joined.rows >= 0))
    _, one_class, _, decided = labelled.samples()
    negative = joined.datalist.labels.negative_index
    differs = np.abs(labelled.p_pneumonia - (1 - labelled.probabilities[:, negative])) > SUM_TOLERANCE
    return {
        "items": {"total": len(joined.items), **{state: states[state] for state in ("ok", "rejected", "error", "without_prediction")}},
        "predictions": {
            "total": len(joined.predictions.ids),
            **{status: statuses[status] for status in ("ok", "rejected", "error")},
            "of_this_section": of_section,
            "of_other_sections": len(joined.elsewhere),
            "without_item": len(joined.predictions.ids) - of_section - len(joined.elsewhere),
        },
        "measured": {
            "one_known_class": int(one_class.sum()),
            "pneumonia_known": int(decided.sum()),
            "neither": int(np.sum(~(one_class | decided))),
            "p_pneumonia_not_1_minus_normal": int(differs.sum()),
        },
        "parts": {
            "overall": _holdings(joined, np.ones(len(joined.items), dtype=bool)),
            **{kind: {name: _holdings(joined, flags) for name, flags in parts.items()} for kind, parts in parts_of(joined.items).items()},
        },
    }


def _holdings(joined: Joined, flags: Flags) -> dict[str, Any]:
    """What a part holds: its items, those measured, their patients and their labels."""
    measured = [item for item, keep in zip(joined.items, flags & joined.answered, strict=True) if keep]
    labels = Counter(item.label if item.label is not None else UNLABELLED for item in measured)
    space = joined.datalist.labels
    return {
        "items": int(flags.sum()),
        "measured": len(measured),
        "patients": len({item.patient for item in measured}),
        "labels": {name: labels[name] for name in (*space.classes, *space.groups, UNLABELLED)},
    }


def left_out(joined: Joined) -> Iterator[tuple[str, str]]:
    """Yields (id, why) for every item and prediction that no metric counts."""
    for item, state in zip(joined.items, joined.states, strict=True):
        if state != "ok":
            yield item.id, f"item {state.replace('_', ' ')}" if state == "without_prediction" else f"prediction {state}"
        elif len(joined.datalist.labels.candidates(item.label)) > 1 and joined.datalist.labels.is_pneumonia(item.label) is None:
            yield item.id, "label decides neither a class nor pneumonia"
    own = {item.id for item in joined.items}
    for name in joined.predictions.ids:
        if name not in own:
            yield name, "prediction of another section" if name in joined.elsewhere else "prediction without item"


def write_left_out(joined: Joined, file: Path) -> None:
    """Writes ids and reasons of what was left out as CSV; only the header where nothing was."""
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("id", "why"))
        writer.writerows(left_out(joined))
