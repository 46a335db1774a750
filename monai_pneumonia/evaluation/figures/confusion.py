"""The confusion matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from monai_pneumonia.evaluation.figures.style import INK, colour, name_for_figure, new_figure
from monai_pneumonia.evaluation.formatting import percent
from monai_pneumonia.evaluation.joining import LabelledPredictions

_DARK = 0.8
_LONG_LABELS = 6


def draw_confusion(labelled: LabelledPredictions, metrics: Mapping[str, Any]) -> Figure | None:
    """Counts and shares of each label (row) by likeliest class (column); None where no item has one known class."""
    counts = np.array(metrics["confusion_matrix"]["overall"])
    names = [name_for_figure(name) for name in metrics["confusion_matrix"]["classes"]]
    if not counts.sum():
        return None
    support = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(support, 1)
    side = 0.95 * len(names)
    figure = new_figure(side + 2.2, side + 1.3)
    axes = figure.subplots()
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.imshow(shares, cmap=LinearSegmentedColormap.from_list("share", ["white", colour(0)]), vmin=0, vmax=1)
    # White lines between the cells.
    axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="both", length=0)
    tilted: dict[str, Any] = (
        {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if max(map(len, names)) > 10 or len(names) > _LONG_LABELS else {}
    )
    axes.set_xticks(range(len(names)), names, **tilted)
    axes.set_yticks(range(len(names)), [f"{name}\nn = {total}" for name, total in zip(names, support[:, 0], strict=True)])
    axes.set(xlabel="likeliest class", ylabel="label")
    for row in range(len(names)):
        for column in range(len(names)):
            shade = "white" if shares[row, column] > _DARK else INK
            axes.text(column, row - 0.12, str(counts[row, column]), ha="center", va="center", color=shade, fontweight="bold")
            if support[row, 0]:
                axes.text(column, row + 0.2, percent(shares[row, column]), ha="center", va="center", color=shade, fontsize=8)
    return figure
