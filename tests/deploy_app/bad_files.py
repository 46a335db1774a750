"""Files that no application should trip over, each with what is to become of it."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID
from radiograph_files import dicom_dataset, marker, save_dicom, write_dicom

SERVED, SKIPPED, REJECTED = "served", "skipped", "rejected"
# Values by which a patient may be known; each stands in the files below and nowhere else.
PATIENT = {
    "PatientName": "Zaphod^Beeblebrox",
    "PatientID": "PID-4711-X",
    "PatientBirthDate": "19430217",
    "AccessionNumber": "ACC-0815-Y",
    "InstitutionName": "Saint Elsewhere Hospital",
    "ReferringPhysicianName": "Quincy^Doctor",
    "StudyDescription": "Thorax of Mr Beeblebrox",
    "StudyID": "STUDY-31415",
}
STUDY_ROOT, SERIES_ROOT, INSTANCE_ROOT = "1.2.826.0.1.77", "1.2.826.0.1.78", "1.2.826.0.1.79"
_EXPLICIT, _JPEG, _JPEG_2000, _RLE, _DEFLATED = (f"1.2.840.10008.1.2.{end}" for end in ("1", "4.50", "4.90", "5", "1.99"))
_CT, _US_MULTI_FRAME, _BASIC_SR = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("2", "3.1", "88.11"))
_MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
# Just below the largest picture that is read.
_LARGE = 8900


@dataclass(frozen=True)
class BadFile:
    """A kind of bad file.

    Attributes:
        write: makes it at a path.
        status: what is to become of it.
        reasons: the words that may be given for it.
    """

    write: Callable[[Path], object]
    status: str
    reasons: tuple[str, ...]


def picture(number: int, size: int = 96) -> np.ndarray:
    """A picture [size, size * 5 / 6] that no other number has; uint8."""
    values = marker(size, size * 5 // 6).astype(np.int16)
    return (values + np.random.default_rng(number).integers(-30, 30, values.shape)).clip(0, 255).astype(np.uint8)


def chest_tags(number: int, study: int | None = None, **tags: Any) -> dict[str, Any]:
    """The tags of chest X-ray ``number``; study None gives it a study of its own."""
    own = {
        **PATIENT,
        "SOPInstanceUID": f"{INSTANCE_ROOT}.{number}",
        "StudyInstanceUID": f"{STUDY_ROOT}.{number if study is None else study}",
        "SeriesInstanceUID": f"{SERIES_ROOT}.{number}",
        "StudyDate": "20200102",
        "ContentDate": "20200103",
        "ContentTime": "131415",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
    }
    wanted = {**own, **tags}
    return {keyword: value for keyword, value in wanted.items() if value is not None}


def write_chest(path: Path, number: int, study: int | None = None, syntax: str = "", size: int = 96, **tags: Any) -> Path:
    """Writes chest X-ray ``number``; tags replace or, where None, remove those that it has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_dicom(path, picture(number, size), syntax, **chest_tags(number, study, **tags))


def _cut(path: Path, number: int, syntax: str, share: float) -> None:
    data = write_chest(path, number, syntax=syntax).read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def _dataset(number: int, **tags: Any) -> Dataset:
    return dicom_dataset(picture(number), **chest_tags(number, **tags))


def _save_stream(path: Path, dataset: Dataset, stream: bytes, syntax: str) -> None:
    """Saves a data set with a compressed stream of ours."""
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    save_dicom(dataset, path)


def _stream_of(path: Path, number: int, syntax: str) -> bytes:
    """The compressed stream of a good file."""
    dataset = pydicom.dcmread(write_chest(path, number, syntax=syntax))
    return bytes(next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)))


def _rle_bomb(path: Path) -> None:
    """States 79 million pixels and has a handful of bytes for them."""
    stream = struct.pack("<16L", 1, 64, *[0] * 14) + b"\x81\x00" * 50
    _save_stream(path, _dataset(940, Rows=_LARGE, Columns=_LARGE), stream, _RLE)


