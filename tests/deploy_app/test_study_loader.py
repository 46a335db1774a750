from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.uid import generate_uid

from deploy_app import studies
from deploy_app.account import FileRecord
from deploy_app.studies import InputScan, scan_input

Study = Callable[..., Path]
SEGMENTATION, SR, KO, CT = (
    "1.2.840.10008.5.1.4.1.1.66.4",
    "1.2.840.10008.5.1.4.1.1.88.33",
    "1.2.840.10008.5.1.4.1.1.88.59",
    "1.2.840.10008.5.1.4.1.1.2",
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "input").mkdir(exist_ok=True)
    return tmp_path / "input"


def left_out(scan: InputScan) -> dict[str, tuple[str, str]]:
    return {record.name: (record.status.value, record.reason) for record in scan.left_out}


def images(scan: InputScan) -> dict[str, list[str]]:
    return {uid: [image.name for image in members] for uid, members in scan.studies.items()}


def only(scan: InputScan) -> FileRecord:
    assert not scan.studies
    (record,) = scan.left_out
    return record


def test_images_are_grouped_by_study_in_the_order_of_their_names(study: Study, source: Path) -> None:
    study("1", "2", name="b/2.dcm")
    study("2", "1", name="a/1.dcm")
    study("1", "1", name="c.dcm")
    scan = scan_input(source)
    assert images(scan) == {"1.2.3.2": ["a/1.dcm"], "1.2.3.1": ["b/2.dcm", "c.dcm"]}
    assert [image.number for members in scan.studies.values() for image in members] == [1, 2, 3]
    assert not scan.left_out


def test_the_order_does_not_depend_on_the_file_system(study: Study, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for image in "123":
        study("1", image)
    walk = os.walk
    monkeypatch.setattr(os, "walk", lambda *a, **k: ((root, folders, names[::-1]) for root, folders, names in walk(*a, **k)))
    assert images(scan_input(source)) == {"1.2.3.1": ["1-1.dcm", "1-2.dcm", "1-3.dcm"]}


def test_a_file_for_an_input(study: Study) -> None:
    assert images(scan_input(study("1", "1"))) == {"1.2.3.1": ["1-1.dcm"]}


def test_what_is_skipped_by_name(study: Study, source: Path) -> None:
    for name in (".hidden", ".folder/a.dcm", "DICOMDIR", "sub/dicomdir"):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_bytes(b"anything")
    os.mkfifo(source / "pipe")
    assert left_out(scan_input(source)) == {
        ".hidden": ("skipped", "hidden"),
        ".folder/a.dcm": ("skipped", "hidden"),
        "DICOMDIR": ("skipped", "dicomdir"),
        "sub/dicomdir": ("skipped", "dicomdir"),
        "pipe": ("skipped", "special_file"),
    }


@pytest.mark.parametrize(
    ("sop_class", "modality", "expected"),
    [
        (SEGMENTATION, "SEG", ("skipped", "no_image")),
        (SR, "SR", ("skipped", "no_image")),
        (KO, "KO", ("skipped", "no_image")),
        ("1.2.3.4", "PR", ("skipped", "no_image")),
        (CT, "CT", None),
        ("1.2.3.4", "CT", None),
    ],
)
def test_objects_without_an_image_are_skipped_and_foreign_images_left_to_the_gate(
    study: Study, source: Path, sop_class: str, modality: str, expected: tuple[str, str] | None
) -> None:
    study("1", "1", SOPClassUID=sop_class, Modality=modality)
    assert left_out(scan_input(source)).get("1-1.dcm") == expected


def test_own_results_are_skipped(study: Study, source: Path) -> None:
    study("1", "1", Manufacturer="monai-pneumonia", ManufacturerModelName="lesion recogniser")
    assert only(scan_input(source)).reason == "no_image"


def test_a_directory_of_a_medium_under_another_name(study: Study, source: Path) -> None:
    dataset = pydicom.dcmread(study("1", "1"))
    del dataset.Modality, dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    with pydicom.config.disable_value_validation():
        pydicom.dcmwrite(source / "index", dataset)
    (source / "1-1.dcm").unlink()
    assert (only(scan_input(source)).status.value, only(scan_input(source)).reason) == ("skipped", "dicomdir")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "not_dicom"), (b"Dear colleague,\n", "not_dicom"), (b"\0" * 128 + b"DICM" + b"\xff" * 60, "damaged")],
)
def test_what_is_no_dicom_file(source: Path, content: bytes, reason: str) -> None:
    (source / "Doe^John.dcm").write_bytes(content)
    record = only(scan_input(source))
    assert (record.status.value, record.reason) == ("rejected", reason)
    assert "Doe" not in record.sentence
    assert str(source) not in record.sentence


