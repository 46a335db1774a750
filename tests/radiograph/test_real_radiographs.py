"""The nine real DICOM files, and some of the public pictures."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from monai_pneumonia.radiograph import Radiograph, read_radiograph

pytestmark = pytest.mark.realdata

TURNED_OVER = "mlmed_torchxrayvision__Fake_MONOHR1.dcm"
ORIGINAL = "mlmed_torchxrayvision__1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm"


@pytest.fixture(scope="module")
def radiographs(real_data: Path) -> dict[str, Radiograph]:
    return {path.name: read_radiograph(path) for path in sorted((real_data / "cxr-dicom").glob("*.dcm"))}


def _level(pixels: np.ndarray, rows: tuple[float, float], columns: tuple[float, float]) -> float:
    """Median grey level of a part of the picture, in shares of height and width."""
    height, width = pixels.shape
    part = pixels[int(rows[0] * height) : int(rows[1] * height), int(columns[0] * width) : int(columns[1] * width)]
    return float(np.median(part))


def test_all_nine_are_read(radiographs: dict[str, Radiograph], real_data: Path) -> None:
    with (real_data / "cxr-dicom" / "files.csv").open() as table:
        listed = {row["file"]: (int(row["rows"]), int(row["cols"])) for row in csv.DictReader(table)}
    assert {name: radiograph.pixels.shape for name, radiograph in radiographs.items()} == listed
    for radiograph in radiographs.values():
        assert radiograph.format == "dicom"
        assert radiograph.pixels.dtype == np.float32
        assert 0 <= radiograph.pixels.min() < radiograph.pixels.max() <= 1


def test_spine_and_belly_are_brighter_than_lungs(radiographs: dict[str, Radiograph]) -> None:
    # Both lungs at mid-height, the spine between them, and the belly below.
    for name, radiograph in radiographs.items():
        lungs = min(_level(radiograph.pixels, (0.3, 0.5), side) for side in ((0.18, 0.38), (0.62, 0.82)))
        belly = _level(radiograph.pixels, (0.88, 0.97), (0.35, 0.6))
        spine = _level(radiograph.pixels, (0.3, 0.5), (0.46, 0.52))
        if name == TURNED_OVER:
            assert lungs > belly, name
        elif "viral" not in name:
            assert lungs < spine, name
            assert lungs < belly, name


def test_the_file_with_the_edited_tag_is_the_inverse_of_its_original(radiographs: dict[str, Radiograph]) -> None:
    np.testing.assert_allclose(radiographs[TURNED_OVER].pixels, 1 - radiographs[ORIGINAL].pixels, atol=1e-6)


def test_one_picture_in_two_transfer_syntaxes(radiographs: dict[str, Radiograph]) -> None:
    j2k, jls = (next(radiograph for name, radiograph in radiographs.items() if name.endswith(end)) for end in ("J2KI.dcm", "JLSN.dcm"))
    assert np.abs(j2k.pixels - jls.pixels).mean() < 0.002
    assert any("PixelSpacing" in warning for warning in j2k.warnings)
    assert j2k.pixel_spacing is None


def test_public_pictures_are_read_as_they_are(real_data: Path) -> None:
    with (real_data / "cxr.csv").open() as table:
        rows = list(csv.DictReader(table))
    for row in rows[:: len(rows) // 25]:
        radiograph = read_radiograph(real_data / row["image"])
        assert radiograph.format == "raster"
        assert radiograph.pixels.max() > 0.3
        # Upright: the belly is brighter than the air beside the neck, the lungs lie between.
        assert _level(radiograph.pixels, (0.85, 0.97), (0.3, 0.7)) > np.percentile(radiograph.pixels, 5), row["image"]
