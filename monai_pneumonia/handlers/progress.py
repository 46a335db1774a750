"""A progress bar over a training, and one line an epoch where there is no terminal."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from typing import Any

import ignite.distributed as idist
from ignite.engine import Engine, Events
from monai.utils.enums import CommonKeys
from tqdm import tqdm

_LOGGER = logging.getLogger(__name__)


class TrainingProgress:
    """Shows how far a training is, its loss and its latest validation; on rank 0 alone.

    Ignite's ``ProgressBar`` shows one bar an epoch and must be attached with arguments that MONAI's handler lists do not
    pass; this one shows the whole training.

    Args:
        evaluator: whose metrics to show after each epoch.
        name: shown in front.
        metrics: of the engine itself, shown after each epoch.
    """

    def __init__(self, evaluator: Engine | None = None, name: str = "training", metrics: Sequence[str] = ()) -> None:
        self.evaluator = evaluator
        self.name = name
        self.metrics = tuple(metrics)
        self._bar: Any = None
        self._loss_sum = 0.0
        self._started = 0.0

    def attach(self, engine: Engine) -> None:
        """Follows the engine from start to end."""
        if idist.get_rank() != 0:
            return
        engine.add_event_handler(Events.EPOCH_STARTED, self._epoch_started)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._iteration_completed)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._epoch_completed)
        engine.add_event_handler(Events.COMPLETED | Events.EXCEPTION_RAISED, self._close)

    def _epoch_started(self, engine: Engine) -> None:
        self._loss_sum, self._started = 0.0, time.monotonic()
        if self._bar is None:
            total = engine.state.max_epochs * engine.state.epoch_length
            self._bar = tqdm(
                total=total, initial=engine.state.iteration, desc=self.name, unit="batch", disable=not sys.stderr.isatty(), leave=False
            )

    def _iteration_completed(self, engine: Engine) -> None:
        self._loss_sum += float(engine.state.output[0][CommonKeys.LOSS].detach())
        self._bar.update()

    def _epoch_completed(self, engine: Engine) -> None:
        state = engine.state
        parts = [f"loss {self._loss_sum / state.epoch_length:.4f}"]
        parts += [f"{name} {state.metrics[name]:.4f}" for name in self.metrics if name in state.metrics]
        if self.evaluator is not None and self.evaluator.state.epoch == state.epoch:
            parts += [f"{name} {value:.4f}" for name, value in self.evaluator.state.metrics.items() if isinstance(value, float)]
        seconds = time.monotonic() - self._started
        self._bar.clear()
        _LOGGER.info("%s: epoch %d of %d, %.0f s, %s", self.name, state.epoch, state.max_epochs, seconds, ", ".join(parts))

    def _close(self, engine: Engine, *arguments: Any) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        if arguments and isinstance(arguments[0], BaseException):
            # Ignite leaves the exception to the last handler of this event.
            raise arguments[0]
