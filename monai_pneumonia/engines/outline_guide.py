"""OutlineGuide: hands a training batch to the network, with outlines as its gate while they are to guide it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from monai_pneumonia.engines.lesion_trainer import prepare_lesion_batch
from monai_pneumonia.losses import LesionTarget
from monai_pneumonia.networks import Guidance
from monai_pneumonia.transforms.outline import OutlineKind

PreparedBatch = tuple[Tensor, LesionTarget, tuple[()], dict[str, Any]]


class OutlineGuide:
    """Prepares batches for a training that knows outlines: a ``prepare_batch`` of MONAI's trainer.

    The gate of an outlined picture is G = r M + (1 - r) A, and r falls from 1 to 0 linearly over the first part of the
    training: it ends as inference works. A share of the pictures without an outline is gated by that of another picture
    of the batch, so that having been gated predicts little: outlines come from some hospitals alone, and with them the
    class. With a share of 1 it predicts nothing, but then the class teaches the map nothing either while r is 1.

    Args:
        guided: whether outlines gate at all.
        until: share of the training after which r is zero.
        decoy_share: share of the pictures without outline that are gated by another's, in [0, 1].
        shuffled: every outline goes to another outlined picture of the batch, and that a picture was read and found empty
            is forgotten: a control, in which what outlines teach about this picture must vanish; where lesions lie on the
            whole, and so where lungs are, they still teach. A picture alone with its outline loses it.

    Raises:
        ValueError: a share is out of range.
    """

    def __init__(self, guided: bool = False, until: float = 0.5, decoy_share: float = 0.5, shuffled: bool = False) -> None:
        if not 0 < until <= 1 or not 0 <= decoy_share <= 1:
            raise ValueError(f"until must lie in (0, 1] and decoy_share in [0, 1], got {until} and {decoy_share}")
        self.guided = guided
        self.until = until
        self.decoy_share = decoy_share
        self.shuffled = shuffled
        self.outline_share = 1.0 if guided else 0.0

    def set_progress(self, progress: float) -> None:
        """States how much of the training is done, 0 to 1."""
        self.outline_share = max(0.0, 1.0 - progress / self.until) if self.guided else 0.0

    def __call__(
        self, batchdata: dict[str, Any], device: torch.device | str | None = None, non_blocking: bool = False, **kwargs: Any
    ) -> PreparedBatch:
        """Takes a batch apart.

        Returns:
            images [B, 1, S, S], the :class:`LesionTarget`, no further arguments, and the network's keyword ``guidance``.
        """
        images, candidates = prepare_lesion_batch(batchdata, device, non_blocking, **kwargs)
        if "outline" in batchdata:
            options: dict[str, Any] = {"device": device, "non_blocking": non_blocking}
            outline = torch.as_tensor(batchdata["outline"]).as_subclass(torch.Tensor).to(**options)
            kind = torch.as_tensor(batchdata["outline_kind"]).as_subclass(torch.Tensor).to(**options)
        else:
            outline = torch.zeros_like(images)
            kind = torch.full((len(images),), int(OutlineKind.UNKNOWN), device=images.device)
        target = LesionTarget(candidates, images, outline, kind)
        if self.shuffled:
            target = shuffle_outlines(target)
        return images, target, (), {"guidance": self._guidance(target)} if self.outline_share > 0 else {}

    def _guidance(self, target: LesionTarget) -> Guidance | None:
        outlined = target.has_outline
        if not bool(outlined.any()):
            return None
        # Drawn on the CPU, from torch's generator: the trainer seeds it by the epoch.
        chance, other = torch.rand(len(outlined)), torch.randint(int(outlined.sum()), (len(outlined),))
        decoyed = ~outlined & (chance < self.decoy_share).to(outlined.device)
        donors = outlined.nonzero()[:, 0][other.to(outlined.device)]
        own = torch.arange(len(outlined), device=outlined.device)
        outline = target.outline[torch.where(decoyed, donors, own)]
        share = (outlined | decoyed).to(outline.dtype) * self.outline_share
        return Guidance(outline, share.view(-1, 1, 1, 1))


def shuffle_outlines(target: LesionTarget) -> LesionTarget:
    """Gives every outline, with its kind, to the next outlined picture of the batch; a single one is lost, and so is what is empty."""
    places = target.has_outline.nonzero()[:, 0]
    outline, kind = target.outline.clone(), target.kind.clone()
    kind[kind == int(OutlineKind.EMPTY)] = int(OutlineKind.UNKNOWN)
    if len(places) == 1:
        outline[places], kind[places] = 0.0, int(OutlineKind.UNKNOWN)
    else:
        outline[places], kind[places] = target.outline[places.roll(1)], target.kind[places.roll(1)]
    return target._replace(outline=outline, kind=kind)
