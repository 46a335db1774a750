"""models/calibration.json belongs to one weights file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_pneumonia.errors import ModelFaultError
from monai_pneumonia.inference.calibration import Calibration, load_calibration, save_calibration


def test_a_calibration_comes_back(tmp_path: Path) -> None:
    calibration = Calibration(1.7, 0.31, 0.45, "abc", {"section": "validation", "items": 12})
    save_calibration(tmp_path / "models" / "calibration.json", calibration)
    assert load_calibration(tmp_path / "models" / "calibration.json", "abc") == calibration
    assert calibration.is_fitted
    assert [file.name for file in (tmp_path / "models").iterdir()] == ["calibration.json"]


def test_a_bundle_without_one_is_uncalibrated(tmp_path: Path) -> None:
    calibration = load_calibration(tmp_path / "calibration.json", "abc")
    assert calibration == Calibration(weights_sha256="abc")
    assert not calibration.is_fitted
    assert (calibration.temperature, calibration.operating_point, calibration.lesion_threshold) == (1.0, 0.5, 0.5)


def test_that_of_other_weights_is_refused(tmp_path: Path) -> None:
    save_calibration(tmp_path / "calibration.json", Calibration(weights_sha256="abc"))
    with pytest.raises(ModelFaultError, match="fitted to other weights"):
        load_calibration(tmp_path / "calibration.json", "def")


@pytest.mark.parametrize(
    "content", ["{", "[1]", '"text"', '{"temperature": 0}', '{"temperature": "hot"}', '{"heat": 1}', '{"operating_point": 1.5}', "\xff"]
)
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "calibration.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(ModelFaultError, match=r"calibration\.json is damaged"):
        load_calibration(tmp_path / "calibration.json", "abc")


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": 0.0},
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"operating_point": -0.1},
        {"lesion_threshold": 1.1},
        {"lesion_threshold": float("nan")},
    ],
)
def test_values_out_of_range_raise(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="temperature must be positive"):
        Calibration(**values)


def test_the_file_holds_no_more_than_the_calibration(tmp_path: Path) -> None:
    save_calibration(tmp_path / "calibration.json", Calibration(weights_sha256="abc"))
    content = json.loads((tmp_path / "calibration.json").read_text())
    assert set(content) == {"temperature", "operating_point", "lesion_threshold", "weights_sha256", "fitted_on"}
