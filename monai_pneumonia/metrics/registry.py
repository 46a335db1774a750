"""The one table of metric names: code computes what stands here, tests walk it, reports and docs print it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from monai_pneumonia.errors import UsageError


class Family(str, Enum):
    """Which items a metric is made from."""

    CLASS = "one known class"
    PNEUMONIA = "pneumonia or not is known"


@dataclass(frozen=True)
class Metric:
    """A metric's name and meaning.

    Attributes:
        name: its key in metrics.json; one that ends in ``<class>`` exists once a class.
        title: what a table calls it.
        family: which items it is made from.
        meaning: what it says.
        defined: what the items must hold; elsewhere it is null.
        higher_is_better: whether 1 is the best value; otherwise 0 is.
    """

    name: str
    title: str
    family: Family
    meaning: str
    defined: str
    higher_is_better: bool = True

    @property
    def per_class(self) -> bool:
        """Whether there is one such metric a class."""
        return self.name.endswith("<class>")

    def key(self, class_name: str) -> str:
        """The name for one class; that of a metric that is not per class is left as it is."""
        return self.name.replace("<class>", class_name)


_ANY = "always"
_PRESENT = "the class is present"
_TWO = "two classes are present"
_BOTH = "both pneumonia and no pneumonia are present"
_ILL = "pneumonia is present"
_WELL = "no pneumonia is present"

METRICS: tuple[Metric, ...] = (
    Metric("p_pneumonia_auc", "AUC", Family.PNEUMONIA, "area under the ROC curve of p_pneumonia", _BOTH),
    Metric("p_pneumonia_average_precision", "Average precision", Family.PNEUMONIA, "average precision of p_pneumonia", _BOTH),
    Metric("sensitivity", "Sensitivity", Family.PNEUMONIA, "share of pneumonia that the decision calls pneumonia", _ILL),
    Metric("specificity", "Specificity", Family.PNEUMONIA, "share without pneumonia that the decision calls no pneumonia", _WELL),
    Metric("f1", "F1", Family.PNEUMONIA, "F1 of the decision, pneumonia being positive", _ILL),
    Metric("brier", "Brier score", Family.PNEUMONIA, "mean squared error of p_pneumonia", _ANY, False),
    Metric(
        "calibration_error",
        "Calibration error",
        Family.PNEUMONIA,
        "mean distance of p_pneumonia and the share of pneumonia, over ten bins of equal mass",
        _ANY,
        False,
    ),
    Metric("accuracy", "Accuracy", Family.CLASS, "share of items whose likeliest class is right", _ANY),
    Metric("balanced_accuracy", "Balanced accuracy", Family.CLASS, "mean sensitivity over the classes present", _TWO),
    Metric("macro_auc", "Macro AUC", Family.CLASS, "mean of auc_<class> over the classes present", _TWO),
    Metric("macro_f1", "Macro F1", Family.CLASS, "mean of f1_<class> over the classes present", _TWO),
    Metric("class_log_loss", "Log loss", Family.CLASS, "mean of -log(probability of the true class), natural logarithm", _ANY, False),
    Metric(
        "class_brier", "Class Brier score", Family.CLASS, "mean over items of the squared errors summed over classes (0 to 2)", _ANY, False
    ),
    Metric(
        "auc_<class>", "AUC", Family.CLASS, "area under the ROC curve of the class against the rest", f"{_PRESENT}, and another one too"
    ),
    Metric(
        "average_precision_<class>",
        "Average precision",
        Family.CLASS,
        "average precision of the class against the rest",
        f"{_PRESENT}, and another one too",
    ),
    Metric("sensitivity_<class>", "Sensitivity", Family.CLASS, "share of the class that is given this class", _PRESENT),
    Metric(
        "specificity_<class>",
        "Specificity",
        Family.CLASS,
        "share of the other classes that is not given this class",
        f"{_PRESENT}, and another one too",
    ),
    Metric("f1_<class>", "F1", Family.CLASS, "F1 of the class against the rest", _PRESENT),
)


def metric_names(classes: Sequence[str], family: Family | None = None) -> tuple[str, ...]:
    """All keys of a part of metrics.json, in the order of the table.

    Args:
        classes: the class names.
        family: only the metrics made from these items.
    """
    chosen = [metric for metric in METRICS if family in (None, metric.family)]
    return tuple(key for metric in chosen for key in ([metric.key(name) for name in classes] if metric.per_class else [metric.name]))


def metric_of(key: str, classes: Sequence[str]) -> Metric:
    """The entry of the table that a key of metrics.json belongs to.

    Raises:
        KeyError: the key is no metric of these classes.
    """
    for metric in METRICS:
        if key in ({metric.key(name) for name in classes} if metric.per_class else {metric.name}):
            return metric
    raise KeyError(key)


def markdown_table() -> str:
    """The table of metrics as Markdown, as docs/evaluation.md shows it."""
    lines = ["| name | items | meaning | best | defined where |", "|---|---|---|---|---|"]
    lines += [
        f"| `{metric.name}` | {metric.family.value} | {metric.meaning} | {1 if metric.higher_is_better else 0} | {metric.defined} |"
        for metric in METRICS
    ]
    return "\n".join(lines)


LOCALIZATION_KINDS = ("pixel", "box", "empty")


@dataclass(frozen=True)
class LocalizationMetric:
    """A localisation metric's name and meaning.

    Attributes:
        name: its key in metrics.json.
        title: what a table calls it.
        kinds: the outlines that it is made from, of :data:`LOCALIZATION_KINDS`.
        meaning: what it says of one picture; a set of pictures has the mean.
        best: its best value; infinite where there is none.
    """

    name: str
    title: str
    kinds: tuple[str, ...]
    meaning: str
    best: float = 1.0

    @property
    def best_in_words(self) -> str:
        """Its best value as a table says it."""
        return "large" if self.best == float("inf") else f"{self.best:g}"


_OUTLINED = ("pixel", "box")

LOCALIZATION_METRICS: tuple[LocalizationMetric, ...] = (
    LocalizationMetric(
        "pointing_game", "Pointing game", _OUTLINED, "whether the map's greatest value lies inside (of tied pixels, the share)"
    ),
    LocalizationMetric("attention_inside", "Attention inside", _OUTLINED, "share of the map's attention that lies inside"),
    LocalizationMetric(
        "inside_outside_ratio",
        "Inside over outside",
        _OUTLINED,
        "mean attention inside over mean attention outside, .001 added to both; over pictures the geometric mean",
        float("inf"),
    ),
    LocalizationMetric("dice", "Dice", ("pixel",), "Dice of the outline and of where the map reaches the lesion threshold"),
    LocalizationMetric("iou", "IoU", ("pixel",), "IoU of the outline and of where the map reaches the lesion threshold"),
    LocalizationMetric("box_union_dice", "Dice, union of boxes", ("box",), "the same Dice against the union of the picture's boxes"),
    LocalizationMetric("box_union_iou", "IoU, union of boxes", ("box",), "the same IoU against the union of the picture's boxes"),
    LocalizationMetric(
        "false_positive_area", "False positive area", ("empty",), "share of the picture in which the map reaches the lesion threshold", 0.0
    ),
)


def localization_metrics_of(kind: str) -> tuple[LocalizationMetric, ...]:
    """The localisation metrics of one kind of outline, in the order of the table.

    Args:
        kind: ``pixel``, ``box``, or ``empty`` for pictures that were read and found empty.

    Raises:
        UsageError: no such kind.
    """
    if kind not in LOCALIZATION_KINDS:
        raise UsageError(f"localisation is measured on outlines of kind {', '.join(LOCALIZATION_KINDS)}, not '{kind}'")
    return tuple(metric for metric in LOCALIZATION_METRICS if kind in metric.kinds)


def localization_names(kind: str) -> tuple[str, ...]:
    """The keys of one kind of outline in metrics.json, in the order of the table.

    Args:
        kind: ``pixel``, ``box`` or ``empty``.

    Raises:
        UsageError: no such kind.
    """
    return tuple(metric.name for metric in localization_metrics_of(kind))


def localization_markdown_table() -> str:
    """The table of localisation metrics as Markdown, as docs/evaluation.md shows it."""
    lines = ["| name | outlines | meaning | best |", "|---|---|---|---|"]
    lines += [
        f"| `{metric.name}` | {', '.join(metric.kinds)} | {metric.meaning} | {metric.best_in_words} |" for metric in LOCALIZATION_METRICS
    ]
    return "\n".join(lines)
