"""One picture, saved in every format, arrives identical and upright, and a map goes back to where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import itk
import nibabel
import numpy as np
import pytest
import torch
from PIL import Image
from radiograph_files import GDCM_NAMES, JPEG_12_BIT, dicom_dataset, encapsulate_frame, marker, save_dicom, write_dicom

from monai_pneumonia.radiograph import read_radiograph
from monai_pneumonia.transforms.network_input import network_input, to_original_grid

# In steps of 17 every level is a whole number in 8, 12 and 16 bits.
LEVELS = marker(90, 66) // 17 * 17
GREY = LEVELS / np.float32(255)
CORNER = (slice(75, None), slice(44, None))


def _stored(bits: int) -> np.ndarray:
    return (LEVELS.astype(np.uint32) * (2**bits - 1) // 255).astype(np.uint8 if bits == 8 else np.uint16)


def _dicom(bits: int, photometric: str, syntax: str, window: bool = False) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        top = 2**bits - 1
        values = _stored(bits) if photometric == "MONOCHROME2" else (top - _stored(bits)).astype(_stored(bits).dtype)
        # The window that shows everything, as LINEAR counts it.
        tags = {"WindowCenter": (top + 1) / 2, "WindowWidth": top + 1} if window else {}
        shape = {"PresentationLUTShape": "INVERSE" if photometric == "MONOCHROME1" else "IDENTITY"} if window else {}
        return write_dicom(folder / "a.dcm", values, syntax, bits=bits, photometric=photometric, **tags, **shape)

    return write


def _raster(name: str, values: np.ndarray, orientation: int = 1) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        exif = Image.Exif()
        exif[274] = orientation
        options = {"quality": 100, "subsampling": 0} if name.endswith("jpg") else {}
        Image.fromarray(np.ascontiguousarray(values)).save(folder / name, exif=exif, **options)
        return folder / name

    return write


def _nifti(values: np.ndarray, affine: np.ndarray, name: str = "a.nii.gz") -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        nibabel.save(nibabel.Nifti1Image(values, affine), folder / name)
        return folder / name

    return write


def _metaimage(values: np.ndarray, direction: np.ndarray) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        image = itk.image_from_array(np.ascontiguousarray(values))
        image.SetDirection(itk.matrix_from_array(direction))
        itk.imwrite(image, str(folder / "a.mha"))
        return folder / "a.mha"

    return write


EXACT = {
    **{
        f"dicom {bits} bits {photometric} {syntax or 'uncompressed'}": _dicom(bits, photometric, syntax)
        for bits in (8, 12, 16)
        for photometric in ("MONOCHROME1", "MONOCHROME2")
        for syntax in ("", *GDCM_NAMES)
    },
    **{f"dicom windowed {photometric}": _dicom(12, photometric, "", window=True) for photometric in ("MONOCHROME1", "MONOCHROME2")},
    "png 8 bits": _raster("a.png", LEVELS),
    "png 16 bits": _raster("a.png", LEVELS.astype(np.uint16) * 257),
    "png colour": _raster("a.png", np.repeat(LEVELS[..., None], 3, axis=-1)),
    "png turned by exif": _raster("a.png", np.rot90(LEVELS), orientation=6),
    "tiff": _raster("a.tif", LEVELS.astype(np.uint16) * 257),
    "bmp": _raster("a.bmp", LEVELS),
    "nifti LPS": _nifti(LEVELS.T[..., None], np.diag([-1.0, -1.0, 1.0, 1.0])),
    "nifti RAS": _nifti(LEVELS.T[::-1, ::-1, None], np.array([[1.0, 0, 0, -65], [0, 1, 0, -89], [0, 0, 1, 0], [0, 0, 0, 1]])),
    "nifti without orientation": _nifti(LEVELS.T, np.eye(4)),
    "nifti 16 bits uncompressed": _nifti(LEVELS.T[..., None].astype(np.uint16) * 257, np.diag([-1.0, -1.0, 1.0, 1.0]), "a.nii"),
    "metaimage": _metaimage(LEVELS, np.eye(2)),
    "metaimage flipped": _metaimage(LEVELS[::-1], np.diag([1.0, -1.0])),
}
NEAR = {
    "jpeg": _raster("a.jpg", LEVELS),
    "jpeg turned by exif": _raster("a.jpg", np.rot90(LEVELS), orientation=6),
    "jpeg upside down by exif": _raster("a.jpg", LEVELS[::-1, ::-1], orientation=3),
    "dicom jpeg baseline": _dicom(8, "MONOCHROME2", "jpeg_baseline"),
    "dicom jpeg baseline MONOCHROME1": _dicom(8, "MONOCHROME1", "jpeg_baseline"),
}


@pytest.fixture(scope="module")
def inputs() -> dict[str, torch.Tensor]:
    return {mode: network_input(LEVELS, 32, mode).as_tensor() for mode in ("stretch", "pad")}


@pytest.mark.parametrize("name", EXACT)
def test_lossless_formats_arrive_identical(name: str, inputs: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = EXACT[name](tmp_path)
    np.testing.assert_allclose(read_radiograph(path).pixels, GREY, rtol=0, atol=2e-7)
    for mode, expected in inputs.items():
        torch.testing.assert_close(network_input(path, 32, mode).as_tensor(), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", NEAR)
def test_lossy_formats_arrive_upright_and_near(name: str, inputs: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = NEAR[name](tmp_path)
    assert np.abs(read_radiograph(path).pixels - GREY).mean() < 0.01
    for mode, expected in inputs.items():
        assert (network_input(path, 32, mode).as_tensor() - expected).abs().mean() < 0.01


def test_12_bit_jpeg(tmp_path: Path) -> None:
    dataset = dicom_dataset(marker(32, 24).astype(np.uint16) * 16, bits=12)
    encapsulate_frame(dataset, JPEG_12_BIT, "1.2.840.10008.1.2.4.51")
    path = save_dicom(dataset, tmp_path / "a.dcm")
    np.testing.assert_allclose(read_radiograph(path).pixels, marker(32, 24).astype(int) * 16 / 4095, atol=7 / 4095)


def test_the_marker_tells_every_flip_and_turn_apart(inputs: dict[str, torch.Tensor]) -> None:
    for mode, expected in inputs.items():
        for turned in (LEVELS[::-1], LEVELS[:, ::-1], LEVELS[::-1, ::-1], LEVELS.T, np.rot90(LEVELS), np.rot90(LEVELS, -1), 255 - LEVELS):
            other = network_input(np.ascontiguousarray(turned), 32, mode).as_tensor()
            assert (other - expected).abs().mean() > 0.05


@pytest.mark.parametrize("name", ["dicom 12 bits MONOCHROME1 jpeg_2000", "png turned by exif", "nifti RAS", "metaimage flipped"])
@pytest.mark.parametrize("mode", ["stretch", "pad"])
def test_a_map_of_any_format_goes_back_to_the_pictures_own_corner(name: str, mode: str, tmp_path: Path) -> None:
    reference = network_input(EXACT[name](tmp_path), 48, mode)
    # The dark corner, bottom right: the only part that is black in the picture (bars of padding are black, too).
    black = (reference.as_tensor() < 0.05).float()
    back = to_original_grid(black, reference)
    assert back.shape == LEVELS.shape
    inside = np.zeros(LEVELS.shape, dtype=bool)
    inside[CORNER] = True
    found = (back > 0.5).numpy()
    assert (found & inside).sum() / (found | inside).sum() > 0.9
