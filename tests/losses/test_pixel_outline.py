"""Binary cross-entropy plus Dice of an attention map and an outline."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_pneumonia.losses.pixel_outline import pixel_outline_loss


def plain_loss(logits: list[float], outline: list[float]) -> float:
    """The definition over the cells of one picture; Dice is smoothed by 1e-5, as MONAI's, soft labels by |p| + |y| - |p - y|."""
    attention = [1.0 / (1.0 + math.exp(-value)) for value in logits]
    cells = [-y * math.log(p) - (1 - y) * math.log(1 - p) for p, y in zip(attention, outline, strict=True)]
    common = sum(p + y - abs(p - y) for p, y in zip(attention, outline, strict=True)) / 2
    dice = 1 - (2 * common + 1e-5) / (sum(attention) + sum(outline) + 1e-5)
    return sum(cells) / len(cells) + dice


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    pictures=st.integers(1, 4),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    scale=st.floats(0.1, 4),
    soft=st.booleans(),
)
def test_equals_the_plain_definition(seed: int, pictures: int, height: int, width: int, scale: float, soft: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(pictures, 1, height, width, generator=generator, dtype=torch.float64).clamp(-4, 4) * scale
    outline = torch.rand(pictures, 1, height, width, generator=generator, dtype=torch.float64)
    outline = outline if soft else outline.round()
    expected = [plain_loss(row.flatten().tolist(), drawn.flatten().tolist()) for row, drawn in zip(logits, outline, strict=True)]
    torch.testing.assert_close(pixel_outline_loss(logits, outline), torch.tensor(expected, dtype=torch.float64), rtol=1e-5, atol=1e-6)


# Attention 1/2 everywhere, one cell of four outlined: log 2, and 1 - 2 (1/2) / (2 + 1) = 2/3.
def test_closed_form() -> None:
    outline = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    assert pixel_outline_loss(torch.zeros(1, 1, 2, 2), outline).tolist() == pytest.approx([math.log(2) + 2 / 3], abs=1e-5)


def test_the_outline_itself_costs_nothing_and_its_opposite_much() -> None:
    outline = torch.zeros(1, 1, 8, 8)
    outline[..., 2:5, 3:6] = 1.0
    perfect = (outline * 2 - 1) * 40
    assert pixel_outline_loss(perfect, outline).item() == pytest.approx(0.0, abs=1e-5)
    assert pixel_outline_loss(-perfect, outline).item() > 10


def test_gradients_lift_the_lesion_darken_the_rest_and_stay_in_their_picture() -> None:
    outline = torch.zeros(2, 1, 4, 4)
    outline[0, 0, 1, 1] = 1.0
    logits = torch.zeros(2, 1, 4, 4, requires_grad=True)
    pixel_outline_loss(logits, outline)[0].backward()
    assert logits.grad[0, 0, 1, 1] < 0
    assert (logits.grad[0, 0][outline[0, 0] == 0] > 0).all()
    assert torch.equal(logits.grad[1], torch.zeros(1, 4, 4))


@pytest.mark.parametrize("extreme", [1e3, -1e3])
def test_extreme_logits_have_finite_values_and_gradients(extreme: float) -> None:
    logits = torch.full((1, 1, 3, 3), extreme, requires_grad=True)
    loss = pixel_outline_loss(logits, torch.eye(3).view(1, 1, 3, 3))
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("shape", [(2, 1, 4, 5), (2, 2, 4, 4), (1, 1, 4, 4)])
def test_wrong_shapes_raise(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="size"):
        pixel_outline_loss(torch.zeros(2, 1, 4, 4), torch.zeros(shape))
