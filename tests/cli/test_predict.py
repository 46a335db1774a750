"""The command as a user runs it: files, messages, exit codes."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from radiograph_files import marker, write_dicom
from tiny_bundle import write_tiny_bundle

from monai_pneumonia.cli import main
from monai_pneumonia.inference import LesionRecognizer
from monai_pneumonia.radiograph import read_radiograph

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle"), temperature=1.5, operating_point=0.5, lesion_threshold=0.5)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], bundle: Path, tmp_path: Path):
    """Runs the command in this process: its exit code and what it printed."""

    def run(source: Path | str, *options: str, bundle_path: Path = bundle, output: Path = tmp_path / "out") -> Outcome:
        arguments = ["--bundle", str(bundle_path), "--input", str(source), "--output", str(output), "--device", "cpu"]
        monkeypatch.setattr(sys, "argv", ["monai-pneumonia", "predict", *arguments, *options])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three pictures in a folder."""
    folder = tmp_path / "in"
    (folder / "ward").mkdir(parents=True)
    Image.fromarray(marker(80, 70)).save(folder / "a.png")
    Image.fromarray(np.flipud(marker(90, 120))).save(folder / "ward" / "a.jpg")
    write_dicom(folder / "c.dcm", marker(100, 60), PixelSpacing=[0.5, 0.5])
    return folder


