"""How well pneumonia is told apart within each source, view and age group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.transforms import blended_transform_factory

from monai_pneumonia.evaluation.figures.style import FAINT, INK, colour, name_for_figure, new_figure
from monai_pneumonia.evaluation.formatting import number, with_interval
from monai_pneumonia.evaluation.joining import LabelledPredictions
from monai_pneumonia.evaluation.parts import age_group_title

_HEADINGS = {"by_source": "Source", "by_view": "View", "by_age": "Age in years"}


def draw_forest(labelled: LabelledPredictions, metrics: Mapping[str, Any]) -> Figure | None:
    """AUC of p_pneumonia with its interval, overall and within each part; None where it is defined nowhere."""
    rows: list[tuple[str, Mapping[str, Any] | None]] = [("All items", metrics["overall"]["p_pneumonia_auc"])]
    for kind, kind_title in _HEADINGS.items():
        rows.append((kind_title, None))
        rows += [(age_group_title(name), part["p_pneumonia_auc"]) for name, part in metrics[kind].items()]
    values = [entry[key] for _, entry in rows if entry for key in ("value", "low") if entry[key] is not None]
    if not values:
        return None
    figure = new_figure(8.0, 0.9 + 0.3 * len(rows))
    axes = figure.subplots()
    lower_end = max(0.0, min(0.5, *values) - 0.03)
    axes.set(xlim=(lower_end, 1.005), ylim=(len(rows) - 0.4, -0.6), xlabel="AUC of p_pneumonia")
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.axvline(0.5, color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)))
    overall = metrics["overall"]["p_pneumonia_auc"]["value"]
    if overall is not None:
        axes.axvline(overall, color=colour(0), linewidth=0.8, alpha=0.4)
    beside = blended_transform_factory(axes.transAxes, axes.transData)
    axes.set_yticks([])
    for at, (title, entry) in enumerate(rows):
        heading = entry is None or at == 0
        axes.text(
            -0.01 if heading else -0.03,
            at,
            name_for_figure(title),
            transform=beside,
            ha="right",
            va="center",
            weight="bold" if heading else None,
        )
        if entry is not None:
            _draw_row(axes, at, entry, colour(0) if at == 0 else INK)
            axes.text(1.02, at, with_interval(entry), transform=beside, va="center", color=INK if entry["value"] is not None else FAINT)
            axes.text(1.36, at, f"n = {entry['n']}", transform=beside, va="center", color=FAINT)
    return figure


def _draw_row(axes: Any, at: int, entry: Mapping[str, Any], shade: str) -> None:
    if entry["value"] is None:
        return
    if entry["low"] is not None:
        axes.hlines(at, entry["low"], entry["high"], color=shade, linewidth=1.4)
    axes.plot(entry["value"], at, "D" if at == 0 else "s", color=shade, markersize=6 if at == 0 else 5, label=number(entry["value"]))
