"""Networks to train, with and without a pre-trained encoder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monai_pneumonia.engines.training import build_training_network
from monai_pneumonia.errors import ModelFaultError

ARGUMENTS = {"backbone": "efficientnet-b0", "num_classes": 3}


def test_the_seed_decides_the_weights_and_leaves_torchs_own_state() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    first, second, other = (build_training_network(ARGUMENTS, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first.head.weight, second.head.weight)
    assert not torch.equal(first.head.weight, other.head.weight)


def test_an_encoder_is_picked_up(tmp_path: Path) -> None:
    donor = build_training_network(ARGUMENTS, seed=9)
    torch.save({"encoder": donor.encoder.state_dict()}, tmp_path / "encoder.pt")
    network = build_training_network(ARGUMENTS, str(tmp_path / "encoder.pt"), seed=1)
    assert all(torch.equal(value, network.encoder.state_dict()[name]) for name, value in donor.encoder.state_dict().items())
    assert not torch.equal(network.head.weight, donor.head.weight)


def test_an_encoder_of_another_backbone_is_refused(tmp_path: Path) -> None:
    donor = build_training_network({**ARGUMENTS, "backbone": "resnet18"})
    torch.save({"encoder": donor.encoder.state_dict()}, tmp_path / "encoder.pt")
    with pytest.raises(ModelFaultError, match="pretrained_encoder"):
        build_training_network(ARGUMENTS, str(tmp_path / "encoder.pt"))
