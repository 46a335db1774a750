"""Assembles the sub-commands and turns errors into one line and an exit code."""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from monai_pneumonia import RESEARCH_USE_ONLY, __version__
from monai_pneumonia.cli import evaluate, import_data, phantoms, predict, validate
from monai_pneumonia.errors import TRACEBACK_VARIABLE, ExitCode, PneumoniaError

app = typer.Typer(
    name="monai-pneumonia",
    help=f"Pneumonia lesion recognition in chest X-rays. {RESEARCH_USE_ONLY}",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for command in (import_data, validate, phantoms, predict, evaluate):
    command.register(app)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"monai-pneumonia {__version__}. {RESEARCH_USE_ONLY}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show the traceback of an error.")] = False,
) -> None:
    if traceback:
        os.environ[TRACEBACK_VARIABLE] = "1"


def main() -> NoReturn:
    """Runs the command line; an error that a user can mend becomes one line on standard error and its exit code."""
    try:
        app()
    except PneumoniaError as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        Console(stderr=True, soft_wrap=True).print(f"error: {error}", style="bold red", markup=False, highlight=False)
        sys.exit(int(error.exit_code))
    sys.exit(int(ExitCode.OK))
