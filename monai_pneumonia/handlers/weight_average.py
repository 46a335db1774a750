"""The moving average of a network's weights."""

from __future__ import annotations

from ignite.engine import Engine, Events
from ignite.handlers import EMAHandler
from torch import nn


class WeightAverage:
    """Keeps an exponential moving average of a network's weights and running statistics, with a warm-up.

    Ignite's ``EMAHandler`` does the averaging. The decay at step t is min(decay, t / (t + 10)): the first weights, which
    are noise, are soon forgotten. It depends on the step alone, so nothing but the average itself need be saved.

    Args:
        network: the network in training; DistributedDataParallel is looked through.
        decay: per optimiser step, in [0, 1); 0 keeps no average, and ``network`` below is the one in training.
        every: iterations per optimiser step (the accumulation steps).

    Attributes:
        network: what to validate and to keep.
    """

    def __init__(self, network: nn.Module, decay: float, every: int = 1) -> None:
        self.decay = decay
        self.every = every
        self._handler = None if decay == 0 else EMAHandler(network, momentum=1.0 - decay, handle_buffers="update")
        self.network: nn.Module = getattr(network, "module", network) if self._handler is None else self._handler.ema_model

    def attach(self, engine: Engine) -> None:
        """Averages after every iteration of the engine."""
        if self._handler is None:
            return
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._warm_up)
        self._handler.attach(engine, event=Events.ITERATION_COMPLETED, warn_if_exists=False)

    def _warm_up(self, engine: Engine) -> None:
        step = engine.state.iteration / self.every
        # At every iteration by the root of a step's decay: an epoch's last step may come before its accumulation is full.
        engine.state.ema_momentum = 1.0 - min(self.decay, step / (step + 10)) ** (1 / self.every)