@pytest.mark.parametrize(
    ("tags", "keyword"),
    [
        ({"StudyInstanceUID": "../../etc"}, "StudyInstanceUID"),
        ({"StudyInstanceUID": "1.2/3"}, "StudyInstanceUID"),
        ({"SOPInstanceUID": "1.2.3\\..\\4"}, "SOPInstanceUID"),
        ({"StudyInstanceUID": None}, "StudyInstanceUID"),
        ({"StudyInstanceUID": "1." * 40 + "1"}, "StudyInstanceUID"),
    ],
)
def test_identifiers_that_cannot_name_a_folder(study: Study, source: Path, tags: dict[str, Any], keyword: str) -> None:
    with pydicom.config.disable_value_validation():
        study("1", "1", **tags)
    record = only(scan_input(source))
    assert (record.status.value, record.reason) == ("rejected", "invalid_identifier")
    assert keyword in record.sentence
    assert ".." not in record.sentence


@pytest.mark.parametrize(
    ("tags", "study_uid", "source_uid"),
    [
        ({"SOPInstanceUID": "1.2.3\\..\\4"}, "1.2.3.1", ""),
        ({"StudyInstanceUID": "../../etc"}, "", "1.2.3.1.1"),
        ({"SOPClassUID": SR, "Modality": "SR"}, "1.2.3.1", "1.2.3.1.1"),
        ({"SOPClassUID": SR, "Modality": "SR", "StudyInstanceUID": "1.2/3"}, "", "1.2.3.1.1"),
    ],
)
def test_what_is_left_out_keeps_its_valid_identifiers(
    study: Study, source: Path, tags: dict[str, Any], study_uid: str, source_uid: str
) -> None:
    with pydicom.config.disable_value_validation():
        study("1", "1", **tags)
    record = only(scan_input(source))
    assert (record.study_uid, record.source_uid) == (study_uid, source_uid)


def test_files_larger_than_any_radiograph(study: Study, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "LARGEST_FILE", 100)
    study("1", "1")
    assert only(scan_input(source)).reason == "oversized"


def test_too_little_memory_for_tags(study: Study, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, tags: Any) -> None:
        raise MemoryError

    study("1", "1")
    monkeypatch.setattr(studies, "read_file_tags", fail)
    record = only(scan_input(source))
    assert (record.status.value, record.reason) == ("rejected", "failed")
    assert "more memory" in record.sentence


def test_a_copy_of_an_image_is_skipped(study: Study, source: Path) -> None:
    shutil.copy(study("1", "1", name="b.dcm"), source / "a.dcm")
    scan = scan_input(source)
    assert images(scan) == {"1.2.3.1": ["a.dcm"]}
    assert left_out(scan) == {"b.dcm": ("skipped", "duplicate")}


def test_images_with_one_identifier_stand_in_for_the_first(study: Study, source: Path) -> None:
    study("1", "1", name="a.dcm")
    study("1", "1", name="b.dcm", PatientID="another")
    shutil.copy(source / "a.dcm", source / "c.dcm")
    study("1", "2", name="d.dcm")
    shutil.copy(source / "b.dcm", source / "e.dcm")
    scan = scan_input(source)
    assert images(scan) == {"1.2.3.1": ["a.dcm", "d.dcm"]}
    assert [[image.name for image in first.stand_ins] for first in scan.studies["1.2.3.1"]] == [["b.dcm"], []]
    assert scan.images == 3
    assert left_out(scan) == {"c.dcm": ("skipped", "duplicate"), "e.dcm": ("skipped", "duplicate")}


def test_one_identifier_in_two_studies_is_served_once(study: Study, source: Path) -> None:
    study("1", "1")
    study("2", "1", SOPInstanceUID="1.2.3.1.1")
    scan = scan_input(source)
    assert list(scan.studies) == ["1.2.3.1"]
    assert [record.reason for record in scan.left_out] == ["ambiguous_identifier"]
    assert not scan.studies["1.2.3.1"][0].stand_ins


def test_links_are_followed_inside_the_input_and_circles_end(study: Study, source: Path) -> None:
    study("1", "1", name="archive/1.dcm")
    study("1", "2", name="2.dcm")
    (source / "circle").symlink_to(source)
    (source / "again").symlink_to(source / "archive")
    (source / "copy.dcm").symlink_to("2.dcm")
    (source / "nowhere.dcm").symlink_to("gone")
    scan = scan_input(source)
    assert images(scan) == {"1.2.3.1": ["2.dcm", "again/1.dcm"]}
    assert left_out(scan) == {"copy.dcm": ("skipped", "duplicate"), "nowhere.dcm": ("rejected", "not_readable")}


