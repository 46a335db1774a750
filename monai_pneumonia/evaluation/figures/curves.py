"""ROC and precision-recall curves: pneumonia on the left, each class against the rest on the right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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

Curve = Callable[[Flags, Floats], tuple[Floats, Floats]]


def draw_roc(labelled: LabelledPredictions, metrics: Mapping[str, Any]) -> Figure | None:
    """ROC curves with the operating point; None where no class is opposed to another."""

    def points(truth: Flags, scores: Floats) -> tuple[Floats, Floats]:
        false_positives, true_positives, _ = roc_curve(truth, scores)
        return false_positives, true_positives

    def decorate(axes: Axes, _: float | None) -> None:
        unit_square(axes, "1 − specificity", "sensitivity")  # noqa: RUF001 - a minus sign
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)

    def operating_point(overall: Mapping[str, Any]) -> tuple[float, float]:
        return 1 - overall["specificity"]["value"], overall["sensitivity"]["value"]

    return _two_panels(labelled, metrics, points, decorate, operating_point, "p_pneumonia_auc", "auc", "lower right")


def draw_precision_recall(labelled: LabelledPredictions, metrics: Mapping[str, Any]) -> Figure | None:
    """Precision-recall curves with the operating point; None where no class is opposed to another."""

    def points(truth: Flags, scores: Floats) -> tuple[Floats, Floats]:
        precision, recall, _ = precision_recall_curve(truth, scores)
        return recall, precision

    def decorate(axes: Axes, prevalence: float | None) -> None:
        unit_square(axes, "recall (sensitivity)", "precision")
        if prevalence is not None:
            axes.axhline(
                prevalence, color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1, label=f"share of pneumonia  {prevalence:.3f}"
            )

    def operating_point(overall: Mapping[str, Any]) -> tuple[float, float] | None:
        sensitivity, f1 = overall["sensitivity"]["value"], overall["f1"]["value"]
        # F1 is the harmonic mean of precision and recall.
        return (sensitivity, f1 * sensitivity / (2 * sensitivity - f1)) if f1 else None

    return _two_panels(
        labelled, metrics, points, decorate, operating_point, "p_pneumonia_average_precision", "average_precision", "lower left"
    )


def _two_panels(
    labelled: LabelledPredictions,
    metrics: Mapping[str, Any],
    curve: Curve,
    decorate: Callable[[Axes, float | None], None],
    operating_point: Callable[[Mapping[str, Any]], tuple[float, float] | None],
    pneumonia_metric: str,
    class_metric: str,
    legend_place: str,
) -> Figure | None:
    classes, _, pneumonia, _ = labelled.samples()
    overall = metrics["overall"]
    with_pneumonia = overall[pneumonia_metric]["value"] is not None
    shown = [name for name in classes.classes if overall[f"{class_metric}_{name}"]["value"] is not None]
    if not with_pneumonia and not shown:
        return None
    figure = new_figure(8.6, 4.4)
    left, right = figure.subplots(1, 2)
    decorate(left, float(pneumonia.truth.mean()) if with_pneumonia else None)
    decorate(right, None)
    left.set_title("Pneumonia or not")
    right.set_title("Each class against the rest")
    if with_pneumonia:
        _draw_pneumonia(left, pneumonia, curve, with_interval(overall[pneumonia_metric]))
        point = operating_point(overall)
        if point:
            left.plot(
                *point, "o", color="white", markeredgecolor=INK, markeredgewidth=1.4, markersize=6.5, zorder=4, label="operating point"
            )
        left.legend(loc=legend_place)
    else:
        _say(left, "not defined:\nonly one side is present")
    if shown:
        _draw_classes(right, classes, shown, curve, {name: with_interval(overall[f"{class_metric}_{name}"]) for name in shown})
        right.legend(loc=legend_place)
    else:
        _say(right, "not defined:\nfewer than two classes are present")
    return figure


def _draw_pneumonia(axes: Axes, sample: PneumoniaSample, curve: Curve, text: str) -> None:
    axes.plot(*curve(sample.truth, sample.p_pneumonia), color=colour(0), label=f"p_pneumonia  {text}", zorder=3)


def _draw_classes(axes: Axes, sample: ClassSample, shown: list[str], curve: Curve, texts: Mapping[str, str]) -> None:
    for name in shown:
        channel = sample.classes.index(name)
        x, y = curve(np.asarray(sample.truth == channel), sample.probabilities[:, channel])
        axes.plot(x, y, color=colour(channel), linestyle=line_style(channel), label=f"{name_for_figure(name)}  {texts[name]}", zorder=3)


def _say(axes: Axes, text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", va="center", color=FAINT)
