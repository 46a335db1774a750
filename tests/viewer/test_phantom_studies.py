"""The studies to look at: lesions in opposite corners, and stored both ways round."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from phantom_studies import write_studies
from picture_checks import likest_other_pose
from PIL import Image

from monai_pneumonia.dicom import check_image
from monai_pneumonia.radiograph import read_radiograph


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies")
    write_studies(folder)
    return folder


def entries(folder: Path) -> list[dict[str, str]]:
    return list(json.loads((folder / "studies.json").read_text(encoding="utf-8")))


def test_images_are_computed_radiographs_that_the_gate_lets_in(folder: Path) -> None:
    assert len(entries(folder)) == len(list((folder / "input").iterdir())) == 3
    for entry in entries(folder):
        check_image(folder / entry["image"])
        dataset = pydicom.dcmread(folder / entry["image"])
        assert (dataset.Modality, dataset.StudyInstanceUID) == ("CR", entry["study"])
        # What makes the segmentation hard to show: most radiographs have none.
        assert "FrameOfReferenceUID" not in dataset


def test_both_ways_of_storing_greys_are_there(folder: Path) -> None:
    forms = {pydicom.dcmread(folder / entry["image"]).PhotometricInterpretation for entry in entries(folder)}
    assert forms == {"MONOCHROME1", "MONOCHROME2"}


def test_pixels_are_square_or_not(folder: Path) -> None:
    spacings = [pydicom.dcmread(folder / entry["image"]).PixelSpacing for entry in entries(folder)]
    assert [abs(rows / columns - 1) < 0.01 for rows, columns in spacings] == [True, True, False]


def test_lesions_lie_on_one_side_and_look_different_in_every_other_pose(folder: Path) -> None:
    sides = []
    for entry in entries(folder):
        lesion = np.asarray(Image.open(folder / entry["lesion"])) > 0
        _, columns = np.nonzero(lesion)
        middle = lesion.shape[1] / 2
        assert columns.max() < middle or columns.min() > middle
        sides.append("left" if columns.min() > middle else "right")  # the patient's
        assert likest_other_pose(lesion, lesion)[1] < 0.2
        assert entry["name"].startswith(sides[-1])
    assert set(sides) == {"left", "right"}


def test_the_picture_is_what_the_reader_sees(folder: Path) -> None:
    for entry in entries(folder):
        picture = np.asarray(Image.open(folder / entry["picture"])) / 255
        assert np.abs(read_radiograph(folder / entry["image"]).pixels - picture).max() < 0.02
