"""The ``predict`` command."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monai_pneumonia import RESEARCH_USE_ONLY
from monai_pneumonia.errors import BadInputError, ExitCode

if TYPE_CHECKING:
    from monai_pneumonia.inference import LesionRecognizer, PictureFiles, PredictionWriter


class Section(str, Enum):
    """Sections of a datalist that can be predicted."""

    TRAINING = "training"
    VALIDATION = "validation"
    TESTING = "testing"
    ALL = "all"


def register(app: typer.Typer) -> None:
    """Adds this module's command to the command line."""
    app.command("predict", no_args_is_help=True)(predict)


def predict(
    bundle: Annotated[Path, typer.Option("--bundle", "-b", help="The bundle's folder.")],
    input_path: Annotated[Path, typer.Option("--input", "-i", help="A picture, a folder of pictures, or a datalist (*.json).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")],
    section: Annotated[Section, typer.Option(help="Which items of a datalist.")] = Section.TESTING,
    maps: Annotated[bool, typer.Option("--maps/--no-maps", help="Write attention, lesions and overlays beside the table.")] = True,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures that go through the network together.")] = 8,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; a GPU by default where there is one.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier predictions in the output folder.")] = False,
) -> None:
    """Recognise pneumonia and its lesions: predictions.csv, attention maps, lesion masks and overlays."""
    from monai_pneumonia.inference import LesionRecognizer, PredictionWriter, check_output, find_pictures

    check_output(output, overwrite)
    found = find_pictures(input_path, section.value, aside=output)
    recognizer = LesionRecognizer.from_bundle(bundle, device)
    with PredictionWriter(output, recognizer, maps, overwrite) as writer:
        _predict_all(recognizer, found, writer, batch_size)
    _print_summary(writer, found)
    _end(writer)


def _predict_all(recognizer: LesionRecognizer, found: PictureFiles, writer: PredictionWriter, batch_size: int) -> None:
    """Predicts and writes every picture behind a progress bar."""
    from rich.console import Console
    from rich.progress import track

    outcomes = recognizer.stream((picture.path for picture in found.pictures), batch_size)
    pairs = zip(found.pictures, outcomes, strict=True)
    console = Console(stderr=True)
    bar = track(pairs, "recognising", len(found.pictures), console=console, transient=True, disable=not console.is_terminal)
    for picture, (_, outcome) in bar:
        writer.add(picture.id, picture.path, outcome, picture.listed_as)


def _print_summary(writer: PredictionWriter, found: PictureFiles) -> None:
    aside = f" ({found.left_aside} hidden files or DICOMDIR left aside)" if found.left_aside else ""
    counts = ", ".join(f"{writer.counts[status]} {status}" for status in ("ok", "rejected", "error"))
    typer.echo(f"{len(found.pictures)} in{aside}: {counts}")
    for warning, count in writer.warnings.most_common():
        typer.echo(f"  note for {count}: {warning}")
    typer.echo(f"written to {writer.output / 'predictions.csv'}" + (", with maps beside it" if writer.maps and writer.counts["ok"] else ""))
    typer.echo(RESEARCH_USE_ONLY)


def _end(writer: PredictionWriter) -> None:
    """Ends with the exit code that tells how much was served.

    Raises:
        BadInputError: no picture could be used.
        typer.Exit: some could not.
    """
    if writer.first_error is None:
        return
    failed = sum(writer.counts.values()) - writer.counts["ok"]
    if not writer.counts["ok"]:
        others = f" (and {failed - 1} more; predictions.csv tells each reason)" if failed > 1 else ""
        raise BadInputError(f"no picture could be analysed: {writer.first_error}{others}")
    typer.echo(f"{failed} of {sum(writer.counts.values())} pictures could not be analysed; predictions.csv tells each reason", err=True)
    raise typer.Exit(ExitCode.PARTLY_SERVED)
