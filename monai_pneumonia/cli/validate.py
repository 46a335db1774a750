"""The ``validate`` command."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monai_pneumonia import RESEARCH_USE_ONLY
from monai_pneumonia.errors import ExitCode, OutputNotWritableError
from monai_pneumonia.whole_files import whole_file

if TYPE_CHECKING:
    from rich.console import Console

    from monai_pneumonia.data.validation import Fault, ValidationReport


def register(app: typer.Typer) -> None:
    """Adds this module's command to the command line."""
    app.command("validate")(validate)


def validate(
    datalist: Annotated[Path, typer.Argument(help="The datalist to check (JSON).", show_default=False)],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where to write the report (JSON).")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Threads that read pictures (one a core by default, at most 8).")] = None,
) -> None:
    """Read every picture and outline of a datalist and list all that is wrong with it.

    Exit code 0: no fault (there may be warnings); 3: no items; 4: faults, all of them listed.
    """
    from rich.console import Console

    from monai_pneumonia.data.datalist import load_datalist
    from monai_pneumonia.data.validation import validate_datalist

    report = validate_datalist(load_datalist(datalist), workers)
    if output is not None:
        _write(report, output)
    console = Console(soft_wrap=True, highlight=False, markup=False)
    _print_found(console, "fault", report.faults)
    _print_found(console, "warning", report.warnings)
    console.print(f"{report.items} items in, {report.read} read, {len(report.faults)} faults, {len(report.warnings)} warnings")
    console.print(RESEARCH_USE_ONLY)
    if not report.ok:
        raise typer.Exit(int(ExitCode.BAD_INPUT))


def _print_found(console: Console, severity: str, found: tuple[Fault, ...]) -> None:
    """A table of counts by kind, then each fault by item and file."""
    from rich.table import Table

    if not found:
        return
    table = Table(severity, "count")
    for kind, count in sorted(Counter(fault.kind.value for fault in found).items()):
        table.add_row(kind, str(count))
    console.print(table)
    for fault in sorted(found, key=lambda fault: fault.kind.value):
        where = " ".join(part for part in (fault.section, fault.item, f"({fault.file})" if fault.file else "") if part)
        console.print(f"{severity}: {fault.kind.value}: {where}: {fault.message}")


def _write(report: ValidationReport, output: Path) -> None:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(output) as unfinished:
            unfinished.write_text(json.dumps(report.to_json(), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputNotWritableError(f"cannot write the report {output}: {error.strerror}") from error
