"""The weights in bundle/models: `predict` works from a fresh clone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_pneumonia.data.datalist import load_datalist
from monai_pneumonia.evaluation import evaluate_predictions
from monai_pneumonia.inference import LesionRecognizer, PredictionWriter, find_pictures

BUNDLE = Path(__file__).parents[2] / "bundle"
LARGEST_FILE = 25 * 2**20


@pytest.fixture(scope="module")
def recognizer() -> LesionRecognizer:
    return LesionRecognizer.from_bundle(BUNDLE, "cpu")


def test_weights_calibration_and_metadata_belong_together(recognizer: LesionRecognizer) -> None:
    assert recognizer.labels.classes == ("normal", "bacterial", "viral", "covid19")
    assert recognizer.calibration.weights_sha256 == recognizer.weights_sha256
    metadata = json.loads((BUNDLE / "configs" / "metadata.json").read_text())
    side = recognizer.description.input_size
    assert metadata["network_data_format"]["inputs"]["image"]["spatial_shape"] == [side, side]
    assert metadata["version"] == recognizer.model_version


def test_files_are_small_and_their_data_and_licence_lie_beside_them() -> None:
    assert all(file.stat().st_size <= LARGEST_FILE for file in (BUNDLE / "models").iterdir())
    notice = (BUNDLE / "models" / "DATA.md").read_text()
    assert "for non-commercial use" in notice
    assert "Research use only" in notice


def test_a_phantom_gets_a_whole_report(recognizer: LesionRecognizer, phantom_dicom_folder: Path) -> None:
    file = sorted((phantom_dicom_folder / "images").glob("*.dcm"))[0]
    report = recognizer(file)
    assert sum(report.probabilities.values()) == pytest.approx(1)
    assert report.attention_map.ndim == 2


@pytest.mark.realdata
@pytest.mark.slow
def test_the_test_split_of_one_hospital_is_told_apart(recognizer: LesionRecognizer, real_data: Path, tmp_path: Path) -> None:
    """A floor far below what docs/results.md reports: wrong pixels or classes fall through it, chance does not."""
    from typer.testing import CliRunner

    from monai_pneumonia.cli import app

    datalist = tmp_path / "datalist.json"
    unlabelled = ("abnormal_no_opacity", "fungal_other", "other_ards")
    options = [word for label in unlabelled for word in ("--map", f"{label}=null")]
    boxes = ["--boxes", str(real_data / "cxr-lesions" / "boxes.csv")]
    done = CliRunner().invoke(app, ["import", "csv", str(real_data / "cxr.csv"), "--output", str(datalist), *boxes, *options])
    assert done.exit_code == 0, done.output
    found = find_pictures(datalist, "testing")
    outcomes = recognizer.stream((picture.path for picture in found.pictures), batch_size=16)
    with PredictionWriter(tmp_path / "predictions", recognizer, maps=False) as writer:
        for picture, (_, outcome) in zip(found.pictures, outcomes, strict=True):
            writer.add(picture.id, picture.path, outcome, picture.listed_as)
    metrics = evaluate_predictions(tmp_path / "predictions", datalist, tmp_path / "evaluation", resamples=0)
    assert len(load_datalist(datalist).testing) == 758
    assert metrics["overall"]["macro_auc"]["value"] > 0.92
    assert metrics["by_source"]["kermany"]["p_pneumonia_auc"]["value"] > 0.97
    assert metrics["by_source"]["nih"]["p_pneumonia_auc"]["value"] > 0.7
