"""What a training's maps are worth, picture by picture: measured while it predicts, so that no map is ever stored."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from monai_pneumonia.ablation.csv_file import number_cell, write_csv
from monai_pneumonia.data.datalist import Datalist, DatalistItem
from monai_pneumonia.errors import NothingToAnalyseError
from monai_pneumonia.evaluation.localizing import OUTLINED_KINDS, Threshold, best_thresholds, locate
from monai_pneumonia.inference import LesionRecognizer, LesionReport
from monai_pneumonia.inference.baseline_maps import MEAN_OUTLINE, MapSource, baseline_sources, maps_of, mean_outline, original_map
from monai_pneumonia.metrics import LOCALIZATION_KINDS
from monai_pneumonia.metrics.localization import DEFAULT_THRESHOLD

ATTENTION = "attention"
GRADCAMPP = "gradcampp"
COLUMNS = ("id", "map", "kind", "metric", "value")
_METHOD = "grad_cam_pp"


class Localizer:
    """Measures the map of a report against what is outlined in its picture, and beside it those of the baselines.

    Every map has the threshold that does best on the outlined pictures of the validation section: a baseline shall not lose by
    a threshold that was made for another map. The mean outline is that of the training section.

    Args:
        recognizer: whose maps.
        fold: the training's data.
        baselines: whether to measure Grad-CAM++ of the recogniser's network at each level, and the mean outline, too.
    """

    def __init__(self, recognizer: LesionRecognizer, fold: Datalist, baselines: bool = False) -> None:
        self.recognizer = recognizer
        self._rows: list[tuple[str, str, str, str, float]] = []
        self.sources = _baselines(recognizer, fold) if baselines else {}
        known = [item for item in fold.validation if item.mask_kind in OUTLINED_KINDS]
        self._thresholds: dict[str, Threshold] = {
            name: _threshold(maps_of(recognizer, source, fold, known), fold) for name, source in self.sources.items()
        }
        own = ((item, recognizer(fold.existing(item, item.image)).attention_map) for item in known)
        self._thresholds[ATTENTION] = _threshold(own, fold)

    def add(self, datalist: Datalist, item: DatalistItem, report: LesionReport) -> None:
        """Measures one picture, where it is outlined or was read and found empty.

        Args:
            datalist: that has the item.
            item: the picture.
            report: of it.
        """
        if item.mask_kind not in LOCALIZATION_KINDS:
            return
        self._measure(ATTENTION, datalist, item, report.attention_map)
        if self.sources:
            prepared = self.recognizer.prepare(datalist.existing(item, item.image))
            for name, source in self.sources.items():
                self._measure(name, datalist, item, original_map(source(prepared), prepared))

    def _measure(self, name: str, datalist: Datalist, item: DatalistItem, attention: np.ndarray) -> None:
        located = locate(item, attention, datalist, self._thresholds[name])
        if located is not None:
            self._rows += [(item.id, name, item.mask_kind, metric, value) for metric, value in located.values.items()]

    def write(self, file: Path) -> None:
        """Writes what was measured since the last file; only the header where no picture was."""
        write_csv(file, COLUMNS, ((*row[:-1], number_cell(row[-1])) for row in self._rows))
        self._rows.clear()


def _baselines(recognizer: LesionRecognizer, fold: Datalist) -> dict[str, MapSource]:
    description = recognizer.description
    try:
        constant = mean_outline(fold, description.input_size, description.resize_mode)
    except NothingToAnalyseError:
        constant = None  # nothing is outlined in training
    sources = baseline_sources(recognizer, constant, (_METHOD,))
    return {name.replace(_METHOD, GRADCAMPP): source for name, source in sources.items()}


def _threshold(maps: Iterator[tuple[DatalistItem, np.ndarray]], fold: Datalist) -> Threshold:
    try:
        return best_thresholds(maps, fold)
    except NothingToAnalyseError:
        return DEFAULT_THRESHOLD


def read_localization(file: str | os.PathLike[str]) -> Iterator[Mapping[str, str]]:
    """The rows that :meth:`Localizer.write` wrote."""
    with Path(file).open(encoding="utf-8", newline="") as stream:
        yield from csv.DictReader(stream)


__all__ = ["ATTENTION", "GRADCAMPP", "MEAN_OUTLINE", "Localizer", "read_localization"]
