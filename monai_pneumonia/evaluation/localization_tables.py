"""The tables of how well maps point at lesions; drawn outlines, boxes and empty pictures each have their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monai_pneumonia.evaluation.formatting import interval, number
from monai_pneumonia.evaluation.tables import Cell, Table
from monai_pneumonia.metrics import LOCALIZATION_KINDS, localization_metrics_of

TITLE = "Where the maps point"

KIND_TITLES: Mapping[str, str] = {
    "pixel": "Pictures with drawn outlines",
    "box": "Pictures with boxes",
    "empty": "Pictures read and found empty",
}
STATE_TITLES: Mapping[str, str] = {
    "outlined": "In the section",
    "measured": "measured",
    "without_prediction": "without a prediction",
    "without_map": "without a map",
    "without_pixel": "outline covers no pixel",
}
MAP_KINDS: Mapping[str, str] = {
    "attention": "the network's attention",
    "class_activation": "class activation, for the network has no attention",
    "unknown": "of a kind that lesions.json does not state",
}


def localization_tables(metrics: Mapping[str, Any]) -> tuple[Table, ...]:
    """Every table of localisation; none where there were no maps.

    Args:
        metrics: the content of metrics.json.
    """
    found = metrics["localization"]
    if found["missing"] is not None:
        return ()
    tables = [_account_table(found["accounting"])]
    for kind in LOCALIZATION_KINDS:
        if found["accounting"][kind]["measured"]:
            tables += [_overall_table(kind, found[kind]), _source_table(kind, found[kind])]
    return tuple(tables)


def localization_remarks(metrics: Mapping[str, Any]) -> tuple[str, ...]:
    """What must be known to read the tables, or why there are none.

    Args:
        metrics: the content of metrics.json.
    """
    found = metrics["localization"]
    if found["missing"] is not None:
        return (f"Not measured: {found['missing']}.",)
    thresholds = found["lesion_threshold"]
    levels = ", ".join(dict.fromkeys(f"{level:g}" for level in thresholds.values()))
    if len(set(thresholds.values())) > 1:
        levels = ", ".join(f"{level:g} ({kind})" for kind, level in thresholds.items())
    kinds = ", ".join(MAP_KINDS.get(kind, kind) for kind in found["map_kind"].split(", "))
    return (
        f"The maps: {kinds}. Lesion threshold: {levels}, {found['lesion_threshold_from']}.",
        "Drawn outlines and boxes are never put together: a box holds healthy lung, too, so a map that fits the lesion does not fill it. "
        "Dice and IoU of boxes are against the union of a picture's boxes.",
        "By chance the pointing game and the attention inside come to the outline's share of the picture, and inside over outside to 1.",
    )


def _account_table(accounting: Mapping[str, Any]) -> Table:
    rows = tuple((Cell(KIND_TITLES[kind]), *(Cell(str(accounting[kind][state])) for state in STATE_TITLES)) for kind in LOCALIZATION_KINDS)
    return Table("Outlined pictures", ("Outline", *STATE_TITLES.values()), rows)


def _overall_table(kind: str, values: Mapping[str, Any]) -> Table:
    entries = [(metric, values["overall"][metric.name]) for metric in localization_metrics_of(kind)]
    rows = tuple((Cell(metric.title), _measured(entry), *_counts(entry), Cell(metric.meaning)) for metric, entry in entries)
    return Table(KIND_TITLES[kind], ("Metric", "Value", "Pictures", "Patients", "Meaning"), rows)


def _source_table(kind: str, values: Mapping[str, Any]) -> Table:
    chosen = localization_metrics_of(kind)
    rows = tuple(
        (Cell(name), *_counts(part[chosen[0].name]), *(_measured(part[metric.name]) for metric in chosen))
        for name, part in (("All", values["overall"]), *values["by_source"].items())
    )
    return Table(
        f"{KIND_TITLES[kind]}, by source", ("Source", "Pictures", "Patients", *(metric.title for metric in chosen)), rows, emphasis=1
    )


def _measured(entry: Mapping[str, Any]) -> Cell:
    return Cell(number(entry["value"]), interval(entry))


def _counts(entry: Mapping[str, Any]) -> tuple[Cell, Cell]:
    return Cell(str(entry["n"])), Cell(str(entry["patients"]))
