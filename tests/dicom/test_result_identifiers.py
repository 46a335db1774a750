"""UIDs that follow from image, weights and settings; dates from the source."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lesion_reports import ALGORITHM
from pydicom.dataset import Dataset
from pydicom.uid import UID

from monai_pneumonia.dicom import ResultIdentifiers
from monai_pneumonia.dicom.identifiers import NO_DATE, NO_TIME, derived_uid, is_uid, mended_date, mended_time, moment_of

SOURCE = "1.2.3.4"


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_uids_are_uuids_of_version_five_and_repeat(parts: list[str]) -> None:
    uid = derived_uid(*parts)
    assert uid == derived_uid(*parts)
    assert UID(uid).is_valid
    assert len(uid) <= 64
    root, _, number = uid.partition("2.25.")
    assert root == ""
    assert uuid.UUID(int=int(number)).version == 5


def test_whatever_a_result_depends_on_changes_its_uid() -> None:
    made = {
        ResultIdentifiers(SOURCE, ALGORITHM).uid("sr", "instance"),
        ResultIdentifiers("1.2.3.5", ALGORITHM).uid("sr", "instance"),
        ResultIdentifiers(SOURCE, replace(ALGORITHM, weights_sha256="0" * 64)).uid("sr", "instance"),
        ResultIdentifiers(SOURCE, replace(ALGORITHM, settings_sha256="0" * 64)).uid("sr", "instance"),
        ResultIdentifiers(SOURCE, ALGORITHM).uid("seg", "instance"),
        ResultIdentifiers(SOURCE, ALGORITHM).uid("sr", "series"),
        ResultIdentifiers(SOURCE, ALGORITHM).device_uid,
    }
    assert len(made) == 7


def test_the_device_is_the_same_for_all_images() -> None:
    assert ResultIdentifiers(SOURCE, ALGORITHM).device_uid == ResultIdentifiers("1.2.3.5", ALGORITHM).device_uid


def test_file_names_hold_a_hash_alone() -> None:
    # sha256 of "1.2.3.4"
    assert ResultIdentifiers(SOURCE, ALGORITHM).file_name("seg") == "seg-6694f83c9f476da3.dcm"


@pytest.mark.parametrize(
    ("value", "date"),
    [
        ("20200131", "20200131"),
        ("1995.07.20", "19950720"),
        (" 2020-01-31 ", "20200131"),
        ("", ""),
        (None, ""),
        ("20201331", ""),
        ("20200100", ""),
        ("20200231", ""),
        ("2020", ""),
        ("secret", ""),
    ],
)
def test_dates_are_mended_or_left_out(value: object, date: str) -> None:
    assert mended_date(value) == date


@pytest.mark.parametrize(
    ("value", "time"),
    [
        ("101112", "101112"),
        ("10:11:12", "101112"),
        ("000000.00", "000000.00"),
        ("1011", "1011"),
        ("10", "10"),
        ("240000", ""),
        ("106000", ""),
        ("", ""),
        (None, ""),
        ("noon", ""),
    ],
)
def test_times_are_mended_or_left_out(value: object, time: str) -> None:
    assert mended_time(value) == time


def dated(**values: str) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        dataset.add_new(keyword, "LO", value)
    return dataset


def test_the_moment_is_the_images_own_where_it_states_one() -> None:
    assert moment_of(dated(ContentDate="20200102", ContentTime="10", StudyDate="20200101")) == ("20200102", "10")
    assert moment_of(dated(ContentDate="never", AcquisitionDate="1993.02.24", AcquisitionTime="17:58:00")) == ("19930224", "175800")
    assert moment_of(dated(StudyDate="20200101")) == ("20200101", NO_TIME)
    assert moment_of(Dataset()) == (NO_DATE, NO_TIME)


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        ("1.2.3", True),
        ("1.2.392.200036.9125.0.19950720112207", True),
        ("1.02.3", True),
        ("1" * 65, False),
        ("1.2/../3", False),
        ("..", False),
        ("1..2", False),
        ("1", False),
        ("", False),
        (None, False),
        ("1.2.3\n", False),
        ("\u0661.\u0662", False),
    ],
)
def test_uids_are_told_from_what_would_harm_as_a_path(value: object, valid: bool) -> None:
    assert is_uid(value) is valid
