"""Results as files: all or none, the same bytes on a rerun, on the lesion whatever the source's form, and silent about the patient."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
import signal
import time
import warnings
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from highdicom.seg import Segmentation
from lesion_reports import ALGORITHM, INSTANCE, PROBABILITIES, SERIES, STUDY, healthy_report, lesion_report, two_spots, write_chest
from radiograph_files import GDCM_NAMES, marker
from tiny_bundle import write_tiny_bundle

from monai_pneumonia import RESEARCH_USE_ONLY
from monai_pneumonia.dicom import Algorithm, WrittenResults, check_image, report_entry, write_results
from monai_pneumonia.dicom import writing as module
from monai_pneumonia.errors import OutputNotWritableError, RejectedImageError, UnreadableImageError, UsageError
from monai_pneumonia.inference import LesionRecognizer, LesionReport
from monai_pneumonia.radiograph import read_radiograph

KINDS = ("sr", "seg", "sc")
SECRETS = ("secret", "19500607")


@pytest.fixture
def report() -> LesionReport:
    return lesion_report(two_spots(60, 44), (0.2, 0.4))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_three_files_are_named_by_kind_and_a_hash_of_the_image(chest_file: Path, report: LesionReport, tmp_path: Path) -> None:
    written = write_results(chest_file, report, ALGORITHM, tmp_path / "new" / "folder")
    names = [file.name for file in written.files.values()]
    assert names == [f"{kind}-{names[0][3:]}" for kind in KINDS]
    assert sorted(contents(tmp_path / "new" / "folder")) == sorted(names)
    assert (written.study_uid, written.source_uid) == (STUDY, INSTANCE)
    assert INSTANCE not in " ".join(names)
    for kind, file in written.files.items():
        dataset = pydicom.dcmread(file)
        assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID == written.uids[kind]
        assert dataset.StudyInstanceUID == STUDY
        assert dataset.SeriesInstanceUID not in (SERIES, STUDY)
        assert dataset.Manufacturer == "monai-pneumonia"
    assert len({pydicom.dcmread(file).SeriesInstanceUID for file in written.files.values()}) == 3


def test_a_rerun_is_byte_identical(chest_file: Path, report: LesionReport, tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_results(chest_file, report, ALGORITHM, tmp_path / name)
        write_results(chest_file, report, ALGORITHM, tmp_path / "again")
    assert contents(tmp_path / "first") == contents(tmp_path / "second") == contents(tmp_path / "again")


def test_no_moment_of_today_is_written(chest_file: Path, report: LesionReport, tmp_path: Path) -> None:
    """Dates and times are the source's, all of them: what else is there could differ tomorrow."""
    for file in write_results(chest_file, report, ALGORITHM, tmp_path).files.values():
        moments = {(element.VR, element.value) for element in pydicom.dcmread(file).iterall() if element.VR in ("DA", "TM", "DT")}
        assert moments <= {
            *(("DA", value) for value in ("20200102", "20200103", "19500607")),
            *(("TM", value) for value in ("101112", "131415")),
        }


def test_other_weights_and_settings_give_other_identifiers(chest_file: Path, report: LesionReport, tmp_path: Path) -> None:
    uids = set()
    for number, algorithm in enumerate((ALGORITHM, replace(ALGORITHM, settings_sha256="0" * 64))):
        written = write_results(chest_file, report, algorithm, tmp_path / str(number))
        for file in written.files.values():
            dataset = pydicom.dcmread(file)
            uids |= {dataset.SOPInstanceUID, dataset.SeriesInstanceUID}
    assert len(uids) == 2 * 2 * 3


def test_without_regions_there_is_no_segmentation_and_an_earlier_one_goes(chest_file: Path, report: LesionReport, tmp_path: Path) -> None:
    write_results(chest_file, report, ALGORITHM, tmp_path)
    written = write_results(chest_file, healthy_report((60, 44)), ALGORITHM, tmp_path)
    assert set(written.files) == {"sr", "sc"}
    assert len(contents(tmp_path)) == 2