def rows_of(output: Path) -> list[dict[str, str]]:
    with (output / "predictions.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def assert_refused(outcome: Outcome, code: int, *told: str, output: Path | None = None) -> None:
    """One line, no traceback, the exit code, nothing written."""
    assert outcome.code == code, outcome
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    assert "Traceback" not in outcome.err
    assert outcome.err.count("\n") == 1
    for text in told:
        assert re.search(text, outcome.err), outcome.err
    if output is not None:
        assert not output.exists()


def test_a_folder(run, pictures: Path, bundle: Path, tmp_path: Path) -> None:
    outcome = run(pictures)
    output = tmp_path / "out"
    assert outcome.code == 0, outcome.err
    assert "3 in: 3 ok, 0 rejected, 0 error" in outcome.out
    assert str(output / "predictions.csv") in outcome.out
    assert "Research use only, not for diagnosis." in outcome.out
    rows = rows_of(output)
    assert [(row["id"], row["image"], row["status"]) for row in rows] == [
        *(("a", "a.png", "ok"), ("c", "c.dcm", "ok"), ("ward__a", "ward/a.jpg", "ok")),
    ]
    recognizer = LesionRecognizer.from_bundle(bundle, "cpu")
    details = json.loads((output / "lesions.json").read_text())["pictures"]
    for row in rows:
        report = recognizer(pictures / row["image"])
        assert float(row["p_pneumonia"]) == pytest.approx(report.p_pneumonia, abs=1e-6)
        for name, value in report.probabilities.items():
            assert float(row[f"prob_{name}"]) == pytest.approx(value, abs=1e-6)
        assert (row["decision"], int(row["n_lesions"])) == (report.decision, len(report.lesions))
        assert float(row["uncertainty"]) == pytest.approx(report.uncertainty, abs=1e-6)
        assert (row["model_version"], row["weights_sha256"]) == ("0.1.0", recognizer.weights_sha256)
        size = read_radiograph(pictures / row["image"]).pixels.shape
        attention = np.load(output / "attention" / f"{row['id']}.npy")
        assert (attention.dtype, attention.shape) == (np.float32, size)
        np.testing.assert_allclose(attention, report.attention_map, atol=1e-5)
        lesions = np.asarray(Image.open(output / "lesions" / f"{row['id']}.png"))
        assert np.array_equal(lesions, report.lesion_mask * np.uint8(255))
        assert Image.open(output / "overlays" / f"{row['id']}.png").size[0] >= 512
        assert [region["box"] for region in details[row["id"]]["lesions"]] == [list(region.box) for region in report.lesions]


def test_the_order_and_the_batch_do_not_matter(run, pictures: Path, tmp_path: Path) -> None:
    run(pictures, "--no-maps", "--batch-size", "1")
    run(pictures, "--no-maps", "--batch-size", "3", output=tmp_path / "other")
    assert (tmp_path / "out" / "predictions.csv").read_bytes() == (tmp_path / "other" / "predictions.csv").read_bytes()
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["predictions.csv"]


def test_a_file(run, pictures: Path, tmp_path: Path) -> None:
    assert run(pictures / "c.dcm").code == 0
    (row,) = rows_of(tmp_path / "out")
    assert (row["id"], row["image"]) == ("c", "c.dcm")


@pytest.mark.parametrize(
    ("options", "expected"), [((), ["x1"]), (("--section", "validation"), ["v1"]), (("--section", "all"), ["v1", "x1"])]
)
def test_a_datalist(run, pictures: Path, tmp_path: Path, options: tuple[str, ...], expected: list[str]) -> None:
    (tmp_path / "datalist.json").write_text(
        json.dumps(
            {
                "classes": ["normal", "ill"],
                "training": [],
                "validation": [{"id": "v1", "image": "in/ward/a.jpg"}],
                "testing": [{"id": "x1", "image": "in/a.png", "label": "ill"}],
            }
        )
    )
    assert run(tmp_path / "datalist.json", "--no-maps", *options).code == 0
    assert [row["id"] for row in rows_of(tmp_path / "out")] == expected


def test_bad_pictures_among_good_ones(run, pictures: Path, tmp_path: Path) -> None:
    (pictures / "notes.txt").write_text("no picture")
    (pictures / ".hidden").write_text("no picture")
    write_dicom(pictures / "ct.dcm", marker(), SOPClassUID=CT_IMAGE, Modality="CT")
    write_dicom(pictures / "film.dcm", marker(40, 40), NumberOfFrames=2)
    (pictures / "cut.dcm").write_bytes((pictures / "c.dcm").read_bytes()[:700])
    outcome = run(pictures)
    assert outcome.code == 5
    assert "Traceback" not in outcome.err
    assert "4 of 7 pictures could not be analysed" in outcome.err
    assert "7 in (1 hidden files or DICOMDIR left aside): 3 ok, 2 rejected, 2 error" in outcome.out
    rows = {row["image"]: row for row in rows_of(tmp_path / "out")}
    assert list(rows) == ["a.png", "c.dcm", "ct.dcm", "cut.dcm", "film.dcm", "notes.txt", "ward/a.jpg"]
    statuses = {name: row["status"] for name, row in rows.items() if row["status"] != "ok"}
    assert statuses == {"ct.dcm": "rejected", "film.dcm": "rejected", "cut.dcm": "error", "notes.txt": "error"}
    for name in statuses:
        assert name in rows[name]["reason"]
        assert rows[name]["p_pneumonia"] == rows[name]["decision"] == ""
    everything = outcome.out + outcome.err + (tmp_path / "out" / "predictions.csv").read_text()
    assert "secret" not in everything.lower()


@pytest.mark.parametrize("kind", ["ct", "film", "cut", "text"])
def test_a_single_bad_file(run, tmp_path: Path, kind: str) -> None:
    file = tmp_path / kind
    if kind == "text":
        file.write_text("no picture")
    else:
        tags = {"ct": {"SOPClassUID": CT_IMAGE, "Modality": "CT"}, "film": {"NumberOfFrames": 2}, "cut": {}}[kind]
        write_dicom(file, marker(40, 40), **tags)
    if kind == "cut":
        file.write_bytes(file.read_bytes()[:700])
    outcome = run(file)
    assert outcome.code == 4
    assert outcome.err.startswith("error: no picture could be analysed: ")
    assert str(file) in outcome.err
    assert "Traceback" not in outcome.err
    (row,) = rows_of(tmp_path / "out")
    assert row["status"] == ("rejected" if kind in ("ct", "film") else "error")
    assert row["reason"] in outcome.err


def test_a_missing_item_of_a_datalist_gets_its_row(run, pictures: Path, tmp_path: Path) -> None:
    items = [{"id": "here", "image": "in/a.png"}, {"id": "gone", "image": "in/gone.png"}]
    (tmp_path / "d.json").write_text(json.dumps({"classes": ["normal", "ill"], "training": [], "validation": [], "testing": items}))
    assert run(tmp_path / "d.json", "--no-maps").code == 5
    assert [(row["id"], row["status"]) for row in rows_of(tmp_path / "out")] == [("here", "ok"), ("gone", "error")]
    assert "does not exist" in rows_of(tmp_path / "out")[1]["reason"]


def test_nothing_to_analyse(run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert_refused(run(tmp_path / "empty"), 3, "empty", output=tmp_path / "out")
    (tmp_path / "d.json").write_text(json.dumps({"classes": ["normal"], "training": [], "validation": [], "testing": []}))
    assert_refused(run(tmp_path / "d.json"), 3, "testing", "--section", output=tmp_path / "out")


def test_a_missing_input(run, tmp_path: Path) -> None:
    assert_refused(run(tmp_path / "none.png"), 4, r"none\.png does not exist", output=tmp_path / "out")


def test_a_broken_datalist(run, tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text("{")
    assert_refused(run(tmp_path / "d.json"), 4, r"d\.json is not JSON", output=tmp_path / "out")


def test_model_faults(run, pictures: Path, bundle: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert_refused(run(pictures, bundle_path=tmp_path / "nowhere"), 6, "no bundle at .*nowhere", output=output)
    assert_refused(run(pictures, bundle_path=pictures), 6, r"metadata\.json does not exist", output=output)
    altered = shutil.copytree(bundle, tmp_path / "altered")
    weights = altered / "models" / "model.pt"
    content = torch.load(weights, weights_only=True)
    content["model"]["head.weight"], content["model"]["head.bias"] = content["model"]["head.weight"][:2], torch.zeros(2)
    torch.save(content, weights)
    assert_refused(run(pictures, bundle_path=altered), 6, r"model\.pt are for 2 classes, their description names 4", output=output)
    weights.write_bytes(b"no weights")
    assert_refused(run(pictures, bundle_path=altered), 6, "damaged", output=output)


def test_output_that_cannot_be_written_is_found_before_the_model_is_read(run, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for output in (tmp_path / "file", tmp_path / "file" / "out"):
        assert_refused(run(pictures, bundle_path=tmp_path / "nowhere", output=output), 7, "cannot write results to .*file")
    assert (tmp_path / "file").read_text() == "in the way"


def test_usage_faults(run, pictures: Path, tmp_path: Path) -> None:
    assert_refused(run(pictures, "--device", "abacus"), 2, "abacus", output=tmp_path / "out")
    assert_refused(run(pictures, output=pictures), 2, "input and the output folder")
    assert run(pictures, "--section", "test").code == 2
    assert run(pictures, "--batch-size", "0").code == 2
    assert run(pictures, "--nonsense").code == 2
    assert not (tmp_path / "out").exists()


def test_earlier_predictions_are_kept_unless_told_otherwise(run, pictures: Path, tmp_path: Path) -> None:
    assert run(pictures).code == 0
    before = (tmp_path / "out" / "predictions.csv").read_bytes()
    outcome = run(pictures / "a.png")
    assert (outcome.code, outcome.out) == (2, "")
    assert "--overwrite" in outcome.err
    assert (tmp_path / "out" / "predictions.csv").read_bytes() == before
    assert run(pictures / "a.png", "--overwrite").code == 0
    assert [file.name for file in (tmp_path / "out" / "attention").iterdir()] == ["a.npy"]


def test_results_inside_the_input_are_not_taken_for_pictures(run, pictures: Path) -> None:
    assert run(pictures, "--no-maps", output=pictures / "out").code == 0
    assert run(pictures, "--overwrite", output=pictures / "out").code == 0
    assert len(rows_of(pictures / "out")) == 3


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_nothing_that_looks_like_a_result(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for position in range(2000):
        os.link(bundle / "models" / "model.pt", tmp_path / "in" / f"{position:04d}.png")
    for position in range(0, 2000, 2):
        (tmp_path / "in" / f"{position:04d}.png").unlink()
        Image.fromarray(marker(60, 60)).save(tmp_path / "in" / f"{position:04d}.png")
    command = [sys.executable, "-m", "monai_pneumonia", "predict", "--device", "cpu", "--no-maps"]
    command += ["--bundle", str(bundle), "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 300
        while not list(tmp_path.glob(".unfinished-out-*/predictions.csv")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL, "the run ended before it was killed"
    assert not (tmp_path / "out").exists()
    assert all(path.name.startswith(".") for path in tmp_path.iterdir() if path.name != "in")


@pytest.mark.slow
def test_the_command_as_a_process(pictures: Path, bundle: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "monai_pneumonia", "predict", "-b", str(bundle), "-i", str(pictures), "-o", str(tmp_path / "out")]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr
    # Standard error is for faults; a log that is no terminal stays clean.
    assert result.stderr == ""
    assert result.stdout.splitlines()[-1] == "Research use only, not for diagnosis."


@pytest.mark.slow
@pytest.mark.realdata
def test_real_dicom_files(run, real_data: Path, tmp_path: Path) -> None:
    outcome = run(real_data / "cxr-dicom")
    rows = rows_of(tmp_path / "out")
    assert outcome.code == 5  # two of the files are notes
    assert [row["status"] for row in rows if row["image"].endswith(".dcm")] == ["ok"] * 9
    for row in rows:
        if row["status"] == "ok":
            size = read_radiograph(real_data / "cxr-dicom" / row["image"]).pixels.shape
            assert np.load(tmp_path / "out" / "attention" / f"{row['id']}.npy").shape == size
