"""What a CPU cannot show: mixed precision, compiled kernels, pinned memory, two ranks with shared batch statistics."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import pytest
import torch
from ignite.engine import Events
from torch import multiprocessing
from torch.utils.data import DataLoader, Dataset

from monai_pneumonia.engines import LesionTrainer, build_training_network, distribute, join_processes, leave_processes, local_device
from monai_pneumonia.handlers import RunState, WeightAverage
from monai_pneumonia.losses import CandidateCrossEntropyLoss, LesionLoss

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]

ARGUMENTS = {"backbone": "resnet18", "num_classes": 2, "dropout": 0.0}


class _Pictures(Dataset[dict[str, torch.Tensor]]):
    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        picture = torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(index))
        return {"image": (picture + index % 2).clamp(0, 1), "target": torch.eye(2)[index % 2]}


def _trainer(epochs: int = 2, pin_memory: bool = False, **options: Any) -> LesionTrainer:
    network = build_training_network(ARGUMENTS, seed=3).to("cuda")
    return LesionTrainer(
        device=torch.device("cuda"),
        max_epochs=epochs,
        train_data_loader=DataLoader(_Pictures(), batch_size=8, pin_memory=pin_memory),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.01),
        loss_function=LesionLoss(CandidateCrossEntropyLoss()),
        **options,
    )


def _weights(trainer: LesionTrainer) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in trainer.network.parameters()])


def _moved(trainer: LesionTrainer) -> torch.Tensor:
    """How far a training moved the weights."""
    before = _weights(trainer).clone()
    trainer.run()
    return _weights(trainer) - before


def _close(step: torch.Tensor, reference: torch.Tensor, share: float) -> bool:
    return bool(torch.isfinite(step).all()) and float((step - reference).norm()) < share * float(reference.norm())


@pytest.fixture
def single_precision(monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    """The step of a training in single precision."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    return _moved(_trainer())


def test_mixed_precision_goes_where_single_precision_goes(single_precision: torch.Tensor) -> None:
    trainer = _trainer(amp=True)
    assert _close(_moved(trainer), single_precision, 0.2)
    assert trainer.scaler is not None
    assert trainer.scaler.is_enabled()
    assert all(parameter.dtype == torch.float32 for parameter in trainer.network.parameters())


def test_mixed_precision_resumes_with_its_loss_scale(tmp_path: Path) -> None:
    def with_state(epochs: int) -> LesionTrainer:
        trainer = _trainer(epochs, amp=True)
        average = WeightAverage(trainer.network, decay=0.9)
        average.attach(trainer)
        objects = {"network": trainer.network, "average": average.network, "optimizer": trainer.optimizer}
        RunState(tmp_path, objects, {}).attach(trainer)
        return trainer

    first = with_state(1)
    # MONAI makes the scaler as the run starts.
    first.add_event_handler(Events.STARTED, lambda engine: engine.scaler.load_state_dict({**engine.scaler.state_dict(), "scale": 1024.0}))
    first.run()
    resumed = with_state(2)
    resumed.run()
    assert resumed.state.epoch == 2
    assert resumed.scaler.get_scale() == 1024.0


def test_a_compiled_network_goes_the_same_way(single_precision: torch.Tensor) -> None:
    assert _close(_moved(_trainer(compile=True)), single_precision, 0.05)


def test_pinned_memory_changes_nothing(single_precision: torch.Tensor) -> None:
    trainer = _trainer(pin_memory=True, non_blocking=True)
    batch = next(iter(trainer.data_loader))
    assert batch["image"].is_pinned()
    assert batch["target"].is_pinned()
    assert _close(_moved(trainer), single_precision, 1e-3)


def _process(rank: int, port: int, folder: str) -> None:
    """One rank's gradient on its half of a batch; two ranks on one GPU speak over gloo, for NCCL wants one GPU each."""
    os.environ.update(RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="localhost", MASTER_PORT=str(port))
    os.environ["LOCAL_RANK"] = str(rank % torch.cuda.device_count())
    torch.backends.cudnn.allow_tf32 = False
    if torch.cuda.device_count() > 1:
        join_processes()
    else:
        idist.initialize("gloo")
    network = distribute(build_training_network(ARGUMENTS, seed=3), local_device())
    gradient = _gradient(network, range(rank * 8, rank * 8 + 8), local_device())
    torch.save(gradient.cpu(), Path(folder) / f"{rank}.pt")
    leave_processes()


def _gradient(network: torch.nn.Module, indices: range, device: torch.device) -> torch.Tensor:
    items = [_Pictures()[index] for index in indices]
    images, targets = (torch.stack([item[key] for item in items]).to(device) for key in ("image", "target"))
    network.train()
    LesionLoss(CandidateCrossEntropyLoss())(network(images), targets).backward()
    return torch.cat([parameter.grad.flatten() for parameter in network.parameters()])


def test_two_ranks_share_batch_statistics_and_step_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    multiprocessing.spawn(_process, args=(port, str(tmp_path)), nprocs=2)
    gradients = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    alone = _gradient(build_training_network(ARGUMENTS, seed=3).to("cuda"), range(16), torch.device("cuda")).cpu()
    for gradient in gradients:
        assert _close(gradient, alone, 1e-3)
