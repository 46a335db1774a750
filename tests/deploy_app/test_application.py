"""The whole application in this process: Holoscan's operators, from folder to folder."""

from __future__ import annotations

import csv
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from serving_runs import ROOT, report_of, tree
from typer.testing import CliRunner

import deploy_app.serving as serving_module
from deploy_app import studies
from deploy_app.request import Request
from deploy_app.run import StoppedError, serve
from deploy_app.serving import ServingRun
from monai_pneumonia import __version__
from monai_pneumonia.cli.main import app as command_line
from monai_pneumonia.errors import ExitCode, ModelFaultError
from monai_pneumonia.inference import LesionRecognizer
from monai_pneumonia.radiograph import read_radiograph

pytestmark = pytest.mark.usefixtures("holoscan")
Study = Callable[..., Path]


@pytest.fixture
def request_of(tmp_path: Path, tiny_model: Path) -> Callable[..., Request]:
    def make(output: str = "output", **paths: Path) -> Request:
        return Request(**{"source": tmp_path / "input", "output": tmp_path / output, "model": tiny_model, "device": "cpu", **paths})

    return make


def test_studies_come_out_whole_and_every_file_is_accounted_for(study: Study, request_of: Callable[..., Request], tmp_path: Path) -> None:
    for number, image in (("1", "1"), ("1", "2"), ("2", "1")):
        study(number, image)
    study("1", "3", ViewPosition="LL")
    (tmp_path / "input" / "letter.txt").write_text("Dear colleague")
    (tmp_path / "input" / ".DS_Store").write_text("x")
    outcome = serve(request_of())
    assert outcome.exit_code is ExitCode.PARTLY_SERVED
    assert "3 of 6 files served, 1 skipped, 2 rejected" in outcome.sentence
    assert "letter" not in outcome.error
    report = report_of(tmp_path / "output")
    assert report["counts"] == {"files": 6, "served": 3, "skipped": 1, "rejected": 2}
    assert report["reasons"] == {"hidden": 1, "not_dicom": 1, "view": 1}
    assert {item["file"]: item["status"] for item in report["files"]} == {
        ".DS_Store": "skipped",
        "1-1.dcm": "served",
        "1-2.dcm": "served",
        "1-3.dcm": "rejected",
        "2-1.dcm": "served",
        "letter.txt": "rejected",
    }
    assert report["studies"] == [
        {"study_instance_uid": "1.2.3.1", "report": "1.2.3.1/report.json", "served": 2, "rejected": 1},
        {"study_instance_uid": "1.2.3.2", "report": "1.2.3.2/report.json", "served": 1, "rejected": 0},
    ]
    written = [name for item in report["files"] for name in item.get("results", ())]
    assert all((tmp_path / "output" / name).is_file() for name in written)
    assert sum(name.endswith(".dcm") for name in tree(tmp_path / "output")) == len(written)


def test_a_rerun_writes_the_same_bytes(study: Study, request_of: Callable[..., Request], tmp_path: Path) -> None:
    study("1", "1")
    study("1", "2", Rows=7)
    study("2", "1")
    serve(request_of())
    first = tree(tmp_path / "output")
    serve(request_of())
    assert tree(tmp_path / "output") == first
    serve(request_of(output="elsewhere/deep"))
    assert tree(tmp_path / "elsewhere/deep") == first


def test_the_same_numbers_as_the_command_line(study: Study, request_of: Callable[..., Request], tmp_path: Path, tiny_model: Path) -> None:
    for image, syntax in (("1", ""), ("2", "jpeg_2000"), ("3", "jpeg_ls"), ("4", "jpeg_baseline")):
        study("1", image, syntax=syntax)
    serve(request_of())
    arguments = [
        "predict",
        "--bundle",
        str(tiny_model),
        "--input",
        str(tmp_path / "input"),
        "--output",
        str(tmp_path / "table"),
        "--no-maps",
    ]
    assert CliRunner().invoke(command_line, [*arguments, "--device", "cpu"]).exit_code == 0
    with (tmp_path / "table" / "predictions.csv").open(newline="") as stream:
        rows = {row["image"]: row for row in csv.DictReader(stream)}
    images = report_of(tmp_path / "output" / "1.2.3.1")["images"]
    assert len(images) == len(rows) == 4
    for image in images:
        row = rows[image["file"]]
        assert float(row["p_pneumonia"]) == pytest.approx(image["p_pneumonia"], abs=1e-9)
        assert {name: float(row[f"prob_{name}"]) for name in image["probabilities"]} == pytest.approx(image["probabilities"], abs=1e-9)
        assert (row["decision"], int(row["n_lesions"])) == (image["decision"], len(image["lesions"]))


