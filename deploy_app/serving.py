"""The steps of a run over images: gate, decoding and recognition, writing. The operators call them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset

from deploy_app.account import Account, Reason, Status, sentence_of
from deploy_app.logs import Stopwatch, log
from deploy_app.publishing import OutputFolder
from deploy_app.studies import ImageFile, InputScan
from monai_pneumonia.dicom.gate import RefusedImageError, check_image
from monai_pneumonia.dicom.identifiers import hashed
from monai_pneumonia.dicom.source import read_header
from monai_pneumonia.errors import (
    BadInputError,
    ModelFaultError,
    NotEnoughMemoryError,
    OutputNotWritableError,
    PneumoniaError,
    RejectedImageError,
)
from monai_pneumonia.radiograph import Radiograph, read_radiograph

if TYPE_CHECKING:
    from monai_pneumonia.dicom.algorithm import Algorithm
    from monai_pneumonia.inference import LesionRecognizer, LesionReport


@dataclass(eq=False)
class ImageTask:
    """One image on its way through the operators.

    Attributes:
        image: the file; one of its stand-ins, once it was rejected and they are tried.
        last: whether it is its study's last one.
        rejection: why it is not analysed, once an operator has found that; the others pass it on.
        radiograph: its pixels, once read.
        report: what the recogniser says, once it has.
        milliseconds: what the steps took.
        stand_ins: files that may still be tried instead.
        failed: the files that were rejected and had a stand-in, with reason and sentence.
    """

    image: ImageFile
    last: bool
    rejection: tuple[str, str] | None = None
    radiograph: Radiograph | None = None
    report: LesionReport | None = None
    milliseconds: dict[str, Any] = field(default_factory=dict)
    stand_ins: list[ImageFile] = field(init=False)
    failed: list[tuple[ImageFile, tuple[str, str]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stand_ins = list(self.image.stand_ins)

    def reject(self, reason: str, sentence: str) -> None:
        """Takes the image out; its pixels go at once."""
        self.rejection = (reason, sentence)
        self.drop_pixels()

    def try_next(self) -> None:
        """Puts the next stand-in in the place of the file that was rejected."""
        assert self.rejection is not None
        self.failed.append((self.image, self.rejection))
        self.image, self.rejection, self.milliseconds = self.stand_ins.pop(0), None, {}

    def drop_pixels(self) -> None:
        """Lets go of all that is large."""
        self.radiograph = self.report = None


class ServingRun:
    """The state and the steps of a run over the images of an input.

    Every step takes a task and leaves its finding in it. A fault of one image becomes that image's rejection. A fault of model, device or
    output is kept in :attr:`fault` and ends the run: no more tasks come, and those under way are dropped. When the run is asked to stop, no
    more tasks come, and the one under way is finished.

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
    def model(self) -> dict[str, Any]:
        """What the reports say of the model."""
        return describe_model(self.recognizer, self.algorithm)

    def tasks(self) -> Iterator[ImageTask]:
        """Yields the images one by one, study by study, until the run is stopped or has failed."""
        for images in self.scan.studies.values():
            for image in images:
                if self.fault is not None or self._stop.is_set():
                    return
                yield ImageTask(image, last=image is images[-1])

    def check(self, task: ImageTask) -> None:
        """Refuses what is no frontal chest X-ray, or lacks what results need of it; judged by tags alone."""
        with self._rejecting(task, "gate"):
            check_image(task.image.path)
            _header_of(task.image)

    def recognize(self, task: ImageTask) -> None:
        """Reads the pixels, once, and analyses them."""
        if task.rejection is None:
            with self._rejecting(task, "decoding"):
                task.radiograph = read_radiograph(task.image.path)
        if task.rejection is None and task.radiograph is not None:
            with self._rejecting(task, "recognition"):
                task.report = self.recognizer(task.radiograph)

    def write(self, task: ImageTask) -> None:
        """Writes the results of an image, and with the last one of a study puts the study in its place.

        Where the file was rejected, its stand-ins take all steps, one by one, until one of them is served.
        """
        self._finish(task)
        while self.fault is None and task.rejection is not None and task.stand_ins:
            task.try_next()
            self.check(task)
            self.recognize(task)
            self._finish(task)
        if self.fault is not None:
            return
        self._account_for(task)
        if task.last:
            try:
                self._publish(task.image.study_uid)
            except BaseException as error:
                self.fault = error

    def _finish(self, task: ImageTask) -> None:
        """Writes what there is to write of a file, and lets go of it."""
        if task.report is not None:
            with self._rejecting(task, "writing"):
                self._write_results(task)
        task.drop_pixels()
        if self.fault is None:
            self._log(task)

    def _account_for(self, task: ImageTask) -> None:
        """Notes what became of the files of an image, but for the one that was served."""
        stay = ""
        if task.rejection is not None:
            task.failed.append((task.image, task.rejection))
            if self.output.has_results(task.image.study_uid, task.image.source_uid):
                stay = "; results that an earlier run made of it stay"
        for image, (reason, sentence) in task.failed:
            self.account.add(image.record(Status.REJECTED, reason, sentence + stay))
        for image in task.stand_ins:
            record = image.yields_to(task.image, ", which was served")
            self.account.add(record)
            log("file_rejected", "warning", number=record.number, reason=record.reason)

    def _write_results(self, task: ImageTask) -> None:
        # Imported here, when highdicom is needed for the first time: refusals need none.
        from monai_pneumonia.dicom.writing import report_entry, write_results

        assert task.report is not None
        folder = self.output.study_folder(task.image.study_uid)
        # Read once more after the pixels: were the file replaced meanwhile, they would be told of under a wrong study.
        written = write_results(_header_of(task.image), task.report, self.algorithm, folder, task.radiograph)
        entry = {**report_entry(task.report, written), **_settings(self.algorithm)}
        self.account.add(task.image.record(Status.SERVED, entry=entry))

    def _publish(self, study_uid: str) -> None:
        served = {record.source_uid for record in self.account.of_study(study_uid, Status.SERVED)}
        rejected = {record.source_uid: record.reason for record in self.account.of_study(study_uid, Status.REJECTED)}
        if not served and not any(self.output.has_results(study_uid, uid) for uid in rejected):
            return
        watch = Stopwatch()
        earlier = self.output.keep_earlier(study_uid, served)
        for entry in earlier:
            if entry["source_sop_instance_uid"] in rejected:
                entry["rejected_later"] = rejected[entry["source_sop_instance_uid"]]
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


