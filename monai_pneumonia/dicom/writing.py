"""Writes the results of one image: structured report, segmentation, overlay picture. All of them, or none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset

from monai_pneumonia.dicom.algorithm import Algorithm
from monai_pneumonia.dicom.common import CAPTURE, REPORT, SEGMENTATION, ResultContext
from monai_pneumonia.dicom.identifiers import hashed
from monai_pneumonia.dicom.source import mended_header, read_header
from monai_pneumonia.errors import UnreadableImageError, UsageError
from monai_pneumonia.inference.predictions import written_to
from monai_pneumonia.inference.report import NO_PNEUMONIA, PNEUMONIA, LesionReport
from monai_pneumonia.radiograph import Radiograph, read_radiograph
from monai_pneumonia.radiograph.dicom_tags import unchecked_values

UNFINISHED_PREFIX = ".unfinished-"
_PYDICOM_3 = int(pydicom.__version__.split(".")[0]) >= 3


@dataclass(frozen=True)
class WrittenResults:
    """The files of one image's results.

    Attributes:
        study_uid: Study Instance UID, of source and results alike.
        source_uid: SOP Instance UID of the image.
        files: kind (``sr``, ``seg``, ``sc``) to file; no ``seg`` where no region was found.
        uids: kind to the SOP Instance UID of the result.
    """

    study_uid: str
    source_uid: str
    files: Mapping[str, Path]
    uids: Mapping[str, str]


def write_results(
    source: str | os.PathLike[str] | Dataset,
    report: LesionReport,
    algorithm: Algorithm,
    folder: str | os.PathLike[str],
    radiograph: Radiograph | None = None,
) -> WrittenResults:
    """Writes ``sr-<hash>.dcm``, ``seg-<hash>.dcm`` and ``sc-<hash>.dcm`` of one image. Research use only, not for diagnosis.

    The hash stands for the image's SOP Instance UID. The same image, report and algorithm give the same bytes. The files are written
    under a hidden name and then moved to their place, the structured report last: where it stands, the others stand too. Earlier
    results of the same image are replaced.

    Args:
        source: the image's file, or its data set.
        report: what the recogniser says of it.
        algorithm: that made the report.
        folder: where to write; made if need be.
        radiograph: the image as read; None reads it from the file.

    Raises:
        UsageError: highdicom is not installed, or a data set is given without its radiograph.
        BadInputError: the image cannot be read, or lacks an identifier without which no result can refer to it.
        OutputNotWritableError: the folder cannot be written.
        ValueError: report, algorithm and image do not belong together.
    """
    _require_highdicom()
    if isinstance(source, Dataset):
        if radiograph is None:
            raise UsageError("results of a data set need its radiograph too: give the file instead, or radiograph=...")
        header = mended_header(source)
    else:
        header = read_header(source)
        radiograph = radiograph or read_radiograph(source)
    _check_agreement(header, report, algorithm, radiograph)
    context = ResultContext(header, report, algorithm)
    results = _build(context, radiograph)
    files = _write_all(results, context, Path(os.path.abspath(folder)))
    uids = {kind: str(result.SOPInstanceUID) for kind, result in results.items()}
    return WrittenResults(str(header.StudyInstanceUID), str(header.SOPInstanceUID), files, uids)


def report_entry(report: LesionReport, written: WrittenResults) -> dict[str, Any]:
    """What report.json says of one image: identifiers, file names and the report without its arrays, as values that JSON knows."""
    return {
        "study_instance_uid": written.study_uid,
        "source_sop_instance_uid": written.source_uid,
        "results": {kind: {"file": file.name, "sop_instance_uid": written.uids[kind]} for kind, file in written.files.items()},
        **report.to_dict(),
    }


def _require_highdicom() -> None:
    try:
        import highdicom  # noqa: F401
    except ImportError as error:
        raise UsageError("DICOM results need highdicom, which is not installed: pip install 'monai-pneumonia[dicom]'") from error


def _check_agreement(header: Dataset, report: LesionReport, algorithm: Algorithm, radiograph: Radiograph) -> None:
    stated_size = (header.Rows, header.Columns)
    if stated_size != radiograph.pixels.shape == report.attention_map.shape:
        raise UnreadableImageError("the image's tags state a size more than once, and not the same: export it anew")
    sizes = {
        "the image's tags": stated_size,
        "its pixels": radiograph.pixels.shape,
        "the report's map": report.attention_map.shape,
        "its regions": report.lesion_labels.shape,
    }
    if len(set(sizes.values())) > 1:
        stated = ", ".join(f"{name} {size[0]} x {size[1]}" for name, size in sizes.items())
        raise ValueError(f"image and report do not belong together: {stated}")
    if report.weights_sha256 != algorithm.weights_sha256:
        raise ValueError("the report comes from other weights than the algorithm has")
    if report.decision != (PNEUMONIA if report.p_pneumonia >= algorithm.operating_point else NO_PNEUMONIA):
        raise ValueError(f"the decision '{report.decision}' does not follow from the operating point {algorithm.operating_point}")


def _build(context: ResultContext, radiograph: Radiograph) -> dict[str, Dataset]:
    """The results by kind, in the order in which they go to their place."""
    # Imported here, so that the rest of the package runs without highdicom.
    from monai_pneumonia.dicom.overlay_capture import overlay_capture
    from monai_pneumonia.dicom.segmentation import segmentation
    from monai_pneumonia.dicom.structured_report import structured_report

    results: dict[str, Dataset] = {}
    if context.report.lesions:
        results[SEGMENTATION] = segmentation(context, radiograph.pixel_spacing)
    results[CAPTURE] = overlay_capture(context, radiograph.pixels)
    results[REPORT] = structured_report(context)
    return results


def _write_all(results: Mapping[str, Dataset], context: ResultContext, folder: Path) -> dict[str, Path]:
    names = {kind: context.identifiers.file_name(kind) for kind in (SEGMENTATION, CAPTURE, REPORT)}
    with written_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        # The same name each time: a run that was killed leaves nothing that the next one does not take away.
        unfinished = folder / f"{UNFINISHED_PREFIX}{hashed(context.identifiers.source_uid)}"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        try:
            for kind, result in results.items():
                _save(result, unfinished / names[kind])
            # The report goes first: were the rest cut short, none would speak for results that are not all there.
            for kind in (REPORT, SEGMENTATION, CAPTURE):
                (folder / names[kind]).unlink(missing_ok=True)
            try:
                for kind in results:
                    (unfinished / names[kind]).replace(folder / names[kind])
            except BaseException:
                for kind in results:
                    with suppress(OSError):
                        (folder / names[kind]).unlink(missing_ok=True)
                raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return {kind: folder / names[kind] for kind in (REPORT, SEGMENTATION, CAPTURE) if kind in results}


def _save(result: Dataset, file: Path) -> None:
    """Writes one result and has the system put it on the disk."""
    with unchecked_values(), file.open("wb") as stream:
        if _PYDICOM_3:
            result.save_as(stream, enforce_file_format=True)
        else:
            result.save_as(stream, write_like_original=False)
        stream.flush()
        os.fsync(stream.fileno())
