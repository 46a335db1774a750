"""The ``phantoms`` command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from monai_pneumonia.data.phantoms import PhantomFiles


def register(app: typer.Typer) -> None:
    """Adds this module's command to the command line."""
    app.command("phantoms")(phantoms)


def phantoms(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to: new or empty.")],
    count: Annotated[int, typer.Option(help="Pictures in all parts together.")] = 600,
    size: Annotated[int, typer.Option(help="Long side of a picture, in pixels.")] = 192,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
    image_format: Annotated[str, typer.Option("--format", help="png or dicom (CR and DX, MONOCHROME1 and 2, 8 to 16 bit).")] = "png",
    transfer_syntax: Annotated[str, typer.Option(help="Of DICOM files: explicit, implicit, rle or mixed.")] = "mixed",
    confounding: Annotated[float, typer.Option(help="How often a patient comes from the hospital tied to the class.")] = 0.85,
    outlined_share: Annotated[float | None, typer.Option(help="Share of outlined pneumonia; each hospital's habit if left out.")] = None,
    lesion_contrast: Annotated[float, typer.Option(help="How plain lesions are; 1 is middling.")] = 1.0,
    workers: Annotated[int, typer.Option(min=1, help="Processes that draw.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run's files; all others stay.")] = False,
) -> None:
    """Make synthetic chest X-rays with known lesions: pictures, outlines, datalist.json and datalist_flipped.json."""
    from monai_pneumonia.data.phantoms import PhantomSettings, write_phantoms

    settings = PhantomSettings(
        count=count,
        size=size,
        seed=seed,
        image_format=image_format,
        transfer_syntax=transfer_syntax,
        confounding=confounding,
        outlined_share=outlined_share,
        lesion_contrast=lesion_contrast,
    )
    _report(write_phantoms(output, settings, overwrite=overwrite, workers=workers))


def _report(files: PhantomFiles) -> None:
    from rich.console import Console

    from monai_pneumonia import RESEARCH_USE_ONLY

    console = Console(soft_wrap=True, highlight=False, markup=False)
    console.print(_table(files))
    for path in (files.datalist, files.datalist_flipped, files.truth):
        console.print(str(path))
    console.print(f"{len(files.items)} synthetic pictures. {RESEARCH_USE_ONLY}")


def _table(files: PhantomFiles) -> Table:
    from collections import Counter

    from rich import box
    from rich.table import Table

    counts = Counter((item.part, item.spec.finding, item.spec.hospital.name) for item in files.items)
    hospitals = sorted({hospital for _, _, hospital in counts})
    table = Table(title="pictures by part, finding and hospital", box=box.SIMPLE, padding=0)
    for heading in ("part", "finding"):
        table.add_column(heading)
    for heading in (*hospitals, "all"):
        table.add_column(heading, justify="right")
    rows = list(dict.fromkeys((item.part, item.spec.finding) for item in files.items))
    for part, finding in sorted(rows, key=lambda row: _position(*row)):
        row = [counts[part, finding, hospital] for hospital in hospitals]
        table.add_row(part, finding, *(str(number) for number in (*row, sum(row))))
    table.add_section()
    totals = [sum(number for (_, _, name), number in counts.items() if name == hospital) for hospital in hospitals]
    table.add_row("all", "", *(str(number) for number in (*totals, sum(totals))))
    return table


def _position(part: str, finding: str) -> tuple[int, int]:
    from monai_pneumonia.data.labels import DEFAULT_CLASSES
    from monai_pneumonia.data.phantoms import PARTS

    return PARTS.index(part), DEFAULT_CLASSES.index(finding)
