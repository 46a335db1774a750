"""LesionAttentionNet over every backbone."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from monai_pneumonia.errors import UsageError
from monai_pneumonia.networks import Guidance, LesionAttentionNet, LesionOutput, backbone_names, gated_mean
from monai_pneumonia.networks.lesion_attention_net import straight_through

every_backbone = pytest.mark.parametrize("backbone", backbone_names())
every_backbone_slowly = pytest.mark.parametrize(
    "backbone", [name if name == "resnet18" else pytest.param(name, marks=pytest.mark.slow) for name in backbone_names()]
)


@cache
def shared_network(backbone: str) -> LesionAttentionNet:
    """Built once for all tests of a backbone that do not change it but in its running statistics."""
    return seeded_network(backbone)


def seeded_network(backbone: str = "resnet18", **arguments) -> LesionAttentionNet:
    torch.manual_seed(0)
    return LesionAttentionNet(backbone, **arguments)


def images(count: int = 2, size: int = 64) -> Tensor:
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(1))


@every_backbone
def test_evaluation_gives_one_tensor_and_explain_agrees(backbone: str) -> None:
    network = shared_network(backbone).eval()
    with torch.no_grad():
        logits, explained = network(images()), network.explain(images())
    assert type(logits) is Tensor
    assert logits.shape == (2, 4)
    assert torch.equal(logits, explained.logits)
    assert explained.features.shape == (2, 256, 8, 8)
    assert explained.attention_logits.shape == (2, 1, 8, 8)
    assert torch.equal(explained.attention, explained.attention_logits.sigmoid())


@every_backbone
def test_training_gives_the_whole_output_and_every_parameter_a_gradient(backbone: str) -> None:
    network = shared_network(backbone).train()
    network.zero_grad(set_to_none=True)
    output = network(images(3, 32))
    assert isinstance(output, LesionOutput)
    nn.functional.cross_entropy(output.logits, torch.tensor([0, 1, 2])).backward()
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None or not parameter.grad.abs().sum() > 0]
    assert without == []


@every_backbone_slowly
def test_group_normalization_never_mixes_the_batch(backbone: str) -> None:
    network = seeded_network(backbone, normalization="group").train()
    batch = images(2, 32).requires_grad_()
    network(batch).logits[0].square().sum().backward()
    assert batch.grad[0].abs().sum() > 0
    assert torch.equal(batch.grad[1:], torch.zeros_like(batch.grad[1:]))


def test_batch_normalization_does_mix_the_batch() -> None:
    batch = images(3).requires_grad_()
    seeded_network(normalization="batch").train()(batch).logits[0].square().sum().backward()
    assert batch.grad[1:].abs().sum() > 0


@every_backbone_slowly
def test_evaluation_of_a_picture_does_not_hang_on_its_batch(backbone: str) -> None:
    network = shared_network(backbone).eval()
    with torch.no_grad():
        together = network(images(2, 32))
        alone = torch.cat([network(picture[None]) for picture in images(2, 32)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


@every_backbone_slowly
def test_export_agrees_for_other_batch_sizes(backbone: str) -> None:
    network = shared_network(backbone).eval()
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(network, (images(3),), dynamic_shapes={"images": {0: batch}})
    with torch.no_grad():
        torch.testing.assert_close(program.module()(images(2)), network(images(2)), rtol=0, atol=1e-5)


@every_backbone_slowly
def test_torchscript_trace_agrees_for_other_batches_and_sizes(backbone: str) -> None:
    network = shared_network(backbone).eval()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(network, images(2), check_trace=False)
        torch.testing.assert_close(traced(images(3, 96)), network(images(3, 96)), rtol=0, atol=1e-5)


def test_without_attention_the_head_sees_the_plain_mean_alone() -> None:
    network = seeded_network(attention=False).eval()
    with torch.no_grad():
        output = network.explain(images())
        expected = network.head(output.features.mean(dim=(2, 3)))
    assert output.attention_logits is None
    assert output.attention is None
    torch.testing.assert_close(output.logits, expected)


def test_the_head_sees_the_mean_and_the_attended_mean() -> None:
    network = seeded_network().eval()
    with torch.no_grad():
        output = network.explain(images())
        attended = torch.stack(
            [
                (features * weight).flatten(1).sum(dim=1) / (weight.sum() + 1e-4)
                for features, weight in zip(output.features, output.attention, strict=True)
            ]
        )
        expected = network.head(torch.cat([output.features.mean(dim=(2, 3)), attended], dim=1))
    torch.testing.assert_close(output.logits, expected)


def guided_network(**arguments: Any) -> LesionAttentionNet:
    """In training, and yet with logits that are a function of the pictures alone."""
    return seeded_network("efficientnet-b0", normalization="group", dropout=0.0, **arguments).train()


def share_of(*shares: float) -> Tensor:
    return torch.tensor(shares).view(-1, 1, 1, 1)


def drop_nothing(network: LesionAttentionNet) -> LesionAttentionNet:
    """EfficientNet drops connections at random while it trains."""
    for layer in network.modules():
        if hasattr(layer, "drop_connect_rate"):
            layer.drop_connect_rate = 0.0
    return network


def expected_logits(network: LesionAttentionNet, features: Tensor, gate: Tensor) -> Tensor:
    """The head's formula, picture by picture."""
    rows = []
    for picture, weight in zip(features, gate, strict=True):
        attended = (picture * weight).flatten(1).sum(dim=1) / (weight.sum() + 1e-4)
        rows.append(network.head(torch.cat([picture.mean(dim=(1, 2)), attended])))
    return torch.stack(rows)


