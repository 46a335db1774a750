"""Features gathered over two processes: values, gradients, and the losses over them."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing

from monai_pneumonia.losses import NTXentLoss
from monai_pneumonia.losses.gathering import gather_features, gather_rows, in_several_processes

PATIENTS = torch.tensor([0, 1, 2, 2, 3, 0, 4, 5])


def _features() -> torch.Tensor:
    """Two views [2, 8, 6]."""
    return torch.randn(2, 8, 6, generator=torch.Generator().manual_seed(0))


def _process(rank: int, port: int, folder: str) -> None:
    os.environ.update(MASTER_ADDR="localhost", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", rank=rank, world_size=2)
    own = slice(4 * rank, 4 * rank + 4)
    features = _features()[:, own].clone().requires_grad_()
    gathered = gather_features(features[0])
    loss = NTXentLoss(0.2)(features[0], features[1], PATIENTS[own])
    loss.backward()
    told = {
        "several": in_several_processes(),
        "gathered": gathered.detach(),
        "patients": gather_rows(PATIENTS[own]),
        "loss": loss.detach(),
        # DistributedDataParallel divides by the number of processes.
        "gradient": features.grad / 2 if features.grad is not None else None,
    }
    torch.save(told, Path(folder) / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_have_the_loss_and_the_gradient_of_one(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    multiprocessing.spawn(_process, args=(port, str(tmp_path)), nprocs=2)
    told = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    features = _features().requires_grad_()
    loss = NTXentLoss(0.2)(features[0], features[1], PATIENTS)
    loss.backward()
    assert features.grad is not None
    for rank, part in enumerate(told):
        assert part["several"]
        assert torch.equal(part["gathered"], _features()[0])
        assert torch.equal(part["patients"], PATIENTS)
        torch.testing.assert_close(part["loss"], loss.detach())
        torch.testing.assert_close(part["gradient"], features.grad[:, 4 * rank : 4 * rank + 4])


def test_one_process_has_its_own_tensor() -> None:
    features = _features()[0].requires_grad_()
    assert not in_several_processes()
    assert gather_features(features) is features
    assert gather_rows(features) is features
