"""How well pneumonia is told apart within each source, view and age group."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from monai_pneumonia.evaluation.figures.style import FAINT, INK, colour, name_for_figure, new_figure
from monai_pneumonia.evaluation.formatting import with_interval
from monai_pneumonia.evaluation.joining import LabelledPredictions
from monai_pneumonia.evaluation.parts import age_group_title

_HEADINGS = {"by_source": "Source", "by_view": "View", "by_age": "Age in years"}
_HIGHEST_START = 0.8
_CHANCE = 0.5


@dataclass(frozen=True)
class _Row:
    """A line of the plot: a heading where it has no entry of metrics.json."""

    name: str
    entry: Mapping[str, Any] | None

    @property
    def left(self) -> str:
        return self.name if self.entry is None else f"{name_for_figure(self.name)}, n = {self.entry['n']}"

    @property
    def right(self) -> str:
        return "" if self.entry is None else with_interval(self.entry)


def draw_forest(labelled: LabelledPredictions, metrics: Mapping[str, Any]) -> Figure | None:
    """AUC of p_pneumonia with its interval, overall and within each part; None where it is defined nowhere."""
    rows = [_Row("All items", metrics["overall"]["p_pneumonia_auc"])]
    for kind, heading in _HEADINGS.items():
        rows.append(_Row(heading, None))
        rows += [_Row(age_group_title(name), part["p_pneumonia_auc"]) for name, part in metrics[kind].items()]
    values = [row.entry[key] for row in rows if row.entry for key in ("value", "low") if row.entry[key] is not None]
    if not values:
        return None
    figure = new_figure(10.0, 0.9 + 0.29 * len(rows))
    axes = figure.subplots()
    start = max(0.0, min(_HIGHEST_START, math.floor(10 * min(values)) / 10))
    axes.set(xlim=(start - 0.01 * (1 - start), 1 + 0.01 * (1 - start)), ylim=(len(rows) - 0.4, -0.6), xlabel="AUC of p_pneumonia")
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)
    _label(axes, rows)
    if start <= _CHANCE:
        axes.axvline(_CHANCE, color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)))
    for at, row in enumerate(rows):
        if row.entry is not None and row.entry["value"] is not None:
            _draw_estimate(axes, at, row.entry)
    return figure


def _label(axes: Axes, rows: list[_Row]) -> None:
    """Names on the left, numbers on the right."""
    axes.set_yticks(range(len(rows)), [row.left for row in rows])
    axes.tick_params(axis="y", length=0)
    numbers = axes.secondary_yaxis("right")
    numbers.set_yticks(range(len(rows)), [row.right for row in rows])
    numbers.tick_params(axis="y", length=0)
    numbers.spines["right"].set_visible(False)
    for at, row in enumerate(rows):
        if at == 0 or row.entry is None:
            axes.get_yticklabels()[at].set_fontweight("bold")
            numbers.get_yticklabels()[at].set_fontweight("bold")


def _draw_estimate(axes: Axes, at: int, entry: Mapping[str, Any]) -> None:
    overall = at == 0
    shade = colour(0) if overall else INK
    if overall:
        axes.axvline(entry["value"], color=shade, linewidth=0.8, alpha=0.4)
    if entry["low"] is not None:
        axes.hlines(at, entry["low"], entry["high"], color=shade, linewidth=1.4)
    axes.plot(entry["value"], at, "D" if overall else "s", color=shade, markersize=6 if overall else 5, clip_on=False)
