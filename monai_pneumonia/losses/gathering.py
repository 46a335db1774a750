"""Features of all processes together, with their gradient."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed


class _GatherRows(torch.autograd.Function):
    """All ranks' rows one after the other. What every rank's loss asks of a row reaches it: the backward pass sums over ranks."""

    @staticmethod
    def forward(context: Any, rows: Tensor) -> Tensor:
        context.count = len(rows)
        return gather_rows(rows)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        start = distributed.get_rank() * context.count
        return total[start : start + context.count]


def in_several_processes() -> bool:
    """Whether this process is one of several that train together."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def gather_features(features: Tensor) -> Tensor:
    """Features [B, D] of every rank as [W B, D], in the order of the ranks; the same tensor where there is one process.

    Each rank that computes the same loss over the gathered features sends its gradient back to where a feature came from.
    DistributedDataParallel then averages over ranks, so that the step is that of one process with the whole batch.
    torch's own ``torch.distributed.nn.functional.all_gather`` is deprecated since 2.13, its successor not in 2.8, and the
    collectives of MONAI and ignite carry no gradient.

    Args:
        features: [B, D], B the same on every rank.
    """
    if not in_several_processes():
        return features
    gathered: Tensor = _GatherRows.apply(features)
    return gathered


def gather_rows(rows: Tensor) -> Tensor:
    """Rows [B, ...] of every rank as [W B, ...], without gradient; the same tensor where there is one process.

    Args:
        rows: codes or keys, as many on every rank.
    """
    if not in_several_processes():
        return rows
    rows = rows.detach().contiguous()
    parts = [torch.empty_like(rows) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, rows)
    return torch.cat(parts)
