"""MONAI's LoadImaged with our reader, and errors that stay readable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.transforms import Compose, EnsureChannelFirstd, LoadImage, LoadImaged
from PIL import Image
from radiograph_files import marker, write_dicom

from monai_pneumonia.errors import BadInputError, RejectedImageError, UnreadableImageError
from monai_pneumonia.radiograph import read_radiograph
from monai_pneumonia.transforms.reader import LoadRadiographd, RadiographReader, load_radiograph, plain_errors, pneumonia_error_of

GREY = torch.from_numpy(marker() / np.float32(255))[None]


@pytest.fixture
def png(tmp_path: Path) -> Path:
    Image.fromarray(marker()).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.fixture
def ct(tmp_path: Path) -> Path:
    # Larger than its header says nothing: an ordinary CT slice, which ITK and pydicom read gladly.
    return write_dicom(tmp_path / "ct.dcm", marker().astype(np.int16), Modality="CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.2")


def test_load_imaged_gives_the_picture_upright_with_channel_first(png: Path) -> None:
    by_flag = LoadImaged("image", reader=RadiographReader(), ensure_channel_first=True)({"image": png})["image"]
    by_name = LoadImaged("image", reader="monai_pneumonia.transforms.reader.RadiographReader", ensure_channel_first=True)
    in_two = Compose([LoadImaged("image", reader=RadiographReader), EnsureChannelFirstd("image")])
    ours = LoadRadiographd("image")
    for loaded in (by_flag, by_name({"image": str(png)})["image"], in_two({"image": png})["image"], ours({"image": png})["image"]):
        assert isinstance(loaded, MetaTensor)
        assert loaded.dtype == torch.float32
        torch.testing.assert_close(loaded.as_tensor(), GREY, rtol=0, atol=0)
        assert tuple(loaded.meta["spatial_shape"]) == (60, 44)
        assert loaded.meta["filename_or_obj"] == str(png)
        assert loaded.meta["format"] == "raster"


def test_load_image_does_not_pass_a_rejected_picture_on_to_other_readers(ct: Path) -> None:
    with pytest.raises(RejectedImageError, match="modality CT"):
        LoadImage(reader=RadiographReader())(ct)


def test_metadata_tell_warnings_and_spacing(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", marker(), PixelSpacing=[0.2, 0.1], PatientOrientation=["R", "F"])
    meta = load_radiograph(path).meta
    assert meta["format"] == "dicom"
    assert "mirrored" in meta["warnings"]
    assert "; " in meta["warnings"]
    np.testing.assert_allclose(meta["pixel_spacing"], [0.2, 0.1])


@pytest.mark.parametrize("array", [marker(), marker() / 255, torch.from_numpy(marker()), marker()[None], GREY, marker()[::-1][::-1]])
def test_arrays_stand_in_for_paths(array: object) -> None:
    loaded = LoadRadiographd("image")({"image": array, "other": 3})
    torch.testing.assert_close(loaded["image"].as_tensor(), GREY, rtol=0, atol=1e-7)
    assert loaded["other"] == 3
    assert loaded["image"].meta["filename_or_obj"] == "array"


def test_an_array_is_not_changed_by_what_happens_to_the_picture() -> None:
    array = marker() / np.float32(255)
    load_radiograph(array).zero_()
    np.testing.assert_array_equal(array, marker() / np.float32(255))


def test_a_radiograph_stands_in_for_its_file(tmp_path: Path) -> None:
    file = write_dicom(tmp_path / "a.dcm", marker(), PixelSpacing=["0.2", "0.4"])
    radiograph = read_radiograph(file)
    expected, found = load_radiograph(file), load_radiograph(radiograph)
    assert torch.equal(found, expected)
    different = {key for key in expected.meta if not np.array_equal(found.meta[key], expected.meta[key])}
    assert different <= {"filename_or_obj", "original_channel_dim", "affine"}
    assert np.array_equal(found.meta["pixel_spacing"], [0.2, 0.4])


def test_missing_keys_are_missed_unless_allowed(png: Path) -> None:
    with pytest.raises(KeyError):
        LoadRadiographd(("image", "prior"))({"image": png})
    assert set(LoadRadiographd(("image", "prior"), allow_missing_keys=True)({"image": png})) == {"image"}


def test_one_file_at_a_time(png: Path) -> None:
    with pytest.raises(BadInputError, match="one file, got 2"):
        RadiographReader().read([png, png])
    assert RadiographReader().verify_suffix("anything")


def test_monai_wraps_errors_and_plain_errors_unwraps_them(ct: Path) -> None:
    nested = Compose([Compose([LoadRadiographd("image")])])
    with pytest.raises(RuntimeError, match="applying transform") as wrapped:
        nested({"image": ct})
    assert isinstance(pneumonia_error_of(wrapped.value), RejectedImageError)
    with pytest.raises(RejectedImageError, match="modality CT"), plain_errors():
        nested({"image": ct})
    with pytest.raises(RejectedImageError, match="modality CT"), plain_errors():
        Dataset([{"image": ct}], nested)[0]


def test_plain_errors_leaves_other_errors_alone() -> None:
    with pytest.raises(ZeroDivisionError), plain_errors():
        raise ZeroDivisionError
    assert pneumonia_error_of(ZeroDivisionError()) is None


def test_metadata_of_different_pictures_collate(png: Path, tmp_path: Path) -> None:
    other = write_dicom(tmp_path / "a.dcm", marker(), PixelSpacing=[0.2, 0.1])
    batch = next(iter(DataLoader(Dataset([{"image": png}, {"image": other}], LoadRadiographd("image")), batch_size=2)))
    assert batch["image"].shape == (2, 1, 60, 44)
    assert batch["image"].meta["format"] == ["raster", "dicom"]


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match="does not exist"):
        load_radiograph(tmp_path / "nowhere.png")
