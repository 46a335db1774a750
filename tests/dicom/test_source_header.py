"""What results take over from their source: mended, silent about what it could not mend."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
from lesion_reports import write_chest
from pydicom import config
from pydicom.dataset import Dataset
from radiograph_files import marker

from monai_pneumonia.dicom import mended_header, read_header, source
from monai_pneumonia.dicom.source import mended_age
from monai_pneumonia.errors import UnreadableImageError


@pytest.mark.parametrize(
    ("value", "age"),
    [
        ("062Y", "062Y"),
        ("62", "062Y"),
        ("6 ", "006Y"),
        ("62y", "062Y"),
        ("3M", "003M"),
        ("012D", "012D"),
        ("", ""),
        (None, ""),
        ("old", ""),
        ("1234", ""),
        ("-5", ""),
    ],
)
def test_ages_are_mended_or_left_out(value: object, age: str) -> None:
    assert mended_age(value) == age


def test_patient_and_study_are_taken_over(chest_file: Path) -> None:
    header = read_header(chest_file)
    assert (str(header.PatientName), header.PatientID, header.PatientSex) == ("Secret^Name", "secret-id", "F")
    assert (header.PatientBirthDate, header.PatientAge) == ("19500607", "069Y")
    assert (header.StudyDate, header.StudyTime, header.ContentDate, header.ContentTime) == ("20200102", "101112", "20200103", "131415")
    assert (header.AccessionNumber, header.StudyID) == ("secret-acc", "7")
    assert (header.Rows, header.Columns) == (60, 44)
    assert list(header.PatientOrientation) == ["L", "F"]
    assert "PixelData" not in header
    assert header.LossyImageCompression == "00"


def test_what_is_badly_written_is_mended_or_empty(tmp_path: Path) -> None:
    odd = {
        "PatientAge": "54",
        "PatientSex": "X",
        "PatientBirthDate": "long ago",
        "StudyDate": "2001.02.03",
        "StudyTime": "noon",
        "PatientOrientation": ["X", "Y"],
        "BurnedInAnnotation": "PERHAPS",
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": "-3",
        "LossyImageCompressionMethod": "SECRET",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = write_chest(tmp_path / "odd.dcm", marker(), **odd)
    header = read_header(file)
    assert (header.PatientAge, header.PatientSex, header.PatientBirthDate) == ("054Y", "", "")
    assert (header.StudyDate, header.StudyTime) == ("20010203", "")
    assert not header.PatientOrientation
    assert "BurnedInAnnotation" not in header
    assert header.LossyImageCompression == "01"
    assert "LossyImageCompressionRatio" not in header
    assert "LossyImageCompressionMethod" not in header


def test_an_orientation_of_one_word_is_none(tmp_path: Path) -> None:
    header = read_header(write_chest(tmp_path / "one.dcm", marker(), PatientOrientation="LF"))
    assert not header.PatientOrientation


def test_absent_attributes_that_results_must_state_are_empty(tmp_path: Path) -> None:
    absent = ("PatientID", "PatientName", "PatientAge", "PatientSex", "StudyDate", "ContentDate", "AccessionNumber", "StudyID")
    file = write_chest(tmp_path / "bare.dcm", marker(), **dict.fromkeys(absent))
    header = read_header(file)
    for keyword in ("PatientID", "PatientSex", "AccessionNumber", "StudyID", "StudyDate"):
        assert header[keyword].value == ""
    assert str(header.PatientName) == ""
    assert "PatientAge" not in header


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        ("ISO_IR 100", "Müller^Jörg"),
        ("ISO_IR 192", "Ωμέγα^Ἀθηνᾶ"),
        ("ISO_IR 144", "Дмитрий^"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
    ],
)
def test_names_of_all_alphabets_become_utf_8(tmp_path: Path, character_set: Any, name: str) -> None:
    header = read_header(write_chest(tmp_path / "name.dcm", marker(), SpecificCharacterSet=character_set, PatientName=name))
    assert str(header.PatientName) == name
    assert header.SpecificCharacterSet == "ISO_IR 192"


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize("value", [None, "", "../../secret", "1.2.secret"])
def test_images_without_usable_identifiers_are_unreadable(tmp_path: Path, keyword: str, value: str | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = write_chest(tmp_path / "file.dcm", marker(), **{keyword: value})
    with pytest.raises(UnreadableImageError, match=rf"file\.dcm: {keyword} is .*export it anew") as caught:
        read_header(file)
    assert "secret" not in str(caught.value)


def test_private_classes_are_unreadable() -> None:
    source = Dataset()
    source.SOPClassUID, source.SOPInstanceUID, source.StudyInstanceUID, source.SeriesInstanceUID = "1.2.3", "1.2.4", "1.2.5", "1.2.6"
    with pytest.raises(UnreadableImageError, match="none of the standard's"):
        mended_header(source)


def test_far_too_long_texts_are_left_out(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = write_chest(tmp_path / "long.dcm", marker(), StudyDescription="x" * 2000, ReferringPhysicianName="a\\b")
    header = read_header(file)
    assert "StudyDescription" not in header
    assert str(header.ReferringPhysicianName) == "a"


FILED_BY = ("PatientName", "PatientID", "IssuerOfPatientID", "AccessionNumber", "StudyID")


@pytest.mark.parametrize("keyword", FILED_BY)
@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (b"SECRET\\1", "several values"),
        (b"SECRET\\", "several values"),
        (b"SECRET\0001", "no text"),
        (b"SEC\nRET", "no text"),
        (b"SECRET" * 200, "far too long"),
    ],
)
def test_what_results_are_filed_by_is_never_changed(keyword: str, value: bytes, fault: str, tmp_path: Path) -> None:
    file = with_value(tmp_path, keyword, value)
    with pytest.raises(UnreadableImageError, match=rf"file\.dcm: {keyword} .*{fault}.*: .*correct it") as caught:
        read_header(file)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("keyword", FILED_BY)
@pytest.mark.parametrize(
    ("value", "text"),
    [("007", "007"), (" 7 ", "7"), ("A/7-x", "A/7-x"), ("é\u3000ß".ljust(12), "é\u3000ß"), ("x" * 80, "x" * 80)],
)
def test_what_results_are_filed_by_stays_as_it_is(keyword: str, value: str, text: str, tmp_path: Path) -> None:
    assert str(read_header(with_value(tmp_path, keyword, value.encode()))[keyword].value) == text


def test_an_undeclared_character_set_costs_letters_of_a_name_but_no_number(tmp_path: Path) -> None:
    assert str(read_header(with_value(tmp_path, "PatientName", b"M\xfcller")).PatientName) == "M\ufffdller"
    with pytest.raises(UnreadableImageError, match=r"PatientID .*no text"):
        read_header(with_value(tmp_path, "PatientID", b"M\xfcller"))


def test_a_name_that_lost_letters_is_refused_where_nothing_else_tells_the_patient(tmp_path: Path) -> None:
    for missing in ("", None):
        with pytest.raises(UnreadableImageError, match=r"PatientName .*no text"):
            read_header(with_value(tmp_path, "PatientName", b"M\xfcller", PatientID=missing))
    assert str(read_header(with_value(tmp_path, "PatientName", "Müller".encode(), PatientID="")).PatientName) == "Müller"


def with_value(folder: Path, keyword: str, value: bytes, **tags: Any) -> Path:
    """A chest whose value stands in the file as given, whatever pydicom would write for it."""
    value = value + b" " * (len(value) % 2)
    filler = "Q" * len(value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = write_chest(folder / "file.dcm", marker(), SpecificCharacterSet="ISO_IR 192", **tags, **{keyword: filler})
    content = file.read_bytes()
    assert content.count(filler.encode()) == 1
    file.write_bytes(content.replace(filler.encode(), value))
    return file


def test_nothing_is_warned_of_and_the_switches_stay(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = write_chest(tmp_path / "odd.dcm", marker(), PatientID="y" * 80, PatientAge="secret", SpecificCharacterSet="ISO_IR secret")
    caplog.clear()
    modes = config.settings.reading_validation_mode, config.settings.writing_validation_mode
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert read_header(file).PatientID == "y" * 80
    assert caught == []
    assert "secret" not in caplog.text.lower()
    assert (config.settings.reading_validation_mode, config.settings.writing_validation_mode) == modes


def test_tags_of_a_wrong_kind_are_damage(chest_file: Path) -> None:
    header = read_header(chest_file)
    header.add_new("Rows", "IS", ["60", "61"])
    with pytest.raises(UnreadableImageError, match=r"its tags are damaged \(TypeError\): export"):
        mended_header(header)


def test_too_little_memory_is_no_damage(chest_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large(_: object) -> None:
        raise MemoryError

    header = read_header(chest_file)
    monkeypatch.setattr(source, "mended_date", too_large)
    with pytest.raises(MemoryError):
        mended_header(header)
