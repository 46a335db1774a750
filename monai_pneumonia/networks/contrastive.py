"""What contrastive pre-training trains: an encoder with a projection head, alone (SimCLR) or with its moving average (MoCo)."""

from __future__ import annotations

from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from monai_pneumonia.errors import UsageError
from monai_pneumonia.networks.backbones import build_backbone, replace_batch_normalization
from monai_pneumonia.networks.lesion_attention_net import NORMALIZATIONS

METHODS = ("moco", "simclr")
EMPTY_SLOT = -1
"""Patient code of a queue's slot that holds no key yet."""


class ViewFeatures(NamedTuple):
    """SimCLR's output.

    Attributes:
        first: features of the first views, [B, D] of length 1.
        second: of the second views.
    """

    first: Tensor
    second: Tensor


class MomentumFeatures(NamedTuple):
    """MoCo's output.

    Attributes:
        queries: features of the first views, [B, D] of length 1.
        keys: of the second views by the momentum encoder, without gradient.
        queue: earlier keys, [K, D].
        queue_patients: whose they are, [K]; -1 marks an empty slot.
    """

    queries: Tensor
    keys: Tensor
    queue: Tensor
    queue_patients: Tensor


class ProjectionHead(nn.Sequential):
    """The two-layer perceptron between pooled features [B, in] and what the loss compares [B, out]; it is not published.

    Args:
        in_channels: of the pooled features.
        out_channels: D.
        hidden_channels: of the layer between; as many as come in by default.
    """

    def __init__(self, in_channels: int, out_channels: int = 128, hidden_channels: int | None = None) -> None:
        hidden = in_channels if hidden_channels is None else hidden_channels
        super().__init__(
            nn.Linear(in_channels, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True), nn.Linear(hidden, out_channels)
        )


class ProjectedEncoder(nn.Module):
    """A backbone, the mean of its deepest level, and a projection head.

    Args:
        backbone: a name of :func:`monai_pneumonia.networks.backbones.backbone_names`.
        projection_channels: D.
        in_channels: channels of the pictures.
        normalization: ``batch``, or ``group``, which never mixes the pictures of a batch.

    Raises:
        UsageError: unknown backbone or normalisation.
    """

    def __init__(
        self, backbone: str = "resnet18", projection_channels: int = 128, in_channels: int = 1, normalization: str = "batch"
    ) -> None:
        super().__init__()
        if normalization not in NORMALIZATIONS:
            raise UsageError(f"unknown normalization '{normalization}': choose one of {', '.join(NORMALIZATIONS)} (key `normalization`)")
        self.encoder = build_backbone(backbone, in_channels)
        self.projection = ProjectionHead(self.encoder.channels[-1], projection_channels)
        if normalization == "group":
            replace_batch_normalization(self)

    def forward(self, images: Tensor) -> Tensor:
        """Maps images [B, 1, H, W] to features [B, D] of length 1, in single precision."""
        pooled = self.encoder(images)[-1].mean(dim=(2, 3))
        return functional.normalize(self.projection(pooled).float(), dim=1)


class SimCLRNet(ProjectedEncoder):
    """SimCLR (Chen et al. 2020, arXiv 2002.05709): one encoder sees both views. Takes the arguments of :class:`ProjectedEncoder`."""

    def forward(self, images: Tensor, other_views: Tensor | None = None) -> ViewFeatures | Tensor:  # type: ignore[override]
        """Maps two views [B, 1, H, W] of each picture to their features; both in one batch, for common batch statistics.

        Returns:
            :class:`ViewFeatures`; for one view alone its features [B, D].
        """
        if other_views is None:
            return super().forward(images)
        first, second = super().forward(torch.cat([images, other_views])).chunk(2)
        return ViewFeatures(first, second)