# Outlines come on the picture's grid, 64 x 64; a cell is 8 x 8 pixels of it. A corner cell whole, the one right of it half.
def outline_of_cells(count: int = 2) -> tuple[Tensor, Tensor]:
    outline, cells = torch.zeros(count, 1, 64, 64), torch.zeros(count, 1, 8, 8)
    outline[..., :8, :12] = 1.0
    cells[..., 0, 0], cells[..., 0, 1] = 1.0, 0.5
    return outline, cells


@pytest.mark.parametrize("shares", [(1.0, 1.0), (0.0, 0.0), (0.25, 0.75), (1.0, 0.0)])
@pytest.mark.parametrize("hard", [False, True])
def test_the_gate_mixes_outline_and_attention(shares: tuple[float, float], hard: bool) -> None:
    network = drop_nothing(guided_network(hard_attention=hard))
    outline, cells = outline_of_cells()
    with torch.no_grad():
        output = network(images(), Guidance(outline, share_of(*shares)))
        attention = (output.attention > 0.5).float() if hard else output.attention
        gate = torch.stack([share * m + (1 - share) * a for share, m, a in zip(shares, cells, attention, strict=True)])
        expected = expected_logits(network, output.features, gate)
    torch.testing.assert_close(output.logits, expected)


def test_a_share_of_zero_is_no_guidance_and_the_map_is_never_touched() -> None:
    network = drop_nothing(guided_network())
    outline, _ = outline_of_cells()
    with torch.no_grad():
        free, left = network(images()), network(images(), Guidance(outline, share_of(0.0, 0.0)))
        gated = network(images(), Guidance(outline, share_of(1.0, 0.0)))
    assert torch.equal(free.logits, left.logits)
    assert torch.equal(free.attention_logits, gated.attention_logits)
    assert not torch.allclose(free.logits[0], gated.logits[0])
    # The neighbour of a gated picture is left to itself.
    assert torch.equal(free.logits[1], gated.logits[1])


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_outline_keeps_the_class_gradient_from_the_attention_as_far_as_its_share(share: float) -> None:
    network = guided_network()
    outline, _ = outline_of_cells()
    network(images(), Guidance(outline, share_of(share, share))).logits.square().sum().backward()
    reaches = bool(network.attention_head.weight.grad.abs().sum() > 0)
    assert reaches == (share < 1)
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_without_attention_or_in_evaluation_no_outline_is_taken() -> None:
    outline, _ = outline_of_cells()
    guidance = Guidance(outline, share_of(1.0, 1.0))
    with pytest.raises(ValueError, match="in training alone"):
        guided_network().eval()(images(), guidance)
    with pytest.raises(ValueError, match="a network with attention"):
        guided_network(attention=False)(images(), guidance)