def write_largest(path: Path, number: int) -> None:
    """A small JPEG 2000 stream, altered so that it states 79 million pixels, as do the tags: its decoder fills in what is missing."""
    stream = bytearray(_stream_of(path, number, "jpeg_2000"))
    for place in (8, 24):  # the picture, and the one tile that it has
        stream[place : place + 8] = struct.pack(">2I", _LARGE, _LARGE)
    _save_stream(path, _dataset(number, Rows=_LARGE, Columns=_LARGE), bytes(stream), _JPEG_2000)


def _jpeg_2000_of_many_samples(path: Path) -> None:
    """States 16384 samples a pixel: a thousand times the memory that the tags speak of."""
    stream = bytearray(_stream_of(path, 942, "jpeg_2000"))
    stream[40:45] = struct.pack(">H", 16384) + stream[42:45] * 16384
    stream[4:6] = struct.pack(">H", 38 + 3 * 16384)
    _save_stream(path, _dataset(942), bytes(stream), _JPEG_2000)


def _jpeg_2000_in_boxes(path: Path) -> None:
    """A JP2 file in the place of the bare stream, which states 60,000 x 60,000 pixels where the tags say less."""
    stream = bytearray(_stream_of(path, 943, "jpeg_2000"))
    stream[8:16] = struct.pack(">2I", 60_000, 60_000)
    boxes = b"\x00\x00\x00\x0cjP  \r\n\x87\n" + struct.pack(">I4s4sI4s", 20, b"ftyp", b"jp2 ", 0, b"jp2 ")
    header = struct.pack(">I4s", 45, b"jp2h") + struct.pack(">I4sIIH4B", 22, b"ihdr", 60_000, 60_000, 1, 7, 7, 0, 0)
    header += struct.pack(">I4s3BI", 15, b"colr", 1, 0, 0, 17)
    _save_stream(path, _dataset(943), boxes + header + struct.pack(">I4s", 0, b"jp2c") + bytes(stream), _JPEG_2000)


def _jpeg_bomb(path: Path) -> None:
    """A small JPEG stream that states 65,000 x 65,000 pixels, as do the tags."""
    stream = bytearray(_stream_of(path, 944, "jpeg_baseline"))
    frame = stream.index(b"\xff\xc0")
    stream[frame + 5 : frame + 9] = struct.pack(">2H", 65_000, 65_000)
    _save_stream(path, _dataset(944, Rows=65_000, Columns=65_000), bytes(stream), _JPEG)


def _deflated_bomb(path: Path) -> None:
    """A few megabytes that inflate to 600: a private element of that size before all others."""
    dataset = _dataset(945)
    dataset.file_meta.TransferSyntaxUID = UID(_DEFLATED)
    data = save_dicom(dataset, path).read_bytes()
    start = 144 + struct.unpack_from("<I", data, 140)[0]
    packer = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    with path.open("wb") as file:
        file.write(data[:start] + packer.compress(struct.pack("<2H2sHI", 0x0007, 0x1001, b"OB", 0, 600 << 20)))
        for _ in range(600):
            file.write(packer.compress(bytes(1 << 20)))
        file.write(packer.compress(zlib.decompress(data[start:], -zlib.MAX_WBITS)) + packer.flush())


def _nested(path: Path) -> None:
    """Sequences in sequences, 20,000 deep."""
    dataset = _dataset(946)
    save_dicom(dataset, path)
    data = path.read_bytes()
    deep = (struct.pack("<2H2sHI", 0x0054, 0x0220, b"SQ", 0, 0xFFFFFFFF) + struct.pack("<2HI", 0xFFFE, 0xE000, 0xFFFFFFFF)) * 20_000
    place = data.index(struct.pack("<2H2s", 0x0028, 0x0002, b"US"))
    path.write_bytes(data[:place] + deep + data[place:])


