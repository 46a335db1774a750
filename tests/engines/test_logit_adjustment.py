"""logits - tau log(prior), in the bias of the head."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from monai_pneumonia.engines import build_training_network
from monai_pneumonia.engines.logit_adjustment import HEAD_BIAS, adjusted_parameters
from monai_pneumonia.errors import UsageError
from monai_pneumonia.networks import LesionAttentionNet

COUNTS = [60, 30, 9, 1]


@pytest.fixture(scope="module")
def network() -> LesionAttentionNet:
    return build_training_network({"backbone": "efficientnet-b0", "num_classes": 4}, seed=1).eval()


@pytest.fixture(scope="module")
def parameters(network: LesionAttentionNet) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def logits_of(network: LesionAttentionNet, parameters: dict[str, Tensor]) -> Tensor:
    network.load_state_dict(parameters)
    with torch.no_grad():
        logits: Tensor = network(torch.rand(3, 1, 64, 64, generator=torch.Generator().manual_seed(0)))
    return logits


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0])
def test_logits_lose_tau_times_the_logarithm_of_the_prior(network: LesionAttentionNet, parameters: dict[str, Tensor], tau: float) -> None:
    plain = logits_of(network, parameters)
    expected = [[value - tau * math.log(count / 100) for value, count in zip(row, COUNTS, strict=True)] for row in plain.tolist()]
    torch.testing.assert_close(logits_of(network, adjusted_parameters(parameters, COUNTS, tau)), torch.tensor(expected))


def test_tau_zero_changes_nothing_whatever_the_counts(parameters: dict[str, Tensor]) -> None:
    adjusted = adjusted_parameters(parameters, [5, 0, 0, 0], 0.0)
    assert adjusted.keys() == parameters.keys()
    assert all(adjusted[name] is value for name, value in parameters.items())


def test_balanced_counts_change_no_probability(network: LesionAttentionNet, parameters: dict[str, Tensor]) -> None:
    plain = logits_of(network, parameters)
    adjusted = logits_of(network, adjusted_parameters(parameters, [7] * 4, 1.5))
    torch.testing.assert_close(adjusted, plain + 1.5 * math.log(4))
    torch.testing.assert_close(adjusted.softmax(dim=1), plain.softmax(dim=1))


def test_a_rare_class_gains_and_only_the_bias_differs(network: LesionAttentionNet, parameters: dict[str, Tensor]) -> None:
    before = parameters[HEAD_BIAS].clone()
    adjusted = adjusted_parameters(parameters, COUNTS, 1.0)
    assert [name for name, value in parameters.items() if not torch.equal(adjusted[name], value)] == [HEAD_BIAS]
    assert torch.equal(parameters[HEAD_BIAS], before)
    gains = logits_of(network, adjusted).softmax(dim=1) / logits_of(network, parameters).softmax(dim=1)
    assert (gains[:, 3] > 1).all()
    assert (gains.diff(dim=1) > 0).all()


def test_a_class_without_items_has_no_prior(parameters: dict[str, Tensor]) -> None:
    with pytest.raises(UsageError, match=r"loss#logit_adjustment"):
        adjusted_parameters(parameters, [5, 3, 0, 1], 1.0)