class ChangedFileError(BadInputError):
    """A file is another than it was when the input was scanned."""


def _header_of(image: ImageFile) -> Dataset:
    """What results take over from an image's file.

    Raises:
        ChangedFileError: its identifiers are no longer those that the scan found.
        UnreadableImageError: it is damaged, or lacks what results need.
    """
    header = read_header(image.path)
    if (header.StudyInstanceUID, header.SOPInstanceUID) != (image.study_uid, image.source_uid):
        raise ChangedFileError(
            "the file was changed during the run, and is another image now: give the command again when all files are there"
        )
    return header


def rejection_of(error: Exception, path: Path) -> tuple[str, str]:
    """Reason and sentence for an error over one image; unforeseen ones are named by their kind alone, for their text may quote the file."""
    if isinstance(error, RefusedImageError):
        return error.refusal.reason.value, error.refusal.sentence
    if isinstance(error, MemoryError | NotEnoughMemoryError):
        return (
            Reason.FAILED.value,
            "the image needs more memory than is available: give the application more, or the image at a lower resolution",
        )
    if isinstance(error, ChangedFileError):
        return Reason.CHANGED.value, str(error)
    if isinstance(error, PneumoniaError):
        reason = Reason.UNSUPPORTED if isinstance(error, RejectedImageError) else Reason.DAMAGED
        return reason.value, sentence_of(error, path)
    return (
        Reason.FAILED.value,
        f"the image could not be analysed ({type(error).__name__}): export it anew, and report this if it happens again",
    )


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
