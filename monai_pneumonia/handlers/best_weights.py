"""The weights of the epoch that validated best."""

from __future__ import annotations

import math
from typing import Any

from ignite.engine import Engine, Events
from torch import Tensor, nn


class BestWeights:
    """Keeps a copy of a network's weights from the epoch with the highest metric; part of the checkpoint.

    Attach it to the trainer, after the ValidationHandler.

    Args:
        network: whose weights to keep (the moving average).
        evaluator: whose metrics to read.
        key_metric: name of the metric; higher is better.

    Attributes:
        epoch: of the best weights, 0 before the first validation.
        metric: its value there.
        parameters: the state dictionary there, on the CPU.
    """

    def __init__(self, network: nn.Module, evaluator: Engine, key_metric: str) -> None:
        self.network = network
        self.evaluator = evaluator
        self.key_metric = key_metric
        self.epoch = 0
        self.metric = -math.inf
        self.metrics: dict[str, float] = {}
        self.parameters: dict[str, Tensor] = {}

    def attach(self, engine: Engine) -> None:
        """Looks after each epoch of the trainer that was validated."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._compare)

    def _compare(self, engine: Engine) -> None:
        metrics = self.evaluator.state.metrics
        value = metrics.get(self.key_metric)
        if value is None or self.evaluator.state.epoch != engine.state.epoch:
            return
        # A validation part too small for the metric gives NaN: then the latest weights stand for the best.
        value = -math.inf if math.isnan(value) else float(value)
        if value >= self.metric:
            self.epoch, self.metric = engine.state.epoch, value
            self.metrics = {name: float(number) for name, number in metrics.items() if isinstance(number, float | int)}
            self.parameters = {name: tensor.detach().cpu().clone() for name, tensor in self.network.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs."""
        return {"epoch": self.epoch, "metric": self.metric, "metrics": self.metrics, "parameters": self.parameters}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up what ``state_dict`` gave."""
        self.epoch, self.metric, self.metrics = state["epoch"], state["metric"], state["metrics"]
        self.parameters = {name: tensor.cpu() for name, tensor in state["parameters"].items()}
