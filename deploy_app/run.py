"""A run from the request to its end: results, an account of every file, and an exit code."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from deploy_app.account import Account, Status
from deploy_app.logs import Stopwatch, log
from deploy_app.publishing import OutputFolder
from deploy_app.request import Request, check_request
from deploy_app.serving import ServingRun
from deploy_app.studies import scan_input
from monai_pneumonia.errors import ExitCode
from monai_pneumonia.inference import LesionRecognizer


class StoppedError(Exception):
    """The run was asked to end before its time."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        exit_code: of the contract.
        sentence: what was served and where the report lies, for people.
        error: why not all is well; empty where it is.
    """

    exit_code: ExitCode
    sentence: str
    error: str = ""


def serve(request: Request, stop: threading.Event | None = None) -> Outcome:
    """Serves an input: results for each image that can be analysed, a report on every file.

    Args:
        request: what to serve.
        stop: ends the run when set: the scan at its next file, the serving after the image in hand; complete studies stay.

    Raises:
        PneumoniaError: usage, model, input or output are at fault; its exit code says which.
        StoppedError: the run was stopped.
    """
    stop = stop or threading.Event()
    watch = Stopwatch()
    bundle = check_request(request)
    with OutputFolder(request.output) as output:
        log("started")
        scan = scan_input(request.source, request.output, partial(check_stop, stop))
        log(
            "input_scanned", files=scan.images + len(scan.left_out), images=scan.images, studies=len(scan.studies), milliseconds=watch.lap()
        )
        for record in scan.left_out:
            log(
                f"file_{record.status.value}",
                "warning" if record.status is Status.REJECTED else "debug",
                number=record.number,
                reason=record.reason,
            )
        check_stop(stop)
        run = ServingRun(scan, _load(bundle, request.device), output, stop)
        log("model_loaded", weights=run.algorithm.weights_sha256, device=str(run.recognizer.device), milliseconds=watch.lap())
        check_stop(stop)
        if scan.studies:
            run_operators(run)
        if run.fault is not None:
            raise run.fault
        check_stop(stop)
        report = output.write_report(run.account.run_report(run.model))
    log("finished", exit_code=int(run.account.exit_code), **run.account.counts, studies=len(scan.studies), milliseconds=watch.milliseconds)
    return outcome_of(run.account, report)


def _load(bundle: Path, device: str | None) -> LesionRecognizer:
    # The last digits of a sum depend on the number of threads that share it; results must not depend on the machine's cores.
    torch.set_num_threads(1)
    return LesionRecognizer.from_bundle(bundle, device)


def run_operators(run: ServingRun) -> None:
    """Sends the images through the operators of the MONAI Deploy application."""
    from deploy_app.application import PneumoniaApplication

    PneumoniaApplication.of(run).serve()


def check_stop(stop: threading.Event) -> None:
    """Ends here where the run is to stop.

    Raises:
        StoppedError: it is.
    """
    if stop.is_set():
        raise StoppedError("the run was stopped before its end: complete studies are kept; give the command again for the others")


def outcome_of(account: Account, report: Path) -> Outcome:
    """What a run says at its end, for people."""
    counts = account.counts
    sentence = f"{counts['served']} of {counts['files']} files served, {counts['skipped']} skipped, {counts['rejected']} rejected: {report}"
    return Outcome(account.exit_code, sentence, _complaint(account, report))


def _complaint(account: Account, report: Path) -> str:
    first, counts = account.first_rejected, account.counts
    if first is None:
        return (
            "" if counts["served"] else f"the input holds no image to analyse: give CR, DX or RG images as DICOM; {report} lists its files"
        )
    rejected = f"{counts['rejected']} of {counts['files']} files rejected{'' if counts['served'] else ', none served'}"
    return f"{rejected}; the first is file {first.number}: {first.sentence}; {report} gives all reasons"
