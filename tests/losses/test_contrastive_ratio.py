"""AECR-Net's ratio, bounded: its gradient stays finite as feature and negative meet."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from monai_pneumonia.losses import ContrastiveRatioLoss


def plain_distance(first: list[float], second: list[float]) -> float:
    """Mean absolute difference after scaling each to a root mean square of one."""
    scaled = [[value / math.sqrt(sum(v * v for v in row) / len(row)) for value in row] for row in (first, second)]
    return sum(abs(a - b) for a, b in zip(*scaled, strict=True)) / len(first)


def plain_loss(anchors: list[Tensor], positives: list[Tensor], negatives: list[Tensor], weights: list[float], bound: float) -> float:
    """The definition, picture by picture and level by level."""
    pictures = len(anchors[0])
    total = 0.0
    for index in range(pictures):
        for weight, *rows in zip(weights, anchors, positives, negatives, strict=True):
            anchor, positive, negative = (row[index].tolist() for row in rows)
            total += weight * plain_distance(anchor, positive) / (plain_distance(anchor, negative) + bound)
    return total / pictures


def random_levels(generator: torch.Generator, pictures: int, sizes: list[int]) -> list[Tensor]:
    return [torch.randn(pictures, size, generator=generator) + 0.1 for size in sizes]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    pictures=st.integers(1, 4),
    sizes=st.lists(st.integers(2, 9), min_size=1, max_size=3),
    bound=st.floats(0.01, 1),
    weighted=st.booleans(),
)
def test_equals_the_plain_definition(seed: int, pictures: int, sizes: list[int], bound: float, weighted: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    anchors, positives, negatives = (random_levels(generator, pictures, sizes) for _ in range(3))
    weights = torch.rand(len(sizes), generator=generator).tolist() if weighted else None
    value = ContrastiveRatioLoss(weights, bound)(anchors, positives, negatives)
    expected = plain_loss(anchors, positives, negatives, weights or [1 / len(sizes)] * len(sizes), bound)
    assert value.item() == pytest.approx(expected, rel=1e-4)


# (1, 0) and (0, 1), scaled by sqrt 2, differ by sqrt 2 in each place.
def test_closed_forms() -> None:
    first, second = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 0.2]])
    loss = ContrastiveRatioLoss(bound=0.1)
    assert loss([first], [first], [second]).item() == pytest.approx(0.0, abs=1e-6)
    assert loss([first], [second], [first]).item() == pytest.approx(math.sqrt(2) / 0.1, rel=1e-5)
    assert loss([first], [second], [second]).item() == pytest.approx(math.sqrt(2) / (math.sqrt(2) + 0.1), rel=1e-5)


def test_the_scale_of_features_does_not_matter() -> None:
    generator = torch.Generator().manual_seed(1)
    anchors, positives, negatives = (random_levels(generator, 3, [4, 6]) for _ in range(3))
    loss = ContrastiveRatioLoss()
    scaled = loss([level * 50 for level in anchors], [level * 0.01 for level in positives], negatives)
    torch.testing.assert_close(scaled, loss(anchors, positives, negatives), rtol=1e-4, atol=1e-6)


def gradient_norms(bound: float | None, gaps: list[float]) -> list[float]:
    """The gradient's norm as the feature comes near to its negative; without a bound the published formula."""
    generator = torch.Generator().manual_seed(2)
    negative, positive, direction = (torch.randn(1, 16, generator=generator, dtype=torch.float64) for _ in range(3))
    norms = []
    for gap in gaps:
        anchor = (negative + gap * direction).requires_grad_()
        if bound is None:
            scaled = [row / row.square().mean().sqrt() for row in (anchor, positive, negative)]
            value = (scaled[0] - scaled[1]).abs().mean() / (scaled[0] - scaled[2]).abs().mean()
        else:
            value = ContrastiveRatioLoss(bound=bound)([anchor], [positive], [negative])
        value.backward()
        assert anchor.grad is not None
        norms.append(float(anchor.grad.norm()))
    return norms


def test_the_gradient_stays_finite_as_the_distances_meet_and_without_a_bound_does_not() -> None:
    gaps = [1e-1, 1e-2, 1e-3, 1e-4]
    bound = 0.05
    unbounded, bounded = gradient_norms(None, gaps), gradient_norms(bound, gaps)
    # Each step nearer is ten times and more: the square of the distance is in the denominator.
    assert all(later > 50 * earlier for earlier, later in pairwise(unbounded))
    assert unbounded[-1] > 1e6
    # d is 2 at most, and the features are longer than 1, so that a distance's own gradient is below 1.
    assert max(bounded) < 2 / bound**2 + 1 / bound
    assert bounded[-1] == pytest.approx(bounded[-2], rel=0.05)


def test_at_the_meeting_itself_the_gradient_is_finite() -> None:
    negative = torch.randn(2, 8, generator=torch.Generator().manual_seed(3))
    anchor = negative.clone().requires_grad_()
    value = ContrastiveRatioLoss()([anchor], [torch.flip(negative, [1])], [negative])
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(anchor.grad).all()


def test_gradients_reach_the_anchors_alone() -> None:
    generator = torch.Generator().manual_seed(4)
    anchors, positives, negatives = ([level.requires_grad_() for level in random_levels(generator, 2, [5])] for _ in range(3))
    ContrastiveRatioLoss()(anchors, positives, negatives).backward()
    assert anchors[0].grad.abs().sum() > 0
    assert positives[0].grad is None
    assert negatives[0].grad is None


def test_features_of_zero_have_a_finite_gradient() -> None:
    anchor = torch.zeros(1, 4, requires_grad=True)
    ContrastiveRatioLoss()([anchor], [torch.rand(1, 4)], [torch.rand(1, 4)]).backward()
    assert torch.isfinite(anchor.grad).all()


@pytest.mark.parametrize(
    ("anchors", "positives", "negatives", "weights"),
    [
        ([(2, 4)], [(2, 5)], [(2, 4)], None),
        ([(2, 4)], [(2, 4)], [(3, 4)], None),
        ([(2, 4)], [(2, 4), (2, 4)], [(2, 4)], None),
        ([(2, 4)], [(2, 4)], [(2, 4)], [0.5, 0.5]),
        ([], [], [], None),
    ],
)
def test_wrong_shapes_raise(
    anchors: list[tuple[int, int]], positives: list[tuple[int, int]], negatives: list[tuple[int, int]], weights: list[float] | None
) -> None:
    levels = [[torch.ones(shape) for shape in shapes] for shapes in (anchors, positives, negatives)]
    with pytest.raises(ValueError, match=r"\[B, D\]"):
        ContrastiveRatioLoss(weights)(*levels)


@pytest.mark.parametrize("bound", [0.0, -0.1, float("nan")])
def test_a_bound_that_bounds_nothing_raises(bound: float) -> None:
    with pytest.raises(ValueError, match="bound"):
        ContrastiveRatioLoss(bound=bound)
