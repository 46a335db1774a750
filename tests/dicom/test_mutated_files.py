"""Thousands of damaged copies of DICOM files: each is accepted, refused or rejected in one clear line.

None crashes, hangs or floods memory. A failure names source and number: ``python tests/file_mutations.py`` writes that copy again.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pydicom
import pytest
from file_mutations import SourceFile, mutant
from radiograph_files import GDCM_NAMES, JPEG_12_BIT, dicom_dataset, encapsulate_frame, lut_item, marker, save_dicom
from watched_reading import ACCEPTED, CLOCK_SECONDS, REFUSED, REJECTED, Account, Case, patient_values, read_watched

from monai_pneumonia.radiograph.dicom_pixels import stored_values

REAL_COPIES, FULL_SIZE_COPIES = 10_000, 360
PHANTOM_COPIES = 1_600
FEW = 120


def _sources(folder: Path, phantoms: Path) -> list[Path]:
    """Small files of every way in which pixels and tables are stored."""
    from lesion_reports import write_chest

    folder.mkdir()
    grey = marker(48, 40)
    files = sorted(phantoms.glob("images/*.dcm"))[:8]
    files += [write_chest(folder / f"{syntax}.dcm", grey, syntax, InstitutionName="Secret Hospital") for syntax in GDCM_NAMES]
    files += [write_chest(folder / "jpeg_baseline.dcm", grey, "jpeg_baseline")]
    rescaled = {"RescaleSlope": "2", "RescaleIntercept": "-5", "WindowCenter": "100", "WindowWidth": "400"}
    files += [write_chest(folder / "signed.dcm", grey.astype(np.int16) - 100, **rescaled)]
    tables = {"ModalityLUTSequence": [lut_item(list(range(256)), 0, 8)], "VOILUTSequence": [lut_item(list(range(0, 65536, 256)), 0, 16)]}
    files += [write_chest(folder / "tables.dcm", grey, **tables)]
    files += [_colour(folder / "colour.dcm", grey), _palette(folder / "palette.dcm", grey), _jpeg_12_bit(folder / "jpeg_12_bit.dcm")]
    deep = grey.astype(np.uint16) * 16
    syntaxes = {"deflated": "1.2.840.10008.1.2.1.99", "big_endian": "1.2.840.10008.1.2.2"}
    return files + [_in_syntax(folder / f"{name}.dcm", deep, syntax) for name, syntax in syntaxes.items()]


def _chest_tags() -> dict[str, str]:
    uids = {"StudyInstanceUID": "1.2.826.0.1.1", "SeriesInstanceUID": "1.2.826.0.1.2", "SOPInstanceUID": "1.2.826.0.1.3"}
    return {**uids, "PatientBirthDate": "19500607"}


def _colour(path: Path, grey: np.ndarray) -> Path:
    return save_dicom(dicom_dataset(np.stack([grey, grey, grey], axis=-1), photometric="RGB", **_chest_tags()), path)


def _palette(path: Path, grey: np.ndarray) -> Path:
    dataset = dicom_dataset(grey, photometric="PALETTE COLOR", **_chest_tags())
    ramp = (np.arange(256, dtype="<u2") * 257).tobytes()
    for colour in ("Red", "Green", "Blue"):
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(dataset, f"{colour}PaletteColorLookupTableData", ramp)
    return save_dicom(dataset, path)


def _jpeg_12_bit(path: Path) -> Path:
    dataset = dicom_dataset(marker(32, 24).astype(np.uint16) * 16, bits=12, **_chest_tags())
    encapsulate_frame(dataset, JPEG_12_BIT, "1.2.840.10008.1.2.4.51")
    return save_dicom(dataset, path)


def _in_syntax(path: Path, grey: np.ndarray, syntax: str) -> Path:
    dataset = dicom_dataset(grey, bits=12, **_chest_tags())
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    if not dataset.file_meta.TransferSyntaxUID.is_little_endian:
        dataset.PixelData = grey.astype(grey.dtype.newbyteorder(">")).tobytes()
    return save_dicom(dataset, path)


def _small_copy(path: Path, folder: Path) -> Path:
    """A real file with its own tags, and a twelfth of its rows and columns in its own transfer syntax."""
    dataset = pydicom.dcmread(path)
    values, _ = stored_values(dataset)
    small = np.ascontiguousarray(values[::12, ::12])
    syntax = dataset.file_meta.TransferSyntaxUID
    dataset.Rows, dataset.Columns = small.shape
    target = folder / path.name
    if syntax == pydicom.uid.JPEGBaseline8Bit:
        import io

        from PIL import Image

        stream = io.BytesIO()
        Image.fromarray(small).save(stream, "JPEG", quality=90)
        encapsulate_frame(dataset, stream.getvalue(), syntax)
    elif syntax.is_compressed:
        quality = {"j2k_cr": [6.0]} if "2000" in syntax.name else {"jls_error": 2}
        dataset.compress(syntax, small, encapsulate_ext=False, generate_instance_uid=False, **quality)
    else:
        dataset.PixelData = small.tobytes()
    dataset.save_as(target)
    return target


def _cases(files: list[Path], count: int, first: int = 0) -> list[Case]:
    """So many copies of the files in turn; each splices with the next file but one."""
    return [Case(first + number // len(files), files[number % len(files)], files[(number * 3 + 1) % len(files)]) for number in range(count)]


def _check(account: Account, count: int, sources: list[Path]) -> None:
    print(f"\n{count} copies: {dict(account.outcomes)}, {dict(account.kinds)}; at most {account.slowest:.2f} s, {account.largest:.0f} MB")
    assert not account.failures, "\n".join(account.failures)
    assert sum(account.outcomes.values()) == count
    # Some of each, or the copies would not show anything.
    assert all(account.outcomes[outcome] > count / 1000 for outcome in (ACCEPTED, REFUSED, REJECTED)), account.outcomes
    for source in sources:
        told = [value for value in patient_values(source) if value in account.chatter]
        assert not told, f"native code told who the patient of {source.name} is"


@pytest.fixture(scope="module")
def small_files(tmp_path_factory: pytest.TempPathFactory, phantom_dicom_folder: Path) -> list[Path]:
    return _sources(tmp_path_factory.mktemp("sources") / "small", phantom_dicom_folder)


def test_the_sources_are_accepted_as_they_are(small_files: list[Path]) -> None:
    from monai_pneumonia.dicom import check_image, read_header
    from monai_pneumonia.radiograph import read_radiograph

    for file in small_files:
        check_image(file)
        header, radiograph = read_header(file), read_radiograph(file)
        assert (header.Rows, header.Columns) == radiograph.pixels.shape
        assert np.ptp(radiograph.pixels) > 0.3, file


def test_a_copy_can_be_made_again_by_its_number(small_files: list[Path], phantom_dicom_folder: Path, tmp_path: Path) -> None:
    again = _sources(tmp_path / "again", phantom_dicom_folder)
    assert [file.read_bytes() for file in again] == [file.read_bytes() for file in small_files]
    source, other = (SourceFile.read(file) for file in small_files[:2])
    copies = [mutant(source, other, number) for number in range(60)]
    assert copies == [mutant(source, other, number) for number in range(60)]
    assert len(set(copies)) > 50
    assert sum(copy == source.data for copy in copies) < 6


def test_the_watchdog_sees_crashes_and_hangs(tmp_path: Path, small_files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    import watched_reading

    script = (
        "import json, os, sys, time\n"
        "for line in sys.stdin:\n"
        "    number = json.loads(line)[0]\n"
        "    if number == 1: os.abort()\n"
        "    if number == 2: time.sleep(60)\n"
        "    answer = dict(outcome='accepted', kind='accepted', problem='ValueError: x' if number == 3 else '', seconds=0.1, megabytes=9)\n"
        "    answer.update({'seconds': 1e3} if number == 4 else {'megabytes': 1e6} if number == 5 else {})\n"
        "    print(json.dumps(answer), flush=True)\n"
    )
    child = tmp_path / "child.py"
    child.write_text(script)
    monkeypatch.setattr(watched_reading, "__file__", str(child))
    monkeypatch.setattr(watched_reading, "CLOCK_SECONDS", 3.0)
    assert CLOCK_SECONDS > 3
    account = read_watched([Case(number, small_files[0], small_files[1]) for number in range(7)], tmp_path / "children", processes=1)
    assert account.outcomes == {ACCEPTED: 2}
    assert [failure.split(": ")[2].split("\n")[0] for failure in account.failures] == [
        "the process died with -6",
        "hangs",
        "ValueError",
        "took 1000.0 s",
        "took 1000000 MB",
    ]


def test_a_few_damaged_copies(small_files: list[Path], tmp_path: Path) -> None:
    account = read_watched(_cases(small_files, FEW, first=100_000), tmp_path / "children", processes=1)
    assert not account.failures, "\n".join(account.failures)
    assert sum(account.outcomes.values()) == FEW


@pytest.mark.slow
def test_damaged_copies_of_phantoms_in_all_transfer_syntaxes(small_files: list[Path], tmp_path: Path) -> None:
    _check(read_watched(_cases(small_files, PHANTOM_COPIES), tmp_path / "children", write_every=4), PHANTOM_COPIES, small_files)


@pytest.mark.slow
@pytest.mark.realdata
def test_ten_thousand_damaged_copies_of_the_real_files(real_data: Path, tmp_path: Path) -> None:
    started = time.monotonic()
    real = sorted((real_data / "cxr-dicom").glob("*.dcm"))
    assert len(real) == 9
    (tmp_path / "small").mkdir()
    small = [_small_copy(file, tmp_path / "small") for file in real]
    cases = [*_cases(small, REAL_COPIES - FULL_SIZE_COPIES), *_cases(real, FULL_SIZE_COPIES)]
    account = read_watched(cases, tmp_path / "children", write_every=20)
    print(f"\n{time.monotonic() - started:.0f} s")
    _check(account, REAL_COPIES, real)
