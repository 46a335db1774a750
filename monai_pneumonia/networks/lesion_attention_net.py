"""LesionAttentionNet: a classifier that pools its features once over the whole picture and once under an attention map."""

from __future__ import annotations

from typing import NamedTuple

import torch
from monai.networks.blocks import Convolution
from torch import Tensor, nn
from torch.nn import functional

from monai_pneumonia.errors import UsageError
from monai_pneumonia.networks.backbones import build_backbone, replace_batch_normalization

NORMALIZATIONS = ("batch", "group")


class Guidance(NamedTuple):
    """Lesion outlines that stand in for the attention map while the network is trained; inference knows of none.

    Attributes:
        outline: M, [B, 1, H, W] in [0, 1], on any grid.
        share: r, [B, 1, 1, 1] in [0, 1]: how far the outline replaces the attention map; 0 leaves a picture to itself.
    """

    outline: Tensor
    share: Tensor


class LesionOutput(NamedTuple):
    """What the network says of a batch.

    Attributes:
        logits: [B, C].
        attention_logits: [B, 1, h, w] before the sigmoid; None for a network without attention.
        features: [B, D, h, w] at stride 8, what both poolings see.
    """

    logits: Tensor
    attention_logits: Tensor | None
    features: Tensor

    @property
    def attention(self) -> Tensor | None:
        """The attention map A, [B, 1, h, w] in [0, 1]."""
        return None if self.attention_logits is None else self.attention_logits.sigmoid()

    @property
    def levels(self) -> tuple[Tensor, Tensor]:
        """The two levels that the features join, fine and deep, each about [B, D / 2, h, w] on the same grid."""
        fine = self.features.shape[1] // 2
        return self.features[:, :fine], self.features[:, fine:]


class LesionAttentionNet(nn.Module):
    """Backbone, attention map and pooled head: logits = head([mean of F ; sum(G F) / (sum G + eps)]).

    F joins the backbone's stride-8 level, where small lesions still have a place, with its deepest one, which has seen
    the whole chest. The gate G is the attention map A; in training :class:`Guidance` may mix it with a lesion outline M,
    G = r M + (1 - r) A. Context never vanishes, for the plain mean is always there, and the size of the gate says nothing,
    for the gated pool is a mean, too.

    In training ``forward`` returns a :class:`LesionOutput`, for losses look at attention and features, too, and
    DistributedDataParallel follows gradients through ``forward`` alone. In evaluation it returns the logits: one tensor.

    Args:
        backbone: a name of :func:`monai_pneumonia.networks.backbones.backbone_names`.
        num_classes: C.
        in_channels: channels of the pictures.
        feature_channels: D; half comes from each of the two levels.
        attention: without it the head sees the plain mean alone, and there is no map.
        hard_attention: the gate is A above 0.5, zero or one, instead of A itself; gradients pass straight through (Bengio
            et al. 2013, arXiv 1308.3432).
        normalization: ``batch``, or ``group``, which never mixes the pictures of a batch.
        dropout: rate before the head.

    Raises:
        UsageError: unknown backbone or normalisation.
    """

    def __init__(
        self,
        backbone: str = "resnet18",
        num_classes: int = 4,
        in_channels: int = 1,
        feature_channels: int = 256,
        attention: bool = True,
        hard_attention: bool = False,
        normalization: str = "batch",
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if normalization not in NORMALIZATIONS:
            raise UsageError(f"unknown normalization '{normalization}': choose one of {', '.join(NORMALIZATIONS)} (key `normalization`)")
        self.encoder = build_backbone(backbone, in_channels)
        fine, _, deep = self.encoder.channels
        self.fine_projection = self._projection(fine, feature_channels // 2)
        self.deep_projection = self._projection(deep, feature_channels - feature_channels // 2)
        self.hard_attention = hard_attention
        self.attention_head = nn.Conv2d(feature_channels, 1, kernel_size=1) if attention else None
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(feature_channels * (2 if attention else 1), num_classes)
        if normalization == "group":
            replace_batch_normalization(self)

    @staticmethod
    def _projection(in_channels: int, out_channels: int) -> nn.Module:
        projection: nn.Module = Convolution(
            2, in_channels, out_channels, kernel_size=1, adn_ordering="NA", norm="batch", act="relu", bias=False
        )
        return projection

    def forward(self, images: Tensor, guidance: Guidance | None = None) -> Tensor | LesionOutput:
        """Classifies images [B, 1, H, W] in [0, 1], H and W multiples of 32.

        Args:
            images: the network's input.
            guidance: outlines to gate with, in training alone.

        Returns:
            logits [B, C] in evaluation; a :class:`LesionOutput` in training.

        Raises:
            ValueError: guidance in evaluation, where no outline may be read, or for a network without attention.
        """
        if guidance is not None and (not self.training or self.attention_head is None):
            raise ValueError("outlines guide a network with attention, and in training alone")
        output = self._recognize(images, guidance)
        return output if self.training else output.logits

    def explain(self, images: Tensor) -> LesionOutput:
        """Classifies images [B, 1, H, W] and tells where it looked."""
        return self._recognize(images)

    def _recognize(self, images: Tensor, guidance: Guidance | None = None) -> LesionOutput:
        fine, _, deep = self.encoder(images)
        deep = functional.interpolate(self.deep_projection(deep), size=fine.shape[-2:], mode="bilinear", align_corners=False)
        features = torch.cat([self.fine_projection(fine), deep], dim=1)
        pooled = features.mean(dim=(2, 3))
        attention_logits = None
        if self.attention_head is not None:
            attention_logits = self.attention_head(features)
            pooled = torch.cat([pooled, gated_mean(features, self._gate(attention_logits, guidance))], dim=1)
        return LesionOutput(self.head(self.dropout(pooled)), attention_logits, features)

    def _gate(self, attention_logits: Tensor, guidance: Guidance | None) -> Tensor:
        attention = attention_logits.sigmoid()
        if self.hard_attention:
            attention = straight_through(attention)
        if guidance is None:
            return attention
        height, width = attention.shape[-2:]
        outline = functional.adaptive_avg_pool2d(guidance.outline.to(attention.dtype), (height, width))
        share = guidance.share.to(attention.dtype)
        return share * outline + (1 - share) * attention


def straight_through(attention: Tensor, threshold: float = 0.5) -> Tensor:
    """Zero or one, by the threshold, with the gradient of the attention itself; any shape."""
    return (attention > threshold).to(attention.dtype) + attention - attention.detach()


def gated_mean(features: Tensor, gate: Tensor, epsilon: float = 1e-4) -> Tensor:
    """The mean of features [B, D, h, w] under a gate [B, 1, h, w] in [0, 1]: [B, D]."""
    return (features * gate).sum(dim=(2, 3)) / (gate.sum(dim=(2, 3)) + epsilon)
