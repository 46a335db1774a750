"""What a training's maps are worth, picture by picture: measured while it predicts, so that no map is ever stored."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from monai_pneumonia.data.datalist import Datalist, DatalistItem
from monai_pneumonia.evaluation.localizing import locate
from monai_pneumonia.inference import LesionRecognizer, LesionReport
from monai_pneumonia.metrics import LOCALIZATION_KINDS

ATTENTION = "attention"
GRADCAMPP = "gradcampp"
MEAN_OUTLINE = "mean_outline"
COLUMNS = ("id", "map", "kind", "metric", "value")


class Localizer:
    """Measures maps against outlines.

    Args:
        recognizer: whose maps.
        fold: the training's data.
        cache: folder for what jobs share.
        baselines: whether to measure Grad-CAM++ and the mean outline, too.
    """

    def __init__(self, recognizer: LesionRecognizer, fold: Datalist, cache: Path, baselines: bool = False) -> None:
        self.recognizer = recognizer
        self.baselines = baselines
        self._rows: dict[str, list[tuple[str, str, str, str, float]]] = {}

    def add(self, split: str, datalist: Datalist, item: DatalistItem, report: LesionReport) -> None:
        """Measures one picture, where an outline of it is known or it was read and found empty."""
        if item.mask_kind not in LOCALIZATION_KINDS:
            return
        for name, attention in self._maps(report).items():
            located = locate(item, attention, datalist, self.recognizer.calibration.lesion_threshold)
            if located is not None:
                rows = self._rows.setdefault(split, [])
                rows += [(item.id, name, item.mask_kind, metric, value) for metric, value in located.values.items()]

    def _maps(self, report: LesionReport) -> dict[str, np.ndarray]:
        return {ATTENTION: report.attention_map}

    def write(self, split: str, file: Path) -> None:
        """Writes the values of a split's pictures; only the header where none has an outline."""
        unfinished = file.with_name(file.name + ".unfinished")
        with unfinished.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows((*row[:-1], format(row[-1], ".9g")) for row in self._rows.get(split, []))
        unfinished.replace(file)


def read_localization(file: str | os.PathLike[str]) -> Iterator[Mapping[str, str]]:
    """The rows that :meth:`Localizer.write` wrote."""
    with Path(file).open(encoding="utf-8", newline="") as stream:
        yield from csv.DictReader(stream)
