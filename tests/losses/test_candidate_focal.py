"""Sigmoid and focal loss over candidate sets; P = 1 - prod(1 - p_k) for the allowed classes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.losses import FocalLoss
from torch import Tensor
from torch.nn import functional

from monai_pneumonia.losses import CandidateFocalLoss

# Logits of zero are probabilities of one half.
# One of three allowed: log(2) for each class. Two of three: P = 1 - 1/4, so log(4/3) + log(2).
# gamma = 2: (1/2)^2 log(2) for each class; for the pair (1/4)^2 log(4/3) + (1/2)^2 log(2).
TEST_CASES = [
    pytest.param(0.0, [1, 0, 0], 3 * math.log(2), id="binary, one"),
    pytest.param(0.0, [1, 1, 0], math.log(4 / 3) + math.log(2), id="binary, two"),
    pytest.param(2.0, [1, 0, 0], 3 * math.log(2) / 4, id="focal, one"),
    pytest.param(2.0, [1, 1, 0], math.log(4 / 3) / 16 + math.log(2) / 4, id="focal, two"),
    pytest.param(2.0, [1, 1, 1], 0.0, id="no label"),
]


def plain_loss(logits: Tensor, candidates: Tensor, gamma: float, weights: Tensor | None) -> list[float]:
    """The definition, item by item, in Python floats."""
    losses = []
    for row, allowed in zip(logits.tolist(), candidates.tolist(), strict=True):
        probabilities = [1.0 / (1.0 + math.exp(-value)) for value in row]
        chosen = [channel for channel, flag in enumerate(allowed) if flag]
        if len(chosen) == len(row):
            losses.append(0.0)
            continue
        none_present = math.prod(1.0 - probabilities[channel] for channel in chosen)
        loss = -(none_present**gamma) * math.log(1.0 - none_present)
        for channel, probability in enumerate(probabilities):
            if channel not in chosen:
                loss -= probability**gamma * math.log(1.0 - probability)
        weight = 1.0 if weights is None else sum(float(weights[channel]) for channel in chosen) / len(chosen)
        losses.append(weight * loss)
    return losses


@pytest.mark.parametrize(("gamma", "candidates", "expected"), TEST_CASES)
def test_closed_form(gamma: float, candidates: list[int], expected: float) -> None:
    loss = CandidateFocalLoss(gamma)(torch.zeros(1, 3), torch.tensor([candidates]))
    assert loss.shape == ()
    assert loss.item() == pytest.approx(expected, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    items=st.integers(1, 6),
    classes=st.integers(2, 7),
    scale=st.floats(0.1, 4),
    gamma=st.floats(0, 4),
    weighted=st.booleans(),
)
def test_equals_the_plain_definition(seed: int, items: int, classes: int, scale: float, gamma: float, weighted: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = (torch.randn(items, classes, generator=generator) * scale).clamp(-15, 15)
    candidates = (torch.rand(items, classes, generator=generator) < 0.4).float()
    candidates[torch.arange(items), torch.randint(classes, (items,), generator=generator)] = 1.0
    weights = torch.rand(classes, generator=generator) + 0.1 if weighted else None
    losses = CandidateFocalLoss(gamma, weights, reduction="none")(logits, candidates)
    torch.testing.assert_close(losses, torch.tensor(plain_loss(logits, candidates, gamma, weights)), rtol=1e-4, atol=1e-5)


def test_gamma_zero_with_one_allowed_class_is_binary_cross_entropy() -> None:
    logits = torch.randn(16, 5) * 4
    candidates = functional.one_hot(torch.randint(5, (16,)), 5).float()
    expected = functional.binary_cross_entropy_with_logits(logits, candidates, reduction="none").sum(dim=1)
    torch.testing.assert_close(CandidateFocalLoss(0.0, reduction="none")(logits, candidates), expected)
    torch.testing.assert_close(CandidateFocalLoss(0.0)(logits, candidates), expected.mean())
    torch.testing.assert_close(CandidateFocalLoss(0.0, reduction="sum")(logits, candidates), expected.sum())


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_one_allowed_class_is_monais_focal_loss(gamma: float) -> None:
    logits = torch.randn(16, 5) * 3
    candidates = functional.one_hot(torch.randint(5, (16,)), 5).float()
    expected = FocalLoss(gamma=gamma, reduction="none")(logits, candidates).sum(dim=1)
    torch.testing.assert_close(CandidateFocalLoss(gamma, reduction="none")(logits, candidates), expected)


def test_order_of_the_classes_does_not_matter() -> None:
    logits = torch.randn(8, 5) * 5
    candidates = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0]).expand(8, 5)
    order = torch.tensor([4, 2, 0, 1, 3])
    loss = CandidateFocalLoss(1.5, reduction="none")
    torch.testing.assert_close(loss(logits[:, order], candidates[:, order]), loss(logits, candidates))


def test_an_unlabelled_item_costs_nothing_and_teaches_nothing() -> None:
    logits = torch.tensor([[3.0, -2.0, 0.5], [100.0, -100.0, 0.0]], requires_grad=True)
    loss = CandidateFocalLoss(2.0, torch.tensor([1.0, 5.0, 2.0]), "sum")(logits, torch.ones(2, 3))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(logits.grad, torch.zeros(2, 3))


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("candidates", [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
@pytest.mark.parametrize("signs", [[1, -1, -1, -1], [-1, 1, 1, 1], [-1, -1, -1, -1], [1, 1, 1, 1]])
def test_extreme_logits_have_finite_values_and_gradients(signs: list[int], candidates: list[float], gamma: float) -> None:
    logits = (torch.tensor([signs]) * 100.0).requires_grad_()
    loss = CandidateFocalLoss(gamma)(logits, torch.tensor([candidates]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize(("candidates", "expected"), [([0.0, 1.0, 0.0], [0, -1, 0]), ([0.0, 1.0, 1.0], [0, -0.5, -0.5])])
def test_a_wrong_and_certain_answer_still_teaches(candidates: list[float], expected: list[float], gamma: float) -> None:
    # P = sum of p_k where all vanish, so -log P falls by one when their logits rise by one together.
    logits = torch.full((1, 3), -100.0, requires_grad=True)
    loss = CandidateFocalLoss(gamma)(logits, torch.tensor([candidates]))
    loss.backward()
    assert loss.item() == pytest.approx(100.0 - math.log(sum(candidates)), abs=1e-4)
    torch.testing.assert_close(logits.grad, torch.tensor([expected], dtype=torch.float32))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_summed_in_single_precision(kind: torch.dtype) -> None:
    logits = (torch.randn(8, 4) * 30).to(kind)
    candidates = functional.one_hot(torch.randint(4, (8,)), 4)
    loss = CandidateFocalLoss(2.0)(logits, candidates)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, CandidateFocalLoss(2.0)(logits.float(), candidates.float()))


@pytest.mark.parametrize("shapes", [((4,), (4,)), ((2, 4), (2, 3)), ((2, 4), (3, 4)), ((2, 4, 1), (2, 4, 1))])
def test_wrong_shapes_raise(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match=r"\[B, C\]"):
        CandidateFocalLoss()(torch.zeros(shapes[0]), torch.ones(shapes[1]))


def test_an_item_that_allows_nothing_raises() -> None:
    with pytest.raises(ValueError, match="allows no class"):
        CandidateFocalLoss()(torch.zeros(2, 3), torch.tensor([[1.0, 0, 0], [0, 0, 0]]))


def test_a_negative_gamma_raises() -> None:
    with pytest.raises(ValueError, match="gamma"):
        CandidateFocalLoss(-0.1)
