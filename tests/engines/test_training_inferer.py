"""The forward pass in bfloat16: single precision comes out, and nothing happens unless asked for."""

from __future__ import annotations

import torch

from monai_pneumonia.engines import TrainingInferer, build_training_network, cpu_has_bfloat16
from monai_pneumonia.networks import Guidance, LesionOutput

IMAGES = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))


def _network(attention: bool = True) -> torch.nn.Module:
    return build_training_network({"backbone": "resnet10", "normalization": "group", "dropout": 0.0, "attention": attention}).train()


def test_without_it_the_output_is_the_networks_own() -> None:
    network = _network()
    assert torch.equal(TrainingInferer()(IMAGES, network).logits, network(IMAGES).logits)


def test_bfloat16_gives_single_precision_near_the_networks_output_and_gradients() -> None:
    network = _network()
    output = TrainingInferer(cpu_amp=True)(IMAGES, network)
    assert isinstance(output, LesionOutput)
    assert {output.logits.dtype, output.features.dtype, output.attention_logits.dtype} == {torch.float32}
    plain = network(IMAGES).logits
    assert not torch.equal(output.logits, plain)
    torch.testing.assert_close(output.logits, plain, atol=0.05, rtol=0.05)
    output.logits.sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters() if parameter.grad is not None)


def test_a_network_without_attention_and_one_under_guidance_pass() -> None:
    assert TrainingInferer(cpu_amp=True)(IMAGES, _network(attention=False)).attention_logits is None
    guidance = Guidance(torch.ones(2, 1, 64, 64), torch.ones(2, 1, 1, 1))
    guided = TrainingInferer(cpu_amp=True)(IMAGES, _network(), guidance=guidance)
    torch.testing.assert_close(guided.logits, TrainingInferer()(IMAGES, _network(), guidance=guidance).logits, atol=0.05, rtol=0.05)


def test_the_question_for_bfloat16_has_an_answer() -> None:
    assert isinstance(cpu_has_bfloat16(), bool)
