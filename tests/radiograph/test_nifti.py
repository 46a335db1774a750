"""NIfTI files of one slice come upright by their affine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from radiograph_files import marker

from monai_pneumonia.errors import RejectedImageError, UnreadableImageError
from monai_pneumonia.radiograph import read_radiograph

GREY = marker() / np.float32(255)
UPRIGHT = np.diag([-1.0, -1.0, 1.0, 1.0])


def _saved(path: Path, values: np.ndarray, affine: Any, name: str = "a.nii.gz", image_class: Any = nibabel.Nifti1Image) -> Path:
    nibabel.save(image_class(values, affine), path / name)
    return path / name


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("image_class", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("slices", [(), (1,), (1, 1)])
def test_the_standard_affine_of_an_x_ray(name: str, image_class: Any, slices: tuple[int, ...], tmp_path: Path) -> None:
    values = marker().T.reshape(44, 60, *slices)
    radiograph = read_radiograph(_saved(tmp_path, values, UPRIGHT, name, image_class))
    np.testing.assert_array_equal(radiograph.pixels, GREY)
    assert radiograph.format == "nifti"
    assert radiograph.warnings == ()
    assert radiograph.pixel_spacing is None


@pytest.mark.parametrize(
    "affine", [np.eye(4), np.diag([0.2, 0.1, 1, 1]), None], ids=["identity", "spacing without orientation", "no affine"]
)
def test_without_orientation_memory_order_is_upright_and_told(affine: Any, tmp_path: Path) -> None:
    radiograph = read_radiograph(_saved(tmp_path, marker().T[..., None], affine))
    np.testing.assert_array_equal(radiograph.pixels, GREY)
    assert any("no orientation" in warning for warning in radiograph.warnings)
    assert radiograph.pixel_spacing == (pytest.approx((0.1, 0.2)) if affine is not None and affine[0, 0] != 1 else None)


def test_codes_of_zero_count_as_no_orientation(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(marker().T[..., None], np.diag([-3.0, 2.0, 1.0, 1.0]))
    image.set_sform(None, code=0)
    image.set_qform(None, code=0)
    nibabel.save(image, tmp_path / "a.nii.gz")
    radiograph = read_radiograph(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(radiograph.pixels, GREY)
    assert any("no orientation" in warning for warning in radiograph.warnings)


@pytest.mark.parametrize("code", ["LPS", "RPS", "LAS", "RAS", "PLS", "PRS", "ALS", "ARS"])
def test_flips_and_exchanged_axes_are_honoured(code: str, tmp_path: Path) -> None:
    upright = nibabel.Nifti1Image(marker().T[..., None], UPRIGHT @ np.diag([0.2, 0.1, 1, 1]))
    turn = nibabel.orientations.ornt_transform(nibabel.io_orientation(upright.affine), nibabel.orientations.axcodes2ornt(tuple(code)))
    turned = upright.as_reoriented(turn)
    nibabel.save(turned, tmp_path / "a.nii.gz")
    assert "".join(nibabel.aff2axcodes(turned.affine)) == code
    radiograph = read_radiograph(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(radiograph.pixels, GREY)
    assert radiograph.pixel_spacing == pytest.approx((0.1, 0.2))


@pytest.mark.parametrize("flipped", [False, True])
def test_a_coronal_slice(flipped: bool, tmp_path: Path) -> None:
    # First axis to the left, third to the feet: a radiograph as it hangs in the patient.
    affine = np.array([[-0.2, 0, 0, 0], [0, 1, 0, 0], [0, 0, -0.1, 0], [0, 0, 0, 1.0]])
    values = marker().T[:, None, :]
    if flipped:
        affine[2, 2], values = 0.1, values[:, :, ::-1]
    radiograph = read_radiograph(_saved(tmp_path, np.ascontiguousarray(values), affine))
    np.testing.assert_array_equal(radiograph.pixels, GREY)
    assert radiograph.pixel_spacing == pytest.approx((0.1, 0.2))


@pytest.mark.parametrize(
    ("values", "warned"),
    [
        (marker(), False),
        (marker().astype(np.uint16) * 257, False),
        (GREY, False),
        (GREY.astype(np.float64), False),
        (marker().astype(np.int16), True),
        (marker().astype(np.int16) * 8 - 1000, True),
        (GREY * 4000 - 7, True),
    ],
)
def test_grey_levels_of_any_type(values: np.ndarray, warned: bool, tmp_path: Path) -> None:
    radiograph = read_radiograph(_saved(tmp_path, values.T[..., None], UPRIGHT))
    np.testing.assert_allclose(radiograph.pixels, GREY, atol=1e-6)
    assert bool(radiograph.warnings) == warned


def test_values_scaled_by_the_header(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(marker().T[..., None], UPRIGHT)
    image.header.set_slope_inter(2.0, 10.0)
    nibabel.save(image, tmp_path / "a.nii.gz")
    np.testing.assert_allclose(read_radiograph(tmp_path / "a.nii.gz").pixels, GREY, atol=0.01)


def test_colours(tmp_path: Path) -> None:
    colours = np.zeros((44, 60, 1), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    for name in "RGB":
        colours[name] = marker().T[..., None]
    radiograph = read_radiograph(_saved(tmp_path, colours, UPRIGHT))
    np.testing.assert_allclose(radiograph.pixels, GREY, atol=1.01 / 255)


@pytest.mark.parametrize("shape", [(8, 9, 3), (8, 9, 1, 2), (8, 9, 1, 1, 3)])
def test_volumes_and_series_are_rejected(shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(RejectedImageError, match=" x ".join(map(str, shape))) as caught:
        read_radiograph(_saved(tmp_path, np.zeros(shape, np.uint8), UPRIGHT))
    assert "give one radiograph a file" in str(caught.value)


def test_a_header_that_declares_too_much_is_rejected_before_reading(tmp_path: Path) -> None:
    path = _saved(tmp_path, marker().T[..., None], UPRIGHT, "a.nii")
    content = bytearray(path.read_bytes())
    # dim[1] and dim[2], int16 each
    content[42:46] = (20000).to_bytes(2, "little") * 2
    path.write_bytes(content)
    with pytest.raises(RejectedImageError, match="20000 x 20000"):
        read_radiograph(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(bad: float, tmp_path: Path) -> None:
    values = GREY.copy()
    values[3, 3] = bad
    with pytest.raises(UnreadableImageError, match="not finite"):
        read_radiograph(_saved(tmp_path, values.T[..., None], UPRIGHT))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_a_file_cut_short_is_unreadable(name: str, share: float, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (80, 80, 1)).astype(np.uint8)
    path = _saved(tmp_path, noise, UPRIGHT, name)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UnreadableImageError) as caught:
        read_radiograph(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("shape", [(1, 7), (7, 1), (1, 1), (1, 7, 1), (7, 1, 1), (1, 1, 1)])
def test_one_row_or_column(shape: tuple[int, ...], tmp_path: Path) -> None:
    radiograph = read_radiograph(_saved(tmp_path, np.arange(np.prod(shape), dtype=np.uint8).reshape(shape), UPRIGHT))
    assert radiograph.pixels.shape == (shape[1], shape[0])
