"""The bundle where its device is a GPU: mixed precision by default, one process or as many as there are devices."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from bundle_runs import SMALL, bundle_command, run_process

from monai_pneumonia.inference.weights import load_weights

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


def test_training_and_inference_on_a_gpu(bundle: Path, phantom_datalist: Path) -> None:
    paths = ("--datalist_path", str(phantom_datalist), "--output_dir", "../output")
    run_process(bundle, bundle_command("configs/train.yaml", *paths, *SMALL, "--max_epochs", "2", "--num_workers", "2"), gpu=True)
    _, description = load_weights(bundle / "models" / "model.pt")
    assert description.training["settings"]["amp"] is True
    checkpoint = torch.load(bundle.parent / "output" / "checkpoints" / "last.pt", map_location="cpu", weights_only=True)
    assert checkpoint["epoch"] == 2
    assert checkpoint["scaler"]["scale"] > 0

    run_process(bundle, bundle_command("configs/inference.yaml", *paths), gpu=True)
    with (bundle.parent / "output" / "predictions.csv").open(newline="") as stream:
        assert all(row["status"] == "ok" for row in csv.DictReader(stream))


def _pretraining(datalist: Path, *options: str) -> tuple[str, ...]:
    paths = ("--datalist_path", str(datalist), "--output_dir", "../output")
    small = ("--backbone", "resnet10", "--input_size", "64", "--batch_size", "8", "--num_workers", "0", "--max_epochs", "2")
    return (*paths, *small, *options)


def _pretrained(bundle: Path) -> dict[str, Any]:
    """The checkpoint of a pre-training in mixed precision, whose numbers are all finite and whose encoder is published."""
    checkpoint: dict[str, Any] = torch.load(bundle.parent / "output" / "checkpoints" / "last.pt", map_location="cpu", weights_only=True)
    assert checkpoint["settings"]["amp"] is True
    assert checkpoint["epoch"] == 2
    assert checkpoint["scaler"]["scale"] > 0
    assert all(bool(torch.isfinite(value).all()) for value in checkpoint["network"].values() if value.is_floating_point())
    assert (bundle / "models" / "pretrained_encoder.pt").is_file()
    return checkpoint


@pytest.mark.parametrize("method", ["moco", "simclr"])
def test_pretraining_in_mixed_precision(method: str, bundle: Path, phantom_datalist: Path) -> None:
    run_process(bundle, bundle_command("configs/pretrain.yaml", *_pretraining(phantom_datalist, "--method", method)), gpu=True)
    network = _pretrained(bundle)["network"]
    if method == "moco":
        _check_queue(network)


def _check_queue(network: dict[str, torch.Tensor]) -> None:
    """Single precision and of length one, whatever the network's own precision was; each slot is of a patient."""
    assert network["queue"].dtype == torch.float32
    torch.testing.assert_close(network["queue"].norm(dim=1), torch.ones(len(network["queue"])), atol=1e-2, rtol=0)
    assert int(network["queue_patients"].min()) >= 0


def test_pretraining_with_one_process_a_gpu(bundle: Path, phantom_datalist: Path) -> None:
    """Batch normalisation over both processes, and in the momentum network, which takes no statistics of its own."""
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two CUDA devices")
    torchrun = ("torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m")
    configs = "['configs/pretrain.yaml','configs/multi_gpu_pretrain.yaml']"
    run_process(bundle, [*torchrun, *bundle_command(configs, *_pretraining(phantom_datalist))], gpu=True)
    checkpoint = _pretrained(bundle)
    assert checkpoint["processes"] == 2
    _check_queue(checkpoint["network"])


def test_one_process_a_gpu(bundle: Path, phantom_datalist: Path) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two CUDA devices; tests/engines/test_training_on_gpu.py has two ranks on one")
    paths = ("--datalist_path", str(phantom_datalist), "--output_dir", "../output")
    torchrun = ("torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m")
    configs = "['configs/train.yaml','configs/multi_gpu_train.yaml']"
    run_process(bundle, [*torchrun, *bundle_command(configs, *paths, *SMALL, "--max_epochs", "1")], gpu=True)
    assert (bundle / "models" / "model.pt").is_file()
