"""One self-contained HTML page: nothing to fetch, nothing to run, fit to print."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence, Set
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from monai_pneumonia.evaluation.figures import FIGURES
from monai_pneumonia.evaluation.figures.gallery import FIGURES_FOLDER, FigureKind
from monai_pneumonia.evaluation.formatting import interval, number
from monai_pneumonia.evaluation.localization_tables import TITLE, localization_remarks, localization_tables
from monai_pneumonia.evaluation.samples import Sample, SampleGroup
from monai_pneumonia.evaluation.tables import NOTES, Cell, Table, account_tables, all_tables, provenance

HEADLINES: Mapping[str, str] = {
    "p_pneumonia_auc": "Pneumonia AUC",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "macro_auc": "Class macro AUC",
    "balanced_accuracy": "Balanced accuracy",
    "calibration_error": "Calibration error",
}

_TEXT = " class='text'"
_FEW_CLASSES = 6


def html_report(metrics: Mapping[str, Any], drawn: Set[str], folder: Path, samples: Sequence[SampleGroup]) -> str:
    """The content of report.html.

    Args:
        metrics: the content of metrics.json.
        drawn: names of the figures that were drawn.
        folder: where they are.
        samples: overlay pictures to show.
    """
    many = "many" if len(metrics["datalist"]["classes"]) > _FEW_CLASSES else "few"
    return _template("report.html").substitute(
        style=_template("report.css").template,
        title=escape(f"Evaluation on {metrics['datalist']['name']}, {metrics['section']}"),
        warning=escape(metrics["research_use_only"]),
        headlines="\n".join(_headline(title, metrics["overall"][key]) for key, title in HEADLINES.items()),
        provenance="\n".join(_term(name, value) for name, value in provenance(metrics)),
        accounting="\n".join(_table(table) for table in account_tables(metrics)),
        alarm=_alarm(metrics["accounting"]),
        figures="\n".join(_figure(kind, kind.name in drawn, folder, many) for kind in FIGURES),
        tables=_tables(all_tables(metrics)),
        localization=_localization(metrics),
        samples=_samples(samples),
        notes="\n".join(f"<li>{escape(note)}</li>" for note in NOTES),
    )


def _template(name: str) -> Template:
    return Template((files("monai_pneumonia.evaluation") / "templates" / name).read_text(encoding="utf-8"))


def _term(name: str, value: str) -> str:
    kind = " class='sum'" if name.endswith("SHA-256") else ""
    return f"<dt>{escape(name)}</dt><dd{kind}>{escape(value)}</dd>"


def _headline(title: str, entry: Mapping[str, Any]) -> str:
    span = interval(entry)
    detail = f"<small>{span}</small>" if span else "<small>no interval</small>"
    return f"<div class='headline'><span>{escape(title)}</span><strong>{number(entry['value'])}</strong>{detail}</div>"


def _alarm(accounting: Mapping[str, Any]) -> str:
    items = accounting["items"]
    lost = items["total"] - items["ok"]
    if not lost:
        return ""
    return (
        f"<p class='alarm'>{lost} of {items['total']} items of the section are in no number of this page: "
        f"{items['without_prediction']} without prediction, {items['rejected']} rejected, {items['error']} failed. "
        "left_out.csv lists them.</p>"
    )


def _tables(tables: Sequence[Table]) -> str:
    return "\n".join(f"<section><h3>{escape(table.title)}</h3>{_table(table)}</section>" for table in tables)


def _localization(metrics: Mapping[str, Any]) -> str:
    remarks = "".join(f"<p>{escape(remark)}</p>" for remark in localization_remarks(metrics))
    return f"<h2>{escape(TITLE)}</h2>{remarks}\n{_tables(localization_tables(metrics))}"


def _table(table: Table) -> str:
    is_text = [False, *(any(not _is_number(row[at].text) for row in table.rows) for at in range(1, len(table.columns)))]
    heads = "".join(
        f"<th scope='col'{_TEXT if text else ''}>{escape(name)}</th>" for name, text in zip(table.columns, is_text, strict=True)
    )
    rows = "".join(_row(row, at < table.emphasis) for at, row in enumerate(table.rows))
    return f"<div class='scroll'><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"


def _row(cells: Sequence[Cell], emphasis: bool) -> str:
    first, *others = cells
    body = "".join(f"<td{'' if _is_number(cell.text) else _TEXT}>{_cell(cell)}</td>" for cell in others)
    return f"<tr{' class=emphasis' if emphasis else ''}><th scope='row'>{_cell(first)}</th>{body}</tr>"


def _cell(cell: Cell) -> str:
    return escape(cell.text) + (f"<small>{escape(cell.detail)}</small>" if cell.detail else "")


def _is_number(text: str) -> bool:
    return not any(letter.isalpha() for letter in text)


def _figure(kind: FigureKind, drawn: bool, folder: Path, many: str) -> str:
    caption = f"<figcaption><strong>{escape(kind.title)}.</strong> {escape(kind.caption)}</figcaption>"
    if not drawn:
        return f"<figure class='{kind.name} {many}'><p class='missing'>Not drawn: {escape(kind.missing)}.</p>{caption}</figure>"
    content = base64.b64encode((folder / FIGURES_FOLDER / f"{kind.name}.svg").read_bytes()).decode("ascii")
    return (
        f"<figure class='{kind.name} {many}'><img src='data:image/svg+xml;base64,{content}' alt='{escape(kind.title)}'>{caption}</figure>"
    )


def _samples(groups: Sequence[SampleGroup]) -> str:
    if not groups:
        return ""
    body = "\n".join(f"<section><h3>{escape(group.title)}</h3><div class='samples'>{_pictures(group)}</div></section>" for group in groups)
    return f"<h2>Pictures</h2><p>The surest of each outcome. Overlays as <code>predict</code> drew them.</p>{body}"


def _pictures(group: SampleGroup) -> str:
    return "".join(_sample(sample) for sample in group.samples)


def _sample(sample: Sample) -> str:
    width, height = sample.size
    lines = "<br>".join(escape(line) for line in sample.caption)
    return (
        f"<figure><img src='{sample.picture}' width='{width}' height='{height}' alt='radiograph with overlay'>"
        f"<figcaption>{lines}</figcaption></figure>"
    )
