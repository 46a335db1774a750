"""The tables of an evaluation, made once and written as Markdown and as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monai_pneumonia.evaluation.formatting import interval, number
from monai_pneumonia.evaluation.parts import age_group_title
from monai_pneumonia.metrics import METRICS, Family, Metric, metric_of

KIND_TITLES: Mapping[str, str] = {"by_source": "By source", "by_view": "By view", "by_age": "By age group"}

ACCOUNT_TITLES: Mapping[str, Mapping[str, str]] = {
    "items": {
        "total": "Items of the section",
        "ok": "with a prediction, and measured",
        "rejected": "rejected by the model's input check",
        "error": "failed with an error",
        "without_prediction": "without a prediction",
    },
    "predictions": {
        "total": "Predictions in the file",
        "of_this_section": "of this section",
        "of_other_sections": "of other sections",
        "without_item": "of no item of the datalist",
    },
    "measured": {
        "one_known_class": "Measured items of one known class",
        "pneumonia_known": "Measured items known to be pneumonia or not",
        "neither": "Measured items whose label decides neither (in no metric)",
        "p_pneumonia_not_1_minus_normal": "Predictions whose p_pneumonia is not 1 - p(normal); used as written",
    },
}


@dataclass(frozen=True)
class Cell:
    """A table's cell: a value, and what stands small beside or below it."""

    text: str
    detail: str = ""


