"""Probes of an encoder as files: the numbers, a table for a reader, and a figure."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from monai_pneumonia.errors import UsageError
from monai_pneumonia.evaluation.figures.style import FAINT, colour, house_style, name_for_figure, new_figure, save
from monai_pneumonia.evaluation.formatting import MISSING, number, with_interval
from monai_pneumonia.evaluation.markdown import escaped
from monai_pneumonia.evaluation.writing import finished_folder
from monai_pneumonia.metrics.probe_results import ALL, CLASS, ONE_SOURCE, PNEUMONIA, SOURCE, WITHIN_SOURCES

PROBES_FILE = "probes.json"
PROBES_TABLE = "probes.md"
PROBES_FIGURE = "probes"
PROBE_FILES = (PROBES_FILE, PROBES_TABLE, f"{PROBES_FIGURE}.svg", f"{PROBES_FIGURE}.png")
PROBE_MARKS = frozenset({"research_use_only", "fitted_on", "scored_on", "results"})
"""Keys by which an earlier probes.json is known as ours."""

_QUESTIONS: Mapping[str, tuple[str, str]] = {
    PNEUMONIA: (
        "Pneumonia or not",
        "AUC of the probe's probability of pneumonia; chance is 0.5. A group such as `pneumonia_unspecified` counts.",
    ),
    CLASS: ("Which class", "Items of one known class, classes counting alike."),
    SOURCE: (
        "Which hospital",
        "How well the features tell where a picture comes from, hospitals counting alike. The higher, the easier a short cut is where "
        "label and hospital go together: here a lower value is better.",
    ),
}
_PROBES: Mapping[str, str] = {"linear": "linear", "knn": "nearest neighbours"}
_METRICS: Mapping[str, str] = {"p_pneumonia_auc": "AUC", "macro_auc": "macro AUC", "balanced_accuracy": "balanced accuracy"}
_ENCODERS: Mapping[str, str] = {"pretrained": "pre-trained", "random": "random", "pixels": "16 x 16 pixels"}
_NOTES = (
    "Probes are fitted on frozen features (the deepest level, averaged over the picture) and never change the encoder: logistic "
    "regression over standardised features with a penalty chosen by patient-wise cross-validation, and a vote of the nearest neighbours by "
    "cosine distance of standardised features.",
    "They read the labels of the training section, and those of the validation section to score them; pre-training reads no label at all.",
    "random: the same architecture with random weights of one seed, its batch normalisations set on the training pictures. Without "
    "that its features would be meaningless, and any encoder would beat them. Another seed gives other values, which intervals leave out.",
    "16 x 16 pixels: the picture itself, averaged; what no encoder is needed for.",
    "Within hospitals: pairs of pictures from the same hospital only. Where label and hospital go together, the AUC over all pictures can "
    "come from telling the hospitals apart; this one cannot.",
    "Intervals draw patients with replacement. A difference is the pre-trained encoder's value less the other's over the same draws: where "
    "its interval holds 0, these data do not tell the two apart. A dash: undefined, such as where one kind alone is there.",
)


def check_probe_output(output_dir: str | os.PathLike[str], overwrite: bool) -> None:
    """Checks that no earlier probes are lost against the user's will.

    Raises:
        UsageError: there are some, and they are not to be overwritten.
    """
    folder = Path(os.path.abspath(output_dir))
    present = [name for name in PROBE_FILES if os.path.lexists(folder / name)]
    if present and not overwrite:
        raise UsageError(f"{folder} holds {present[0]} already: give another folder, or `--overwrite True`")


def write_probe_report(content: Mapping[str, Any], output_dir: str | os.PathLike[str]) -> None:
    """Writes probes.json, probes.md, probes.svg and probes.png: all, or none.

    Args:
        content: of probes.json.
        output_dir: the folder; earlier probes in it are replaced, other files stay.

    Raises:
        OutputNotWritableError: the folder cannot be written, or holds files of these names that are none of ours.
    """
    with finished_folder(output_dir, PROBE_FILES, PROBES_FILE, PROBE_MARKS) as results:
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        (results / PROBES_FILE).write_text(text + "\n", encoding="utf-8")
        with house_style():
            figure = draw_probes(content)
            if figure is not None:
                save(figure, results, PROBES_FIGURE)
        (results / PROBES_TABLE).write_text(probe_tables(content, figure is not None), encoding="utf-8")


def probe_tables(content: Mapping[str, Any], drawn: bool = True) -> str:
    """The content of probes.md.

    Args:
        content: of probes.json.
        drawn: whether there is a figure to show.
    """
    described = content["encoder"]["description"]
    told = ", ".join(f"{key} {described[key]}" for key in ("method", "backbone", "input_size", "epochs") if key in described)
    held = {key: content[key] for key in ("fitted_on", "scored_on")}
    blocks = [
        f"# Probes of a pre-trained encoder on {escaped(content['datalist']['name'])}",
        f"**{content['research_use_only']}**",
        "\n".join(
            [
                f"- encoder: {escaped(told)}; SHA-256 {content['encoder']['sha256']}",
                *(f"- {key.replace('_', ' ')}: {_counted(part)}" for key, part in held.items()),
                f"- intervals: {content['settings']['confidence']:.0%} over {content['settings']['resamples']} resamples of the patients",
            ]
        ),
    ]
    for question, (title, meaning) in _QUESTIONS.items():
        rows = [row for row in content["results"] if row["question"] == question]
        blocks += [f"## {title}", meaning, _table(rows, list(content["features"]))]
    blocks += [f"![Probes of the encoder]({PROBES_FIGURE}.png)"] if drawn else []
    return "\n\n".join([*blocks, "## Notes", "\n".join(f"- {note}" for note in _NOTES), f"**{content['research_use_only']}**"]) + "\n"


def _counted(part: Mapping[str, Any]) -> str:
    return f"{part['section']}, {part['items']} pictures of {part['patients']} patients from {part['sources']} named source(s)"


def _table(rows: Sequence[Mapping[str, Any]], encoders: Sequence[str]) -> str:
    first, *others = encoders
    columns = ["Pictures", "Probe", "Metric", "n (patients)", "Chance", _ENCODERS[first]]
    for other in others:
        columns += [_ENCODERS[other], f"{_ENCODERS[first]} less {_ENCODERS[other]}"]
    lines = [columns, ["---", "---", "---", *("---:" for _ in columns[3:])]]
    for row in rows:
        entry = row["values"][first]
        cells = [escaped(_part(row)), _PROBES[row["probe"]], _METRICS[row["metric"]], f"{entry['n']} ({entry['patients']})"]
        cells += [number(row["chance"]), with_interval(entry)]
        for other in others:
            cells += [with_interval(row["values"][other]), _signed(row["differences"][other])]
        lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _part(row: Mapping[str, Any]) -> str:
    if row["part"] == ONE_SOURCE:
        return f"{row['source']}, probe of its own" if row["fitted_on"] == ONE_SOURCE else str(row["source"])
    return {ALL: "all", WITHIN_SOURCES: "within hospitals"}[row["part"]]


def _signed(entry: Mapping[str, Any]) -> str:
    if entry["value"] is None:
        return MISSING
    span = "" if entry["low"] is None else f" ({entry['low']:+.3f} to {entry['high']:+.3f})"
    return f"{entry['value']:+.3f}{span}"


def draw_probes(content: Mapping[str, Any]) -> Figure | None:
    """Every line that has a value, encoders side by side; None where none has one."""
    rows = [row for row in content["results"] if any(entry["value"] is not None for entry in row["values"].values())]
    if not rows:
        return None
    figure = new_figure(8.0, 1.4 + 0.42 * len(rows))
    axes = figure.subplots()
    names = [f"{_QUESTIONS[row['question']][0]}: {_short(row)}, {_PROBES[row['probe']]} {_METRICS[row['metric']]}" for row in rows]
    axes.set_yticks(range(len(rows)), names)
    axes.set(xlim=(-0.01, 1.01), ylim=(len(rows) - 0.5, -0.5), xlabel="Value with its interval; the dash is chance")
    axes.grid(False, axis="y")
    for at, row in enumerate(rows):
        axes.plot([row["chance"]] * 2, [at - 0.4, at + 0.4], color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)))
    for position, encoder in enumerate(content["features"]):
        _draw_encoder(axes, rows, encoder, position, len(content["features"]))
    figure.legend(loc="outside upper center", ncols=len(content["features"]))
    return figure


def _short(row: Mapping[str, Any]) -> str:
    return name_for_figure(_part(row))


def _draw_encoder(axes: Axes, rows: Sequence[Mapping[str, Any]], encoder: str, position: int, encoders: int) -> None:
    label = _ENCODERS[encoder]
    for at, row in enumerate(rows):
        entry = row["values"][encoder]
        if entry["value"] is None:
            continue
        height = at + 0.22 * (position - (encoders - 1) / 2)
        if entry["low"] is not None:
            axes.hlines(height, entry["low"], entry["high"], color=colour(position), linewidth=1.4)
        axes.plot(entry["value"], height, "Ds^"[position % 3], color=colour(position), markersize=4.5, label=label, clip_on=False)
        label = ""
