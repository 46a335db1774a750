"""(1 - beta) / (1 - beta^n), scaled to a mean of one."""

from __future__ import annotations

import pytest
import torch

from monai_pneumonia.errors import UsageError
from monai_pneumonia.losses import class_balanced_weights


def plain_weights(counts: list[int], beta: float) -> list[float]:
    """The inverse of the effective number 1 + beta + ... + beta^(n - 1), summed term by term."""
    inverse = [1.0 / sum(beta**power for power in range(count)) for count in counts]
    return [value * len(counts) / sum(inverse) for value in inverse]


# beta = 1/2: effective numbers 1, 1.5 and 1.75; inverses 1, 2/3 and 4/7, whose mean is 47/63.
def test_closed_form() -> None:
    expected = torch.tensor([63 / 47, 42 / 47, 36 / 47])
    torch.testing.assert_close(class_balanced_weights([1, 2, 3], 0.5), expected)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999])
@pytest.mark.parametrize("counts", [[1, 1], [5, 50, 500], [1217, 1795, 987, 187], [3, 2000]])
def test_equals_the_plain_sum(counts: list[int], beta: float) -> None:
    weights = class_balanced_weights(counts, beta)
    torch.testing.assert_close(weights, torch.tensor(plain_weights(counts, beta)), rtol=1e-5, atol=1e-6)
    assert weights.mean().item() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("beta", [0.0, 0.9, 0.9999])
def test_equal_counts_weigh_one(beta: float) -> None:
    torch.testing.assert_close(class_balanced_weights([37] * 4, beta), torch.ones(4))


def test_beta_zero_weighs_all_alike() -> None:
    torch.testing.assert_close(class_balanced_weights([1, 10, 10_000], 0.0), torch.ones(3))


def test_beta_towards_one_weighs_by_the_inverse_of_the_count() -> None:
    torch.testing.assert_close(class_balanced_weights([10, 20, 40], 1.0 - 1e-9), torch.tensor([4.0, 2.0, 1.0]) / (7 / 3), rtol=1e-5, atol=0)


@pytest.mark.parametrize("beta", [-0.1, 1.0, 1.5, float("nan")])
def test_beta_out_of_range_names_its_key(beta: float) -> None:
    with pytest.raises(UsageError, match="loss#beta"):
        class_balanced_weights([1, 2], beta)


def test_a_class_without_items_raises() -> None:
    with pytest.raises(UsageError, match="without a training item"):
        class_balanced_weights([5, 0, 3], 0.9)
