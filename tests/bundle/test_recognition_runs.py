"""configs/evaluate.yaml and configs/inference.yaml, run as a user runs them; `monai-pneumonia` is the measure."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundle_runs import Finished, bundle_command, run_here, run_process
from PIL import Image

pytestmark = pytest.mark.slow

RESAMPLES = "20"
PREDICTED = ("predictions.csv", "lesions.json", "attention", "lesions", "overlays")


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def _files(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def _infer(bundle: Path, source: Path, output: Path, *options: str, expect: int = 0) -> Finished:
    paths = ("--input_path", str(source), "--output_dir", str(output))
    return run_here(bundle, bundle_command("configs/inference.yaml", *paths, *options), expect)


@pytest.fixture(scope="module")
def by_command(trained_bundle: Path, phantom_datalist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `monai-pneumonia predict` and `evaluate` write for the testing section."""
    output = tmp_path_factory.mktemp("by_command") / "output"
    paths = ("--bundle", str(trained_bundle), "--input", str(phantom_datalist), "--output", str(output))
    run_here(trained_bundle, ["monai_pneumonia", "predict", *paths])
    paths = ("--predictions", str(output), "--datalist", str(phantom_datalist), "--output", str(output))
    run_here(trained_bundle, ["monai_pneumonia", "evaluate", *paths, "--resamples", RESAMPLES])
    return output


def test_evaluation_is_that_of_the_commands(trained_bundle: Path, phantom_datalist: Path, by_command: Path, tmp_path: Path) -> None:
    output = tmp_path / "evaluation"
    options = ("--datalist_path", str(phantom_datalist), "--output_dir", str(output), "--resamples", RESAMPLES)
    done = run_process(trained_bundle, bundle_command("configs/evaluate.yaml", *options))
    assert "6 pictures: 6 ok" in done.stdout
    assert _rows(output) == _rows(by_command)
    assert _files(output) == _files(by_command)
    for name in ("metrics.json", "metrics.md", "lesions.json", "predictions.csv"):
        assert (output / name).read_bytes() == (by_command / name).read_bytes(), name
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["section"] == "testing"
    assert metrics["accounting"]["items"]["ok"] == 6
    assert "Research use only" in (output / "report.html").read_text()


def test_an_evaluation_predicts_the_same_whatever_is_outlined(
    trained_bundle: Path, phantom_datalist: Path, by_command: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(phantom_datalist.parent, tmp_path / "phantoms")) / phantom_datalist.name
    content = json.loads(other.read_text())
    for number, item in enumerate(content["testing"]):
        white = other.with_name(f"white_{number}.png")
        Image.new("L", Image.open(other.parent / item["image"]).size, 255).save(white)
        item |= {"mask": None, "mask_kind": "unknown"} if number % 2 else {"mask": white.name, "mask_kind": "pixel"}
    other.write_text(json.dumps(content))
    output = tmp_path / "evaluation"
    options = ("--datalist_path", str(other), "--output_dir", str(output), "--resamples", RESAMPLES)
    run_here(trained_bundle, bundle_command("configs/evaluate.yaml", *options))
    predicted = [name for name in _files(by_command) if name.split("/")[0] in PREDICTED]
    assert len(predicted) == 2 + 3 * len(content["testing"])
    assert [name for name in sorted(predicted) if (output / name).read_bytes() != (by_command / name).read_bytes()] == []
    # The outlines count where the predictions are measured.
    assert (output / "metrics.json").read_bytes() != (by_command / "metrics.json").read_bytes()


def test_inference_is_that_of_the_command(trained_bundle: Path, phantom_datalist: Path, by_command: Path, tmp_path: Path) -> None:
    _infer(trained_bundle, phantom_datalist, tmp_path / "one", "--batch_size", "4")
    assert _rows(tmp_path / "one") == _rows(by_command)
    for row in _rows(by_command):
        maps = [np.load(folder / "attention" / f"{row['id']}.npy") for folder in (tmp_path / "one", by_command)]
        np.testing.assert_array_equal(*maps)
    _infer(trained_bundle, phantom_datalist, tmp_path / "none", "--maps", "False", "--section", "validation")
    assert _files(tmp_path / "none") == {"predictions.csv"}
    validation = json.loads(phantom_datalist.read_text())["validation"]
    assert [row["id"] for row in _rows(tmp_path / "none")] == [item["id"] for item in validation]


@pytest.fixture
def mixed_folder(phantom_datalist: Path, tmp_path: Path) -> Path:
    """Two good pictures between three that cannot be used."""
    folder = tmp_path / "mixed"
    (folder / "ward").mkdir(parents=True)
    pictures = [phantom_datalist.parent / item["image"] for item in json.loads(phantom_datalist.read_text())["testing"][:2]]
    shutil.copy(pictures[0], folder / "b.png")
    shutil.copy(pictures[1], folder / "ward" / "d.png")
    (folder / "a.png").write_text("no picture")
    (folder / "c.txt").write_text("a note")
    (folder / "ward" / "e.dcm").write_bytes(pictures[0].read_bytes()[:100])
    return folder


