"""LesionTrainer: trains a lesion recogniser on candidate sets and outlines."""

from __future__ import annotations

from typing import Any

import torch
from monai.utils import convert_to_tensor

from monai_pneumonia.engines.repeatable_trainer import RepeatableTrainer

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


class LesionTrainer(RepeatableTrainer):
    """Trains a :class:`LesionAttentionNet` on candidate sets.

    Takes the arguments of MONAI's ``SupervisedTrainer``. The loss function gets the network's whole output (logits,
    attention, features) and the candidate sets [B, C].

    Args:
        **kwargs: of :class:`RepeatableTrainer`.

    Raises:
        ModelFaultError: while running, the loss is not finite.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"prepare_batch": prepare_lesion_batch, **kwargs})
