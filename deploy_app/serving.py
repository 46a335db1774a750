"""A run, step by step: from the request to results, an account of every file, and an exit code. The operators call these steps."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy_app.account import Account, Reason, Status, sentence_of
from deploy_app.logs import Stopwatch, log
from deploy_app.publishing import OutputFolder
from deploy_app.request import Request, check_request
from deploy_app.studies import ImageFile, InputScan, scan_input
from monai_pneumonia.dicom.gate import RefusedImageError, check_image
from monai_pneumonia.dicom.identifiers import hashed
from monai_pneumonia.dicom.source import read_header
from monai_pneumonia.errors import (
    ExitCode,
    ModelFaultError,
    OutputNotWritableError,
    PneumoniaError,
    RejectedImageError,
)
from monai_pneumonia.radiograph import Radiograph, read_radiograph

if TYPE_CHECKING:
    from monai_pneumonia.dicom.algorithm import Algorithm
    from monai_pneumonia.inference import LesionRecognizer, LesionReport


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


@dataclass(eq=False)
class ImageTask:
    """One image on its way through the operators.

    Attributes:
        image: the file.
        last: whether it is its study's last one.
        rejection: why it is not analysed, once an operator has found that; the others pass it on.
        radiograph: its pixels, once read.
        report: what the recogniser says, once it has.
        milliseconds: what the steps took.
    """

    image: ImageFile
    last: bool
    rejection: tuple[str, str] | None = None
    radiograph: Radiograph | None = None
    report: LesionReport | None = None
    milliseconds: dict[str, Any] = field(default_factory=dict)

    def reject(self, reason: str, sentence: str) -> None:
        """Takes the image out; its pixels go at once."""
        self.rejection = (reason, sentence)
        self.drop_pixels()

    def drop_pixels(self) -> None:
        """Lets go of all that is large."""
        self.radiograph = self.report = None


class ServingRun:
    """The state and the steps of a run over the images of an input.

    Every step takes a task and leaves its finding in it. A fault of one image becomes that image's rejection. A fault of model or output
    is kept in :attr:`fault` and ends the run: no more tasks come, and those under way are dropped.

    Args:
        scan: what the input holds.
        recognizer: analyses the images.
        output: takes the results.
        stop: set from outside to end the run after the image in hand.

    Attributes:
        account: of all files.
        fault: what ended the run before its time.
    """

    def __init__(self, scan: InputScan, recognizer: LesionRecognizer, output: OutputFolder, stop: threading.Event) -> None:
        from monai_pneumonia.dicom.algorithm import Algorithm

        self.scan = scan
        self.recognizer = recognizer
        self.algorithm = Algorithm.of(recognizer)
        self.output = output
        self.account = Account(scan.left_out)
        self.fault: BaseException | None = None
        self._stop = stop

    @property
    def stopped(self) -> bool:
        """Whether no further image is to be taken."""
        return self.fault is not None or self._stop.is_set()

    @property
    def model(self) -> dict[str, Any]:
        """What the reports say of the model."""
        return describe_model(self.recognizer, self.algorithm)

    def tasks(self) -> Iterator[ImageTask]:
        """Yields the images one by one, study by study, until the run is stopped."""
        for images in self.scan.studies.values():
            for image in images:
                if self.stopped:
                    return
                yield ImageTask(image, last=image is images[-1])

    def check(self, task: ImageTask) -> None:
        """Refuses what is no frontal chest X-ray, or lacks what results need of it; judged by tags alone."""
        with self._rejecting(task, "gate"):
            check_image(task.image.path)
            read_header(task.image.path)

    def recognize(self, task: ImageTask) -> None:
        """Reads the pixels, once, and analyses them."""
        if task.rejection is None:
            with self._rejecting(task, "decoding"):
                task.radiograph = read_radiograph(task.image.path)
        if task.rejection is None and task.radiograph is not None:
            with self._rejecting(task, "recognition"):
                task.report = self.recognizer(task.radiograph)

    def write(self, task: ImageTask) -> None:
        """Writes the results of an image, and with the last one of a study puts the study in its place."""
        if task.report is not None:
            with self._rejecting(task, "writing"):
                self._write_results(task)
        task.drop_pixels()
        if self.stopped:
            return
        if task.rejection is not None:
            reason, sentence = task.rejection
            self.account.add(task.image.record(Status.REJECTED, reason, sentence))
        self._log(task)
        if task.last:
            try:
                self._publish(task.image.study_uid)
            except BaseException as error:
                self.fault = error

    def _write_results(self, task: ImageTask) -> None:
        # Imported here, when highdicom is needed for the first time: refusals need none.
        from monai_pneumonia.dicom.writing import report_entry, write_results

        assert task.report is not None
        folder = self.output.study_folder(task.image.study_uid)
        written = write_results(task.image.path, task.report, self.algorithm, folder, task.radiograph)
        entry = {**report_entry(task.report, written), **_settings(self.algorithm)}
        self.account.add(task.image.record(Status.SERVED, entry=entry))

    def _publish(self, study_uid: str) -> None:
        served = {record.source_uid for record in self.account.of_study(study_uid, Status.SERVED)}
        if not served:
            return
        watch = Stopwatch()
        earlier = self.output.keep_earlier(study_uid, served)
        self.output.publish(study_uid, self.account.study_report(study_uid, self.model, earlier))
        log("study_published", study=hashed(study_uid), images=len(served), earlier_images=len(earlier), milliseconds=watch.milliseconds)

    def _log(self, task: ImageTask) -> None:
        image: dict[str, Any] = {"image": hashed(task.image.source_uid), "study": hashed(task.image.study_uid), "number": task.image.number}
        if task.rejection is None:
            log("image_served", **image, **task.milliseconds)
        else:
            log("image_rejected", "warning", **image, reason=task.rejection[0], **task.milliseconds)

    @contextmanager
    def _rejecting(self, task: ImageTask, step: str) -> Iterator[None]:
        """Lets an error of one image reject it, and one of model or output end the run; notes what the step took."""
        watch = Stopwatch()
        try:
            yield
        except BaseException as error:
            if isinstance(error, Exception) and not isinstance(error, ModelFaultError | OutputNotWritableError):
                task.reject(*rejection_of(error, task.image.path))
            else:
                task.drop_pixels()
                self.fault = error
        finally:
            task.milliseconds[f"{step}_milliseconds"] = watch.milliseconds


def rejection_of(error: Exception, path: Path) -> tuple[str, str]:
    """Reason and sentence for an error over one image; unforeseen ones are named by their kind alone, for their text may quote the file."""
    if isinstance(error, RefusedImageError):
        return error.refusal.reason.value, error.refusal.sentence
    if isinstance(error, PneumoniaError):
        reason = Reason.UNSUPPORTED if isinstance(error, RejectedImageError) else Reason.DAMAGED
        return reason.value, sentence_of(error, path)
    if isinstance(error, MemoryError):
        return (
            Reason.FAILED.value,
            "the image needs more memory than there is: give the application more, or the image at a lower resolution",
        )
    return Reason.FAILED.value, f"the image could not be analysed ({type(error).__name__}): export it anew, and report this if it stays"


def describe_model(recognizer: LesionRecognizer, algorithm: Algorithm) -> dict[str, Any]:
    """What identifies a model in the reports, as values that JSON knows."""
    return {
        "version": algorithm.model_version,
        "weights_sha256": algorithm.weights_sha256,
        "classes": list(recognizer.description.classes),
        **_settings(algorithm),
    }


def _settings(algorithm: Algorithm) -> dict[str, Any]:
    """What may change without the weights; every image states it, for a study may hold images that earlier runs served."""
    return {
        "settings_sha256": algorithm.settings_sha256,
        "operating_point": algorithm.operating_point,
        "lesion_threshold": algorithm.lesion_threshold,
    }


def serve(request: Request, stop: threading.Event | None = None) -> Outcome:
    """Serves an input: results for each image that can be analysed, a report on every file.

    Args:
        request: what to serve.
        stop: ends the run after the image in hand, when set; studies that are complete by then stay.

    Raises:
        PneumoniaError: usage, model, input or output are at fault; its exit code says which.
        StoppedError: the run was stopped.
    """
    stop = stop or threading.Event()
    watch = Stopwatch()
    bundle = check_request(request)
    with OutputFolder(request.output) as output:
        log("started")
        scan = scan_input(request.source, request.output)
        images = sum(map(len, scan.studies.values()))
        log("input_scanned", files=images + len(scan.left_out), images=images, studies=len(scan.studies), milliseconds=watch.lap())
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
    from monai_pneumonia.inference import LesionRecognizer

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
        raise StoppedError("the run was stopped before its end: studies that were complete stay, give the command again for the others")


def outcome_of(account: Account, report: Path) -> Outcome:
    """What a run says at its end, for people."""
    counts = account.counts
    sentence = f"{counts['served']} of {counts['files']} files served, {counts['skipped']} skipped, {counts['rejected']} rejected: {report}"
    return Outcome(account.exit_code, sentence, _complaint(account, report))


def _complaint(account: Account, report: Path) -> str:
    first, counts = account.first_rejected, account.counts
    if first is None:
        files = f"only {counts['files']} files without one" if counts["files"] else "no file at all"
        return "" if counts["served"] else f"the input holds no image to analyse, {files}: give CR, DX or RG images as DICOM ({report})"
    rejected = (
        f"{counts['rejected']} of {counts['files']} files" if counts["served"] else f"no file was served: all {counts['rejected']} images"
    )
    more = f"; {report} names each" if counts["rejected"] > 1 else f"; {report} names it"
    return f"{rejected} rejected, the first (file {first.number}) because: {first.sentence}{more}"