def test_a_folder_with_bad_files_is_served_in_part(trained_bundle: Path, mixed_folder: Path, tmp_path: Path) -> None:
    paths = ("--input_path", str(mixed_folder), "--output_dir", str(tmp_path / "output"))
    done = run_process(trained_bundle, bundle_command("configs/inference.yaml", *paths), expect=5)
    assert "5 pictures: 2 ok, 0 rejected, 3 error" in done.stdout
    rows = {row["image"]: row for row in _rows(tmp_path / "output")}
    assert list(rows) == ["a.png", "b.png", "c.txt", "ward/d.png", "ward/e.dcm"]
    assert [row["status"] for row in rows.values()] == ["error", "ok", "error", "ok", "error"]
    assert all((row["reason"] != "") == (row["status"] == "error") for row in rows.values())


def test_an_evaluation_with_a_bad_picture_tells_and_measures_the_others(
    trained_bundle: Path, phantom_datalist: Path, tmp_path: Path
) -> None:
    content = json.loads(phantom_datalist.read_text())
    for item in content["testing"]:
        item["image"] = str(phantom_datalist.parent / item["image"])
        item["mask"] = None
    (tmp_path / "bad.png").write_text("no picture")
    content["testing"][0]["image"] = "bad.png"
    datalist = tmp_path / "datalist.json"
    datalist.write_text(json.dumps({**content, "training": [], "validation": []}))
    options = ("--datalist_path", str(datalist), "--output_dir", str(tmp_path / "output"), "--resamples", "0", "--maps", "False")
    run_here(trained_bundle, bundle_command("configs/evaluate.yaml", *options), expect=5)
    accounting: dict[str, Any] = json.loads((tmp_path / "output" / "metrics.json").read_text())["accounting"]
    assert accounting["items"]["ok"] == 5
    assert accounting["items"]["error"] == 1

    for item in content["testing"]:
        item["image"] = "bad.png"
    datalist.write_text(json.dumps({**content, "training": [], "validation": []}))
    done = run_here(trained_bundle, bundle_command("configs/evaluate.yaml", *options), expect=4)
    assert "no picture could be analysed" in done.errors[0]
    assert [row["status"] for row in _rows(tmp_path / "output")] == ["error"] * 6


@pytest.mark.parametrize("case", ["empty folder", "bad files only", "no such input", "no such section", "output below a file", "override"])
def test_what_cannot_be_served_is_told_in_one_line(trained_bundle: Path, phantom_datalist: Path, case: str, tmp_path: Path) -> None:
    empty, bad = tmp_path / "empty", tmp_path / "bad"
    for folder in (empty, bad):
        folder.mkdir()
    (bad / "a.png").write_text("no picture")
    (bad / "b.dcm").write_text("no picture")
    output = tmp_path / "output"
    source, target, options, code, told = {
        "empty folder": (empty, output, (), 3, "holds no file"),
        "bad files only": (bad, output, (), 4, "no picture could be analysed"),
        "no such input": (tmp_path / "nowhere", output, (), 4, "nowhere does not exist"),
        "no such section": (phantom_datalist, output, ("--section", "tests"), 2, "one of training"),
        "output below a file": (phantom_datalist, bad / "a.png" / "output", (), 7, "cannot write results"),
        "override": (phantom_datalist, output, ("--batchsize", "4"), 2, "did you mean `batch_size`"),
    }[case]
    done = _infer(trained_bundle, source, target, *options, expect=code)
    assert told in done.errors[0]
    if case == "bad files only":
        assert [row["status"] for row in _rows(output)] == ["error", "error"]
    else:
        assert not output.exists()


@pytest.mark.parametrize("config", ["evaluate", "inference"])
def test_a_bundle_without_weights_is_told(bundle: Path, phantom_datalist: Path, config: str) -> None:
    options = ("--datalist_path", str(phantom_datalist), "--output_dir", "../output")
    done = run_here(bundle, bundle_command(f"configs/{config}.yaml", *options), expect=6)
    assert "no weights at models/model.pt" in done.errors[0]
    assert not (bundle.parent / "output").exists()


def test_weights_of_other_classes_are_told(trained_bundle: Path, phantom_datalist: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(trained_bundle, tmp_path / "bundle"))
    file = bundle / "configs" / "metadata.json"
    metadata = json.loads(file.read_text())
    metadata["network_data_format"]["outputs"]["pred"]["channel_def"]["3"] = "fungal"
    file.write_text(json.dumps(metadata))
    done = _infer(bundle, phantom_datalist, tmp_path / "output", expect=6)
    assert "fungal" in done.errors[0]
    assert "covid19" in done.errors[0]


def test_earlier_predictions_are_kept_where_asked(trained_bundle: Path, phantom_datalist: Path, tmp_path: Path) -> None:
    table = tmp_path / "output" / "predictions.csv"
    table.parent.mkdir()
    table.write_text("earlier")
    done = _infer(trained_bundle, phantom_datalist, tmp_path / "output", "--overwrite", "False", expect=2)
    assert "predictions.csv already" in done.errors[0]
    assert table.read_text() == "earlier"