def test_one_image_passes_all_operators_before_the_next_is_read(
    study: Study, request_of: Callable[..., Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    for image in "123":
        study("1", image)
    alive, most = set(), []

    def read(path: Path) -> Any:
        alive.add(path)
        most.append(len(alive))
        return read_radiograph(path)

    write = ServingRun.write

    def written(self: ServingRun, task: Any) -> None:
        write(self, task)
        alive.discard(task.image.path)

    monkeypatch.setattr(serving_module, "read_radiograph", read)
    monkeypatch.setattr(ServingRun, "write", written)
    serve(request_of())
    assert most == [1, 1, 1]


def test_a_model_fault_comes_out_as_itself(
    study: Study, request_of: Callable[..., Request], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    study("1", "1")

    def break_down(self: LesionRecognizer, picture: Any) -> Any:
        raise ModelFaultError("not finite")

    monkeypatch.setattr(LesionRecognizer, "__call__", break_down)
    with pytest.raises(ModelFaultError, match="not finite"):
        serve(request_of())
    assert list((tmp_path / "output").iterdir()) == []


def test_a_fault_of_our_own_ends_the_run_without_leftovers(
    study: Study, request_of: Callable[..., Request], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    study("1", "1")
    monkeypatch.setattr(ServingRun, "check", lambda self, task: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        serve(request_of())
    assert list((tmp_path / "output").iterdir()) == []


@pytest.mark.parametrize("step", ["check", "recognize", "write"])
@pytest.mark.parametrize("image", ["1.2.3.2.1", "1.2.3.3.1"], ids=["last of its study", "not last"])
def test_stopping_finishes_the_image_in_hand_and_keeps_complete_studies(
    image: str, step: str, study: Study, request_of: Callable[..., Request], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number, name in (("1", "1"), ("2", "1"), ("3", "1"), ("3", "2"), ("4", "1")):
        study(number, name)
    stop, take = threading.Event(), getattr(ServingRun, step)

    def stopping(self: ServingRun, task: Any) -> None:
        if task.image.source_uid == image:
            stop.set()
        take(self, task)

    monkeypatch.setattr(ServingRun, step, stopping)
    with pytest.raises(StoppedError):
        serve(request_of(), stop)
    assert sorted(item.name for item in (tmp_path / "output").iterdir()) == ["1.2.3.1", "1.2.3.2"]


def test_stopping_ends_the_scan(study: Study, request_of: Callable[..., Request], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for image in range(1, 9):
        study("1", str(image))
    stop, read, reads = threading.Event(), studies.read_file_tags, []

    def stopping(path: Path, tags: Any) -> Any:
        reads.append(path)
        if len(reads) == 3:
            stop.set()
        return read(path, tags)

    monkeypatch.setattr(studies, "read_file_tags", stopping)
    with pytest.raises(StoppedError):
        serve(request_of(), stop)
    assert len(reads) == 3
    assert list((tmp_path / "output").iterdir()) == []


def test_an_input_without_images_needs_no_operators(request_of: Callable[..., Request], tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    outcome = serve(request_of())
    assert outcome.exit_code is ExitCode.NOTHING_TO_ANALYSE
    assert "no image to analyse" in outcome.error
    report = report_of(tmp_path / "output")
    assert report["counts"]["files"] == 0
    assert report["exit_code"] == 3


def test_its_own_results_are_skipped(study: Study, request_of: Callable[..., Request], tmp_path: Path) -> None:
    study("1", "1")
    serve(request_of())
    outcome = serve(request_of(output="second", source=tmp_path / "output" / "1.2.3.1"))
    assert outcome.exit_code is ExitCode.BAD_INPUT  # report.json is no DICOM file
    assert report_of(tmp_path / "second")["reasons"] == {"no_image": 3, "not_dicom": 1}


def test_the_manifest_names_this_version() -> None:
    manifest = yaml.safe_load((ROOT / "deploy_app" / "app.yaml").read_text())
    assert manifest["application"]["version"] == __version__


@pytest.mark.realdata
@pytest.mark.slow
def test_real_files(real_data: Path, request_of: Callable[..., Request], tmp_path: Path) -> None:
    source = tmp_path / "real"
    source.mkdir()
    for file in (real_data / "cxr-dicom").glob("*.dcm"):
        shutil.copy(file, source)
    outcome = serve(request_of(source=source, model=ROOT / "bundle"))
    report = report_of(tmp_path / "output")
    # Two of the nine files state one SOP Instance UID and differ: the first is served.
    assert report["counts"] == {"files": 9, "served": 8, "skipped": 0, "rejected": 1}
    assert report["reasons"] == {"ambiguous_identifier": 1}
    assert outcome.exit_code is ExitCode.PARTLY_SERVED
    recognizer = LesionRecognizer.from_bundle(ROOT / "bundle", "cpu")
    for item in report["files"]:
        if item["status"] == "served":
            assert item["p_pneumonia"] == pytest.approx(recognizer(source / item["file"]).p_pneumonia, abs=1e-9)
    assert np.isfinite([item["p_pneumonia"] for item in report["files"] if item["status"] == "served"]).all()
