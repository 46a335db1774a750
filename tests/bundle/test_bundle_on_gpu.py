"""The bundle where its device is a GPU: mixed precision by default, one process or as many as there are devices."""

from __future__ import annotations

import csv
from pathlib import Path

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


def test_one_process_a_gpu(bundle: Path, phantom_datalist: Path) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two CUDA devices; tests/engines/test_training_on_gpu.py has two ranks on one")
    paths = ("--datalist_path", str(phantom_datalist), "--output_dir", "../output")
    torchrun = ("torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m")
    configs = "['configs/train.yaml','configs/multi_gpu_train.yaml']"
    run_process(bundle, [*torchrun, *bundle_command(configs, *paths, *SMALL, "--max_epochs", "1")], gpu=True)
    assert (bundle / "models" / "model.pt").is_file()
