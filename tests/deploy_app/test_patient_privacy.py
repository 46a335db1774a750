"""What files say of their patients stands in the results, and neither in logs nor in reports."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from application_server import ApplicationServer
from bad_files import INSTANCE_ROOT, SERIES_ROOT, STUDY_ROOT
from endings import check_ending, check_output, check_report
from patient_markers import PATIENT_ELEMENTS, write_marked

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning")]


def test_the_elements_are_those_that_one_would_name() -> None:
    expected = {
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "OtherPatientIDsSequence",
        "PatientAddress",
        "PatientComments",
        "Occupation",
    }
    expected |= {"ReferringPhysicianName", "OperatorsName", "PerformingPhysicianName", "InstitutionName", "InstitutionAddress"}
    assert expected <= PATIENT_ELEMENTS.keys()
    assert len(PATIENT_ELEMENTS) > 100


def test_no_element_is_told_by_logs_or_reports(application: ApplicationServer, tiny_model: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "input", tmp_path / "out"
    markers = write_marked(source / "served.dcm", 1, study=1)
    assert len(set(markers.values())) == len(markers)
    # Rejected at each step: by the scan, the gate, the decoder, and the writer.
    write_marked(source / "scan.dcm", 2, StudyInstanceUID=None)
    write_marked(source / "gate.dcm", 3, study=1, ViewPosition="LL")
    write_marked(source / "cut.dcm", 4, study=1)
    write_marked(source / "sizes.dcm", 5, study=1, Rows=97)
    cut = (source / "cut.dcm").read_bytes()
    (source / "cut.dcm").write_bytes(cut[: int(len(cut) * 0.9)])

    ended = application.run("-i", source, "-o", output, "-m", tiny_model, "--log-level", "debug")

    check_ending(ended, 5)
    names = check_report(output, 5)
    assert [name for name, item in names.items() if item["status"] == "served"] == ["served.dcm"]
    (place,) = (output / uid for uid in check_output(output))
    written = pydicom.dcmread(next(place.glob("sr-*.dcm")))
    assert (str(written.PatientName), written.PatientID) == (markers["PatientName"], markers["PatientID"])
    told = ended.output + ended.errors
    for uid in (STUDY_ROOT, SERIES_ROOT, INSTANCE_ROOT):
        assert uid not in told
    for text in (told, (output / "report.json").read_text(), (place / "report.json").read_text()):
        assert not [keyword for keyword, marker in markers.items() if marker in text]
