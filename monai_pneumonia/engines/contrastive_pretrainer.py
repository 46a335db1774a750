"""ContrastivePretrainer: trains an encoder without labels, on two views of each picture."""

from __future__ import annotations

from typing import Any

import torch
from monai.engines import SupervisedTrainer
from monai.utils import convert_to_tensor
from monai.utils.enums import CommonKeys
from torch import Tensor, nn
from torch.nn.modules.loss import _Loss

from monai_pneumonia.engines.distributed import plain_network
from monai_pneumonia.engines.repeatable_trainer import RepeatableTrainer
from monai_pneumonia.errors import UsageError
from monai_pneumonia.losses.gathering import gather_rows
from monai_pneumonia.losses.momentum_contrast import MomentumContrastLoss
from monai_pneumonia.losses.nt_xent import NTXentLoss
from monai_pneumonia.networks.contrastive import METHODS, MoCoNet, MomentumFeatures, ViewFeatures
from monai_pneumonia.transforms.contrastive_views import VIEW_KEYS

PATIENT_KEY = "patient"


def prepare_contrastive_batch(
    batchdata: dict[str, Any], device: torch.device | str | None = None, non_blocking: bool = False, **kwargs: Any
) -> tuple[Tensor, Tensor, tuple[Tensor], dict[str, Any]]:
    """Takes two views [B, 1, S, S] and the patients' codes [B] out of a batch and moves them to the device.

    Returns:
        the first views, the codes, and the network's further arguments: the second views.
    """
    first, second, patients = (convert_to_tensor(batchdata[key], track_meta=False) for key in (*VIEW_KEYS, PATIENT_KEY))
    options = {"device": device, "non_blocking": non_blocking, **kwargs}
    return first.to(**options), patients.to(**options), (second.to(**options),), {}


class ContrastiveLoss(nn.Module):
    """A contrastive loss over the network's output and the patients' codes.

    Args:
        method: ``moco`` or ``simclr``.
        temperature: of the loss.

    Raises:
        UsageError: there is no such method.
    """

    def __init__(self, method: str, temperature: float = 0.1) -> None:
        super().__init__()
        if method not in METHODS:
            raise UsageError(f"unknown method '{method}': choose one of {', '.join(METHODS)} (key `method`)")
        self.loss: _Loss = MomentumContrastLoss(temperature) if method == "moco" else NTXentLoss(temperature)

    def forward(self, output: MomentumFeatures | ViewFeatures, patients: Tensor) -> Tensor:
        """The loss of a batch, a scalar.

        Args:
            output: what the network gives for two views.
            patients: the patients' codes, [B].
        """
        loss: Tensor = self.loss(**output._asdict(), patients=patients)
        return loss


class ContrastivePretrainer(RepeatableTrainer):
    """Trains a :class:`SimCLRNet` or :class:`MoCoNet` on two views of each picture.

    After each step of the optimiser a :class:`MoCoNet` moves its momentum network and takes up the step's keys, those of
    all accumulated batches and all processes. MoCo's loss compares a query with the queue alone, so accumulated batches
    step as one large batch; NT-Xent compares the pictures of a batch, so there accumulation means fewer negatives.

    Args:
        **kwargs: of :class:`RepeatableTrainer`.

    Raises:
        ModelFaultError: while running, the loss is not finite.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"prepare_batch": prepare_contrastive_batch, **kwargs})
        self._keys: list[tuple[Tensor, Tensor]] = []
        self._stepped = False
        # Of the optimiser and not of the iteration: neither accumulation nor a step that the gradient scaler drops counts.
        self.optimizer.register_step_post_hook(self._note_step)

    def _note_step(self, *_: Any) -> None:
        self._stepped = True

    def _iteration(self, engine: SupervisedTrainer, batchdata: dict[str, Tensor]) -> list[dict[str, Any]]:
        self._stepped = False
        outputs = super()._iteration(engine, batchdata)
        network = plain_network(self.network)
        if isinstance(network, MoCoNet):
            self._keys.append((gather_rows(outputs[0][CommonKeys.PRED].keys), gather_rows(outputs[0][CommonKeys.LABEL])))
            if self._stepped:
                keys, patients = (torch.cat(parts) for parts in zip(*self._keys, strict=True))
                self._keys.clear()
                network.step_completed(keys, patients)
        return outputs
