"""Losses by name, as configurations ask for them."""

from __future__ import annotations

import pytest
import torch

from monai_pneumonia.errors import UsageError
from monai_pneumonia.losses import (
    LOSS_NAMES,
    CandidateCrossEntropyLoss,
    CandidateFocalLoss,
    build_loss,
    class_balanced_weights,
    output_activation,
)

COUNTS = [100, 10, 40, 5]


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_every_loss_can_be_built_and_teaches(name: str) -> None:
    loss = build_loss(name, COUNTS)
    logits = torch.zeros(3, 4, requires_grad=True)
    value = loss(logits, torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]))
    value.backward()
    assert value.item() > 0
    assert logits.grad[0, 0] < 0 < logits.grad[0, 1]
    assert logits.grad[1, 0] > 0 > logits.grad[1, 1]
    assert torch.equal(logits.grad[2], torch.zeros(4))


@pytest.mark.parametrize(
    ("name", "kind", "gamma", "weighted"),
    [
        ("cross_entropy", CandidateCrossEntropyLoss, None, False),
        ("class_balanced_softmax", CandidateCrossEntropyLoss, None, True),
        ("class_balanced_sigmoid", CandidateFocalLoss, 0.0, True),
        ("class_balanced_focal", CandidateFocalLoss, 1.5, True),
    ],
)
def test_names_mean_what_they_say(name: str, kind: type, gamma: float | None, weighted: bool) -> None:
    loss = build_loss(name, COUNTS, beta=0.99, gamma=1.5)
    assert type(loss) is kind
    assert getattr(loss, "gamma", None) == gamma
    if weighted:
        torch.testing.assert_close(loss.class_weights, class_balanced_weights(COUNTS, 0.99))
    else:
        assert loss.class_weights is None


@pytest.mark.parametrize("name", [name for name in LOSS_NAMES if name.startswith("class_balanced")])
def test_class_balanced_arms_are_their_plain_form_weighted_by_class(name: str) -> None:
    logits = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    plain = build_loss(name, [7, 7, 7, 7], gamma=1.5)
    weights = class_balanced_weights(COUNTS, 0.99)
    balanced = build_loss(name, COUNTS, beta=0.99, gamma=1.5)
    expected = [float(weights[label]) * plain(logits[label : label + 1], torch.eye(4)[label : label + 1]) for label in range(4)]
    torch.testing.assert_close(balanced(logits, torch.eye(4)), torch.stack(expected).mean())
    # The rarest class weighs most.
    assert int(weights.argmax()) == 3


def test_the_sigmoid_arm_is_the_focal_arm_without_focus() -> None:
    logits = torch.randn(4, 4, generator=torch.Generator().manual_seed(1))
    sigmoid, focal = build_loss("class_balanced_sigmoid", COUNTS, gamma=5.0), build_loss("class_balanced_focal", COUNTS, gamma=0.0)
    torch.testing.assert_close(sigmoid(logits, torch.eye(4)), focal(logits, torch.eye(4)))


def test_activations_cover_every_loss() -> None:
    assert {name: output_activation(name) for name in LOSS_NAMES} == {
        "cross_entropy": "softmax",
        "class_balanced_softmax": "softmax",
        "class_balanced_sigmoid": "sigmoid",
        "class_balanced_focal": "sigmoid",
    }


def test_plain_cross_entropy_does_not_mind_an_empty_class() -> None:
    assert isinstance(build_loss("cross_entropy", [5, 0]), CandidateCrossEntropyLoss)


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        ({"name": "hinge", "class_counts": COUNTS}, "loss#name"),
        ({"name": "class_balanced_focal", "class_counts": COUNTS, "beta": 1.0}, "loss#beta"),
        ({"name": "class_balanced_focal", "class_counts": COUNTS, "gamma": -1.0}, "loss#gamma"),
        ({"name": "class_balanced_softmax", "class_counts": [3, 0]}, "loss#name"),
    ],
)
def test_a_wrong_configuration_names_its_key(arguments: dict, key: str) -> None:
    with pytest.raises(UsageError, match=key):
        build_loss(**arguments)
