"""NT-Xent against slow loops, against MONAI's loss, and in its degenerate cases."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.losses import ContrastiveLoss
from torch import Tensor

from monai_pneumonia.losses import NTXentLoss


def _reference(first: Tensor, second: Tensor, patients: list[int], temperature: float) -> list[float]:
    """The definition, one view and one candidate at a time."""
    views = [*first.double().tolist(), *second.double().tolist()]
    pictures = len(first)

    def similarity(i: int, k: int) -> float:
        dot = sum(a * b for a, b in zip(views[i], views[k], strict=True))
        lengths = math.sqrt(sum(a * a for a in views[i])) * math.sqrt(sum(b * b for b in views[k]))
        return dot / lengths / temperature

    losses = []
    for i in range(2 * pictures):
        partner = (i + pictures) % (2 * pictures)
        others = [k for k in range(2 * pictures) if patients[k % pictures] != patients[i % pictures]]
        total = sum(math.exp(similarity(i, k)) for k in [partner, *others])
        losses.append(math.log(total) - similarity(i, partner))
    return losses


@settings(deadline=None, max_examples=40)
@given(
    patients=st.lists(st.integers(0, 3), min_size=1, max_size=7),
    channels=st.integers(2, 9),
    temperature=st.sampled_from([0.07, 0.1, 0.5, 1.0]),
    seed=st.integers(0, 1000),
)
def test_it_is_its_definition(patients: list[int], channels: int, temperature: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    first, second = torch.randn(2, len(patients), channels, generator=generator)
    expected = _reference(first, second, patients, temperature)
    codes = torch.tensor(patients)
    losses = NTXentLoss(temperature, reduction="none")(first, second, codes)
    torch.testing.assert_close(losses, torch.tensor(expected), atol=2e-4, rtol=1e-4)
    assert float(NTXentLoss(temperature)(first, second, codes)) == pytest.approx(sum(expected) / len(expected), abs=2e-4)


def test_without_patients_it_is_monais_loss() -> None:
    first, second = torch.randn(2, 6, 16, generator=torch.Generator().manual_seed(1))
    expected = ContrastiveLoss(temperature=0.5)(first, second)
    torch.testing.assert_close(NTXentLoss(0.5)(first, second), expected)
    torch.testing.assert_close(NTXentLoss(0.5)(first, second, torch.arange(6)), expected)


def test_pictures_of_one_patient_do_not_push_each_other_apart() -> None:
    features = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(2)).requires_grad_()
    # The first two pictures are of one patient: the loss of the first may not depend on the second.
    NTXentLoss(0.1, reduction="none")(features[0], features[1], torch.tensor([0, 0, 1]))[0].backward()
    assert features.grad is not None
    assert torch.equal(features.grad[:, 1], torch.zeros(2, 8))
    assert features.grad[:, 2].abs().sum() > 0


@pytest.mark.parametrize("pictures", [1, 5])
def test_one_patient_alone_costs_nothing(pictures: int) -> None:
    features = torch.randn(2, pictures, 4, generator=torch.Generator().manual_seed(3)).requires_grad_()
    loss = NTXentLoss(0.1)(features[0], features[1], torch.zeros(pictures, dtype=torch.int64))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert features.grad is not None
    torch.testing.assert_close(features.grad, torch.zeros_like(features), atol=1e-6, rtol=0)


def test_equal_features_cost_the_logarithm_of_the_number_of_candidates() -> None:
    alike = torch.ones(5, 4)
    assert float(NTXentLoss(0.1)(alike, alike)) == pytest.approx(math.log(9))
    # Two pictures of each of two patients and one of a third: 1 + 6 candidates for four pictures' views, 1 + 8 for the last one's.
    codes = torch.tensor([0, 0, 1, 1, 2])
    assert float(NTXentLoss(0.1)(alike, alike, codes)) == pytest.approx((8 * math.log(7) + 2 * math.log(9)) / 10)


def test_half_precision_at_a_small_temperature_stays_finite_and_close() -> None:
    generator = torch.Generator().manual_seed(4)
    features = torch.randn(2, 16, 32, generator=generator).half().requires_grad_()
    loss = NTXentLoss(0.07)(features[0], features[1])
    loss.backward()
    assert loss.dtype == torch.float32
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()
    assert features.grad.abs().sum() > 0
    single = NTXentLoss(0.07)(features[0].detach().float(), features[1].detach().float())
    torch.testing.assert_close(loss.detach(), single)


def test_autocast_does_not_reach_the_matrix_product() -> None:
    features = torch.randn(2, 8, 16, generator=torch.Generator().manual_seed(5))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = NTXentLoss(0.07)(features[0], features[1])
    assert torch.equal(loss, NTXentLoss(0.07)(features[0], features[1]))


@pytest.mark.parametrize(
    ("first", "second", "patients"),
    [((4, 8), (5, 8), None), ((4,), (4,), None), ((4, 8), (4, 8), (5,)), ((0, 8), (0, 8), None), ((4, 8, 1), (4, 8, 1), None)],
)
def test_wrong_shapes_raise(first: tuple, second: tuple, patients: tuple | None) -> None:
    with pytest.raises(ValueError, match=r"\[B"):
        NTXentLoss()(torch.zeros(first), torch.zeros(second), None if patients is None else torch.zeros(patients))


def test_the_temperature_must_be_above_zero() -> None:
    with pytest.raises(ValueError, match="temperature"):
        NTXentLoss(0.0)
