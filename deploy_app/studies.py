"""From a folder to studies: finds all files, reads their tags, and sorts out what holds no image before any pixel is read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID, MediaStorageDirectoryStorage, UID_dictionary

from deploy_app.account import FileRecord, Reason, Status, sentence_of
from monai_pneumonia.dicom.gate import GATE_TAGS, RefusalReason, read_file_tags, refusal_of
from monai_pneumonia.dicom.identifiers import is_uid
from monai_pneumonia.dicom.source import stated_uid
from monai_pneumonia.errors import PneumoniaError, UnreadableImageError
from monai_pneumonia.inference.weights import file_sha256
from monai_pneumonia.radiograph.dicom_tags import code, quoted_uid, unchecked_values

Verdict: TypeAlias = tuple[Status, Reason, str]

DICOM_DIRECTORY = "DICOMDIR"
# The largest detectors give 16 million pixels of two bytes.
LARGEST_FILE = 1 << 30
_IDENTIFIERS = ("StudyInstanceUID", "SOPInstanceUID")
_SCAN_TAGS = (*GATE_TAGS, *_IDENTIFIERS)
# Modalities of objects that speak about images (PS3.3 C.7.3.1.1.1), should their SOP class not tell.
_NO_IMAGE_MODALITIES = frozenset(
    (
        *("SR", "PR", "KO", "SEG", "DOC", "REG", "RWV", "FID", "AU", "ECG", "HD", "PLAN"),
        *("RTSTRUCT", "RTPLAN", "RTRECORD", "RTDOSE", "ANN", "STAIN"),
    )
)
_DIRECTORY = (Status.SKIPPED, Reason.DICOMDIR, "the index of a DICOM medium: it lists images but holds none")
_OUTSIDE = (
    Status.REJECTED,
    Reason.LINK_OUTSIDE,
    "a link that leads out of the input, and is not followed: put what it leads to into the input, or give that as an input of its own",
)


@dataclass(frozen=True)
class ImageFile:
    """A file that may hold an image to analyse: DICOM, with pixels and with UIDs that results can refer to.

    Attributes:
        number: its place among the files of the input, from 1.
        path: the file.
        name: its path, relative to the input.
        study_uid: Study Instance UID.
        source_uid: SOP Instance UID.
        stand_ins: further files of its study and UID with other content: should it be rejected, the next of them is tried.
    """

    number: int
    path: Path
    name: str
    study_uid: str
    source_uid: str
    stand_ins: tuple[ImageFile, ...] = ()

    def record(self, status: Status, reason: str = "", sentence: str = "", entry: Mapping[str, Any] | None = None) -> FileRecord:
        """What became of it."""
        return FileRecord(self.number, self.name, status, reason, sentence, self.study_uid, self.source_uid, entry or {})

    def yields_to(self, other: ImageFile, fate: str = "") -> FileRecord:
        """Its rejection, for another file has its UID.

        Args:
            other: the file.
            fate: what became of that, as the end of a clause.
        """
        sentence = (
            f"it has the SOPInstanceUID of another file with different content (file {other.number} of this account){fate}: "
            "results can refer to only one image of a UID; remove the wrong file, or export both anew"
        )
        return self.record(Status.REJECTED, Reason.AMBIGUOUS_IDENTIFIER.value, sentence)


@dataclass(frozen=True)
class InputScan:
    """What an input holds.

    Attributes:
        studies: Study Instance UID to its images, one a SOP Instance UID; studies in the order of their first file.
        left_out: the records of all other files.
    """

    studies: dict[str, tuple[ImageFile, ...]]
    left_out: tuple[FileRecord, ...]

    @property
    def images(self) -> int:
        """The number of files that may be analysed, stand-ins among them."""
        return sum(1 + len(image.stand_ins) for images in self.studies.values() for image in images)


@dataclass(frozen=True)
class _Found:
    """A file of the input, or a place in it that cannot be read."""

    path: Path
    name: str
    verdict: Verdict | None = None


def scan_input(source: Path, aside: Path | None = None, before_each: Callable[[], None] = lambda: None) -> InputScan:
    """Finds the images of a file or folder, and says of every other file why it is left out. Reads tags, no pixels.

    Args:
        source: file, or folder with sub-folders, itself perhaps a link; links inside are followed, each folder once, to places inside
            alone: they might lead over the whole disk.
        aside: a folder inside the source that is not searched, such as that of the results.
        before_each: called before each file is looked for, read or compared; what it raises ends the scan.
    """
    found = list(_files_below(source, aside, before_each)) if source.is_dir() else [_Found(source, source.name, _special_file(source))]
    images: list[ImageFile] = []
    left_out: list[FileRecord] = []
    for number, file in enumerate(sorted(found, key=lambda file: file.name.split("/")), start=1):
        before_each()
        name = file.name.encode("utf-8", "backslashreplace").decode()
        read = file.verdict or _read(file.path)
        tags, verdict = (read, _judge(read)) if isinstance(read, Dataset) else (Dataset(), read)
        study_uid, source_uid = (str(uid) if is_uid(uid := tags.get(keyword)) else "" for keyword in _IDENTIFIERS)
        if verdict is None:
            images.append(ImageFile(number, file.path, name, study_uid, source_uid))
        else:
            status, reason, sentence = verdict
            left_out.append(FileRecord(number, name, status, reason.value, sentence, study_uid, source_uid))
    images, doubles = _without_doubles(images, before_each)
    studies: dict[str, list[ImageFile]] = {}
    for image in images:
        studies.setdefault(image.study_uid, []).append(image)
    return InputScan({uid: tuple(members) for uid, members in studies.items()}, (*left_out, *doubles))


def _files_below(folder: Path, aside: Path | None, before_each: Callable[[], None]) -> Iterator[_Found]:
    """All files below a folder, in no order, with the verdict on those that are not worth opening."""
    unreadable: list[OSError] = []
    inside = Path(os.path.realpath(folder))
    seen = {inside, *(() if aside is None else (Path(os.path.realpath(aside)),))}
    for root, folders, names in os.walk(folder, onerror=unreadable.append, followlinks=True):
        place = Path(root)
        below = sorted(folders)
        folders.clear()
        for name in below:
            before_each()
            path = place / name
            real = Path(os.path.realpath(path))
            if real in seen:
                continue
            if real.is_relative_to(inside):
                seen.add(real)
                folders.append(name)
            else:
                relative = path.relative_to(folder)
                yield _Found(path, f"{relative.as_posix()}/", _verdict_by_place(path, relative, inside))
        for name in names:
            before_each()
            path = place / name
            relative = path.relative_to(folder)
            yield _Found(path, relative.as_posix(), _verdict_by_place(path, relative, inside))
    for error in unreadable:
        path = Path(os.fsdecode(error.filename))
        sentence = f"the folder cannot be read ({error.strerror}): its files are missing from this account; grant permission to read it"
        yield _Found(path, path.relative_to(folder).as_posix() + "/", (Status.REJECTED, Reason.NOT_READABLE, sentence))


def _verdict_by_place(path: Path, relative: Path, inside: Path) -> Verdict | None:
    if any(part.startswith(".") for part in relative.parts):
        return Status.SKIPPED, Reason.HIDDEN, "a hidden file, or in a hidden folder"
    if path.name.upper() == DICOM_DIRECTORY:
        return _DIRECTORY
    # Path.is_symlink raises where a path may not be looked at; opening it says why.
    if os.path.islink(path) and not Path(os.path.realpath(path)).is_relative_to(inside):  # noqa: PTH114
        return _OUTSIDE
    return _special_file(path)


def _special_file(path: Path) -> Verdict | None:
    # What cannot be looked at is no special file: opening it says why.
    with suppress(OSError):
        if path.exists() and not path.is_file():
            return Status.SKIPPED, Reason.SPECIAL_FILE, "not a regular file but a pipe, socket or device"
    return None


def _read(path: Path) -> Dataset | Verdict:
    """The tags of a file, or why it is left out without them."""
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            has_preamble = stream.read(132)[128:] == b"DICM"
    except OSError as error:
        fault = error.strerror or "no reason given"
        sentence = f"the file cannot be read ({fault}): check its permissions and, if it is a link, that its target exists"
        return Status.REJECTED, Reason.NOT_READABLE, sentence
    if not size:
        return Status.REJECTED, Reason.NOT_DICOM, "the file is empty: export or copy it anew"
    if size > LARGEST_FILE:
        return (
            Status.REJECTED,
            Reason.OVERSIZED,
            f"the file has {size >> 20} MiB, more than any radiograph: give a single-frame CR or DX image",
        )
    try:
        return read_file_tags(path, _SCAN_TAGS)
    except PneumoniaError as error:
        if _is_directory(path):
            return _DIRECTORY
        if not has_preamble:
            return Status.REJECTED, Reason.NOT_DICOM, "not a DICOM file: give CR, DX or RG images as DICOM"
        return Status.REJECTED, Reason.DAMAGED, sentence_of(error, path)
    except MemoryError:
        return Status.REJECTED, Reason.FAILED, "its tags need more memory than there is: give the application more, or leave the file out"


def _judge(dataset: Dataset) -> Verdict | None:
    """Why a file is left out by its tags; None where it may be an image to analyse."""
    refusal = refusal_of(dataset)
    if refusal is not None and refusal.reason is RefusalReason.OWN_RESULT:
        return Status.SKIPPED, Reason.NO_IMAGE, refusal.sentence
    sop_class, modality = code(dataset, "SOPClassUID"), code(dataset, "Modality")
    holds_image = "Image" in UID(sop_class).name if sop_class in UID_dictionary else modality not in _NO_IMAGE_MODALITIES
    if not holds_image:
        return Status.SKIPPED, Reason.NO_IMAGE, f"not an image but another kind of object ({quoted_uid(sop_class)}): nothing to analyse"
    try:
        for keyword in _IDENTIFIERS:
            stated_uid(dataset, keyword)
    except UnreadableImageError as error:
        return Status.REJECTED, Reason.INVALID_IDENTIFIER, str(error)
    return None


def _is_directory(path: Path) -> bool:
    """Whether a file is a DICOMDIR by another name."""
    try:
        with unchecked_values():
            return bool(read_file_meta_info(path).get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage)
    except Exception:  # whatever pydicom raises over a file that is none
        return False


def _without_doubles(images: Sequence[ImageFile], before_each: Callable[[], None]) -> tuple[list[ImageFile], list[FileRecord]]:
    """The first file of each SOP Instance UID, as an archive keeps it, with its stand-ins.

    An identical file is skipped; one with other content stands in, or is rejected where it claims another study.
    """
    count = Counter(image.source_uid for image in images)
    files_of: dict[str, dict[str, ImageFile]] = {}
    records: list[FileRecord] = []
    for image in images:
        before_each()
        files = files_of.setdefault(image.source_uid, {})
        content = _content(image) if count[image.source_uid] > 1 else ""
        first = next(iter(files.values()), image)
        if content in files:
            records.append(image.record(Status.SKIPPED, Reason.DUPLICATE.value, "the same file is in the input already"))
        elif first.study_uid != image.study_uid:
            records.append(image.yields_to(first))
        else:
            files[content] = image
    together = [tuple(files.values()) for files in files_of.values()]
    return [replace(files[0], stand_ins=files[1:]) for files in together], records


def _content(image: ImageFile) -> str:
    """What tells files of different content apart."""
    try:
        return file_sha256(image.path)
    except OSError:  # it went away meanwhile: reading it once more says so
        return image.name
