"""Every arm beside its reference on the same pictures: the rows of differences.csv."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monai_pneumonia.ablation.csv_file import number_cell, write_csv
from monai_pneumonia.ablation.localization import ATTENTION, GRADCAMPP
from monai_pneumonia.ablation.measuring import ALL_SOURCES, MapTable, Result, localization_key, metric_keys
from monai_pneumonia.ablation.statistics import Difference, Measurable, Pair, PatientDraws, paired_differences
from monai_pneumonia.ablation.study import OUT_OF_FOLD, REFERENCE_ARM
from monai_pneumonia.metrics import LocalizationSample
from monai_pneumonia.metrics.bootstrap import DEFAULT_RESAMPLES
from monai_pneumonia.metrics.registry import localization_names
from monai_pneumonia.metrics.weighted import Floats

COLUMNS = (
    "arm",
    "reference",
    "label_fraction",
    "split",
    "source",
    "metric",
    "value",
    "reference_value",
    "difference",
    "low",
    "high",
    "folds",
    "n",
    "patients",
)


@dataclass(frozen=True)
class ComparedRow:
    """A row of differences.csv: an arm, its reference, where and in what they are compared, and the difference."""

    arm: str
    reference: str
    label_fraction: float
    split: str
    source: str
    metric: str
    difference: Difference


class _Remembered:
    """A sample that works out its values under the same weights only once: the plain arm meets all others."""

    def __init__(self, sample: Measurable) -> None:
        self.sample = sample
        self._values: dict[int, Mapping[str, Floats]] = {}

    def __len__(self) -> int:
        return len(self.sample)

    def statistics(self, weights: Floats) -> Mapping[str, Floats]:
        # The draws of a comparison are fixed, so that their number tells them apart from the row of ones.
        if len(weights) not in self._values:
            self._values[len(weights)] = self.sample.statistics(weights)
        return self._values[len(weights)]


class Comparison:
    """Compares the arms of a study.

    Args:
        results: of all finished trainings.
        resamples: of the patients, for the intervals.
        seed: of the draws.
        others: (arm, reference) pairs to compare besides every arm with the plain one.
    """

    def __init__(
        self,
        results: Sequence[Result],
        resamples: int = DEFAULT_RESAMPLES,
        seed: int = 0,
        others: Iterable[tuple[str, str]] = (),
    ) -> None:
        self.results = results
        self.others = tuple(others)
        self.resamples = max(2, resamples)
        self._draws = {split: self._draws_of(split, seed) for split in dict.fromkeys(result.split for result in results)}
        self._samples: dict[tuple[int, str, str], tuple[_Remembered, tuple[str, ...]]] = {}

    def _draws_of(self, split: str, seed: int) -> PatientDraws:
        """Patients drawn within the folds that hold them out; those of a split that all folds predict, together.

        With several seeds there are several ways to cut the folds: the first one's serves for all.
        """
        strata: dict[tuple[int, int], set[str]] = {}
        for result in self.results:
            if result.split == split:
                at = (result.job.seed, result.job.fold) if split == OUT_OF_FOLD else (0, 0)
                strata.setdefault(at, set()).update(item.patient for item in result.labelled.items)
        seen: set[str] = set()
        apart = []
        for at in sorted(strata):
            apart.append(sorted(strata[at] - seen))
            seen |= strata[at]
        return PatientDraws([stratum for stratum in apart if stratum], self.resamples, seed)

    def rows(self) -> Iterator[ComparedRow]:
        """All rows: arms beside the plain arm and the others asked for, and maps beside maps."""
        trained = dict.fromkeys(result.job.arm for result in self.results)
        for arm, reference in dict.fromkeys([*((arm, REFERENCE_ARM) for arm in trained), *self.others]):
            for (share, split), pairs in self._paired(arm, reference).items():
                if arm != reference:
                    yield from self._class_rows(arm, reference, share, split, pairs)
                yield from self._map_rows(arm, reference, share, split, pairs)

    def _paired(self, arm: str, reference: str) -> dict[tuple[float, str], list[tuple[Result, Result]]]:
        """(share of labels, split) to the results of both arms with the same seed and fold."""
        others = {result.key: result for result in self.results if result.job.arm == reference}
        pairs: dict[tuple[float, str], list[tuple[Result, Result]]] = {}
        for result in self.results:
            if result.job.arm == arm and result.key in others:
                pairs.setdefault((result.job.label_fraction, result.split), []).append((result, others[result.key]))
        return pairs

    def _class_rows(
        self, arm: str, reference: str, share: float, split: str, pairs: Sequence[tuple[Result, Result]]
    ) -> Iterator[ComparedRow]:
        sources = dict.fromkeys(source for own, _ in pairs for source in own.parts)
        for source in sources:
            for family in ("pneumonia", "class"):
                found = [self._class_pair(own, other, source, family) for own, other in pairs if source in own.parts]
                wanted = [metric for metric in metric_keys(pairs[0][0].labelled.labels.classes) if _family_of(metric) == family]
                if source != ALL_SOURCES:
                    # Within a source some classes are missing altogether.
                    wanted = [metric for metric in wanted if metric == "p_pneumonia_auc"]
                if wanted:
                    for metric, difference in paired_differences(found, self._draws[split], wanted).items():
                        yield ComparedRow(arm, reference, share, split, source, metric, difference)

    def _class_pair(self, own: Result, other: Result, source: str, family: str) -> Pair:
        common = {item.id for item in own.labelled.items} & {item.id for item in other.labelled.items}
        if len(common) < max(len(own.labelled), len(other.labelled)):
            mine, patients = _class_sample(own, source, family, common)
            theirs, _ = _class_sample(other, source, family, common)
            return Pair(mine, theirs, patients)
        return Pair(self._sample(own, source, family)[0], *self._sample(other, source, family))

    def _sample(self, result: Result, source: str, family: str) -> tuple[_Remembered, tuple[str, ...]]:
        key = (id(result), source, family)
        if key not in self._samples:
            sample, patients = _class_sample(result, source, family)
            self._samples[key] = (_Remembered(sample), patients)
        return self._samples[key]

    def _map_rows(self, arm: str, beside: str, share: float, split: str, pairs: Sequence[tuple[Result, Result]]) -> Iterator[ComparedRow]:
        kinds = dict.fromkeys(kind for own, _ in pairs for name, kind in own.maps if name == ATTENTION)
        for kind in kinds:
            names = dict.fromkeys(name for _, other in pairs for name, other_kind in other.maps if other_kind == kind)
            compared: dict[str, list[ComparedRow]] = {}
            for name in names:
                if name == ATTENTION and arm == beside:
                    continue
                found = [
                    _map_pair(own.maps[ATTENTION, kind], other.maps[name, kind], kind)
                    for own, other in pairs
                    if (ATTENTION, kind) in own.maps and (name, kind) in other.maps
                ]
                reference = beside if name == ATTENTION else name
                for metric, difference in paired_differences(found, self._draws[split], localization_names(kind)).items():
                    key = localization_key(ATTENTION, kind, metric)
                    compared.setdefault(metric, []).append(ComparedRow(arm, reference, share, split, ALL_SOURCES, key, difference))
            for metric, rows in compared.items():
                yield from rows
                yield from _beside_best_level(metric, rows)


def _beside_best_level(metric: str, rows: Sequence[ComparedRow]) -> Iterator[ComparedRow]:
    """The row of the Grad-CAM++ level that does best in this very metric and split, which favours the baseline."""
    levels = [row for row in rows if row.reference.startswith(GRADCAMPP) and row.difference.reference is not None]
    if levels:
        sign = -1 if metric == "false_positive_area" else 1
        best = max(levels, key=lambda row: sign * (row.difference.reference or 0.0))
        yield ComparedRow(best.arm, GRADCAMPP, best.label_fraction, best.split, best.source, best.metric, best.difference)


def _family_of(metric: str) -> str:
    return "pneumonia" if metric in ("p_pneumonia_auc", "sensitivity", "specificity", "calibration_error") else "class"


def _class_sample(result: Result, source: str, family: str, chosen: set[str] | None = None) -> tuple[Measurable, tuple[str, ...]]:
    flags = result.parts[source]
    if chosen is not None:
        flags = flags & np.array([item.id in chosen for item in result.labelled.items], dtype=bool)
    labelled = result.labelled.where(flags)
    classes, one_class, pneumonia, decided = labelled.samples()
    sample, known = (classes, one_class) if family == "class" else (pneumonia, decided)
    return sample, tuple(item.patient for item, keep in zip(labelled.items, known, strict=True) if keep)


def _map_pair(own: MapTable, other: MapTable, kind: str) -> Pair:
    """Two maps on the pictures that both were measured on."""
    places = {item.id: at for at, item in enumerate(other.items)}
    common = [(at, places[item.id]) for at, item in enumerate(own.items) if item.id in places]
    mine = LocalizationSample(kind, own.sample.values[[at for at, _ in common]])
    theirs = LocalizationSample(kind, other.sample.values[[at for _, at in common]])
    return Pair(mine, theirs, tuple(own.items[at].patient for at, _ in common))


def write_differences(rows: Iterable[ComparedRow], file: Path) -> None:
    """Writes differences.csv, whole or not at all; a value that is not defined is empty."""
    write_csv(file, COLUMNS, map(_cells, rows))


def _cells(row: ComparedRow) -> list[Any]:
    found = asdict(row.difference)
    where = (row.arm, row.reference, f"{row.label_fraction:g}", row.split, row.source, row.metric)
    numbers = (number_cell(found[key]) for key in ("arm", "reference", "difference", "low", "high"))
    return [*where, *numbers, found["folds"], found["n"], found["patients"]]
