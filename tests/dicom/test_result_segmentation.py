"""The segmentation, written, read back and compared pixel for pixel."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from io import BytesIO

import numpy as np
import pydicom
import pytest
from highdicom.seg import Segmentation
from lesion_reports import ALGORITHM, healthy_report, lesion_report, two_spots
from pydicom.dataset import Dataset

from monai_pneumonia.dicom.common import ResultContext
from monai_pneumonia.dicom.segmentation import segmentation
from monai_pneumonia.inference.report import UNSUPERVISED

SPACING = (0.2, 0.4)


def written_and_read(context: ResultContext, spacing: tuple[float, float] | None = SPACING) -> Dataset:
    stream = BytesIO()
    segmentation(context, spacing).save_as(stream)
    stream.seek(0)
    return pydicom.dcmread(stream)


@pytest.fixture(scope="module")
def dataset(context: ResultContext) -> Dataset:
    return written_and_read(context)


def test_each_region_is_a_segment_on_its_own_pixels(dataset: Dataset, context: ResultContext) -> None:
    frames = dataset.pixel_array
    assert frames.shape == (2, 60, 44)
    for region in context.report.lesions:
        frame = [
            index
            for index, groups in enumerate(dataset.PerFrameFunctionalGroupsSequence)
            if groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber == region.number
        ]
        assert len(frame) == 1
        assert (frames[frame[0]] == context.report.region_mask(region)).all()
    # The large spot lies at the lower left: neither flipped nor transposed.
    rows, columns = np.nonzero(frames[0])
    assert rows.mean() > 30
    assert columns.mean() < 22


def test_highdicom_gives_the_label_map_back(dataset: Dataset, context: ResultContext) -> None:
    found = Segmentation.from_dataset(dataset).get_pixels_by_source_instance(
        [context.header.SOPInstanceUID], combine_segments=True, ignore_spatial_locations=True
    )
    assert (found[0] == context.report.lesion_labels).all()


def test_segments_are_automatic_and_tracked_like_the_reports_regions(dataset: Dataset, context: ResultContext) -> None:
    assert dataset.SegmentationType == "BINARY"
    assert len(dataset.SegmentSequence) == 2
    for segment, region in zip(dataset.SegmentSequence, context.report.lesions, strict=True):
        name, uid = context.tracking(region)
        assert (segment.SegmentLabel, segment.TrackingID, segment.TrackingUID) == (name, name, uid)
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        assert segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Lesion"
        (algorithm,) = segment.SegmentationAlgorithmIdentificationSequence
        assert f"weights_sha256={ALGORITHM.weights_sha256}" in algorithm.AlgorithmParameters
        assert algorithm.AlgorithmVersion == ALGORITHM.version


def test_one_region_gives_one_frame(context: ResultContext) -> None:
    attention = two_spots(60, 44)
    attention[:30] = 0
    dataset = written_and_read(replace(context, report=lesion_report(attention)))
    assert int(dataset.NumberOfFrames) == 1
    assert (dataset.pixel_array == (attention >= 0.5)).all()


def test_regions_of_an_untrained_map_are_called_no_lesions(context: ResultContext) -> None:
    dataset = written_and_read(replace(context, report=lesion_report(two_spots(60, 44), warnings=(UNSUPERVISED,))))
    assert {segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning for segment in dataset.SegmentSequence} == {"Selected region"}
    assert [segment.SegmentLabel for segment in dataset.SegmentSequence] == ["Attention region 1", "Attention region 2"]


def test_it_refers_to_its_source_and_carries_patient_and_study(dataset: Dataset, context: ResultContext) -> None:
    header = context.header
    for groups in dataset.PerFrameFunctionalGroupsSequence:
        source = groups.DerivationImageSequence[0].SourceImageSequence[0]
        assert source.ReferencedSOPInstanceUID == header.SOPInstanceUID
    assert dataset.StudyInstanceUID == header.StudyInstanceUID
    assert dataset.SeriesInstanceUID != header.SeriesInstanceUID
    assert (dataset.PatientID, dataset.PatientAge, dataset.ContentDate) == ("secret-id", "069Y", "20200103")
    assert "FrameOfReferenceUID" not in dataset
    assert dataset.LossyImageCompression == "00"


def test_the_plane_is_stated_so_that_viewers_show_it(dataset: Dataset) -> None:
    shared = dataset.SharedFunctionalGroupsSequence[0]
    assert list(shared.PlaneOrientationSequence[0].ImageOrientationPatient) == [1, 0, 0, 0, 1, 0]


def test_spacing_is_rows_first_and_left_out_where_unknown(dataset: Dataset, context: ResultContext) -> None:
    shared = dataset.SharedFunctionalGroupsSequence[0]
    assert list(shared.PixelMeasuresSequence[0].PixelSpacing) == [0.2, 0.4]
    without = written_and_read(context, None)
    assert "PixelMeasuresSequence" not in without.SharedFunctionalGroupsSequence[0]


def test_a_lossy_source_leaves_its_mark(context: ResultContext) -> None:
    header = deepcopy(context.header)
    header.LossyImageCompression, header.LossyImageCompressionMethod = "01", "ISO_10918_1"
    dataset = written_and_read(replace(context, header=header))
    assert (dataset.LossyImageCompression, dataset.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    assert "LossyImageCompressionRatio" not in dataset


def test_odd_sizes_keep_every_pixel(context: ResultContext) -> None:
    """Frames are packed bit by bit: the second begins within a byte where rows x columns is no multiple of 8."""
    attention = two_spots(61, 43)
    header = deepcopy(context.header)
    header.Rows, header.Columns = 61, 43
    report = lesion_report(attention)
    frames = written_and_read(replace(context, header=header, report=report)).pixel_array
    assert len(report.lesions) == 2
    assert all((frames[region.number - 1] == report.region_mask(region)).all() for region in report.lesions)


def test_nothing_to_segment_and_wrong_sizes_are_refused(context: ResultContext) -> None:
    with pytest.raises(ValueError, match="nothing to segment"):
        segmentation(replace(context, report=healthy_report((60, 44))), None)
    with pytest.raises(ValueError, match="60 x 44"):
        segmentation(replace(context, report=lesion_report(two_spots(44, 60))), None)
