"""Which figures there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from monai_pneumonia.evaluation.figures.confusion import draw_confusion
from monai_pneumonia.evaluation.figures.curves import draw_precision_recall, draw_roc
from monai_pneumonia.evaluation.figures.forest import draw_forest
from monai_pneumonia.evaluation.figures.reliability import draw_reliability
from monai_pneumonia.evaluation.figures.style import house_style, save
from monai_pneumonia.evaluation.joining import LabelledPredictions

FIGURES_FOLDER = "figures"


@dataclass(frozen=True)
class FigureKind:
    """A figure of every evaluation.

    Attributes:
        name: of its files, without the ending.
        title: over it in the report.
        caption: how to read it.
        missing: what the items lack where it cannot be drawn.
        draw: draws it from the items and the content of metrics.json; gives None where it cannot.
    """

    name: str
    title: str
    caption: str
    missing: str
    draw: Callable[[LabelledPredictions, Mapping[str, Any]], Figure | None]


FIGURES: tuple[FigureKind, ...] = (
    FigureKind(
        "roc",
        "ROC curves",
        "Area under the curve with its interval in the legend. The ring is the operating point that the model's decisions were made at.",
        "no two classes are opposed to each other",
        draw_roc,
    ),
    FigureKind(
        "precision_recall",
        "Precision and recall",
        "Average precision with its interval in the legend. Precision depends on how common a class is among these items.",
        "no two classes are opposed to each other",
        draw_precision_recall,
    ),
    FigureKind(
        "forest",
        "Pneumonia within each part",
        "AUC of p_pneumonia with its interval. Where label and source go together, the AUC over all items can come from telling the "
        "sources apart; within a source it cannot.",
        "no part holds both pneumonia and no pneumonia",
        draw_forest,
    ),
    FigureKind(
        "confusion",
        "Confusion matrix",
        "Items of one known class: count, and share of the row. Rows are the labels, columns the likeliest class.",
        "no item has one known class",
        draw_confusion,
    ),
    FigureKind(
        "reliability",
        "Reliability",
        "Share of pneumonia against mean p_pneumonia in bins that hold the same number of items; bars are 95 % intervals (Wilson). "
        "Below, how p_pneumonia is spread.",
        "of no item is it known whether it is pneumonia",
        draw_reliability,
    ),
)


def figure_files() -> tuple[str, ...]:
    """Every file that the figures may take up, relative to the output folder."""
    return tuple(f"{FIGURES_FOLDER}/{kind.name}.{ending}" for kind in FIGURES for ending in ("svg", "png"))


def draw_figures(labelled: LabelledPredictions, metrics: Mapping[str, Any], folder: Path) -> frozenset[str]:
    """Draws all figures that the items allow.

    Args:
        labelled: the items.
        metrics: the content of metrics.json.
        folder: the output folder; figures go to a folder in it.

    Returns:
        The names of the figures drawn.
    """
    target = folder / FIGURES_FOLDER
    target.mkdir(exist_ok=True)
    drawn = set()
    with house_style():
        for kind in FIGURES:
            figure = kind.draw(labelled, metrics)
            if figure is not None:
                save(figure, target, kind.name)
                drawn.add(kind.name)
    return frozenset(drawn)
