"""The structured report, written, read back and compared."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from highdicom.sr import Comprehensive3DSR, MeasurementReport
from lesion_reports import ALGORITHM, PROBABILITIES, healthy_report, lesion_report, two_spots
from pydicom.dataset import Dataset
from scipy import ndimage

from monai_pneumonia import RESEARCH_USE_ONLY
from monai_pneumonia.dicom import concepts
from monai_pneumonia.dicom.common import ResultContext
from monai_pneumonia.dicom.structured_report import structured_report
from monai_pneumonia.inference.report import UNSUPERVISED

DSRDUMP = shutil.which("dsrdump")


def written_and_read(context: ResultContext) -> Dataset:
    stream = BytesIO()
    structured_report(context).save_as(stream)
    stream.seek(0)
    return pydicom.dcmread(stream)


def content(dataset: Dataset) -> MeasurementReport:
    return Comprehensive3DSR.from_dataset(dataset).content


def items(dataset: Dataset, value_type: str) -> list[Dataset]:
    """All content items of a kind, in the order of the document."""
    found = [dataset] if dataset.get("ValueType") == value_type else []
    for item in dataset.get("ContentSequence", ()):
        found += items(item, value_type)
    return found


def name_of(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeMeaning)


def numbers(dataset: Dataset) -> dict[str, float]:
    """Code value and unit to number, in the order of the document."""
    return {
        f"{item.ConceptNameCodeSequence[0].CodeValue} {item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue}": float(
            item.MeasuredValueSequence[0].NumericValue
        )
        for item in items(dataset, "NUM")
    }


@pytest.fixture(scope="module")
def dataset(context: ResultContext) -> Dataset:
    return written_and_read(context)


def test_the_score_comes_first_then_its_operating_point_then_the_classes(dataset: Dataset) -> None:
    whole_image = items(dataset, "CONTAINER")[2]
    assert list(numbers(whole_image).items()) == [
        ("P_PNEUMONIA 1", 0.8),
        ("OPERATING_POINT 1", 0.4),
        *((f"SCORE_{name.upper()} 1", value) for name, value in PROBABILITIES.items()),
        ("UNCERTAINTY 1", 0.5),
    ]


def test_classes_are_research_scores_and_never_findings(dataset: Dataset) -> None:
    meanings = [name_of(item) for item in items(dataset, "NUM") if "class" in name_of(item)]
    assert len(meanings) == len(PROBABILITIES)
    assert all("Research score" in meaning and "no diagnosis" in meaning for meaning in meanings)
    findings = [item for item in items(dataset, "CODE") if name_of(item) == "Finding"]
    assert {item.ConceptCodeSequence[0].CodeMeaning for item in findings} == {"Lesion"}


@pytest.mark.parametrize(("score", "decision", "code"), [(0.4, "pneumonia", "PNEUMONIA"), (0.39, "no_pneumonia", "NO_PNEUMONIA")])
def test_the_decision_is_coded(context: ResultContext, score: float, decision: Any, code: str) -> None:
    report = lesion_report(np.zeros((60, 44)), p_pneumonia=score, decision=decision)
    dataset = written_and_read(replace(context, report=report))
    (item,) = [item for item in items(dataset, "CODE") if item.ConceptNameCodeSequence[0].CodeValue == "DECISION"]
    assert item.ConceptCodeSequence[0].CodeValue == code
    assert item.ConceptCodeSequence[0].CodingSchemeDesignator == concepts.SCHEME
    assert "no diagnosis" in name_of(item)


def test_own_codes_name_their_scheme(dataset: Dataset) -> None:
    schemes = [item.CodingSchemeDesignator for item in dataset.CodingSchemeIdentificationSequence]
    assert schemes == [concepts.SCHEME]


def test_the_algorithm_is_named_with_version_and_hash_of_its_weights(dataset: Dataset) -> None:
    texts = [(name_of(item), item.TextValue) for item in items(items(dataset, "CONTAINER")[2], "TEXT")]
    assert ("Algorithm Version", "model 0.1.0, package " + ALGORITHM.package_version) in texts
    parameters = [value for name, value in texts if name == "Algorithm Parameters"]
    assert f"weights_sha256={ALGORITHM.weights_sha256}" in parameters
    assert f"settings_sha256={ALGORITHM.settings_sha256}" in parameters
    assert "operating_point=0.4" in parameters


def test_each_region_has_a_polygon_around_its_pixels_and_its_area(dataset: Dataset, context: ResultContext) -> None:
    groups = content(dataset).get_planar_roi_measurement_groups()
    assert len(groups) == len(context.report.lesions) == 2
    for group, region in zip(groups, context.report.lesions, strict=True):
        assert group.tracking_identifier == f"Lesion region {region.number}"
        assert group.tracking_uid == context.tracking(region)[1]
        polygon = group.roi.value
        x, y, width, height = region.box
        assert polygon.min(axis=0).tolist() == [x, y]
        assert polygon.max(axis=0).tolist() == [x + width, y + height]
        areas = {measurement.unit.value: measurement.value for measurement in group.get_measurements(name=concepts.AREA)}
        assert areas == {"{pixels}": region.area_pixels, "mm2": pytest.approx(region.area_pixels * 0.2 * 0.4, abs=0.01)}
    # The large spot lies at the lower left, the small one at the upper right: columns come first.
    large, small = (group.roi.value.mean(axis=0) for group in groups)
    assert large[0] < 22 < small[0]
    assert large[1] > 30 > small[1]


def test_polygons_enclose_the_middle_of_mass_of_their_regions(dataset: Dataset, context: ResultContext) -> None:
    from matplotlib.path import Path as Polygon

    for group, region in zip(content(dataset).get_planar_roi_measurement_groups(), context.report.lesions, strict=True):
        row, column = ndimage.center_of_mass(context.report.region_mask(region))
        assert Polygon(group.roi.value).contains_point((column + 0.5, row + 0.5))
        assert not Polygon(group.roi.value).contains_point((row + 0.5, column + 0.5))


def test_image_coordinates_refer_to_the_source(dataset: Dataset, context: ResultContext) -> None:
    places = items(dataset, "SCOORD")
    assert len(places) == 3  # the whole image and two regions
    for item in places:
        assert item.GraphicType == "POLYLINE"
        assert len(item.GraphicData) % 2 == 0
        reference = item.ContentSequence[0].ReferencedSOPSequence[0]
        assert reference.ReferencedSOPInstanceUID == context.header.SOPInstanceUID
        assert reference.ReferencedSOPClassUID == context.header.SOPClassUID
    evidence = dataset.CurrentRequestedProcedureEvidenceSequence[0]
    assert evidence.StudyInstanceUID == context.header.StudyInstanceUID
    (series,) = evidence.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == context.header.SeriesInstanceUID
    assert [item.ReferencedSOPInstanceUID for item in series.ReferencedSOPSequence] == [context.header.SOPInstanceUID]


def test_the_score_is_inferred_from_the_whole_image(dataset: Dataset, context: ResultContext) -> None:
    (score,) = [item for item in items(dataset, "NUM") if item.ConceptNameCodeSequence[0].CodeValue == "P_PNEUMONIA"]
    (frame,) = items(score, "SCOORD")
    assert (frame.RelationshipType, frame.GraphicType) == ("INFERRED FROM", "POLYLINE")
    corners = np.reshape(frame.GraphicData, (-1, 2))
    assert corners[0].tolist() == corners[-1].tolist()
    assert (corners.min(axis=0).tolist(), corners.max(axis=0).tolist()) == ([0, 0], [44, 60])


@pytest.mark.parametrize("with_regions", [True, False])
def test_every_group_has_a_place(context: ResultContext, with_regions: bool) -> None:
    """OHIF 3.13 shows nothing of a report that holds a group of measurements without one."""
    report = context.report if with_regions else healthy_report((60, 44))
    dataset = written_and_read(replace(context, report=report))
    groups = [item for item in items(dataset, "CONTAINER") if name_of(item) == "Measurement Group"]
    assert len(groups) == 1 + len(report.lesions)
    assert all(len(items(group, "SCOORD")) == 1 for group in groups)


def test_areas_in_square_millimetres_need_a_spacing(context: ResultContext) -> None:
    dataset = written_and_read(replace(context, report=lesion_report(two_spots(60, 44))))
    assert {key for key in numbers(dataset) if key.startswith("42798000")} == {"42798000 {pixels}"}
    assert not any("mm2" in item.TextValue for item in items(dataset, "TEXT"))


def comments(dataset: Dataset) -> list[str]:
    return [item.TextValue for item in items(dataset, "TEXT") if name_of(item) == "Comment"]


def test_notices_and_warnings_are_said(dataset: Dataset, context: ResultContext) -> None:
    assert comments(dataset)[0] == RESEARCH_USE_ONLY
    assert set(context.report.warnings) <= set(comments(dataset))
    assert "research use only" in dataset.SeriesDescription
    assert "research use only" in content(dataset).get_image_measurement_groups()[0].tracking_identifier
    assert (dataset.PreliminaryFlag, dataset.VerificationFlag, dataset.CompletionFlag) == ("PRELIMINARY", "UNVERIFIED", "COMPLETE")


def test_without_regions_the_report_says_that_there_is_no_segmentation(context: ResultContext) -> None:
    dataset = written_and_read(replace(context, report=healthy_report((60, 44))))
    assert len(items(dataset, "SCOORD")) == 1  # the image's frame
    assert "No region was found: there is no segmentation." in comments(dataset)
    assert content(dataset).get_planar_roi_measurement_groups() == []


def test_regions_of_an_untrained_map_are_called_no_lesions(context: ResultContext) -> None:
    report = lesion_report(two_spots(60, 44), warnings=(UNSUPERVISED,))
    dataset = written_and_read(replace(context, report=report))
    findings = {item.ConceptCodeSequence[0].CodeMeaning for item in items(dataset, "CODE") if name_of(item) == "Finding"}
    assert findings == {"Selected region"}
    assert UNSUPERVISED in comments(dataset)
    assert not any(item.TextValue.startswith("Lesion") for item in items(dataset, "TEXT") if name_of(item) == "Tracking Identifier")


@pytest.mark.parametrize(
    "name", ["a class whose name is very, very long indeed, longer than any code", "grippe aviaire (é)", "x^y\\z=1", "TB"]
)
def test_class_names_of_other_data_give_valid_codes(context: ResultContext, name: str, dciodvfy_errors: Any, tmp_path: Path) -> None:
    report = lesion_report(two_spots(60, 44), probabilities={"normal": 0.2, name: 0.8})
    structured_report(replace(context, report=report)).save_as(tmp_path / "sr.dcm")
    codes = [item.ConceptNameCodeSequence[0] for item in items(pydicom.dcmread(tmp_path / "sr.dcm"), "NUM")]
    assert len({code.CodeValue for code in codes}) == 6  # two scores, two classes, uncertainty, area
    assert all(len(code.CodeValue) <= 16 and len(code.CodeMeaning) <= 64 for code in codes)
    assert dciodvfy_errors(tmp_path / "sr.dcm") == set()


def test_patient_study_and_dates_are_the_sources(dataset: Dataset) -> None:
    assert (dataset.PatientName, dataset.PatientID, dataset.PatientAge) == ("Secret^Name", "secret-id", "069Y")
    assert (dataset.StudyDate, dataset.ContentDate, dataset.ContentTime) == ("20200102", "20200103", "131415")
    assert (dataset.InstanceCreationDate, dataset.InstanceCreationTime) == ("20200103", "131415")
    assert dataset.SOPClassUID == pydicom.uid.Comprehensive3DSRStorage


@pytest.mark.skipif(DSRDUMP is None, reason="dsrdump is not installed (Debian: apt install dcmtk)")
def test_dcmtk_reads_it_too(context: ResultContext, tmp_path: Path) -> None:
    structured_report(context).save_as(tmp_path / "sr.dcm")
    run = subprocess.run([str(DSRDUMP), str(tmp_path / "sr.dcm")], capture_output=True, text=True, check=True)
    assert "Comprehensive 3D SR Document" in run.stdout
    assert 'NUM:(,,"Pneumonia probability, research score")="0.8" (1,UCUM,"no units")' in run.stdout
    assert run.stdout.count("SCOORD") == 3
    assert not [line for line in run.stderr.splitlines() if line.startswith(("E:", "F:"))]
