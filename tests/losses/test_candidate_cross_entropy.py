"""-w log(sum of the allowed classes' softmax probabilities)."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from monai_pneumonia.losses import CandidateCrossEntropyLoss

# log(4): four classes alike, one allowed. log(4 / 3): three of them allowed. log(1) = 0: all allowed.
# Logits log(1), log(2), log(3), log(4) have probabilities .1, .2, .3, .4.
COUNTED = [math.log(1), math.log(2), math.log(3), math.log(4)]
TEST_CASES = [
    pytest.param([0.0] * 4, [1, 0, 0, 0], math.log(4), id="one of four alike"),
    pytest.param([0.0] * 4, [0, 1, 1, 1], math.log(4 / 3), id="three of four alike"),
    pytest.param(COUNTED, [0, 0, 1, 0], -math.log(0.3), id="one"),
    pytest.param(COUNTED, [0, 1, 1, 1], -math.log(0.9), id="group"),
    pytest.param(COUNTED, [1, 1, 1, 1], 0.0, id="no label"),
]


def plain_loss(logits: Tensor, candidates: Tensor, weights: Tensor | None) -> list[float]:
    """The definition, item by item, in Python floats."""
    losses = []
    for row, allowed in zip(logits.tolist(), candidates.tolist(), strict=True):
        exponentials = [math.exp(value - max(row)) for value in row]
        chosen = [channel for channel, flag in enumerate(allowed) if flag]
        probability = sum(exponentials[channel] for channel in chosen) / sum(exponentials)
        weight = 1.0 if weights is None else sum(float(weights[channel]) for channel in chosen) / len(chosen)
        losses.append(-weight * math.log(probability))
    return losses


def random_candidates(generator: torch.Generator, items: int, classes: int) -> Tensor:
    candidates = (torch.rand(items, classes, generator=generator) < 0.4).float()
    candidates[torch.arange(items), torch.randint(classes, (items,), generator=generator)] = 1.0
    return candidates


@pytest.mark.parametrize(("logits", "candidates", "expected"), TEST_CASES)
def test_closed_form(logits: list[float], candidates: list[int], expected: float) -> None:
    loss = CandidateCrossEntropyLoss()(torch.tensor([logits]), torch.tensor([candidates]))
    assert loss.shape == ()
    assert loss.item() == pytest.approx(expected, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), items=st.integers(1, 6), classes=st.integers(1, 7), scale=st.floats(0.1, 20), weighted=st.booleans())
def test_equals_the_plain_definition(seed: int, items: int, classes: int, scale: float, weighted: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(items, classes, generator=generator) * scale
    candidates = random_candidates(generator, items, classes)
    weights = torch.rand(classes, generator=generator) + 0.1 if weighted else None
    losses = CandidateCrossEntropyLoss(weights, reduction="none")(logits, candidates)
    torch.testing.assert_close(losses, torch.tensor(plain_loss(logits, candidates, weights)), rtol=1e-4, atol=1e-5)


def test_one_allowed_class_is_cross_entropy() -> None:
    logits, labels = torch.randn(16, 5), torch.randint(5, (16,))
    weights = torch.rand(5)
    candidates = functional.one_hot(labels, 5).float()
    expected = functional.cross_entropy(logits, labels, weights, reduction="none")
    torch.testing.assert_close(CandidateCrossEntropyLoss(weights, "none")(logits, candidates), expected)
    torch.testing.assert_close(CandidateCrossEntropyLoss(weights, "sum")(logits, candidates), expected.sum())
    # The mean is over items, not over weights: a rare class keeps its weight whatever else is in the batch.
    torch.testing.assert_close(CandidateCrossEntropyLoss(weights)(logits, candidates), expected.mean())


def test_an_unlabelled_item_costs_nothing_and_teaches_nothing() -> None:
    logits = torch.tensor([[3.0, -2.0, 0.5], [100.0, -100.0, 0.0]], requires_grad=True)
    loss = CandidateCrossEntropyLoss(torch.tensor([1.0, 5.0, 2.0]), "sum")(logits, torch.ones(2, 3))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(logits.grad, torch.zeros(2, 3))


@pytest.mark.parametrize("candidates", [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
@pytest.mark.parametrize("signs", [[1, -1, -1, -1], [-1, 1, 1, 1], [-1, -1, -1, -1], [1, 1, 1, 1]])
def test_extreme_logits_have_finite_values_and_gradients(signs: list[int], candidates: list[float]) -> None:
    logits = (torch.tensor([signs]) * 100.0).requires_grad_()
    loss = CandidateCrossEntropyLoss()(logits, torch.tensor([candidates]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_a_wrong_and_certain_answer_still_teaches() -> None:
    logits = torch.tensor([[100.0, -100.0, -100.0]], requires_grad=True)
    CandidateCrossEntropyLoss()(logits, torch.tensor([[0.0, 1.0, 1.0]])).backward()
    torch.testing.assert_close(logits.grad, torch.tensor([[1.0, -0.5, -0.5]]))


def test_gradient_agrees_with_finite_differences() -> None:
    candidates = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    weights = torch.tensor([0.5, 1.0, 2.0])
    logits = torch.tensor([[0.3, -0.2, 0.9], [1.1, 0.4, -0.7]], requires_grad=True)
    loss = CandidateCrossEntropyLoss(weights, "sum")
    (gradient,) = torch.autograd.grad(loss(logits, candidates), logits)
    step = 1e-3
    for item in range(2):
        for channel in range(3):
            moved = logits.detach().clone()
            moved[item, channel] += step
            higher = sum(plain_loss(moved.double(), candidates, weights))
            moved[item, channel] -= 2 * step
            lower = sum(plain_loss(moved.double(), candidates, weights))
            assert gradient[item, channel].item() == pytest.approx((higher - lower) / (2 * step), abs=1e-3)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_summed_in_single_precision(kind: torch.dtype) -> None:
    logits = (torch.randn(8, 4) * 30).to(kind)
    candidates = functional.one_hot(torch.randint(4, (8,)), 4)
    loss = CandidateCrossEntropyLoss()(logits, candidates)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, CandidateCrossEntropyLoss()(logits.float(), candidates.float()))


@pytest.mark.parametrize("shapes", [((4,), (4,)), ((2, 4), (2, 3)), ((2, 4), (3, 4)), ((2, 4, 1), (2, 4, 1))])
def test_wrong_shapes_raise(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match=r"\[B, C\]"):
        CandidateCrossEntropyLoss()(torch.zeros(shapes[0]), torch.ones(shapes[1]))


def test_an_item_that_allows_nothing_raises() -> None:
    with pytest.raises(ValueError, match="allows no class"):
        CandidateCrossEntropyLoss()(torch.zeros(2, 3), torch.tensor([[1.0, 0, 0], [0, 0, 0]]))


def test_class_weights_move_with_the_module_and_stay_out_of_the_way_without() -> None:
    assert "class_weights" in CandidateCrossEntropyLoss(torch.ones(3)).state_dict()
    assert not CandidateCrossEntropyLoss().state_dict()
