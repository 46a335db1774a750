"""The overlay picture, written and read back."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from lesion_reports import healthy_report
from pydicom.dataset import Dataset

from monai_pneumonia import RESEARCH_USE_ONLY
from monai_pneumonia.dicom.common import ResultContext
from monai_pneumonia.dicom.overlay_capture import overlay_capture
from monai_pneumonia.inference.overlay import draw_overlay
from monai_pneumonia.radiograph import read_radiograph


def written_and_read(context: ResultContext, pixels: np.ndarray) -> Dataset:
    stream = BytesIO()
    overlay_capture(context, pixels).save_as(stream)
    stream.seek(0)
    return pydicom.dcmread(stream)


@pytest.fixture(scope="module")
def pixels(chest_file: Path) -> np.ndarray:
    return read_radiograph(chest_file).pixels


@pytest.fixture(scope="module")
def dataset(context: ResultContext, pixels: np.ndarray) -> Dataset:
    return written_and_read(context, pixels)


def test_it_shows_the_overlay_with_legend_and_notice(dataset: Dataset, context: ResultContext, pixels: np.ndarray) -> None:
    drawn = draw_overlay(pixels, context.report)
    assert (dataset.pixel_array == drawn).all()
    assert dataset.PhotometricInterpretation == "RGB"
    # Below the picture, which is enlarged to 512 rows, the legend: the yellow of the notice is there and nowhere above.
    yellow = (dataset.pixel_array == (255, 196, 0)).all(axis=2)
    assert yellow[512:].any()
    assert not yellow[:512].any()
    assert dataset.ImageComments == RESEARCH_USE_ONLY


def test_the_attention_tints_the_side_where_the_lesion_lies(dataset: Dataset, context: ResultContext, pixels: np.ndarray) -> None:
    plain = draw_overlay(pixels, healthy_report((60, 44)))
    changed = (dataset.pixel_array[:512].astype(int) != plain[:512]).any(axis=2)
    columns = np.nonzero(changed[300:])[1]
    assert columns.mean() < changed.shape[1] / 2


def test_it_names_its_source_patient_and_study(dataset: Dataset, context: ResultContext) -> None:
    (source,) = dataset.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == context.header.SOPInstanceUID
    assert source.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    assert (dataset.PatientID, dataset.StudyInstanceUID) == ("secret-id", context.header.StudyInstanceUID)
    assert list(dataset.PatientOrientation) == ["L", "F"]
    assert "DERIVED" in dataset.ImageType
    assert "PixelSpacing" not in dataset
    assert "DateOfSecondaryCapture" not in dataset


def test_what_the_source_leaves_open_stays_open(context: ResultContext, pixels: np.ndarray) -> None:
    header = deepcopy(context.header)
    header.PatientOrientation = ""
    dataset = written_and_read(replace(context, header=header), pixels)
    assert not dataset.PatientOrientation
    assert "BurnedInAnnotation" not in dataset


def test_burned_in_text_and_lossy_compression_are_passed_on(context: ResultContext, pixels: np.ndarray) -> None:
    header = deepcopy(context.header)
    header.BurnedInAnnotation, header.LossyImageCompression, header.LossyImageCompressionRatio = "YES", "01", "10"
    dataset = written_and_read(replace(context, header=header), pixels)
    assert (dataset.BurnedInAnnotation, dataset.LossyImageCompression, dataset.LossyImageCompressionRatio) == ("YES", "01", 10)


def test_pictures_of_another_size_are_refused(context: ResultContext) -> None:
    with pytest.raises(ValueError, match="the report's map"):
        overlay_capture(context, np.zeros((10, 10), dtype=np.float32))
