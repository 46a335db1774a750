"""What the MONAI model zoo checks of a bundle, with its own commands."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from bundle_runs import BUNDLE, run_here
from jsonschema import ValidationError, validate
from monai.apps.utils import HashCheckError

from monai_pneumonia.inference.weights import load_weights

RULES = Path(__file__).with_name("metadata_rules.json")
METADATA = BUNDLE / "configs" / "metadata.json"
LARGEST_FILE = 25 * 2**20


def _verify_metadata(metadata: Path, folder: Path, checksum: str | None = None) -> None:
    """Checks metadata as ``monai.bundle verify_metadata`` does once it has downloaded the schema: the file is there already."""
    schema = folder / "schema.json"
    schema.write_bytes(RULES.read_bytes())
    checksum = checksum or hashlib.md5(RULES.read_bytes()).hexdigest()
    options = ("--meta_file", str(metadata), "--filepath", str(schema), "--hash_val", checksum)
    run_here(folder, ["monai.bundle", "verify_metadata", *options])


def test_the_metadata_keeps_the_rules(tmp_path: Path) -> None:
    _verify_metadata(METADATA, tmp_path)


@pytest.mark.parametrize("key", ["version", "changelog", "numpy_version", "network_data_format"])
def test_metadata_that_lacks_a_key_is_found(key: str, tmp_path: Path) -> None:
    metadata = json.loads(METADATA.read_text())
    del metadata[key]
    lacking = tmp_path / "metadata.json"
    lacking.write_text(json.dumps(metadata))
    with pytest.raises(ValueError, match=f"'{key}' is a required property"):
        _verify_metadata(lacking, tmp_path)


def test_a_schema_that_is_another_file_is_not_used(tmp_path: Path) -> None:
    with pytest.raises(HashCheckError):
        _verify_metadata(METADATA, tmp_path, checksum="0" * 32)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("version",), "first"),
        (("eval_metrics",), {"accuracy": "high"}),
        (("network_data_format", "inputs", "image", "spatial_shape"), 128),
        (("network_data_format", "outputs", "pred", "channel_def"), {"normal": "0"}),
    ],
)
def test_values_of_another_form_are_found(place: tuple[str, ...], value: Any) -> None:
    metadata = json.loads(METADATA.read_text())
    part = metadata
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    with pytest.raises(ValidationError):
        validate(metadata, json.loads(RULES.read_text()))


def test_versions_and_channels_agree() -> None:
    metadata = json.loads(METADATA.read_text())
    assert metadata["version"] in metadata["changelog"]
    for tensors in metadata["network_data_format"].values():
        for tensor in tensors.values():
            assert list(tensor["channel_def"]) == [str(channel) for channel in range(tensor["num_channels"])]


def test_the_folder_has_what_a_bundle_has() -> None:
    for name in ("LICENSE", "configs/metadata.json", "configs/inference.yaml", "configs/logging.conf", "docs/README.md"):
        assert (BUNDLE / name).is_file()
    weights = BUNDLE / "models" / "model.pt"
    assert not weights.is_file() or weights.stat().st_size <= LARGEST_FILE


@pytest.mark.slow
def test_the_network_takes_and_gives_what_the_metadata_says(trained_bundle: Path) -> None:
    files = ("--meta_file", "configs/metadata.json", "--config_file", "configs/inference.yaml")
    run_here(trained_bundle, ["monai.bundle", "verify_net_in_out", "--net_id", "network_def", *files])
    wrong = ("--_meta_#network_data_format#outputs#pred#num_channels", "5")
    with pytest.raises(ValueError, match="output channel number `4` doesn't match: `5`"):
        run_here(trained_bundle, ["monai.bundle", "verify_net_in_out", "--net_id", "network_def", *files, *wrong])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
def test_the_exported_network_gives_the_same_logits(trained_bundle: Path, tmp_path: Path) -> None:
    exported = tmp_path / "model.ts"
    files = ("--meta_file", "configs/metadata.json", "--config_file", "configs/inference.yaml", "--ckpt_file", "models/model.pt")
    command = ["monai.bundle", "ckpt_export", "network_def", "--filepath", str(exported), *files, "--key_in_ckpt", "model"]
    run_here(trained_bundle, [*command, "--use_trace", "True"])

    network, _ = load_weights(trained_bundle / "models" / "model.pt")
    served = torch.jit.load(exported)
    for batch_size in (1, 3):
        pictures = torch.rand(batch_size, 1, 64, 64, generator=torch.Generator().manual_seed(batch_size))
        with torch.no_grad():
            torch.testing.assert_close(served(pictures), network(pictures), atol=1e-5, rtol=1e-5)
