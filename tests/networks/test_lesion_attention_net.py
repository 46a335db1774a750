"""LesionAttentionNet over every backbone."""

from __future__ import annotations

import warnings
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from monai_pneumonia.errors import UsageError
from monai_pneumonia.networks import LesionAttentionNet, LesionOutput, backbone_names, gated_mean

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


def test_a_gate_given_stands_in_for_the_attention() -> None:
    network = seeded_network().eval()
    gate = torch.zeros(2, 1, 8, 8)
    gate[:, :, 2, 5] = 1.0
    with torch.no_grad():
        gated, free = network.explain(images(), gate), network.explain(images())
        expected = network.head(torch.cat([free.features.mean(dim=(2, 3)), free.features[:, :, 2, 5] / (1 + 1e-4)], dim=1))
    torch.testing.assert_close(gated.logits, expected)
    assert torch.equal(gated.attention_logits, free.attention_logits)
    assert not torch.allclose(gated.logits, free.logits)


def test_a_gate_keeps_the_attention_out_of_the_class_gradient() -> None:
    network = seeded_network().train()
    network(images(), torch.rand(2, 1, 8, 8)).logits.sum().backward()
    assert network.attention_head.weight.grad is None


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