class MoCoNet(nn.Module):
    """Momentum contrast (MoCo v2, Chen et al. 2020, arXiv 2003.04297) with the averaged normalisation of EMAN.

    Keys come from a moving average of the query network, parameters and running statistics alike, which runs in evaluation
    mode (EMAN, Cai et al. 2021, arXiv 2101.08482). A key therefore tells nothing of the other pictures in its batch, and the
    batches need no shuffling over processes.

    The momentum at step t is min(momentum, t / (t + 10)): the first weights, which are noise, are soon forgotten. The
    default of .99 averages over about 100 steps, two epochs of 3,000 pictures in batches of 64; .999, made for a million
    pictures, would hold the keys twenty epochs back.

    All state, with queue, position and step, is in ``state_dict``. Call :meth:`step_completed` after each step of the optimiser.

    Args:
        backbone: a name of :func:`monai_pneumonia.networks.backbones.backbone_names`.
        projection_channels: D.
        queue_size: K, keys that serve as negatives.
        momentum: of the moving average, in [0, 1).
        in_channels: channels of the pictures.
        normalization: ``batch``, or ``group``, which never mixes the pictures of a batch.

    Raises:
        UsageError: unknown backbone or normalisation, a momentum outside [0, 1), or no slot in the queue.
    """

    queue: Tensor
    queue_patients: Tensor
    position: Tensor
    steps: Tensor

    def __init__(
        self,
        backbone: str = "resnet18",
        projection_channels: int = 128,
        queue_size: int = 1024,
        momentum: float = 0.99,
        in_channels: int = 1,
        normalization: str = "batch",
    ) -> None:
        super().__init__()
        if not 0 <= momentum < 1:
            raise UsageError(f"`momentum` must be at least 0 and below 1, got {momentum}")
        if queue_size < 1:
            raise UsageError(f"`queue_size` must be 1 or more, got {queue_size}")
        self.momentum = momentum
        self.query = ProjectedEncoder(backbone, projection_channels, in_channels, normalization)
        self.key = deepcopy(self.query).requires_grad_(False).eval()
        self.register_buffer("queue", torch.zeros(queue_size, projection_channels))
        self.register_buffer("queue_patients", torch.full((queue_size,), EMPTY_SLOT, dtype=torch.int64))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @property
    def encoder(self) -> nn.Module:
        """The backbone in training, what pre-training is for."""
        return self.query.encoder

    def train(self, mode: bool = True) -> MoCoNet:
        """Sets the mode of the query network; the momentum network stays in evaluation mode."""
        super().train(mode)
        self.key.eval()
        return self

    def forward(self, images: Tensor, other_views: Tensor | None = None) -> MomentumFeatures | Tensor:
        """Maps two views [B, 1, H, W] of each picture to queries and keys.

        Returns:
            :class:`MomentumFeatures`; for one view alone its features [B, D].
        """
        queries: Tensor = self.query(images)
        if other_views is None:
            return queries
        with torch.no_grad():
            keys = self.key(other_views)
        return MomentumFeatures(queries, keys, self.queue, self.queue_patients)

    @torch.no_grad()
    def step_completed(self, keys: Tensor, patients: Tensor) -> None:
        """Moves the momentum network after a step of the optimiser, and puts the step's keys into the queue.

        Args:
            keys: of all batches and all processes of that step, [N, D].
            patients: whose they are, [N], 0 or more.
        """
        self._move_average()
        self.enqueue(keys, patients)

    def _move_average(self) -> None:
        step = int(self.steps)
        momentum = min(self.momentum, step / (step + 10))
        averages = [value for value in self.key.state_dict().values() if value.is_floating_point()]
        currents = [value for value in self.query.state_dict().values() if value.is_floating_point()]
        torch._foreach_lerp_(averages, currents, 1.0 - momentum)
        for average, current in zip(self.key.buffers(), self.query.buffers(), strict=True):
            if not average.is_floating_point():
                average.copy_(current)
        self.steps += 1

    @torch.no_grad()
    def enqueue(self, keys: Tensor, patients: Tensor) -> None:
        """Puts keys [N, D] of patients [N] in the place of the oldest; of more than K the last K stay.

        Raises:
            ValueError: shapes do not fit.
        """
        if keys.ndim != 2 or keys.shape[1] != self.queue.shape[1] or patients.shape != keys.shape[:1]:
            raise ValueError(f"keys must be [N, {self.queue.shape[1]}] and patients [N], got {list(keys.shape)} and {list(patients.shape)}")
        size = len(self.queue)
        slots = (self.position + torch.arange(len(keys), device=self.queue.device)) % size
        self.queue[slots[-size:]] = keys[-size:].to(self.queue.dtype)
        self.queue_patients[slots[-size:]] = patients[-size:].to(self.queue_patients)
        self.position.copy_((self.position + len(keys)) % size)
