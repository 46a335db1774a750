"""Regulation as part of a training: over features, or over altered pictures."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from monai_pneumonia.engines import build_regulation, build_training_network
from monai_pneumonia.engines.regulation import FeatureRegulation, ImageRegulation, lesion_alone_and_erased
from monai_pneumonia.losses import ContrastiveRatioLoss, FeatureRegulationLoss, LesionTarget
from monai_pneumonia.networks import LesionAttentionNet
from monai_pneumonia.transforms.outline import OutlineKind

SECTION: dict[str, Any] = {"enabled": True, "space": "features", "temperature": 0.3, "bound": 0.2}
SIZE = 64


def seeded_network(**arguments: Any) -> LesionAttentionNet:
    return build_training_network({"backbone": "resnet18", "feature_channels": 16, "dropout": 0.0, **arguments}, seed=2).train()


def some_target(outlined: tuple[bool, ...] = (True, False, True)) -> LesionTarget:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(len(outlined), 1, SIZE, SIZE, generator=generator)
    outline = torch.zeros(len(outlined), 1, SIZE, SIZE)
    for index, known in enumerate(outlined):
        outline[index, 0, 8:24, 8 + index : 30] = float(known)
    kind = torch.tensor([int(OutlineKind.PIXEL if known else OutlineKind.UNKNOWN) for known in outlined])
    return LesionTarget(torch.eye(4)[torch.arange(len(outlined)) % 4], images, outline, kind)


def test_a_configuration_chooses_its_regulation() -> None:
    network = torch.nn.Identity()
    assert build_regulation({**SECTION, "enabled": False}, network) is None
    features = build_regulation(SECTION, network)
    assert isinstance(features, FeatureRegulation)
    assert features.loss.temperature == 0.3
    image = build_regulation({**SECTION, "space": "image"}, network)
    assert isinstance(image, ImageRegulation)
    assert image.loss.bound == 0.2


def test_regulation_of_features_is_its_loss_on_the_networks_grid() -> None:
    target = some_target()
    output = seeded_network()(target.images)
    # Eight pixels a cell.
    cells = target.outline.unflatten(2, (8, 8)).unflatten(4, (8, 8)).mean(dim=(3, 5))
    expected = FeatureRegulationLoss(0.3)(output.levels, output.attention, cells)
    torch.testing.assert_close(FeatureRegulation(0.3)(output, target), expected)
    assert expected > 0


def test_regulation_of_features_teaches_the_attention_on_outlined_pictures_alone() -> None:
    network, target = seeded_network(normalization="group"), some_target()
    images = target.images.clone().requires_grad_()
    FeatureRegulation()(network(images), target).backward()
    assert network.attention_head.weight.grad.abs().sum() > 0
    assert network.head.weight.grad is None
    assert [bool(gradient.abs().sum() > 0) for gradient in images.grad] == [True, False, True]


def test_regulation_of_features_needs_attention() -> None:
    target = some_target()
    with pytest.raises(ValueError, match="a network with attention"):
        FeatureRegulation()(seeded_network(attention=False)(target.images), target)


def test_regulation_of_pictures_is_the_ratio_of_their_mean_features() -> None:
    network, target = seeded_network(), some_target()
    output = network(target.images)
    value = ImageRegulation(network, 0.1)(output, target)
    ratios = []
    for index in (0, 2):
        alone, erased = lesion_alone_and_erased(target.images[index : index + 1], target.outline[index : index + 1])
        with torch.no_grad():
            near, far = (network.eval().explain(picture).levels for picture in (alone, erased))
        means = ([level.mean(dim=(2, 3)) for level in levels] for levels in (near, far))
        anchors = [level[index : index + 1].mean(dim=(2, 3)) for level in output.levels]
        ratios.append(ContrastiveRatioLoss(bound=0.1)(anchors, *means))
    torch.testing.assert_close(value, torch.stack(ratios).mean(), rtol=1e-4, atol=1e-5)


def test_regulation_of_pictures_leaves_mode_and_running_statistics_alone() -> None:
    network, target = seeded_network(), some_target()
    output = network(target.images)
    before = {name: value.clone() for name, value in network.named_buffers()}
    ImageRegulation(network)(output, target).backward()
    assert all(module.training for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())
    assert next(network.encoder.parameters()).grad.abs().sum() > 0


def test_regulation_of_pictures_comes_back_to_training_after_a_fault() -> None:
    network, target = seeded_network(), some_target()
    output = network(target.images)
    network.explain = lambda images: 1 / 0  # type: ignore[assignment]
    with pytest.raises(ZeroDivisionError):
        ImageRegulation(network)(output, target)
    assert network.training


@pytest.mark.parametrize("regulation", [FeatureRegulation(), "image"])
def test_without_an_outline_it_is_zero_with_a_gradient_of_zero(regulation: Any) -> None:
    network, target = seeded_network(), some_target((False, False))
    chosen = ImageRegulation(network) if regulation == "image" else regulation
    value = chosen(network(target.images), target)
    value.backward()
    assert value.item() == 0.0
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in network.parameters())


def picture_and_outline() -> tuple[Tensor, Tensor]:
    images = torch.rand(2, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    outline = torch.zeros(2, 1, SIZE, SIZE)
    outline[:, :, 16:40, 16:40] = 1.0
    return images, outline


def test_the_two_altered_pictures_are_the_picture_and_grey_together() -> None:
    images, outline = picture_and_outline()
    alone, erased = lesion_alone_and_erased(images, outline)
    grey = images.mean(dim=(2, 3), keepdim=True)
    torch.testing.assert_close(alone + erased, images + grey)
    # Deep inside the lesion and far from it, each is the picture itself or grey.
    torch.testing.assert_close(alone[..., 24:32, 24:32], images[..., 24:32, 24:32])
    torch.testing.assert_close(erased[..., 50:, 50:], images[..., 50:, 50:])
    torch.testing.assert_close(alone[..., 50:, 50:], grey.expand(2, 1, 14, 14))
    torch.testing.assert_close(erased[..., 24:32, 24:32], grey.expand(2, 1, 8, 8))


def test_the_edge_of_the_lesion_is_blurred() -> None:
    outline = picture_and_outline()[1]
    white = torch.ones(2, 1, SIZE, SIZE)
    white[:, :, :, 48:] = 0.0
    alone, _ = lesion_alone_and_erased(white, outline)
    steps = alone[0, 0, 28].diff().abs()
    # White inside, grey of .75 outside: as one step it would be .25.
    assert 0 < steps.max() < 0.1


def test_no_lesion_and_nothing_but_lesion() -> None:
    images, _ = picture_and_outline()
    alone, erased = lesion_alone_and_erased(images, torch.zeros_like(images))
    assert torch.equal(erased, images)
    assert alone.std() < images.std() / 5
    alone, _ = lesion_alone_and_erased(images, torch.ones_like(images))
    torch.testing.assert_close(alone, images)
