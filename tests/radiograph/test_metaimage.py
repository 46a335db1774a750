"""MetaImage files of one slice come upright by their direction."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import itk
import numpy as np
import pytest
from radiograph_files import marker

from monai_pneumonia.errors import RejectedImageError, UnreadableImageError
from monai_pneumonia.radiograph import read_radiograph

GREY = marker() / np.float32(255)


def _saved(path: Path, values: np.ndarray, name: str = "a.mha", direction: Any = None, spacing: Any = None, **options: Any) -> Path:
    image = itk.image_from_array(np.ascontiguousarray(values))
    if direction is not None:
        image.SetDirection(itk.matrix_from_array(np.asarray(direction, dtype=np.float64)))
    if spacing is not None:
        image.SetSpacing(spacing)
    itk.imwrite(image, str(path / name), **options)
    return path / name


@pytest.mark.parametrize("name", ["a.mha", "a.mhd"])
@pytest.mark.parametrize("compression", [False, True])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_without_rotation_memory_order_is_upright(name: str, compression: bool, kind: Any, tmp_path: Path) -> None:
    values = {np.uint8: marker(), np.uint16: marker().astype(np.uint16) * 257, np.float32: GREY}[kind]
    radiograph = read_radiograph(_saved(tmp_path, values, name, compression=compression))
    np.testing.assert_array_equal(radiograph.pixels, GREY)
    assert radiograph.format == "metaimage"
    assert radiograph.warnings == ()


def test_one_slice_of_three_dimensions_and_spacing(tmp_path: Path) -> None:
    radiograph = read_radiograph(_saved(tmp_path, marker()[None], spacing=[0.2, 0.1, 5.0]))
    np.testing.assert_array_equal(radiograph.pixels, GREY)
    assert radiograph.pixel_spacing == pytest.approx((0.1, 0.2))


@pytest.mark.parametrize(
    ("stored", "direction"),
    [
        (marker()[:, ::-1], [[-1, 0], [0, 1]]),
        (marker()[::-1], [[1, 0], [0, -1]]),
        (marker()[::-1, ::-1], [[-1, 0], [0, -1]]),
        (marker().T, [[0, 1], [1, 0]]),
        (marker().T[::-1], [[0, -1], [1, 0]]),
    ],
)
def test_directions_are_honoured(stored: np.ndarray, direction: Any, tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_radiograph(_saved(tmp_path, stored, direction=direction)).pixels, GREY)


def test_a_coronal_slice(tmp_path: Path) -> None:
    # Axes: left, back, head. ITK's array counts from the last, so rows of the head axis come first, upside down.
    values = marker()[::-1][:, None, :]
    radiograph = read_radiograph(_saved(tmp_path, values, direction=np.eye(3), spacing=[0.2, 5.0, 0.1]))
    np.testing.assert_array_equal(radiograph.pixels, GREY)
    assert radiograph.pixel_spacing == pytest.approx((0.1, 0.2))


def test_colours_are_rejected(tmp_path: Path) -> None:
    header = (
        b"ObjectType = Image\nNDims = 2\nDimSize = 44 60\nElementNumberOfChannels = 3\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    )
    (tmp_path / "a.mha").write_bytes(header + np.repeat(marker()[..., None], 3, axis=-1).tobytes())
    with pytest.raises(RejectedImageError, match="3 values a pixel: give a grey picture"):
        read_radiograph(tmp_path / "a.mha")


def test_without_itk_the_remedy_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _saved(tmp_path, marker())
    monkeypatch.setitem(sys.modules, "itk", None)
    with pytest.raises(UnreadableImageError, match="need the package itk"):
        read_radiograph(path)


def test_any_name_will_do(tmp_path: Path) -> None:
    path = _saved(tmp_path, marker())
    other = path.rename(tmp_path / "picture.dat")
    np.testing.assert_array_equal(read_radiograph(other).pixels, GREY)


def test_volumes_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(RejectedImageError, match="44 x 60 x 3") as caught:
        read_radiograph(_saved(tmp_path, np.stack([marker()] * 3)))
    assert "give one radiograph a file" in str(caught.value)


def test_a_header_that_declares_too_much_is_rejected_before_reading(tmp_path: Path) -> None:
    path = _saved(tmp_path, marker())
    path.write_bytes(path.read_bytes().replace(b"DimSize = 44 60", b"DimSize = 20000 20000"))
    with pytest.raises(RejectedImageError, match="20000 x 20000"):
        read_radiograph(path)


def test_a_missing_data_file_is_told(tmp_path: Path) -> None:
    path = _saved(tmp_path, marker(), "a.mhd")
    (tmp_path / "a.raw").unlink()
    with pytest.raises(UnreadableImageError, match="MetaImage") as caught:
        read_radiograph(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_file_cut_short_is_unreadable(share: float, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (80, 80)).astype(np.uint8)
    path = _saved(tmp_path, noise)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UnreadableImageError):
        read_radiograph(path)
