"""From the predictions of all jobs to ablation.csv: every metric of every training, split and source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from monai_pneumonia.ablation.csv_file import number_cell, write_csv
from monai_pneumonia.ablation.localization import ATTENTION, read_localization
from monai_pneumonia.ablation.plan import TRAINING, Job
from monai_pneumonia.ablation.queue import JobFolder
from monai_pneumonia.ablation.study import OUT_OF_FOLD, Split
from monai_pneumonia.ablation.work import PREDICTIONS_FOLDER, Place
from monai_pneumonia.data.datalist import Datalist, DatalistItem, load_datalist
from monai_pneumonia.data.splits import select_fold
from monai_pneumonia.evaluation.joining import LabelledPredictions, join
from monai_pneumonia.evaluation.predictions import read_predictions
from monai_pneumonia.metrics.localization import LocalizationSample
from monai_pneumonia.metrics.registry import localization_names
from monai_pneumonia.metrics.weighted import Flags, Floats

COLUMNS = (
    "arm",
    "seed",
    "fold",
    "label_fraction",
    "split",
    "source",
    "metric",
    "value",
    "n",
    "patients",
    "config_hash",
    "seconds",
)
ALL_SOURCES = "all"
CLASS_METRICS = ("auc", "sensitivity", "specificity")
OVERALL_METRICS = ("p_pneumonia_auc", "macro_auc", "balanced_accuracy", "sensitivity", "specificity", "calibration_error")


@dataclass(frozen=True)
class Row:
    """A row of ablation.csv; see :data:`COLUMNS`."""

    arm: str
    seed: int
    fold: int
    label_fraction: float
    split: str
    source: str
    metric: str
    value: float | None
    n: int
    patients: int
    config_hash: str
    seconds: float


@dataclass(frozen=True)
class MapTable:
    """What one map is worth on pictures of one kind of outline.

    Attributes:
        sample: the values.
        items: the pictures.
    """

    sample: LocalizationSample
    items: tuple[DatalistItem, ...]


@dataclass(frozen=True)
class Result:
    """The predictions of one finished training on one split.

    Attributes:
        job: the training.
        split: the split's name.
        labelled: its items with predictions.
        maps: (map, kind of outline) to the values of its pictures.
        seconds: that the training took.
    """

    job: Job
    split: str
    labelled: LabelledPredictions
    maps: Mapping[tuple[str, str], MapTable]
    seconds: float

    @property
    def key(self) -> tuple[int, int, float, str]:
        """What two arms must share to be compared: seed, fold, share of labels, split."""
        return self.job.seed, self.job.fold, self.job.label_fraction, self.split

    @cached_property
    def parts(self) -> dict[str, Flags]:
        """``all`` and each source to which items are in it [N]."""
        sources = [item.source or "unknown" for item in self.labelled.items]
        every = {ALL_SOURCES: np.ones(len(sources), dtype=bool)}
        return every | {name: np.array([source == name for source in sources], dtype=bool) for name in sorted(set(sources))}


def metric_keys(classes: Sequence[str]) -> tuple[str, ...]:
    """The classification metrics of ablation.csv, a few of those that an evaluation has."""
    return (*OVERALL_METRICS, *(f"{metric}_{name}" for metric in CLASS_METRICS for name in classes))


def localization_key(map_name: str, kind: str, metric: str) -> str:
    """A localisation metric's name in ablation.csv: ``dice_pixel``, for other maps than the attention ``gradcampp_8_dice_pixel``."""
    # What is measured on empty pictures is measured on nothing else.
    name = metric if kind == "empty" else f"{metric}_{kind}"
    return name if map_name == ATTENTION else f"{map_name}_{name}"


def read_results(place: Place, jobs: Iterable[Job]) -> list[Result]:
    """The predictions of all jobs that are done.

    Raises:
        BadInputError: a file of a job is damaged.
    """
    whole = load_datalist(place.datalist)
    others = {split.name: load_datalist(place.datalist_of(split)) for split in place.splits if split.name != OUT_OF_FOLD}
    folds: dict[tuple[int, int, int], Datalist] = {}
    results = []
    for job in jobs:
        folder = JobFolder(place.jobs / job.id)
        if job.kind != TRAINING or not folder.is_done():
            continue
        at = (job.fold, job.n_folds, job.seed)
        if at not in folds:
            folds[at] = select_fold(whole, *at)
        for split in place.splits:
            results.append(_result(job, folder, split, others.get(split.name, folds[at])))
    return results


def _result(job: Job, folder: JobFolder, split: Split, datalist: Datalist) -> Result:
    predictions = folder.path / PREDICTIONS_FOLDER
    table = read_predictions(predictions / f"{split.name}.csv", datalist.labels)
    labelled = join(table, datalist, split.section).labelled()
    maps = _maps(predictions / f"{split.name}-localization.csv", {item.id: item for item in labelled.items})
    return Result(job, split.name, labelled, maps, float(folder.result()["training_seconds"]))


def _maps(file: Path, items: Mapping[str, DatalistItem]) -> dict[tuple[str, str], MapTable]:
    gathered: dict[tuple[str, str], dict[str, dict[str, float]]] = {}
    for row in read_localization(file):
        pictures = gathered.setdefault((row["map"], row["kind"]), {})
        pictures.setdefault(row["id"], {})[row["metric"]] = float(row["value"])
    return {
        (name, kind): MapTable(LocalizationSample.of(kind, list(pictures.values())), tuple(items[picture] for picture in pictures))
        for (name, kind), pictures in gathered.items()
    }


def measure_results(results: Iterable[Result]) -> Iterator[Row]:
    """Every row of ablation.csv."""
    for result in results:
        for source, flags in result.parts.items():
            yield from _class_rows(result, source, result.labelled.where(flags))
            yield from _map_rows(result, source)


def _row(result: Result, source: str, metric: str, value: float, items: Sequence[DatalistItem]) -> Row:
    job = result.job
    return Row(
        job.arm,
        job.seed,
        job.fold,
        job.label_fraction,
        result.split,
        source,
        metric,
        float(value) if np.isfinite(value) else None,
        len(items),
        len({item.patient for item in items}),
        job.config_hash,
        result.seconds,
    )


def _class_rows(result: Result, source: str, labelled: LabelledPredictions) -> Iterator[Row]:
    classes, one_class, pneumonia, decided = labelled.samples()
    wanted = metric_keys(labelled.labels.classes)
    for sample, flags in ((pneumonia, decided), (classes, one_class)):
        items = [item for item, keep in zip(labelled.items, flags, strict=True) if keep]
        values = sample.statistics(np.ones((1, len(sample))))
        for metric in wanted:
            if metric in values:
                yield _row(result, source, metric, values[metric][0], items)


def _map_rows(result: Result, source: str) -> Iterator[Row]:
    for (name, kind), table in result.maps.items():
        inside = [at for at, item in enumerate(table.items) if source in (ALL_SOURCES, item.source or "unknown")]
        if inside:
            sample = LocalizationSample(kind, table.sample.values[inside])
            values: Mapping[str, Floats] = sample.statistics(np.ones((1, len(sample))))
            for metric in localization_names(kind):
                yield _row(result, source, localization_key(name, kind, metric), values[metric][0], [table.items[at] for at in inside])


def write_rows(rows: Iterable[Row], file: Path) -> None:
    """Writes ablation.csv, whole or not at all; a value that is not defined is empty."""
    write_csv(file, COLUMNS, map(_cells, rows))


def _cells(row: Row) -> list[Any]:
    values = {**vars(row), "value": number_cell(row.value), "label_fraction": f"{row.label_fraction:g}"}
    return [values[column] for column in COLUMNS]
