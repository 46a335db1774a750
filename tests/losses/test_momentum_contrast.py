"""MoCo's loss against slow loops and in its degenerate cases."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from monai_pneumonia.losses import MomentumContrastLoss, NTXentLoss
from monai_pneumonia.losses.momentum_contrast import EMPTY_SLOT
from monai_pneumonia.networks import contrastive


def _similarity(one: list[float], other: list[float], temperature: float) -> float:
    lengths = math.sqrt(sum(a * a for a in one)) * math.sqrt(sum(b * b for b in other))
    return sum(a * b for a, b in zip(one, other, strict=True)) / lengths / temperature


def _reference(queries: Tensor, keys: Tensor, queue: Tensor, owners: list[int], patients: list[int], temperature: float) -> list[float]:
    """The definition, one query and one candidate at a time."""
    losses = []
    for query, key, patient in zip(queries.double().tolist(), keys.double().tolist(), patients, strict=True):
        positive = _similarity(query, key, temperature)
        total = math.exp(positive)
        for past, owner in zip(queue.double().tolist(), owners, strict=True):
            if owner not in (EMPTY_SLOT, patient):
                total += math.exp(_similarity(query, past, temperature))
        losses.append(math.log(total) - positive)
    return losses


@settings(deadline=None, max_examples=40)
@given(
    patients=st.lists(st.integers(0, 4), min_size=1, max_size=6),
    owners=st.lists(st.integers(-1, 4), min_size=1, max_size=12),
    channels=st.integers(2, 9),
    temperature=st.sampled_from([0.07, 0.2, 1.0]),
    seed=st.integers(0, 1000),
)
def test_it_is_its_definition(patients: list[int], owners: list[int], channels: int, temperature: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    queries, keys = torch.randn(2, len(patients), channels, generator=generator)
    queue = torch.randn(len(owners), channels, generator=generator)
    expected = _reference(queries, keys, queue, owners, patients, temperature)
    loss = MomentumContrastLoss(temperature, reduction="none")
    losses = loss(queries, keys, queue, torch.tensor(owners), torch.tensor(patients))
    torch.testing.assert_close(losses, torch.tensor(expected), atol=2e-4, rtol=1e-4)


def test_the_mark_of_an_empty_slot_is_the_networks() -> None:
    """Losses and networks do not import each other."""
    assert EMPTY_SLOT == contrastive.EMPTY_SLOT == -1


def test_with_the_other_pictures_as_queue_it_is_nt_xent_of_one_direction() -> None:
    """Where the queue holds the other pictures' first and second views, a query sees NT-Xent's candidates."""
    first, second = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(1))
    expected = NTXentLoss(0.5, reduction="none")(first, second)[:4]
    queue, owners = torch.cat([first, second]), torch.arange(4).repeat(2)
    losses = MomentumContrastLoss(0.5, reduction="none")(first, second, queue, owners, torch.arange(4))
    torch.testing.assert_close(losses, expected)


def test_an_empty_queue_costs_nothing() -> None:
    queries = torch.randn(3, 8, generator=torch.Generator().manual_seed(2)).requires_grad_()
    loss = MomentumContrastLoss(0.1)(queries, torch.randn(3, 8), torch.zeros(5, 8), torch.full((5,), EMPTY_SLOT), torch.arange(3))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert queries.grad is not None
    torch.testing.assert_close(queries.grad, torch.zeros(3, 8), atol=1e-6, rtol=0)


def test_a_queue_of_the_same_patient_costs_nothing() -> None:
    queries, keys = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(3))
    codes = torch.full((3,), 4)
    assert float(MomentumContrastLoss(0.1)(queries, keys, torch.randn(6, 8), torch.full((6,), 4), codes)) == 0.0


def test_equal_features_cost_the_logarithm_of_the_number_of_candidates() -> None:
    alike = torch.ones(2, 4)
    owners = torch.tensor([EMPTY_SLOT, 0, 1, 1, 2])
    # Patient 0 meets its own key and those of 1, 1 and 2; patient 1 its own key and those of 0 and 2.
    losses = MomentumContrastLoss(0.1, reduction="none")(alike, alike, torch.ones(5, 4), owners, torch.tensor([0, 1]))
    torch.testing.assert_close(losses, torch.tensor([math.log(4), math.log(3)]))
    assert float(MomentumContrastLoss(0.1)(alike, alike, torch.ones(5, 4))) == pytest.approx(math.log(6))


def test_gradients_flow_to_the_queries_alone() -> None:
    parts = [torch.randn(4, 8, generator=torch.Generator().manual_seed(seed)).requires_grad_() for seed in range(3)]
    MomentumContrastLoss(0.1)(*parts).backward()
    assert parts[0].grad is not None
    assert parts[0].grad.abs().sum() > 0
    assert parts[1].grad is None
    assert parts[2].grad is None


def test_half_precision_at_a_small_temperature_stays_finite_and_close() -> None:
    generator = torch.Generator().manual_seed(4)
    queries, keys, queue = torch.randn(3, 16, 32, generator=generator).half()
    queries.requires_grad_()
    loss = MomentumContrastLoss(0.07)(queries, keys, queue)
    loss.backward()
    assert loss.dtype == torch.float32
    assert queries.grad is not None
    assert torch.isfinite(queries.grad).all()
    torch.testing.assert_close(loss.detach(), MomentumContrastLoss(0.07)(queries.detach().float(), keys.float(), queue.float()))


@pytest.mark.parametrize(
    ("shapes", "told"),
    [
        (((4, 8), (5, 8), (6, 8), (6,), (4,)), r"\[B, D\]"),
        (((4, 8), (4, 8), (6, 7), (6,), (4,)), "the queue must be"),
        (((4, 8), (4, 8), (6, 8), (5,), (4,)), "queue_patients must be"),
        (((4, 8), (4, 8), (6, 8), (6,), (3,)), "patients must be"),
        (((4, 8), (4, 8), (6, 8), None, (4,)), "no queue_patients"),
    ],
)
def test_wrong_shapes_raise(shapes: tuple, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        MomentumContrastLoss()(*(None if shape is None else torch.zeros(shape) for shape in shapes))


def test_the_temperature_must_be_above_zero() -> None:
    with pytest.raises(ValueError, match="temperature"):
        MomentumContrastLoss(-1.0)
