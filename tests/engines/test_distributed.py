"""Several processes over gloo, without MONAI's command line; the bundle tests have it."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import pytest
import torch
from torch import multiprocessing

from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.engines import build_training_network, distribute, join_processes, leave_processes, local_device
from monai_pneumonia.engines.distributed import launched_processes
from monai_pneumonia.handlers import ClassificationMetrics
from monai_pneumonia.metrics.classification import classification_metrics

LABELS = LabelSpace()


def test_the_device_is_the_one_that_torchrun_gave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert local_device() == torch.device("cuda", 0)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert local_device() == torch.device("cuda", 3)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert local_device() == torch.device("cpu")


def test_processes_are_counted_before_they_join(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert launched_processes() == 1
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert launched_processes() == 4


def _predictions() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(11, 4, generator=generator)
    return logits, torch.eye(4)[torch.arange(11) % 4]


def _process(rank: int, port: int, folder: str) -> None:
    """Gathers unevenly spread predictions, and steps a small network on its half of a batch."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="localhost", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    join_processes()
    logits, candidates = _predictions()
    part = slice(0, 7) if rank == 0 else slice(7, 11)
    metric = ClassificationMetrics(LABELS)
    metric.reset()
    metric.update((logits[part], candidates[part]))
    network = torch.nn.Linear(4, 1)
    torch.nn.init.constant_(network.weight, float(rank))  # DistributedDataParallel takes the first process's
    torch.nn.init.zeros_(network.bias)
    replica = distribute(network, local_device())
    replica(logits[rank * 4 : rank * 4 + 4]).pow(2).mean().backward()
    told: dict[str, Any] = {"world": idist.get_world_size(), "auc": metric.compute(), "gradient": network.weight.grad}
    torch.save(told, Path(folder) / f"{rank}.pt")
    leave_processes()


@pytest.mark.slow
def test_ranks_see_all_predictions_and_share_gradients(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    multiprocessing.spawn(_process, args=(port, str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert first["world"] == second["world"] == 2
    logits, candidates = _predictions()
    expected = classification_metrics(logits.softmax(dim=1).numpy(), candidates.numpy(), LABELS)["macro_auc"]
    assert first["auc"] == second["auc"] == pytest.approx(expected)
    alone = torch.nn.Linear(4, 1)
    torch.nn.init.zeros_(alone.weight)
    torch.nn.init.zeros_(alone.bias)
    alone(logits[:8]).pow(2).mean().backward()
    for told in (first, second):
        torch.testing.assert_close(told["gradient"], alone.weight.grad)


def test_batch_statistics_are_shared_where_there_are_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU the conversion alone can be seen."""
    wrapped: list[torch.nn.Module] = []
    monkeypatch.setattr("monai_pneumonia.engines.distributed.DistributedDataParallel", lambda network, **_: wrapped.append(network))
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, *_: self)
    for device in ("cuda", "cpu"):
        distribute(build_training_network({"backbone": "resnet18"}), torch.device(device))
    shared, own = ([type(part) for part in network.modules()] for network in wrapped)
    assert torch.nn.SyncBatchNorm in shared
    assert torch.nn.BatchNorm2d not in shared
    assert torch.nn.BatchNorm2d in own
