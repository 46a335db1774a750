"""Watches that contrastive features do not collapse."""

from __future__ import annotations

import logging
import math
from collections import deque
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from monai.metrics import EmbeddingCollapseMetric
from monai.utils.enums import CommonKeys
from torch import Tensor
from torch.nn import functional

_LOGGER = logging.getLogger(__name__)
SPREAD = "feature_spread"
RANK = "effective_rank"
COLLAPSED = 0.1


def feature_spread(features: Tensor) -> float:
    """How far features [N, D] of length 1 lie apart: mean over dimensions of their standard deviation, times the root of D.

    1 on a whole sphere, 0 where all features are one; not a number for fewer than two.
    """
    deviation = functional.normalize(features.float(), dim=1).std(dim=0)
    return float(deviation.mean() * math.sqrt(features.shape[1]))


def effective_rank(features: Tensor) -> float:
    """How many dimensions features [N, D] use: exp of the entropy of their singular values (Roy and Vetterli 2007), 1 to D.

    From MONAI's ``EmbeddingCollapseMetric``, whose score says how little of the largest possible rank is used.
    """
    score = EmbeddingCollapseMetric(include_indicators=["effective_rank"])(embeddings=features.float())["effective_rank_score"]
    return (1.0 - float(score)) * min(len(features) - 1, features.shape[1])


class FeatureCollapse:
    """Measures spread and effective rank of an epoch's last features, and warns when they have collapsed.

    Both are of what the loss compares, the projections of the first views. The spread is taken within each batch and then
    averaged: over batches, features that are all alike but move with the weights would look spread. Values land in the
    engine's metrics, where progress and TensorBoard find them: attach it before those. Its state is part of the checkpoint.

    Args:
        most: features to look at, over all processes.

    Attributes:
        values: of the last epoch, ``feature_spread`` and ``effective_rank``; empty before the first.
    """

    def __init__(self, most: int = 1024) -> None:
        self.most = most
        self.values: dict[str, float] = {}
        self._recent: deque[Tensor] = deque()

    def attach(self, engine: Engine) -> None:
        """Collects features at every iteration, measures them after each epoch."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._forget)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._measure)

    def _forget(self, engine: Engine) -> None:
        self._recent.clear()

    def _collect(self, engine: Engine) -> None:
        self._recent.append(engine.state.output[0][CommonKeys.PRED][0].detach())
        while sum(map(len, self._recent)) - len(self._recent[0]) >= self.most // idist.get_world_size():
            self._recent.popleft()

    def _measure(self, engine: Engine) -> None:
        spreads = [feature_spread(batch) for batch in self._recent if len(batch) > 1]
        spread = idist.all_reduce(sum(spreads)) / max(1, idist.all_reduce(len(spreads)))
        features = idist.all_gather(functional.normalize(torch.cat(list(self._recent)).float(), dim=1))
        self._recent.clear()
        self.values = {SPREAD: float(spread), RANK: effective_rank(features) if len(features) > 1 else math.nan}
        engine.state.metrics.update(self.values)
        if spread < COLLAPSED and idist.get_rank() == 0:
            _LOGGER.warning(
                "the features have collapsed in epoch %d (%s %.3f, below %.1f): the encoder tells pictures apart no longer. Lower "
                "`learning_rate`, raise `temperature` or `batch_size`",
                *(engine.state.epoch, SPREAD, spread, COLLAPSED),
            )

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs."""
        return {"values": self.values}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what ``state_dict`` gave."""
        self.values = dict(state["values"])
