"""The command: options, signals, and the end of a run as one line and an exit code."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Annotated, NoReturn

import typer

from deploy_app.logs import LogLevel, Streams, log, quiet_streams, start_logging
from deploy_app.request import Request, check_request
from deploy_app.runtime import leave_out_unused
from monai_pneumonia import RESEARCH_USE_ONLY, __version__
from monai_pneumonia.errors import TRACEBACK_VARIABLE, ExitCode, PneumoniaError

INTERNAL_FAULT = 1
HELP = f"""
Recognise pneumonia and its lesions in the chest X-rays of a folder: DICOM in, DICOM results out. {RESEARCH_USE_ONLY}

For each frontal chest X-ray (CR, DX or RG) it writes OUTPUT/<StudyInstanceUID>/: a structured report (sr-*.dcm), \
the lesion regions (seg-*.dcm, where there are any), an overlay picture (sc-*.dcm) and report.json. \
OUTPUT/report.json accounts for every file of the input. Log lines (JSON, without patient data) go to standard error.

Exit codes; complete studies are kept whatever the code:

0 all images served
1 a fault of the application itself
2 wrong usage
3 nothing to analyse
4 bad input, nothing served
5 some images served, others rejected
6 model missing or damaged, or GPU failed
7 output not writable
130 stopped by SIGINT
143 stopped by SIGTERM
"""

app = typer.Typer(name="deploy_app", pretty_exceptions_enable=False, add_completion=False)


def _path(text: str) -> Path:
    """A path of the command line; an empty one, as of an unset variable, would be taken for the current folder."""
    if not text:
        raise typer.BadParameter("it is empty: name a folder")
    return Path(text)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"monai-pneumonia {__version__}. {RESEARCH_USE_ONLY}")
        raise typer.Exit


@app.command(help=HELP)
def _serve(
    source: Annotated[
        Path,
        typer.Option(
            *("--input", "-i"),
            parser=_path,
            metavar="PATH",
            envvar="HOLOSCAN_INPUT_PATH",
            help="A DICOM file, or a folder with any number of studies.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", parser=_path, metavar="PATH", envvar="HOLOSCAN_OUTPUT_PATH", help="Folder for the results.")
    ],
    model: Annotated[
        Path,
        typer.Option(
            *("--model", "-m"),
            parser=_path,
            metavar="PATH",
            envvar="HOLOSCAN_MODEL_PATH",
            help="Folder of a bundle, or a folder with exactly one bundle in it.",
        ),
    ],
    device: Annotated[str | None, typer.Option(help="cpu or cuda; a GPU by default where there is one.")] = None,
    log_level: Annotated[LogLevel, typer.Option(help="Lowest level of the log lines to write.")] = LogLevel.INFO,
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    with quiet_streams() as streams:
        start_logging(streams.errors, log_level.value)
        code = _run(source, output, model, device, streams)
    sys.stdout.flush()
    sys.stderr.flush()
    raise typer.Exit(code)


def _run(source: Path, output: Path, model: Path, device: str | None, streams: Streams) -> int:
    """Serves, and says for people and machines how it ended."""
    stop, received = threading.Event(), []

    def stop_after_this_image(number: int, frame: object) -> None:
        received.append(number)
        stop.set()

    try:
        request = Request(source, output, model, device)
        check_request(request)
        leave_out_unused()
        # Imported here, so that --help and what is wrong so far are quick.
        from deploy_app.run import StoppedError, serve

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop_after_this_image)
        try:
            outcome = serve(request, stop)
        except StoppedError as error:
            return _fail(str(error), "StoppedError", 128 + (received[0] if received else signal.SIGTERM), streams)
    except PneumoniaError as error:
        _show_traceback()
        return _fail(str(error), type(error).__name__, int(error.exit_code), streams)
    except Exception as error:
        _show_traceback()
        kind = type(error).__name__
        return _fail(
            f"a fault of the application itself ({kind}): please report it; {TRACEBACK_VARIABLE}=1 shows where it happened",
            kind,
            INTERNAL_FAULT,
            streams,
        )
    _say(f"{outcome.sentence}\n{RESEARCH_USE_ONLY}", streams.output)
    if outcome.error:
        _say(f"error: {outcome.error}", streams.errors)
    return int(outcome.exit_code)


def _say(text: str, stream: IO[str]) -> None:
    """Prints for people; a stream that takes nothing, such as a closed pipe, changes no exit code."""
    with suppress(OSError):
        print(text, file=stream)


def _fail(message: str, kind: str, code: int, streams: Streams) -> int:
    log("failed", "error", error=kind, exit_code=code)
    _say(f"error: {' '.join(message.split())}", streams.errors)
    return code


def _show_traceback() -> None:
    if os.environ.get(TRACEBACK_VARIABLE):
        import traceback

        traceback.print_exc()


def main() -> NoReturn:
    """Runs the command and ends the process with its exit code."""
    try:
        app()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else ExitCode.USAGE if end.code else ExitCode.OK
        sys.stdout.flush()
        sys.stderr.flush()
        # At once: Holoscan's own clearing up takes time, and ends with 1 after a signal that was handled well.
        os._exit(int(code))
    os._exit(ExitCode.OK)
