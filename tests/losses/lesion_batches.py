"""Small batches with outlines, for tests of the losses that read them."""

from __future__ import annotations

import torch
from torch import Tensor

from monai_pneumonia.losses import LesionTarget
from monai_pneumonia.transforms.outline import OutlineKind

LABELS = {"normal": [1, 0, 0, 0], "viral": [0, 0, 1, 0], "pneumonia": [0, 1, 1, 1], "open": [1, 1, 1, 1]}


def lesion_target(*pictures: tuple[str, OutlineKind, Tensor | None], size: int = 16) -> LesionTarget:
    """A target of (label, kind, outline [size, size]) triples."""
    candidates = torch.tensor([LABELS[label] for label, _, _ in pictures], dtype=torch.float32)
    outline = torch.stack([torch.zeros(1, size, size) if drawn is None else drawn.view(1, size, size) for _, _, drawn in pictures])
    images = torch.rand(len(pictures), 1, size, size, generator=torch.Generator().manual_seed(0))
    return LesionTarget(candidates, images, outline, torch.tensor([int(kind) for _, kind, _ in pictures]))


def rectangle(rows: slice, columns: slice, size: int = 16) -> Tensor:
    outline = torch.zeros(size, size)
    outline[rows, columns] = 1.0
    return outline
