"""ROC and precision-recall curves: pneumonia on the left, each class against the rest on the right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from monai_pneumonia.evaluation.figures.style import FAINT, INK, colour, line_style, name_for_figure, new_figure, unit_square
from monai_pneumonia.evaluation.formatting import with_interval
from monai_pneumonia.evaluation.joining import LabelledPredictions
from monai_pneumonia.metrics import ClassSample, PneumoniaSample
from monai_pneumonia.metrics.weighted import Flags, Floats

_REFERENCE: Mapping[str, Any] = {"color": FAINT, "linewidth": 0.8, "linestyle": (0, (4, 3)), "zorder": 1}


@dataclass(frozen=True)
class _CurveKind:
    """What sets one figure of curves apart from the other.

    Attributes:
        points: from truth [N] and scores [N] to the curve's x and y.
        style: how matplotlib joins the points.
        axes: labels of x and y.
        operating_point: where the decisions lie, from the metrics over all items.
        pneumonia_metric: the area under the curve of p_pneumonia.
        class_metric: like it, for a class: the name before ``_<class>``.
        legend: the corner that good curves leave free.
    """

    points: Callable[[Flags, Floats], tuple[Floats, Floats]]
    style: str
    axes: tuple[str, str]
    operating_point: Callable[[Mapping[str, Any]], tuple[float, float] | None]
    pneumonia_metric: str
    class_metric: str
    legend: str


def draw_roc(labelled: LabelledPredictions, metrics: Mapping[str, Any]) -> Figure | None:
    """ROC curves with the operating point; None where no class is opposed to another."""
    return _draw(_ROC, labelled, metrics, lambda axes, _: axes.plot([0, 1], [0, 1], **_REFERENCE))


def draw_precision_recall(labelled: LabelledPredictions, metrics: Mapping[str, Any]) -> Figure | None:
    """Precision-recall curves with the operating point; None where no class is opposed to another."""

    def share_of_positives(axes: Axes, share: float | None) -> None:
        if share is not None:
            axes.axhline(share, label=f"share of pneumonia  {share:.3f}", **_REFERENCE)

    return _draw(_PRECISION_RECALL, labelled, metrics, share_of_positives)


def _roc_points(truth: Flags, scores: Floats) -> tuple[Floats, Floats]:
    false_positives, true_positives, _ = roc_curve(truth, scores)
    return false_positives, true_positives


def _precision_recall_points(truth: Flags, scores: Floats) -> tuple[Floats, Floats]:
    precision, recall, _ = precision_recall_curve(truth, scores)
    return recall, precision


def _roc_operating_point(overall: Mapping[str, Any]) -> tuple[float, float]:
    return 1 - overall["specificity"]["value"], overall["sensitivity"]["value"]


def _precision_recall_operating_point(overall: Mapping[str, Any]) -> tuple[float, float] | None:
    sensitivity, f1 = overall["sensitivity"]["value"], overall["f1"]["value"]
    # F1 is the harmonic mean of precision and recall.
    return (sensitivity, f1 * sensitivity / (2 * sensitivity - f1)) if f1 else None


_ROC = _CurveKind(
    _roc_points,
    "default",
    ("1 − specificity", "sensitivity"),  # noqa: RUF001 - a minus sign
    _roc_operating_point,
    "p_pneumonia_auc",
    "auc",
    "lower right",
)
_PRECISION_RECALL = _CurveKind(
    _precision_recall_points,
    # Precision between two thresholds is not on the straight line between them.
    "steps-post",
    ("recall (sensitivity)", "precision"),
    _precision_recall_operating_point,
    "p_pneumonia_average_precision",
    "average_precision",
    "lower left",
)


def _draw(
    kind: _CurveKind, labelled: LabelledPredictions, metrics: Mapping[str, Any], draw_reference: Callable[[Axes, float | None], Any]
) -> Figure | None:
    classes, _, pneumonia, _ = labelled.samples()
    overall = metrics["overall"]
    with_pneumonia = overall[kind.pneumonia_metric]["value"] is not None
    shown = [name for name in classes.classes if overall[f"{kind.class_metric}_{name}"]["value"] is not None]
    if not with_pneumonia and not shown:
        return None
    figure = new_figure(10.0, 5.0)
    left, right = figure.subplots(1, 2)
    for axes in (left, right):
        unit_square(axes, *kind.axes)
    left.set_title("Pneumonia or not")
    right.set_title("Each class against the rest")
    draw_reference(left, float(pneumonia.truth.mean()) if with_pneumonia else None)
    draw_reference(right, None)
    if with_pneumonia:
        _draw_pneumonia(left, kind, pneumonia, overall)
    else:
        _say(left, "not defined:\nonly one side is present")
    if shown:
        _draw_classes(right, kind, classes, shown, overall)
    else:
        _say(right, "not defined:\nfewer than two classes are present")
    return figure


def _draw_pneumonia(axes: Axes, kind: _CurveKind, sample: PneumoniaSample, overall: Mapping[str, Any]) -> None:
    text = f"p_pneumonia  {with_interval(overall[kind.pneumonia_metric])}"
    axes.plot(*kind.points(sample.truth, sample.p_pneumonia), drawstyle=kind.style, color=colour(0), label=text, zorder=3)
    point = kind.operating_point(overall)
    if point:
        ring: dict[str, Any] = {"color": "white", "markeredgecolor": INK, "markeredgewidth": 1.4, "markersize": 6.5}
        axes.plot(*point, "o", **ring, zorder=4, label="operating point")
    axes.legend(loc=kind.legend)


def _draw_classes(axes: Axes, kind: _CurveKind, sample: ClassSample, shown: list[str], overall: Mapping[str, Any]) -> None:
    for name in shown:
        channel = sample.classes.index(name)
        x, y = kind.points(np.asarray(sample.truth == channel), sample.probabilities[:, channel])
        text = f"{name_for_figure(name)}  {with_interval(overall[f'{kind.class_metric}_{name}'])}"
        axes.plot(x, y, drawstyle=kind.style, color=colour(channel), linestyle=line_style(channel), label=text, zorder=3)
    axes.legend(loc=kind.legend)


def _say(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", va="center", color=FAINT)
