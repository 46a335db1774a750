"""The brightest spot of a map, and what a label says of it."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_pneumonia.losses.spot import brightest_spot, spot_loss


def plain_spot(cells: list[float], sharpness: float) -> float:
    """The log-mean-exp as it is written."""
    return math.log(sum(math.exp(sharpness * cell) for cell in cells) / len(cells)) / sharpness


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), size=st.integers(1, 6), scale=st.floats(0.1, 3), sharpness=st.floats(0.5, 8))
def test_the_spot_equals_the_plain_definition_and_lies_between_mean_and_maximum(
    seed: int, size: int, scale: float, sharpness: float
) -> None:
    logits = torch.randn(3, 1, size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale
    spots = brightest_spot(logits, sharpness)
    expected = [plain_spot(picture.flatten().tolist(), sharpness) for picture in logits]
    torch.testing.assert_close(spots, torch.tensor(expected, dtype=torch.float64))
    assert (spots <= logits.amax(dim=(1, 2, 3)) + 1e-9).all()
    assert (spots >= logits.mean(dim=(1, 2, 3)) - 1e-9).all()


def test_the_spot_goes_from_mean_to_maximum() -> None:
    logits = torch.randn(2, 1, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(brightest_spot(logits, 1e-5), logits.mean(dim=(1, 2, 3)), rtol=0, atol=1e-4)
    torch.testing.assert_close(brightest_spot(logits, 1e5), logits.amax(dim=(1, 2, 3)), rtol=0, atol=1e-3)


@pytest.mark.parametrize("level", [-3.0, 0.0, 2.0])
def test_an_even_map_is_its_own_spot(level: float) -> None:
    torch.testing.assert_close(brightest_spot(torch.full((1, 1, 7, 7), level)), torch.tensor([level]), rtol=1e-5, atol=1e-5)


# An even map of logit 0 is an even chance: log 2 either way.
def test_loss_closed_form() -> None:
    loss = spot_loss(torch.zeros(2, 1, 4, 4), torch.tensor([True, False]))
    torch.testing.assert_close(loss, torch.full((2,), math.log(2)))


@pytest.mark.parametrize("ill", [True, False])
def test_the_loss_is_the_cross_entropy_of_the_spot(ill: bool) -> None:
    logits = torch.randn(4, 1, 3, 3, generator=torch.Generator().manual_seed(2))
    chance = [1 / (1 + math.exp(-float(spot))) for spot in brightest_spot(logits)]
    expected = torch.tensor([-math.log(value if ill else 1 - value) for value in chance])
    torch.testing.assert_close(spot_loss(logits, torch.full((4,), ill)), expected)


def test_gradients_lift_most_what_is_bright_already_or_darken_it() -> None:
    logits = torch.zeros(2, 1, 3, 3)
    logits[:, 0, 1, 1] = 1.0
    logits.requires_grad_()
    spot_loss(logits, torch.tensor([True, False])).sum().backward()
    assert (logits.grad[0] < 0).all()
    assert (logits.grad[1] > 0).all()
    assert logits.grad.abs().flatten(1).argmax(dim=1).tolist() == [4, 4]


@pytest.mark.parametrize("extreme", [1e3, -1e3])
def test_extreme_logits_have_finite_values_and_gradients(extreme: float) -> None:
    logits = torch.full((2, 1, 3, 3), extreme, requires_grad=True)
    loss = spot_loss(logits, torch.tensor([True, False]))
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(logits.grad).all()


def test_wrong_shapes_raise() -> None:
    with pytest.raises(ValueError, match="size"):
        spot_loss(torch.zeros(2, 1, 4, 4), torch.ones(3))
