"""The command line of ``scripts/ablation``."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console

from monai_pneumonia import RESEARCH_USE_ONLY
from monai_pneumonia.errors import TRACEBACK_VARIABLE, ExitCode, PneumoniaError, UsageError

if TYPE_CHECKING:
    from monai_pneumonia.ablation.preparing import Prepared
    from monai_pneumonia.ablation.running import Outcome

INTERRUPTED = 130
FAILED = 1

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def ablation(
    study: Annotated[Path, typer.Option(help="The study file (YAML).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the study; one that was broken off goes on there.")],
    bundle: Annotated[Path, typer.Option(help="The bundle that is trained; it is copied and stays as it is.")],
    arms: Annotated[str, typer.Option(help="Only these arms, by commas; the plain one always comes along.")] = "",
    folds: Annotated[str, typer.Option(help="Only these folds, by commas.")] = "",
    label_fractions: Annotated[str, typer.Option(help="Only these shares of labels, by commas.")] = "",
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of every training, instead of the study's.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Trainings at a time; 0 is one for each core.")] = 0,
    data: Annotated[Path | None, typer.Option(help="Another datalist than the study's.")] = None,
    resamples: Annotated[int, typer.Option(min=2, help="Of the patients, for the 95 % intervals.")] = 1000,
    keep_weights: Annotated[bool, typer.Option("--keep-weights", help="Keep the weights of every training.")] = False,
    code: Annotated[str | None, typer.Option(help="Name of the code's state; by default a hash, and changed code trains anew.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the trainings and stop.")] = False,
    report_only: Annotated[bool, typer.Option("--report-only", help="Write tables and page of what is done, and train nothing.")] = False,
) -> None:
    """Train every arm of a study over its folds, and write ablation.csv, differences.csv, figures and ablation.html."""
    from monai_pneumonia.ablation.preparing import Choice, load_plan, prepare_study, save_plan
    from monai_pneumonia.ablation.study import load_study

    if report_only:
        _report(load_plan(output.absolute()), resamples)
        return
    choice = Choice(
        tuple(_words(arms)),
        tuple(_numbers(folds, "--folds", int)),
        tuple(_numbers(label_fractions, "--label-fractions", float)),
        epochs,
        data,
        code,
    )
    workers = workers or len(os.sched_getaffinity(0))
    prepared = prepare_study(load_study(study), output.absolute(), bundle.absolute(), choice, workers, keep_weights, dry_run)
    if dry_run:
        _list(prepared)
        return
    save_plan(prepared)
    outcome = _run(prepared, workers)
    _report(prepared, resamples)
    _end(outcome)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _numbers(text: str, option: str, kind: Any) -> list[Any]:
    try:
        return [kind(word) for word in _words(text)]
    except ValueError as error:
        raise UsageError(f"{option} takes numbers, separated by commas, got '{text}'") from error


def _list(prepared: Prepared) -> None:
    from monai_pneumonia.ablation.preparing import NOT_DRAWN
    from monai_pneumonia.ablation.queue import JobFolder

    states = []
    for job in prepared.jobs:
        states.append("done" if JobFolder(prepared.place.jobs / job.id).is_done() else "to do")
        after = f"  after {job.needs}" if job.needs else ""
        typer.echo(f"{states[-1]:5}  {job.id}{after}")
    if prepared.data["sha256"] == NOT_DRAWN:
        typer.echo("the phantoms are not drawn yet: the hashes at the names' ends will be others")
    typer.echo(f"{len(states)} trainings, {states.count('done')} of them done")


def _run(prepared: Prepared, workers: int) -> Outcome:
    from monai_pneumonia.ablation.queue import JobFolder
    from monai_pneumonia.ablation.running import ProgressBar, Runner

    done = sum(JobFolder(prepared.place.jobs / job.id).is_done() for job in prepared.jobs)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with ProgressBar(len(prepared.jobs), done) as bar:
            return Runner(prepared.place, prepared.jobs, workers, bar).run()
    except KeyboardInterrupt as interrupt:
        typer.echo("stopped: give the same command again, and it goes on from here", err=True)
        raise typer.Exit(INTERRUPTED) from interrupt


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _report(prepared: Prepared, resamples: int) -> None:
    from monai_pneumonia.ablation.reporting import write_report

    for file in write_report(prepared, resamples):
        typer.echo(str(file))
    typer.echo(RESEARCH_USE_ONLY)


def _end(outcome: Outcome) -> None:
    """Tells what failed; the tables are of the rest.

    Raises:
        typer.Exit: a job failed.
    """
    if not outcome.failed:
        return
    names = ", ".join(outcome.failed)
    typer.echo(f"{len(outcome.failed)} trainings failed ({names}): mend the cause and give the same command again", err=True)
    raise typer.Exit(FAILED)


def main() -> NoReturn:
    """Runs the command line; an error that a user can mend becomes one line and its exit code."""
    try:
        app()
    except PneumoniaError as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        Console(stderr=True, soft_wrap=True).print(f"error: {error}", style="bold red", markup=False, highlight=False)
        sys.exit(int(error.exit_code))
    sys.exit(int(ExitCode.OK))