def _directory(path: Path) -> None:
    """A DICOMDIR by another name."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(_EXPLICIT)
    dataset.file_meta.MediaStorageSOPClassUID = UID(_MEDIA_DIRECTORY)
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"{INSTANCE_ROOT}.950")
    dataset.FileSetID = "MEDIUM"
    dataset.DirectoryRecordSequence = Sequence()
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)


def _structured_report(path: Path) -> None:
    dataset = _dataset(951, SOPClassUID=_BASIC_SR, Modality="SR")
    del dataset.PixelData
    save_dicom(dataset, path)


def _frames(path: Path) -> None:
    dataset = _dataset(952, NumberOfFrames=3)
    dataset.PixelData = dataset.PixelData * 3
    save_dicom(dataset, path)


def _view_code(path: Path) -> None:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "399067008", "SCT", "lateral"
    save_dicom(_dataset(953, ViewPosition=None, ViewCodeSequence=Sequence([code])), path)


def _unknown_syntax(path: Path) -> None:
    dataset = _dataset(954)
    save_dicom(dataset, path)
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0"))


_UNREADABLE = ("damaged", "not_dicom")
BAD_FILES: Mapping[str, BadFile] = {
    "text.txt": BadFile(lambda path: path.write_text("Zaphod^Beeblebrox, born 19430217\n"), REJECTED, ("not_dicom",)),
    "text.dcm": BadFile(lambda path: path.write_text("no DICOM, whatever its name says\n"), REJECTED, ("not_dicom",)),
    "empty.dcm": BadFile(lambda path: path.write_bytes(b""), REJECTED, ("not_dicom",)),
    "zeros.dcm": BadFile(lambda path: path.write_bytes(bytes(5000)), REJECTED, ("not_dicom",)),
    "preamble_alone.dcm": BadFile(lambda path: path.write_bytes(bytes(128) + b"DICM"), REJECTED, _UNREADABLE),
    "picture.png": BadFile(lambda path: _png(path), REJECTED, ("not_dicom",)),
    "cut_in_tags.dcm": BadFile(lambda path: _cut(path, 900, "", 0.06), REJECTED, ("damaged", "invalid_identifier")),
    "cut_pixels.dcm": BadFile(lambda path: _cut(path, 901, "", 0.7), REJECTED, ("damaged",)),
    "cut_jpeg.dcm": BadFile(lambda path: _cut(path, 902, "jpeg_baseline", 0.7), REJECTED, ("damaged",)),
    "cut_jpeg_ls.dcm": BadFile(lambda path: _cut(path, 903, "jpeg_ls", 0.7), REJECTED, ("damaged",)),
    "cut_jpeg_2000.dcm": BadFile(lambda path: _cut(path, 904, "jpeg_2000", 0.7), REJECTED, ("damaged",)),
    "cut_rle.dcm": BadFile(lambda path: _cut(path, 905, "rle", 0.7), REJECTED, ("damaged",)),
    "no_pixels.dcm": BadFile(lambda path: write_chest(path, 906, PixelData=b""), REJECTED, ("damaged",)),
    "ct.dcm": BadFile(lambda path: write_chest(path, 910, SOPClassUID=_CT, Modality="CT"), REJECTED, ("modality",)),
    "ultrasound.dcm": BadFile(
        lambda path: write_chest(path, 911, SOPClassUID=_US_MULTI_FRAME, Modality="US", NumberOfFrames=1), REJECTED, ("modality",)
    ),
    "frames.dcm": BadFile(_frames, REJECTED, ("frames",)),
    "lateral.dcm": BadFile(lambda path: write_chest(path, 912, ViewPosition="LL"), REJECTED, ("view",)),
    "lateral_by_code.dcm": BadFile(_view_code, REJECTED, ("view",)),
    "knee.dcm": BadFile(lambda path: write_chest(path, 913, BodyPartExamined="KNEE"), REJECTED, ("body_part",)),
    "no_study_uid.dcm": BadFile(lambda path: write_chest(path, 914, StudyInstanceUID=None), REJECTED, ("invalid_identifier",)),
    "no_series_uid.dcm": BadFile(lambda path: write_chest(path, 915, SeriesInstanceUID=None), REJECTED, ("damaged", "invalid_identifier")),
    "path_as_study.dcm": BadFile(
        lambda path: write_chest(path, 916, StudyInstanceUID="../../escaped"), REJECTED, ("damaged", "invalid_identifier")
    ),
    "root_as_study.dcm": BadFile(
        lambda path: write_chest(path, 917, StudyInstanceUID="/tmp/escaped"), REJECTED, ("damaged", "invalid_identifier")
    ),
    "dots_as_study.dcm": BadFile(lambda path: write_chest(path, 918, StudyInstanceUID=".."), REJECTED, ("damaged", "invalid_identifier")),
    "path_as_instance.dcm": BadFile(
        lambda path: write_chest(path, 919, SOPInstanceUID="../../../1.2.3"), REJECTED, ("damaged", "invalid_identifier")
    ),
    "path_as_series.dcm": BadFile(
        lambda path: write_chest(path, 920, SeriesInstanceUID="1.2/../../3"), REJECTED, ("damaged", "invalid_identifier")
    ),
    "long_study.dcm": BadFile(lambda path: write_chest(path, 921, StudyInstanceUID="1." * 40 + "1"), REJECTED, ("invalid_identifier",)),
    "huge.dcm": BadFile(lambda path: write_chest(path, 930, Rows=20_000, Columns=20_000), REJECTED, ("unsupported", "oversized")),
    "black.dcm": BadFile(lambda path: write_chest(path, 933, PixelData=bytes(96 * 96)), REJECTED, ("unsupported",)),
    "no_rows.dcm": BadFile(lambda path: write_chest(path, 931, Rows=0), REJECTED, ("unsupported", "damaged")),
    "more_rows.dcm": BadFile(lambda path: write_chest(path, 932, Rows=97), REJECTED, ("damaged",)),
    "unknown_syntax.dcm": BadFile(_unknown_syntax, REJECTED, ("damaged",)),
    "rle_bomb.dcm": BadFile(_rle_bomb, REJECTED, ("damaged",)),
    "jpeg_2000_samples.dcm": BadFile(_jpeg_2000_of_many_samples, REJECTED, ("damaged",)),
    "jpeg_2000_boxes.dcm": BadFile(_jpeg_2000_in_boxes, REJECTED, ("damaged",)),
    "jpeg_bomb.dcm": BadFile(_jpeg_bomb, REJECTED, ("unsupported", "oversized")),
    "deflated_bomb.dcm": BadFile(_deflated_bomb, REJECTED, ("unsupported", "oversized", "damaged")),
    "nested.dcm": BadFile(_nested, REJECTED, ("damaged",)),
    "directory": BadFile(_directory, SKIPPED, ("dicomdir",)),
    "report.dcm": BadFile(_structured_report, SKIPPED, ("no_image",)),
    ".hidden.dcm": BadFile(lambda path: write_chest(path, 955), SKIPPED, ("hidden",)),
    "pipe": BadFile(os.mkfifo, SKIPPED, ("special_file",)),
    "broken_link.dcm": BadFile(lambda path: path.symlink_to("nowhere.dcm"), REJECTED, ("not_readable",)),
    "loop.dcm": BadFile(lambda path: path.symlink_to(path.name), REJECTED, ("not_readable",)),
}


def _png(path: Path) -> None:
    from PIL import Image

    Image.fromarray(picture(1)).save(path)


def write_bad_files(folder: Path) -> dict[str, BadFile]:
    """Writes one of each kind; names in the folder, and what is to become of each."""
    folder.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, bad in BAD_FILES.items():
            bad.write(folder / name)
    return dict(BAD_FILES)
