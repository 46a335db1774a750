"""A bundle is taken only where its parts belong together."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tiny_bundle import metadata_of, tiny_description

from monai_pneumonia.errors import ExitCode, ModelFaultError
from monai_pneumonia.inference.bundle import read_bundle
from monai_pneumonia.inference.weights import file_sha256


@pytest.fixture
def bundle(tmp_path: Path, tiny_bundle: Path) -> Path:
    return shutil.copytree(tiny_bundle, tmp_path / "bundle")


def write_metadata(bundle: Path, content: object) -> None:
    (bundle / "configs" / "metadata.json").write_text(json.dumps(content))


def test_a_bundle_is_read(bundle: Path) -> None:
    contents = read_bundle(bundle)
    assert contents.description == tiny_description()
    assert contents.weights_sha256 == file_sha256(bundle / "models" / "model.pt")
    assert contents.calibration.temperature == 1.5
    assert contents.version == "0.1.0"


def test_the_version_is_that_of_the_bundle(bundle: Path) -> None:
    write_metadata(bundle, {**metadata_of(tiny_description()), "version": "0.2.0"})
    assert read_bundle(bundle).version == "0.2.0"


def test_no_configuration_is_executed(bundle: Path) -> None:
    (bundle / "configs" / "inference.yaml").write_text("trap: $(_ for _ in ()).throw(SystemExit(99))\n")
    (bundle / "configs" / "inference.json").write_text('{"trap": "$1/0"}')
    read_bundle(bundle)


def test_a_folder_that_is_no_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFaultError, match=r"no bundle at .*nowhere.*models/model\.pt"):
        read_bundle(tmp_path / "nowhere")
    with pytest.raises(ModelFaultError, match=r"metadata\.json does not exist"):
        read_bundle(tmp_path)


def test_missing_weights_are_named(bundle: Path) -> None:
    (bundle / "models" / "model.pt").unlink()
    with pytest.raises(ModelFaultError, match=r"no weights at .*model\.pt") as caught:
        read_bundle(bundle)
    assert caught.value.exit_code == ExitCode.MODEL_FAULT


@pytest.mark.parametrize(
    ("channels", "named"),
    [
        ({"0": "normal", "1": "pneumonia"}, "2 classes, normal, pneumonia"),
        ({"0": "normal", "1": "viral", "2": "bacterial", "3": "covid19"}, "normal, viral, bacterial, covid19"),
    ],
)
def test_other_classes_than_the_weights_have_name_both(bundle: Path, channels: dict[str, str], named: str) -> None:
    metadata = metadata_of(tiny_description())
    metadata["network_data_format"]["outputs"]["pred"]["channel_def"] = channels
    write_metadata(bundle, metadata)
    with pytest.raises(ModelFaultError) as caught:
        read_bundle(bundle)
    assert named in str(caught.value)
    assert "normal, bacterial, viral, covid19" in str(caught.value)
    assert "metadata.json" in str(caught.value)
    assert "model.pt" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "states no `version`"),
        ({}, "states no `version`"),
        ({"version": "1"}, "channel_def"),
        ({"version": "1", "network_data_format": {"outputs": {"pred": {"channel_def": ["normal"]}}}}, "channel_def"),
        ({"version": "1", "network_data_format": {"outputs": {"pred": {"channel_def": {"1": "normal"}}}}}, "channel_def"),
    ],
)
def test_incomplete_metadata_is_named(bundle: Path, content: object, message: str) -> None:
    write_metadata(bundle, content)
    with pytest.raises(ModelFaultError, match=message):
        read_bundle(bundle)


def test_damaged_metadata_is_named(bundle: Path) -> None:
    (bundle / "configs" / "metadata.json").write_text("{")
    with pytest.raises(ModelFaultError, match=r"metadata\.json cannot be read as JSON"):
        read_bundle(bundle)


def test_a_calibration_of_other_weights_is_refused(bundle: Path) -> None:
    file = bundle / "models" / "calibration.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "weights_sha256": "0" * 64}))
    with pytest.raises(ModelFaultError, match="other weights"):
        read_bundle(bundle)
