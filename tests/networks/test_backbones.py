"""Every backbone of the registry keeps the contract: three levels at strides 8, 16 and 32."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from monai_pneumonia.errors import UsageError
from monai_pneumonia.networks import backbone_names, build_backbone
from monai_pneumonia.networks.backbones import _REGISTRY, STRIDES, register_backbone, replace_batch_normalization


def test_the_registry_holds_the_five_of_the_documentation() -> None:
    assert set(backbone_names()) >= {"resnet18", "resnet50", "densenet121", "seresnet50", "efficientnet-b0"}


@pytest.fixture(scope="module", params=backbone_names())
def backbone(request: pytest.FixtureRequest) -> nn.Module:
    return build_backbone(request.param)


def test_levels_have_their_strides_and_channels(backbone: nn.Module) -> None:
    for height, width in ((64, 64), (96, 96), (128, 128), (64, 96)):
        with torch.no_grad():
            levels = backbone.eval()(torch.rand(1, 1, height, width))
        assert [tuple(level.shape) for level in levels] == [
            (1, channels, height // stride, width // stride) for channels, stride in zip(backbone.channels, STRIDES, strict=True)
        ]


def test_every_parameter_takes_part_in_the_deepest_level(backbone: nn.Module) -> None:
    backbone.train()(torch.rand(2, 1, 64, 64))[-1].square().sum().backward()
    assert [name for name, parameter in backbone.named_parameters() if parameter.grad is None] == []


def test_pictures_may_have_colours() -> None:
    assert build_backbone("resnet18", in_channels=3).eval()(torch.rand(1, 3, 64, 64))[0].shape == (1, 128, 8, 8)


@pytest.mark.parametrize("name", ["resnet18", pytest.param("resnet50", marks=pytest.mark.slow)])
def test_short_cuts_carry_gradients(name: str) -> None:
    backbone = build_backbone(name)
    # With the last normalisation of each block at zero, as zero-initialised residuals have it, only the short cuts are left.
    for module in backbone.modules():
        last = getattr(module, "bn3", None) or getattr(module, "bn2", None)
        if last is not None:
            nn.init.zeros_(last.weight)
    images = torch.rand(2, 1, 64, 64, requires_grad=True)
    backbone(images)[-1].square().sum().backward()
    assert images.grad.abs().sum() > 0


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'resnet19'.*resnet18.*densenet121.*backbone"):
        build_backbone("resnet19")


def test_a_new_backbone_is_one_entry() -> None:
    try:

        @register_backbone("test-only")
        def build(in_channels: int):
            return build_backbone("resnet18", in_channels)

        assert "test-only" in backbone_names()
        assert build_backbone("test-only").channels == (128, 256, 512)
    finally:
        _REGISTRY.pop("test-only", None)


def test_group_normalization_takes_the_place_of_every_batch_normalization() -> None:
    module = nn.Sequential(nn.Conv2d(1, 12, 1), nn.BatchNorm2d(12), nn.Sequential(nn.BatchNorm2d(7), nn.BatchNorm2d(64, eps=1e-2)))
    replace_batch_normalization(module)
    norms = [layer for layer in module.modules() if isinstance(layer, nn.GroupNorm)]
    assert [(norm.num_groups, norm.num_channels, norm.eps) for norm in norms] == [(6, 12, 1e-5), (7, 7, 1e-5), (8, 64, 1e-2)]
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in module.modules())
