"""The content tells the format, and what is none is said in one line."""

from __future__ import annotations

import dataclasses
import gzip
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from radiograph_files import marker, write_dicom

from monai_pneumonia.errors import BadInputError, NotEnoughMemoryError, RejectedImageError, UnreadableImageError
from monai_pneumonia.radiograph import radiograph_from_array, read_radiograph


@pytest.mark.parametrize("name", ["picture.dcm", "picture.png", "picture", "picture.nii.gz", "picture.txt"])
def test_wrong_names_mislead_nobody(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write_dicom(tmp_path / "made", marker()).rename(path)
    assert read_radiograph(path).format == "dicom"
    Image.fromarray(marker()).save(tmp_path / "made", "PNG")
    (tmp_path / "made").rename(path)
    assert read_radiograph(str(path)).format == "raster"
    nibabel.save(nibabel.Nifti1Image(marker().T, np.diag([-1, -1, 1, 1])), tmp_path / "made.nii")
    (tmp_path / "made.nii").rename(path)
    np.testing.assert_array_equal(read_radiograph(path).pixels, marker() / np.float32(255))
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert read_radiograph(path).format == "nifti"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"Dear colleague, please find attached", "no picture"),
        (b"\x89PNG\r\n\x1a\n", "cannot be decoded"),
        (b"\xff\xd8\xff\xe0", "cannot be decoded"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "no picture"),
        (b"\0" * 128 + b"DICM", "no pixels"),
        (b"\0" * 128 + b"DICM" + b"\x02\x00\x00\x00UL\x04\x00", "damaged|no pixels"),
        (gzip.compress(b"text", mtime=0), "no picture"),
        (b"\x1f\x8b\x08\x00rubbish", "gzip"),
        (b"ObjectType = Image\nNDims = 2\nDimSize = 4", "MetaImage"),
        ((348).to_bytes(4, "little") + b"\0" * 340 + b"n+1\0", "NIfTI|NIFTI|pixels"),
        (b"\x7fELF" + b"\0" * 400, "no picture"),
    ],
)
def test_files_without_a_picture(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=said) as caught:
        read_radiograph(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert ": " in str(caught.value)


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("a.dcm", "dicom.read_tags"),
        ("a.dcm", "dicom.stored_values"),
        ("a.png", "raster.unit_range"),
        ("a.nii", "nifti.unit_range"),
        ("a.mha", "metaimage.unit_range"),
    ],
)
def test_too_little_memory_is_no_damage(name: str, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written_as(tmp_path / name)

    def too_large(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(f"monai_pneumonia.radiograph.{step}", too_large)
    with pytest.raises(NotEnoughMemoryError, match=r"needs more memory than there is: make more available") as caught:
        read_radiograph(path)
    assert str(path) in str(caught.value)
    assert not isinstance(caught.value, UnreadableImageError)


def written_as(path: Path) -> Path:
    """The marker in the format that the file's ending names."""
    if path.suffix == ".dcm":
        return write_dicom(path, marker())
    if path.suffix == ".nii":
        nibabel.save(nibabel.Nifti1Image(marker().T, np.diag([-1, -1, 1, 1])), path)
    elif path.suffix == ".mha":
        itk = pytest.importorskip("itk")
        itk.imwrite(itk.image_from_array(marker()), str(path))
    else:
        Image.fromarray(marker()).save(path)
    return path


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match=r"nowhere.png does not exist"):
        read_radiograph(tmp_path / "nowhere.png")
    with pytest.raises(UnreadableImageError, match="directory"):
        read_radiograph(tmp_path)


@settings(max_examples=150, deadline=None)
@given(
    content=st.binary(max_size=600),
    start=st.sampled_from([b"", b"\0" * 128 + b"DICM", b"\x89PNG\r\n\x1a\n", b"II*\0", b"\x08\0\x05\0", b"BM"]),
)
def test_rubbish_gives_an_error_of_ours(content: bytes, start: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "rubbish"
    path.write_bytes(start + content)
    with pytest.raises(BadInputError):
        read_radiograph(path)


def test_a_radiograph_is_frozen(tmp_path: Path) -> None:
    radiograph = read_radiograph(write_dicom(tmp_path / "a.dcm", marker()))
    with pytest.raises(dataclasses.FrozenInstanceError):
        radiograph.format = "raster"  # type: ignore[misc]


def test_arrays() -> None:
    for array in (marker(), marker()[None], marker().astype(np.uint16) * 257, marker() / 255):
        radiograph = radiograph_from_array(array)
        np.testing.assert_array_equal(radiograph.pixels, marker() / np.float32(255))
        assert radiograph.format == "array"


@pytest.mark.parametrize("array", [np.zeros((2, 3, 4)), np.zeros(5), np.zeros((3, 0)), np.zeros((60, 44, 3), np.uint8)])
def test_arrays_of_other_shapes_are_rejected(array: np.ndarray) -> None:
    with pytest.raises(RejectedImageError, match="give"):
        radiograph_from_array(array)


@pytest.mark.parametrize("array", [np.array([[np.nan]]), np.array([["a"]]), np.zeros((2, 2), complex)])
def test_arrays_of_other_values_are_unreadable(array: np.ndarray) -> None:
    with pytest.raises(UnreadableImageError, match="give finite grey levels"):
        radiograph_from_array(array)


def test_reading_a_png_imports_neither_torch_nor_itk_nor_nibabel(tmp_path: Path) -> None:
    Image.fromarray(marker()).save(tmp_path / "a.png")
    code = (
        f"import sys; from monai_pneumonia.radiograph import read_radiograph; read_radiograph({str(tmp_path / 'a.png')!r});"
        "print([name for name in ('torch', 'monai', 'itk', 'nibabel', 'pydicom') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