@dataclass(frozen=True)
class Table:
    """A table whose first column names the row.

    Attributes:
        title: over the table.
        columns: heads of all columns, the first one included.
        rows: cells of each row, as many as there are columns.
        note: a sentence under it.
        emphasis: number of rows at the top that stand out.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    emphasis: int = 0


def all_tables(metrics: Mapping[str, Any]) -> tuple[Table, ...]:
    """Every table of measured values, in the order of the report.

    Args:
        metrics: the content of metrics.json.
    """
    tables = [overall_table(metrics, Family.PNEUMONIA), overall_table(metrics, Family.CLASS), class_table(metrics)]
    for kind in KIND_TITLES:
        tables += [part_table(metrics, kind, Family.PNEUMONIA), part_table(metrics, kind, Family.CLASS), holdings_table(metrics, kind)]
    return tuple(tables)


def overall_table(metrics: Mapping[str, Any], family: Family) -> Table:
    """The metrics of one family that are not per class, over all items."""
    chosen = [metric for metric in METRICS if metric.family is family and not metric.per_class]
    rows = tuple(
        (Cell(metric.title), _measured(metrics["overall"][metric.name]), *_counts(metrics["overall"][metric.name]), Cell(metric.meaning))
        for metric in chosen
    )
    title = "Pneumonia or not" if family is Family.PNEUMONIA else "Which class"
    return Table(title, ("Metric", "Value", "Items", "Patients", "Meaning"), rows)


def class_table(metrics: Mapping[str, Any]) -> Table:
    """The metrics that are per class, over all items."""
    chosen = [metric for metric in METRICS if metric.per_class]
    labels = metrics["accounting"]["parts"]["overall"]["labels"]
    rows = tuple(
        (Cell(name), Cell(str(labels[name])), *(_measured(metrics["overall"][metric.key(name)]) for metric in chosen))
        for name in metrics["datalist"]["classes"]
    )
    return Table("Each class against the rest", ("Class", "Items", *(metric.title for metric in chosen)), rows)


def part_table(metrics: Mapping[str, Any], kind: str, family: Family) -> Table:
    """The metrics of one family within each part of a kind, all items first.

    Args:
        metrics: the content of metrics.json.
        kind: ``by_source``, ``by_view`` or ``by_age``.
        family: which metrics; of those per class only the AUC.
    """
    classes = metrics["datalist"]["classes"]
    if family is Family.PNEUMONIA:
        keys = [metric.name for metric in METRICS if metric.family is family]
    else:
        keys = ["accuracy", "balanced_accuracy", "macro_auc", "macro_f1", *(f"auc_{name}" for name in classes)]
    rows = [
        (Cell(name), *_counts(values[keys[0]]), *(_measured(values[key]) for key in keys))
        for name, values in (("All items", metrics["overall"]), *_titled(metrics[kind], kind))
    ]
    topic = "pneumonia or not" if family is Family.PNEUMONIA else "which class"
    heads = tuple(_head(metric_of(key, classes), key) for key in keys)
    return Table(f"{KIND_TITLES[kind]}: {topic}", ("Part", "Items", "Patients", *heads), tuple(rows), emphasis=1)


def holdings_table(metrics: Mapping[str, Any], kind: str) -> Table:
    """How many measured items of each label each part of a kind holds."""
    holdings = metrics["accounting"]["parts"]
    labels = [name for name, count in holdings["overall"]["labels"].items() if count or name in metrics["datalist"]["classes"]]
    rows = [
        (Cell(name), Cell(str(part["items"])), Cell(str(part["measured"])), *(Cell(str(part["labels"][label])) for label in labels))
        for name, part in (("All items", holdings["overall"]), *_titled(holdings[kind], kind))
    ]
    return Table(f"{KIND_TITLES[kind]}: labels", ("Part", "Items", "Measured", *labels), tuple(rows), emphasis=1)


def account_tables(metrics: Mapping[str, Any]) -> tuple[Table, ...]:
    """What became of every item and every prediction."""
    accounting = metrics["accounting"]
    return tuple(
        Table(
            "",
            (next(iter(titles.values())) if "total" in titles else "Labels", str(accounting[group].get("total", ""))),
            tuple((Cell(title), Cell(str(accounting[group][key]))) for key, title in titles.items() if key != "total"),
        )
        for group, titles in ACCOUNT_TITLES.items()
    )


def provenance(metrics: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """(name, value) of what was measured, with what, and how."""
    settings = metrics["settings"]
    intervals = (
        f"{100 * settings['confidence']:g} % percentile, {settings['resamples']} bootstrap resamples of patients, seed {settings['seed']}"
        if settings["resamples"]
        else "none asked for"
    )
    unknown = "not stated"
    return (
        ("Model version", metrics["model"]["model_version"] or unknown),
        ("Weights, SHA-256", metrics["model"]["weights_sha256"] or unknown),
        ("Datalist", metrics["datalist"]["name"]),
        ("Datalist, SHA-256", metrics["datalist"]["sha256"] or unknown),
        ("Predictions, SHA-256", metrics["predictions"]["sha256"] or unknown),
        ("Section", metrics["section"]),
        ("Intervals", intervals),
        ("Software", metrics["software"]),
    )


NOTES: Sequence[str] = (
    "Intervals come from resampling patients, not pictures, within the items of each row. A metric has none where fewer than nine in ten "
    "resamples define it, which takes about three patients of each kind.",
    "An interval without width, such as 1.000 to 1.000, means that no resample could show another value, not that none is possible: "
    "look at the number of patients.",
    "A metric of a class that a part does not hold is not defined there; means over classes run over the classes that the part holds, "
    "so that they compare only between parts of the same classes.",
    "A label that names a group of classes counts as pneumonia where all of them are, and is in no metric of single classes.",
    "The calibration error grows when there are few items, and its resamples grow with it: its interval may lie above its value.",
    "Sensitivity, specificity and F1 of pneumonia are of the decisions in the predictions, made at the model's own operating point; "
    "those of a class are of the likeliest class.",
)


def _titled(parts: Mapping[str, Any], kind: str) -> list[tuple[str, Any]]:
    return [(age_group_title(name) if kind == "by_age" else name, values) for name, values in parts.items()]


def _head(metric: Metric, key: str) -> str:
    return f"{metric.title} {key.removeprefix(metric.name.removesuffix('<class>'))}" if metric.per_class else metric.title


def _measured(entry: Mapping[str, Any]) -> Cell:
    return Cell(number(entry["value"]), interval(entry))


def _counts(entry: Mapping[str, Any]) -> tuple[Cell, Cell]:
    return Cell(str(entry["n"])), Cell(str(entry["patients"]))
