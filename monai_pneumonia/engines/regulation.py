"""Contrastive regulation as part of a training: in feature space, or in the space of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from monai_pneumonia.engines.distributed import plain_network
from monai_pneumonia.losses import ContrastiveRatioLoss, FeatureRegulationLoss, LesionTarget
from monai_pneumonia.losses.lesion_loss import HasLesionOutput
from monai_pneumonia.networks import LesionAttentionNet

REGULATION_SPACES = ("features", "image")


class FeatureRegulation:
    """:class:`FeatureRegulationLoss` over a network's output: where it attends against the lesion and the rest of the lungs.

    The mean is over the outlined pictures of this process: where processes hold unequal numbers of them, their pictures weigh
    unequally. :class:`OutlinedSampler` gives each process its part of them.

    Args:
        temperature: of the loss.
    """

    def __init__(self, temperature: float = 0.1) -> None:
        self.loss = FeatureRegulationLoss(temperature)

    def __call__(self, output: HasLesionOutput, target: LesionTarget) -> Tensor:
        """The loss of a batch, a scalar."""
        attention = output.attention
        if attention is None:
            raise ValueError("regulation of features needs a network with attention")
        loss: Tensor = self.loss(output.levels, attention, target.outline_on(attention.shape[-2:]))
        return loss


class ImageRegulation:
    """:class:`ContrastiveRatioLoss`: a picture's features near those of its lesion alone, far from those without it.

    The two altered pictures pass through the network in evaluation mode and without gradient, so that they touch neither
    its running statistics nor what distributed training waits for. Their edges are blurred and filled with the grey of
    the picture, for a network would soon know cut edges.

    Args:
        network: that is trained.
        bound: of the ratio.
    """

    def __init__(self, network: nn.Module, bound: float = 0.05) -> None:
        self.network = network
        self.loss = ContrastiveRatioLoss(bound=bound)

    def __call__(self, output: HasLesionOutput, target: LesionTarget) -> Tensor:
        """The loss of a batch's outlined pictures, a scalar; zero where there is none."""
        outlined = target.has_outline
        if not bool(outlined.any()):
            return output.logits.sum() * 0.0
        alone, erased = lesion_alone_and_erased(target.images[outlined], target.outline[outlined])
        with torch.no_grad():
            constants = self._levels(torch.cat([alone, erased]))
        positives, negatives = ([level.chunk(2)[part] for level in constants] for part in (0, 1))
        anchors = [level[outlined].mean(dim=(2, 3)) for level in output.levels]
        loss: Tensor = self.loss(anchors, positives, negatives)
        return loss

    def _levels(self, images: Tensor) -> list[Tensor]:
        network = cast(LesionAttentionNet, plain_network(self.network))
        training = network.training
        network.eval()
        try:
            return [level.mean(dim=(2, 3)) for level in network.explain(images).levels]
        finally:
            network.train(training)


def build_regulation(regulation: Mapping[str, Any], network: nn.Module) -> FeatureRegulation | ImageRegulation | None:
    """The regulation of a configuration.

    Args:
        regulation: its section: enabled, space, temperature, bound.
        network: that is trained.
    """
    if not regulation["enabled"]:
        return None
    if regulation["space"] == "image":
        return ImageRegulation(network, regulation["bound"])
    return FeatureRegulation(regulation["temperature"])


def lesion_alone_and_erased(images: Tensor, outline: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures [B, 1, S, S] with the lesion alone, and without it; the rest is filled with the picture's mean grey.

    Args:
        images: in [0, 1].
        outline: [B, 1, S, S] in [0, 1].
    """
    width = max(3, images.shape[-1] // 16 | 1)
    soft = functional.avg_pool2d(outline, width, stride=1, padding=width // 2, count_include_pad=False).clamp(0, 1)
    grey = images.mean(dim=(2, 3), keepdim=True)
    return soft * images + (1 - soft) * grey, (1 - soft) * images + soft * grey