def test_results_of_other_images_and_other_files_stay(chest_file: Path, report: LesionReport, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("{}")
    write_results(chest_file, report, ALGORITHM, tmp_path)
    other = write_chest(tmp_path / "other.dcm", marker(), SOPInstanceUID="1.2.826.0.1.4")
    write_results(other, report, ALGORITHM, tmp_path)
    assert len(contents(tmp_path)) == 2 + 2 * 3


@pytest.mark.parametrize("failing", range(3))
def test_a_full_disk_leaves_what_was_there(
    chest_file: Path, report: LesionReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    write_results(chest_file, report, ALGORITHM, tmp_path)
    before = contents(tmp_path)
    calls = []
    save = module._save

    def full(result: pydicom.Dataset, file: Path) -> None:
        calls.append(file)
        if len(calls) > failing:
            file.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        save(result, file)

    monkeypatch.setattr(module, "_save", full)
    with pytest.raises(OutputNotWritableError, match="No space left on device"):
        write_results(chest_file, report, replace(ALGORITHM, settings_sha256="1" * 64), tmp_path)
    assert contents(tmp_path) == before
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("failing", range(3))
def test_a_move_that_fails_leaves_nothing(
    chest_file: Path, report: LesionReport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    moved = []
    replace_file = Path.replace

    def move(self: Path, target: Path) -> Path:
        moved.append(target)
        if len(moved) > failing:
            raise OSError(5, "Input/output error")
        return replace_file(self, target)

    monkeypatch.setattr(Path, "replace", move)
    with pytest.raises(OutputNotWritableError, match="Input/output error"):
        write_results(chest_file, report, ALGORITHM, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(chest_file: Path, report: LesionReport, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputNotWritableError, match=r"cannot write results to .*file"):
        write_results(chest_file, report, ALGORITHM, tmp_path / "file" / "below")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_any_moment_and_run_again_results_are_complete_and_single(chest_file: Path, report: LesionReport, tmp_path: Path) -> None:
    expected = tmp_path / "expected"
    write_results(chest_file, report, ALGORITHM, expected)
    folder = tmp_path / "killed"
    generator = random.Random(0)

    def write_for_ever() -> None:
        while True:
            write_results(chest_file, report, ALGORITHM, folder)

    for _ in range(20):
        process = multiprocessing.get_context("fork").Process(target=write_for_ever)
        process.start()
        time.sleep(generator.uniform(0.02, 0.25))
        os.kill(int(process.pid or 0), signal.SIGKILL)
        process.join()
        there = {name: data for name, data in contents(folder).items() if not name.startswith(".")} if folder.exists() else {}
        # Nothing half-written, and where the report stands, the others stand too.
        assert there.items() <= contents(expected).items()
        assert not any(name.startswith("sr") for name in there) or len(there) == 3
    write_results(chest_file, report, ALGORITHM, folder)
    assert contents(folder) == contents(expected)


def lesion_of(written: WrittenResults) -> np.ndarray:
    """All segments of a written segmentation together, bool [H, W]."""
    frames = pydicom.dcmread(written.files["seg"]).pixel_array
    return np.asarray(frames > 0) if frames.ndim == 2 else (frames > 0).any(axis=0)


def bright_mark(file: Path) -> LesionReport:
    """A report whose region is where the picture, as read, is brightest: the F-like mark at the upper left."""
    radiograph = read_radiograph(file)
    return lesion_report((radiograph.pixels > 0.8).astype(np.float32), radiograph.pixel_spacing)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("syntax", ["", "jpeg_baseline", *GDCM_NAMES])
def test_results_lie_on_the_lesion_whatever_the_sources_form(tmp_path: Path, photometric: str, syntax: str) -> None:
    picture = marker()
    values = 255 - picture if photometric == "MONOCHROME1" else picture
    file = write_chest(tmp_path / "chest.dcm", values, syntax, photometric=photometric)
    check_image(file)
    lesion = lesion_of(write_results(file, bright_mark(file), ALGORITHM, tmp_path / "out"))
    mark = picture >= 230
    # Lossy compression may move the edge by a pixel.
    tolerance = 40 if syntax == "jpeg_baseline" else 0
    assert (lesion != mark).sum() <= tolerance
    rows, columns = np.nonzero(lesion)
    assert rows.max() < 31
    assert columns.max() < 23


@pytest.mark.parametrize("spacing", [None, ["0", "0"], ["0.2", "0"]])
def test_a_spacing_that_is_no_length_is_left_out(tmp_path: Path, spacing: list[str] | None) -> None:
    file = write_chest(tmp_path / "chest.dcm", marker(), PixelSpacing=spacing)
    written = write_results(file, bright_mark(file), ALGORITHM, tmp_path / "out")
    for path in written.files.values():
        assert not [element for element in pydicom.dcmread(path).iterall() if "Spacing" in element.keyword]


def test_patients_without_identifier_are_served(tmp_path: Path, report: LesionReport, dciodvfy_errors: Any) -> None:
    absent = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "PatientAge", "StudyDate", "StudyTime", "ContentDate")
    file = write_chest(tmp_path / "chest.dcm", marker(), **dict.fromkeys(absent))
    for path in write_results(file, report, ALGORITHM, tmp_path / "out").files.values():
        assert pydicom.dcmread(path).PatientID == ""
        assert dciodvfy_errors(path) == set()


def test_images_that_cannot_be_read_or_referred_to_write_nothing(tmp_path: Path, report: LesionReport) -> None:
    without_study = write_chest(tmp_path / "no_study.dcm", marker(), StudyInstanceUID=None)
    with pytest.raises(UnreadableImageError, match="StudyInstanceUID is missing"):
        write_results(without_study, report, ALGORITHM, tmp_path / "out")
    tomography = write_chest(tmp_path / "ct.dcm", marker(), Modality="CT")
    with pytest.raises(RejectedImageError, match="modality CT"):
        write_results(tomography, report, ALGORITHM, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_image_that_states_two_sizes_is_damaged(chest_file: Path, tmp_path: Path) -> None:
    # Its tags after the pixels are read with the pixels alone.
    dataset = pydicom.dcmread(chest_file)
    radiograph = read_radiograph(chest_file)
    dataset.Rows = 61
    with pytest.raises(UnreadableImageError, match="more than once"):
        write_results(dataset, lesion_report(two_spots(60, 44)), ALGORITHM, tmp_path / "out", radiograph)
    dataset.Rows = 0
    with pytest.raises(UnreadableImageError, match="state no size"):
        write_results(dataset, lesion_report(two_spots(60, 44)), ALGORITHM, tmp_path / "out", radiograph)


def test_a_disk_that_is_full_is_told_in_one_line(chest_file: Path, report: LesionReport, tmp_path: Path) -> None:
    # Of a file that may not grow; pydicom wraps that error into one with a traceback for its text.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(OutputNotWritableError, match=r"out \(File too large\): give") as caught:
            write_results(chest_file, report, ALGORITHM, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_data_sets_are_taken_with_their_radiograph(chest_file: Path, report: LesionReport, tmp_path: Path) -> None:
    dataset = pydicom.dcmread(chest_file)
    with pytest.raises(UsageError, match="radiograph"):
        write_results(dataset, report, ALGORITHM, tmp_path / "none")
    write_results(dataset, report, ALGORITHM, tmp_path / "dataset", read_radiograph(chest_file))
    write_results(chest_file, report, ALGORITHM, tmp_path / "file")
    assert contents(tmp_path / "dataset") == contents(tmp_path / "file")


def test_reports_of_other_images_weights_or_operating_points_are_refused(chest_file: Path, report: LesionReport, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="do not belong together"):
        write_results(chest_file, lesion_report(two_spots(44, 60)), ALGORITHM, tmp_path)
    with pytest.raises(ValueError, match="other weights"):
        write_results(chest_file, report, replace(ALGORITHM, weights_sha256="0" * 64), tmp_path)
    with pytest.raises(ValueError, match="operating point"):
        write_results(chest_file, report, replace(ALGORITHM, operating_point=0.9), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_entry_for_report_json_says_what_was_written(chest_file: Path, report: LesionReport, tmp_path: Path) -> None:
    written = write_results(chest_file, report, ALGORITHM, tmp_path)
    entry = json.loads(json.dumps(report_entry(report, written), allow_nan=False))
    assert entry["notice"] == RESEARCH_USE_ONLY
    assert (entry["study_instance_uid"], entry["source_sop_instance_uid"]) == (STUDY, INSTANCE)
    assert {kind: result["file"] for kind, result in entry["results"].items()} == {kind: file.name for kind, file in written.files.items()}
    assert (entry["probabilities"], entry["decision"]) == (PROBABILITIES, "pneumonia")
    assert len(entry["lesions"]) == 2
    assert not any(secret in json.dumps(entry).lower() for secret in SECRETS)


def test_nothing_is_said_of_the_patient(
    report: LesionReport, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # A name of one part and an identifier that is too long: libraries like to quote both.
        odd = {"PatientName": "Secret", "PatientID": "secret" * 20, "PatientAge": "54", "ReferringPhysicianName": "Secret"}
        file = write_chest(tmp_path / "chest.dcm", marker(), **odd)
    caplog.clear()
    capfd.readouterr()
    with warnings.catch_warnings(record=True) as caught, caplog.at_level("DEBUG"):
        warnings.simplefilter("always")
        check_image(file)
        write_results(file, report, ALGORITHM, tmp_path / "out")
    said = " ".join([caplog.text, *(str(warning.message) for warning in caught), *capfd.readouterr()]).lower()
    assert not any(secret in said for secret in SECRETS)


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory: pytest.TempPathFactory) -> LesionRecognizer:
    """Of small random weights, whose map is trained by nothing."""
    bundle = write_tiny_bundle(tmp_path_factory.mktemp("bundle"), operating_point=0.0, lesion_threshold=0.5)
    return LesionRecognizer.from_bundle(bundle, device="cpu")


def test_a_recognisers_reports_are_written(recognizer: LesionRecognizer, tmp_path: Path, phantom_dicom_folder: Path) -> None:
    algorithm = Algorithm.of(recognizer)
    found = 0
    for file in sorted((phantom_dicom_folder / "images").glob("*.dcm"))[:3]:
        check_image(file)
        report = recognizer(file)
        written = write_results(file, report, algorithm, tmp_path / "out")
        if report.lesions:
            found += 1
            assert (lesion_of(written) == report.lesion_mask).all()
            segments = Segmentation.from_dataset(pydicom.dcmread(written.files["seg"]))
            assert segments.number_of_segments == len(report.lesions)
            names = {item.SegmentLabel for item in segments.SegmentSequence}
            assert names == {f"Attention region {region.number}" for region in report.lesions}
    assert found > 0


def test_the_algorithm_follows_the_recogniser_and_its_settings(recognizer: LesionRecognizer) -> None:
    algorithm = Algorithm.of(recognizer)
    assert algorithm == Algorithm.of(recognizer)
    assert (algorithm.operating_point, algorithm.lesion_threshold) == (0.0, 0.5)
    assert (algorithm.weights_sha256, algorithm.model_version) == (recognizer.weights_sha256, recognizer.model_version)
    hashes = {algorithm.settings_sha256}
    for change in ({"temperature": 2.0}, {"lesion_threshold": 0.7}, {"operating_point": 0.1}):
        other = copy(recognizer)
        other.calibration = replace(recognizer.calibration, **change)
        hashes.add(Algorithm.of(other).settings_sha256)
    for device in ("cuda:0", "cuda:1"):
        other = copy(recognizer)
        other.device = torch.device(device)
        hashes.add(Algorithm.of(other).settings_sha256)
    assert len(hashes) == 5
