"""The ``evaluate`` command."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer


class Section(str, Enum):
    """Sections of a datalist that can be evaluated."""

    TRAINING = "training"
    VALIDATION = "validation"
    TESTING = "testing"
    ALL = "all"


def register(app: typer.Typer) -> None:
    """Adds this module's command to the command line."""
    app.command("evaluate")(evaluate)


def evaluate(
    predictions: Annotated[Path, typer.Option(help="predictions.csv, or the folder that 'predict' wrote (its overlays are then shown).")],
    datalist: Annotated[Path, typer.Option(help="The datalist with the labels.")],
    output: Annotated[Path, typer.Option(help="Folder for the results; an earlier evaluation in it is replaced.")],
    section: Annotated[Section, typer.Option(help="Which items to measure.")] = Section.TESTING,
    resamples: Annotated[int, typer.Option(min=0, help="Bootstrap resamples of the patients; 0 gives no intervals.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resamples.")] = 0,
    confidence: Annotated[float, typer.Option(help="What the intervals span, between 0 and 1.")] = 0.95,
) -> None:
    """Measure predictions against a datalist: metrics.json, metrics.md, figures and report.html. Needs no network."""
    from monai_pneumonia.evaluation import evaluate_predictions

    metrics = evaluate_predictions(predictions, datalist, output, section.value, resamples, seed, confidence)
    _print_summary(metrics, output)


def _print_summary(metrics: dict[str, Any], output: Path) -> None:
    from monai_pneumonia.evaluation.formatting import with_interval
    from monai_pneumonia.evaluation.report import HEADLINES

    items = metrics["accounting"]["items"]
    typer.echo(f"{items['ok']} of {items['total']} items of '{metrics['section']}' in '{metrics['datalist']['name']}' measured")
    left = {name: items[name] for name in ("rejected", "error", "without_prediction") if items[name]}
    strays = {name: metrics["accounting"]["predictions"][name] for name in ("of_other_sections", "without_item")}
    for name, count in (*left.items(), *((f"predictions {name}", count) for name, count in strays.items() if count)):
        typer.echo(f"  not measured: {count} {name.replace('_', ' ')}")
    width = max(map(len, HEADLINES.values()))
    for key, title in HEADLINES.items():
        typer.echo(f"  {title:<{width}}  {with_interval(metrics['overall'][key])}")
    typer.echo(f"report: {(output / 'report.html').resolve()}")
    typer.echo(metrics["research_use_only"])
