"""Training on several devices: one process each, started by torchrun."""

from __future__ import annotations

import os
from datetime import timedelta

import ignite.distributed as idist
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

LONGEST_WAIT = timedelta(hours=12)


def local_device() -> torch.device:
    """The device of this process: the GPU that torchrun gave it, else the first GPU, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def launched_processes() -> int:
    """How many processes torchrun started, also before they have joined; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def join_processes() -> None:
    """Joins the processes that torchrun started: over NCCL where there are GPUs, else over gloo."""
    if torch.cuda.is_available():
        torch.cuda.set_device(local_device())
    # The first process reads every picture into the cache while the others wait for it: hours, for a large data set.
    idist.initialize("nccl" if torch.cuda.is_available() else "gloo", timeout=LONGEST_WAIT)


def leave_processes() -> None:
    """Undoes :func:`join_processes`."""
    idist.finalize()


def distribute(network: nn.Module, device: torch.device | str) -> DistributedDataParallel:
    """Wraps a network so that gradients are averaged over processes.

    On GPUs batch normalisation takes its statistics over all processes; on CPUs, where torch has no such layer, each
    process has its own, and only a normalisation that never mixes the batch gives one process's gradients exactly.

    Args:
        network: changed in place.
        device: of this process.
    """
    device = torch.device(device)
    if device.type == "cuda":
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    return DistributedDataParallel(network.to(device), device_ids=[device] if device.type == "cuda" else None)


def plain_network(network: nn.Module) -> nn.Module:
    """The network itself under DistributedDataParallel and ``torch.compile``."""
    for name in ("_orig_mod", "module", "_orig_mod"):
        network = getattr(network, name, network)
    return network
