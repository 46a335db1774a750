"""Each picture is trained by what is known of it, and by nothing else."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lesion_batches import LABELS, lesion_target, rectangle
from torch import Tensor
from torch.nn import functional

from monai_pneumonia.losses import AttentionSupervisionLoss, LesionTarget
from monai_pneumonia.losses.box_outline import box_outline_loss
from monai_pneumonia.losses.pixel_outline import pixel_outline_loss
from monai_pneumonia.losses.spot import spot_loss
from monai_pneumonia.transforms.outline import OutlineKind

SPOT = rectangle(slice(3, 7), slice(2, 9))
WEIGHT = 0.3
LOSS = AttentionSupervisionLoss(unoutlined_weight=WEIGHT)


def map_logits(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 1, 4, 4, generator=torch.Generator().manual_seed(seed))


def plain_loss(logits: Tensor, target: LesionTarget, weight: float) -> float:
    """One picture after the other; a cell of the map is four by four pixels of the outline."""
    total = 0.0
    for index, kind in enumerate(target.kind.tolist()):
        row = logits[index : index + 1]
        cells = torch.tensor([[target.outline[index, 0, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4].mean() for x in range(4)] for y in range(4)])
        allowed = [channel for channel, flag in enumerate(target.candidates[index].tolist()) if flag]
        if kind == OutlineKind.EMPTY:
            total += float(torch.log1p(row.exp()).mean())
        elif kind == OutlineKind.UNKNOWN:
            if allowed == [0] or 0 not in allowed:
                total += weight * float(spot_loss(row, torch.tensor([allowed != [0]])))
        elif cells.sum() > 0:
            part = pixel_outline_loss if kind == OutlineKind.PIXEL else box_outline_loss
            total += float(part(row, cells.view(1, 1, 4, 4)))
    return total / len(target.kind)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    pictures=st.lists(
        st.tuples(st.sampled_from(list(LABELS)), st.sampled_from(list(OutlineKind)), st.booleans()),
        min_size=1,
        max_size=5,
    ),
    weight=st.floats(0, 2),
)
def test_equals_the_plain_definition(seed: int, pictures: list[tuple[str, OutlineKind, bool]], weight: float) -> None:
    drawn = (OutlineKind.PIXEL, OutlineKind.BOX)
    target = lesion_target(*((label, kind, SPOT if full and kind in drawn else None) for label, kind, full in pictures))
    logits = map_logits(len(pictures), seed)
    value = AttentionSupervisionLoss(unoutlined_weight=weight)(logits, target)
    assert value.shape == ()
    assert value.item() == pytest.approx(plain_loss(logits, target, weight), abs=1e-5)


def gradient(logits: Tensor, target: LesionTarget, loss: AttentionSupervisionLoss = LOSS) -> Tensor:
    logits = logits.clone().requires_grad_()
    loss(logits, target).backward()
    assert logits.grad is not None
    return logits.grad


def test_what_nobody_read_and_nobody_labelled_teaches_exactly_nothing() -> None:
    target = lesion_target(("open", OutlineKind.UNKNOWN, None), ("viral", OutlineKind.PIXEL, SPOT))
    found = gradient(map_logits(2), target)
    assert torch.equal(found[0], torch.zeros(1, 4, 4))
    assert found[1].abs().sum() > 0


@pytest.mark.parametrize("label", ["viral", "pneumonia", "normal"])
def test_a_weight_of_zero_leaves_what_nobody_outlined_to_itself(label: str) -> None:
    target = lesion_target((label, OutlineKind.UNKNOWN, None))
    assert torch.equal(gradient(map_logits(1), target, AttentionSupervisionLoss(unoutlined_weight=0.0)), torch.zeros(1, 1, 4, 4))
    assert gradient(map_logits(1), target).abs().sum() > 0


@pytest.mark.parametrize("label", ["normal", "viral", "open"])
def test_what_was_read_and_found_empty_darkens_everywhere_whatever_its_label(label: str) -> None:
    logits = map_logits(1)
    found = gradient(logits, lesion_target((label, OutlineKind.EMPTY, None)))
    torch.testing.assert_close(found, logits.sigmoid() / 16)


@pytest.mark.parametrize(("label", "sign"), [("viral", -1), ("pneumonia", -1), ("normal", 1)])
def test_labels_alone_light_some_spot_or_none(label: str, sign: int) -> None:
    found = gradient(map_logits(1), lesion_target((label, OutlineKind.UNKNOWN, None)))
    assert (found * sign > 0).all()


def test_a_drawn_outline_that_is_empty_teaches_nothing() -> None:
    # An augmentation may have moved the lesion out of the picture; what is left of it says nothing of the label.
    target = lesion_target(("viral", OutlineKind.PIXEL, None), ("viral", OutlineKind.BOX, None))
    assert torch.equal(gradient(map_logits(2), target), torch.zeros(2, 1, 4, 4))


@pytest.mark.parametrize("kind", [OutlineKind.PIXEL, OutlineKind.BOX])
def test_the_label_of_an_outlined_picture_does_not_matter(kind: OutlineKind) -> None:
    values = {LOSS(map_logits(1), lesion_target((label, kind, SPOT))).item() for label in LABELS}
    assert len(values) == 1


def test_half_precision_maps_are_compared_in_single_precision() -> None:
    target = lesion_target(("viral", OutlineKind.PIXEL, SPOT), ("viral", OutlineKind.BOX, SPOT), ("normal", OutlineKind.EMPTY, None))
    logits = (map_logits(3) * 5).half()
    value = LOSS(logits, target)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, LOSS(logits.float(), target))


@pytest.mark.parametrize("extreme", [1e4, -1e4])
def test_extreme_maps_have_finite_gradients_in_every_case(extreme: float) -> None:
    kinds = [("viral", kind, SPOT if kind > OutlineKind.EMPTY else None) for kind in OutlineKind]
    target = lesion_target(*kinds, ("open", OutlineKind.UNKNOWN, None))
    assert torch.isfinite(gradient(torch.full((5, 1, 4, 4), extreme), target)).all()


def test_a_map_of_another_grid_averages_the_outline_over_its_cells() -> None:
    target = lesion_target(("viral", OutlineKind.PIXEL, SPOT))
    logits = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(3))
    cells = functional.avg_pool2d(target.outline, 2)
    torch.testing.assert_close(LOSS(logits, target), pixel_outline_loss(logits, cells).mean())


def test_a_map_and_a_target_of_other_batches_raise() -> None:
    with pytest.raises((ValueError, RuntimeError), match="size"):
        LOSS(map_logits(3), lesion_target(("viral", OutlineKind.PIXEL, SPOT), ("normal", OutlineKind.EMPTY, None)))


def test_a_negative_weight_raises() -> None:
    with pytest.raises(ValueError, match="unoutlined_weight"):
        AttentionSupervisionLoss(unoutlined_weight=-0.1)
