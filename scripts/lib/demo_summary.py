"""Prints what the demo measured and where it lies."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

METRICS = ("p_pneumonia_auc", "sensitivity", "specificity", "macro_auc", "balanced_accuracy")
PARTS = {"test split": "evaluation", "flipped split": "evaluation_flipped"}


def _cell(metric: dict[str, float] | None) -> str:
    if not metric or metric["value"] is None:
        return "none"
    low, high = metric["low"], metric["high"]
    return f"{metric['value']:.3f}" + ("" if low is None else f" [{low:.3f}, {high:.3f}]")


def main() -> None:
    """Reads the two metrics.json of the folder named on the command line."""
    folder = Path(sys.argv[1])
    found = {title: json.loads((folder / part / "metrics.json").read_text())["overall"] for title, part in PARTS.items()}
    table = Table(title="Demo on phantoms, value and 95 % interval over patients")
    table.add_column("metric")
    for title in found:
        table.add_column(title)
    for name in METRICS:
        table.add_row(name, *(_cell(overall.get(name)) for overall in found.values()))
    console = Console(soft_wrap=True)
    console.print(table)
    console.print("A network that learned the hospitals instead of the lesions falls on the flipped split.", highlight=False)
    console.print("No lesion outline guided this training: its maps show what the network used, not where lesions are.", highlight=False)
    for title, part in (("weights", "bundle/models/model.pt"), ("predictions", "predictions/predictions.csv")):
        console.print(f"{title}: {folder / part}", highlight=False)
    for title, part in PARTS.items():
        console.print(f"report, {title}: {folder / part / 'report.html'}", highlight=False)


if __name__ == "__main__":
    main()
