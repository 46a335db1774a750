"""The tables as Markdown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from typing import Any

from monai_pneumonia.evaluation.figures import FIGURES
from monai_pneumonia.evaluation.figures.gallery import FIGURES_FOLDER
from monai_pneumonia.evaluation.localization_tables import TITLE, localization_remarks, localization_tables
from monai_pneumonia.evaluation.tables import NOTES, Cell, Table, account_tables, all_tables, provenance

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~$&!])")


def escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def markdown_report(metrics: Mapping[str, Any], drawn: Set[str]) -> str:
    """The content of metrics.md.

    Args:
        metrics: the content of metrics.json.
        drawn: names of the figures that were drawn.
    """
    blocks = [
        f"# Evaluation on {escaped(metrics['datalist']['name'])}, {escaped(metrics['section'])}",
        f"**{metrics['research_use_only']}**",
        "\n".join(f"- {name}: {escaped(value)}" for name, value in provenance(metrics)),
        "## What was counted",
        *(_table(table) for table in account_tables(metrics)),
    ]
    for table in all_tables(metrics):
        blocks += [f"## {escaped(table.title)}", _table(table)]
    blocks += [f"## {TITLE}", "\n".join(f"- {escaped(remark)}" for remark in localization_remarks(metrics))]
    for table in localization_tables(metrics):
        blocks += [f"### {escaped(table.title)}", _table(table)]
    blocks += ["## Figures"]
    blocks += [f"![{escaped(kind.title)}]({FIGURES_FOLDER}/{kind.name}.png)" for kind in FIGURES if kind.name in drawn]
    blocks += ["## Notes", "\n".join(f"- {note}" for note in NOTES), f"**{metrics['research_use_only']}**"]
    return "\n\n".join(blocks) + "\n"


def _table(table: Table) -> str:
    lines = [_row([escaped(column) for column in table.columns]), _row(["---", *("---:" for _ in table.columns[1:])])]
    lines += [_row([_cell(cell) for cell in row]) for row in table.rows]
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    return escaped(cell.text) + (f" ({escaped(cell.detail)})" if cell.detail else "")
