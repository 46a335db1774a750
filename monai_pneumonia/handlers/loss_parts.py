"""The parts of a loss, as metrics of the training: what TensorBoard and MLflow draw beside the whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Protocol

from ignite.engine import Engine, Events
from torch import Tensor


class HasParts(Protocol):
    """A loss that tells the parts of its latest value."""

    parts: Mapping[str, Tensor]


class LossParts:
    """Puts the mean of each part over an epoch into the engine's metrics, as ``loss_<part>``; of this process's batches.

    Args:
        loss_function: the loss.
    """

    def __init__(self, loss_function: HasParts) -> None:
        self.loss_function = loss_function
        self._values: dict[str, list[Tensor]] = defaultdict(list)

    def attach(self, engine: Engine) -> None:
        """Follows the engine."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._publish)

    def _begin(self) -> None:
        self._values.clear()

    def _collect(self) -> None:
        for name, value in self.loss_function.parts.items():
            self._values[name].append(value)

    def _publish(self, engine: Engine) -> None:
        for name, values in self._values.items():
            engine.state.metrics[f"loss_{name}"] = sum(float(value) for value in values) / len(values)
