"""RepeatableTrainer: MONAI's SupervisedTrainer, whose random state depends on seed, epoch and rank alone."""

from __future__ import annotations

from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedTrainer
from monai.utils.enums import CommonKeys

from monai_pneumonia.errors import ModelFaultError


def batch_loss(output: list[dict[str, Any]]) -> float:
    """The loss in an iteration's output."""
    return float(output[0][CommonKeys.LOSS].detach())


class RepeatableTrainer(SupervisedTrainer):
    """A trainer that can be killed and resumed without a trace. Takes the arguments of MONAI's ``SupervisedTrainer``.

    All random state is a function of (seed, epoch, rank): at the start of each epoch every part of the training that has
    ``set_epoch`` (data set, sampler) learns its number, every part that has ``set_progress`` (batch preparation, loss)
    learns which share of the training is done, and torch's generators are seeded. So a training that was killed and
    resumed at an epoch's start ends with the weights of an unbroken one (same threads, CPU).

    An iteration's output is a list of one dictionary that holds the whole batch: MONAI's own handlers, among them that of
    ``--tracking mlflow``, look for the loss in the first item of a list, and nobody needs the batch cut to items.

    Args:
        seed: of this training.
        **kwargs: of ``SupervisedTrainer``.

    Raises:
        ModelFaultError: while running, the loss is not finite.
    """

    def __init__(self, *, seed: int = 0, **kwargs: Any) -> None:
        self.seed = seed
        super().__init__(**{"decollate": False, "optim_set_to_none": True, **kwargs})
        self.add_event_handler(Events.EPOCH_STARTED, self._begin_epoch)

    def _begin_epoch(self, engine: Engine) -> None:
        epoch = self.state.epoch
        loader = self.data_loader
        for part in (getattr(loader, name, None) for name in ("dataset", "sampler", "batch_sampler")):
            if part is not None and hasattr(part, "set_epoch"):
                part.set_epoch(epoch)
        for part in (self.prepare_batch, self.loss_function):
            if hasattr(part, "set_progress"):
                part.set_progress((epoch - 1) / self.state.max_epochs)
        torch.manual_seed(int(np.random.SeedSequence([self.seed, epoch, idist.get_rank()]).generate_state(1)[0]))

    def _iteration(self, engine: SupervisedTrainer, batchdata: dict[str, torch.Tensor]) -> list[dict[str, Any]]:
        output: dict[str, Any] = super()._iteration(engine, batchdata)
        loss = output[CommonKeys.LOSS]
        if not torch.isfinite(loss):
            raise ModelFaultError(
                f"the loss became {float(loss.detach())} in epoch {engine.state.epoch}, iteration {engine.state.iteration}: "
                "lower `learning_rate`, or switch `amp` off; the last checkpoint is untouched"
            )
        return [output]