def test_links_that_lead_out_of_the_input_are_named_and_not_followed(study: Study, source: Path, tmp_path: Path) -> None:
    study("1", "1", name="1.dcm")
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(source / "1.dcm", tmp_path / "elsewhere" / "2.dcm")
    (source / "folder").symlink_to("../elsewhere")
    (source / "up").symlink_to("..")
    (source / "disk").symlink_to("/")
    (source / "file.dcm").symlink_to(tmp_path / "elsewhere" / "2.dcm")
    (source / "gone.dcm").symlink_to(tmp_path / "gone")
    (source / ".hidden").symlink_to("..")
    scan = scan_input(source)
    assert images(scan) == {"1.2.3.1": ["1.dcm"]}
    outside = dict.fromkeys(("folder/", "up/", "disk/", "file.dcm", "gone.dcm"), ("rejected", "link_outside"))
    assert left_out(scan) == {**outside, ".hidden/": ("skipped", "hidden")}
    assert not [record for record in scan.left_out if "elsewhere" in record.sentence]


def test_an_input_that_is_a_link_itself(study: Study, source: Path, tmp_path: Path) -> None:
    study("1", "1", name="deep/1.dcm")
    (source / "again.dcm").symlink_to(source / "deep" / "1.dcm")
    (tmp_path / "link").symlink_to(source)
    scan = scan_input(tmp_path / "link")
    assert images(scan) == {"1.2.3.1": ["again.dcm"]}
    assert left_out(scan) == {"deep/1.dcm": ("skipped", "duplicate")}
    (tmp_path / "file.dcm").symlink_to(source / "deep" / "1.dcm")
    assert images(scan_input(tmp_path / "file.dcm")) == {"1.2.3.1": ["file.dcm"]}


def test_the_output_folder_is_left_aside(study: Study, source: Path) -> None:
    study("1", "1")
    study("2", "1", name="results/sr.dcm")
    assert images(scan_input(source, source / "results")) == {"1.2.3.1": ["1-1.dcm"]}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_rejected(study: Study, source: Path) -> None:
    study("1", "1").chmod(0)
    (source / "closed").mkdir(mode=0)
    assert left_out(scan_input(source)) == {"1-1.dcm": ("rejected", "not_readable"), "closed/": ("rejected", "not_readable")}


def test_a_path_longer_than_the_system_takes_ends_no_scan(study: Study, source: Path) -> None:
    study("1", "1", name="1.dcm")
    place = os.open(source, os.O_RDONLY)
    name = "n" * 250
    for _ in range((4095 - len(str(source))) // len(f"/{name}")):
        os.mkdir(name, dir_fd=place)
        below = os.open(name, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = below
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT, dir_fd=place))
    os.close(place)
    scan = scan_input(source)
    assert images(scan) == {"1.2.3.1": ["1.dcm"]}
    assert [(record.status.value, record.reason) for record in scan.left_out] == [("rejected", "not_readable")]
    assert "File name too long" in scan.left_out[0].sentence


def test_names_that_are_no_text(source: Path) -> None:
    (source / os.fsdecode(b"caf\xe9.txt")).write_bytes(b"x")
    only(scan_input(source)).name.encode("utf-8")


def test_a_folder_that_cannot_be_listed_is_named(study: Study, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study("1", "1")
    (source / "closed").mkdir()
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    scan = scan_input(source)
    assert left_out(scan) == {"closed/": ("rejected", "not_readable")}
    assert list(scan.studies) == ["1.2.3.1"]


@pytest.mark.parametrize("calls", range(1, 12))
def test_a_scan_ends_wherever_it_is_told_to(calls: int, study: Study, source: Path) -> None:
    """While folders and files are looked for (4), read (3), and compared (3)."""

    class Ended(Exception):
        pass

    def end() -> None:
        nonlocal calls
        calls -= 1
        if calls == 0:
            raise Ended

    for image in "123":
        study("1", image, name=f"folder/{image}.dcm")
    if calls <= 10:
        with pytest.raises(Ended):
            scan_input(source, None, end)
    else:
        scan_input(source, None, end)
        assert calls == 1


def test_all_files_are_numbered_once(study: Study, source: Path) -> None:
    study("1", "1", name="b.dcm")
    study("1", "2", name="d.dcm", SOPInstanceUID=generate_uid())
    for name in ("a.txt", ".c", "e.txt"):
        (source / name).write_bytes(b"x")
    scan = scan_input(source)
    numbers = [record.number for record in scan.left_out] + [image.number for members in scan.studies.values() for image in members]
    assert sorted(numbers) == [1, 2, 3, 4, 5]