# Logits 2 and -1 are attentions .88 and .27: gates 1 and 0, with the gradient s (1 - s) of the sigmoid.
def test_straight_through_closed_form() -> None:
    logits = torch.tensor([2.0, -1.0], requires_grad=True)
    gate = straight_through(logits.sigmoid())
    gate.sum().backward()
    assert gate.tolist() == [1.0, 0.0]
    sigmoid = logits.detach().sigmoid()
    torch.testing.assert_close(logits.grad, sigmoid * (1 - sigmoid))


def test_hard_attention_gates_by_zero_or_one_and_still_learns() -> None:
    network = guided_network(hard_attention=True)
    output = network(images())
    output.logits.square().sum().backward()
    assert network.attention_head.weight.grad.abs().sum() > 0
    assert ((output.attention > 0) & (output.attention < 1)).all()
    network.eval()
    with torch.no_grad():
        explained = network.explain(images())
        expected = expected_logits(network, explained.features, (explained.attention > 0.5).float())
    torch.testing.assert_close(explained.logits, expected)


def test_the_levels_are_the_halves_of_the_features() -> None:
    with torch.no_grad():
        output = seeded_network(feature_channels=65).eval().explain(images())
    fine, deep = output.levels
    assert (fine.shape[1], deep.shape[1]) == (32, 33)
    assert torch.equal(torch.cat([fine, deep], dim=1), output.features)


# Features 1, 2, 3, 4 under the gate 0, 1, 1, 2: (2 + 3 + 8) / 4 = 13 / 4.
def test_gated_mean_closed_form() -> None:
    features = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[10.0, 20.0], [30.0, 40.0]]]])
    gate = torch.tensor([[[[0.0, 1.0], [1.0, 2.0]]]])
    torch.testing.assert_close(gated_mean(features, gate, epsilon=0.0), torch.tensor([[3.25, 32.5]]))


def test_gated_mean_says_nothing_of_the_size_of_the_gate() -> None:
    features = torch.full((1, 3, 8, 8), 2.0)
    small, large = torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    small[..., 0, 0] = 1.0
    torch.testing.assert_close(gated_mean(features, small), gated_mean(features, large), rtol=2e-4, atol=0)


def test_gated_mean_of_an_empty_gate_is_zero_with_a_finite_gradient() -> None:
    gate = torch.zeros(1, 1, 4, 4, requires_grad=True)
    pooled = gated_mean(torch.rand(1, 3, 4, 4), gate)
    pooled.sum().backward()
    assert torch.equal(pooled, torch.zeros(1, 3))
    assert torch.isfinite(gate.grad).all()


@pytest.mark.parametrize("feature_channels", [64, 65])
def test_feature_channels_and_classes_are_kept(feature_channels: int) -> None:
    network = seeded_network(num_classes=2, in_channels=3, feature_channels=feature_channels).eval()
    with torch.no_grad():
        output = network.explain(torch.rand(1, 3, 64, 64))
    assert output.features.shape[1] == feature_channels
    assert output.logits.shape == (1, 2)


def test_half_precision_weights_of_a_network_survive_the_round_trip() -> None:
    network = seeded_network().eval()
    with torch.no_grad():
        before = network(images())
        network.half().float()
        torch.testing.assert_close(network(images()), before, rtol=0, atol=2e-2)


@pytest.mark.parametrize(("arguments", "key"), [({"backbone": "vgg"}, "backbone"), ({"normalization": "layer"}, "normalization")])
def test_unknown_names_are_refused(arguments: dict[str, str], key: str) -> None:
    with pytest.raises(UsageError, match=f"key `{key}`"):
        LesionAttentionNet(**arguments)
