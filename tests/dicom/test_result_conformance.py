"""Results of real and synthetic images before the checkers: dciodvfy, pydicom, highdicom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from highdicom.seg import Segmentation
from highdicom.sr import Comprehensive3DSR
from lesion_reports import ALGORITHM, spots_of

from monai_pneumonia.dicom import WrittenResults, write_results
from monai_pneumonia.inference import LesionReport
from monai_pneumonia.radiograph import read_radiograph

Errors = Callable[[Path], set[str]]

# For each real file how many errors dciodvfy finds in it. None of them may be found in its results: what is badly written is mended.
SOURCE_ERRORS = {
    "gustavo198saavedra_UAO-Neumonia-Gustavo__normal_2.dcm": 2,
    "gustavo198saavedra_UAO-Neumonia-Gustavo__normal_3.dcm": 4,
    "gustavo198saavedra_UAO-Neumonia-Gustavo__viral_2.dcm": 2,
    "gustavo198saavedra_UAO-Neumonia-Gustavo__viral_3.dcm": 3,
    "ivmartel_dwv__gdcm-CR-MONO1-10-chest.dcm": 18,
    "mlmed_torchxrayvision__1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm": 2,
    "mlmed_torchxrayvision__Fake_MONOHR1.dcm": 2,
    "pydicom_pydicom-data__RG1_J2KI.dcm": 2,
    "robyoung_dicom-test-files__RG1_JLSN.dcm": 2,
}
# What may be found in the results of a file all the same.
RESULT_ERRORS: dict[str, set[str]] = {name: set() for name in SOURCE_ERRORS}


def read_back(written: WrittenResults, report: LesionReport) -> None:
    """Reads all three results with pydicom and highdicom, and compares them with the report."""
    document = Comprehensive3DSR.from_dataset(pydicom.dcmread(written.files["sr"]))
    groups = document.content.get_planar_roi_measurement_groups()
    segments = Segmentation.from_dataset(pydicom.dcmread(written.files["seg"]))
    labels = segments.get_pixels_by_source_instance([written.source_uid], combine_segments=True, ignore_spatial_locations=True)[0]
    assert (labels == report.lesion_labels).all()
    assert len(groups) == segments.number_of_segments == len(report.lesions)
    for group, segment, region in zip(groups, segments.SegmentSequence, report.lesions, strict=True):
        assert group.tracking_uid == segment.TrackingUID
        rows, columns = np.nonzero(labels == region.number)
        assert group.roi.value.min(axis=0).tolist() == [columns.min(), rows.min()]
        assert group.roi.value.max(axis=0).tolist() == [columns.max() + 1, rows.max() + 1]
    capture = pydicom.dcmread(written.files["sc"])
    assert capture.pixel_array.shape == (capture.Rows, capture.Columns, 3)
    assert max(capture.Rows, capture.Columns) > 512


@pytest.mark.realdata
@pytest.mark.parametrize("name", SOURCE_ERRORS)
def test_results_of_real_files_conform(real_data: Path, name: str, tmp_path: Path, dciodvfy_errors: Errors) -> None:
    file = real_data / "cxr-dicom" / name
    radiograph = read_radiograph(file)
    report = spots_of(radiograph)
    written = write_results(file, report, ALGORITHM, tmp_path / "first", radiograph)
    assert len(dciodvfy_errors(file)) == SOURCE_ERRORS[name]
    for result in written.files.values():
        assert dciodvfy_errors(result) <= RESULT_ERRORS[name], result.name
    read_back(written, report)
    again = write_results(file, report, ALGORITHM, tmp_path / "second", radiograph)
    for kind, result in written.files.items():
        assert result.read_bytes() == again.files[kind].read_bytes()


@pytest.mark.realdata
def test_every_real_file_is_listed(real_data: Path) -> None:
    assert {file.name for file in (real_data / "cxr-dicom").glob("*.dcm")} == set(SOURCE_ERRORS)


def test_results_of_phantoms_in_every_form_conform(phantom_dicom_folder: Path, tmp_path: Path, dciodvfy_errors: Errors) -> None:
    files = sorted((phantom_dicom_folder / "images").glob("*.dcm"))[:16]
    forms = set()
    for file in files:
        source = pydicom.dcmread(file, stop_before_pixels=True)
        forms.add((source.Modality, source.PhotometricInterpretation, source.BitsStored))
        radiograph = read_radiograph(file)
        report = spots_of(radiograph)
        written = write_results(file, report, ALGORITHM, tmp_path / "out", radiograph)
        for result in written.files.values():
            assert dciodvfy_errors(result) == set(), (file.name, result.name)
        read_back(written, report)
    assert len(forms) == 16
