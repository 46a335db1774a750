"""LesionTrainer: MONAI's SupervisedTrainer, repeatable and resumable."""

from __future__ import annotations

from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedTrainer
from monai.utils import convert_to_tensor
from monai.utils.enums import CommonKeys

from monai_pneumonia.errors import ModelFaultError

IMAGE_KEY = "image"
TARGET_KEY = "target"


def prepare_lesion_batch(
    batchdata: dict[str, Any], device: torch.device | str | None = None, non_blocking: bool = False, **kwargs: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Takes images [B, 1, S, S] and candidate sets [B, C] out of a batch and moves them to the device."""
    # Plain tensors: MONAI's trainer would wrap a compiled network's output as one MetaTensor, and ours is a tuple.
    image, target = (convert_to_tensor(batchdata[key], track_meta=False) for key in (IMAGE_KEY, TARGET_KEY))
    options = {"device": device, "non_blocking": non_blocking, **kwargs}
    return image.to(**options), target.to(**options)


def batch_loss(output: list[dict[str, Any]]) -> float:
    """The loss in an iteration's output."""
    return float(output[0][CommonKeys.LOSS].detach())


class LesionTrainer(SupervisedTrainer):
    """Trains a :class:`LesionAttentionNet` on candidate sets.

    Takes the arguments of MONAI's ``SupervisedTrainer``. The loss function gets the network's whole output (logits,
    attention, features) and the candidate sets [B, C].

    All random state is a function of (seed, epoch, rank): at the start of each epoch the sampler and the data set learn
    its number, and torch's generators are seeded. So a training that was killed and resumed at an epoch's start ends
    with the weights of an unbroken one (same threads, CPU).

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
        super().__init__(**{"prepare_batch": prepare_lesion_batch, "decollate": False, "optim_set_to_none": True, **kwargs})
        self.add_event_handler(Events.EPOCH_STARTED, self._begin_epoch)

    def _begin_epoch(self, engine: Engine) -> None:
        epoch = self.state.epoch
        loader = self.data_loader
        for part in (getattr(loader, "dataset", None), getattr(loader, "sampler", None)):
            if part is not None and hasattr(part, "set_epoch"):
                part.set_epoch(epoch)
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
