"""Grad-CAM of every backbone, and the mean outline."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_bundle import INPUT_SIZE, tiny_description, tiny_parameters

from monai_pneumonia.data.datalist import Datalist, DatalistItem
from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.errors import NothingToAnalyseError, UsageError
from monai_pneumonia.inference import LesionRecognizer
from monai_pneumonia.inference.baseline_maps import (
    MEAN_OUTLINE,
    GradCamMaps,
    PneumoniaScore,
    attention_maps_of,
    baseline_sources,
    level_layers,
    maps_of,
    mean_outline,
)
from monai_pneumonia.networks import LesionAttentionNet, backbone_names
from monai_pneumonia.networks.backbones import STRIDES
from monai_pneumonia.networks.probabilities import class_probabilities


def plain_network():
    description = tiny_description({"attention": False})
    network = description.build_network()
    network.load_state_dict(tiny_parameters(description))
    return network.eval().requires_grad_(False), description


@pytest.fixture(scope="module")
def explained():
    network, description = plain_network()
    return GradCamMaps(network, description), network, description


def picture(seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    return torch.nn.functional.interpolate(torch.rand(1, 1, 6, 6), size=INPUT_SIZE, mode="bicubic").clamp(0, 1)[0]


class TestScore:
    @pytest.mark.parametrize("classes", [("normal", "viral", "covid19"), ("viral", "covid19", "normal"), ("normal", "ill")])
    @pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
    def test_is_the_log_odds_of_the_probabilities(self, activation, classes):
        description = tiny_description(classes=classes, output_activation=activation)
        logits = 3 * torch.randn(5, len(classes), generator=torch.Generator().manual_seed(0))
        p = class_probabilities(logits, activation)[:, classes.index("normal")]
        score = PneumoniaScore(torch.nn.Identity(), description)(logits)
        assert score.shape == (5, 1)
        torch.testing.assert_close(score[:, 0].double(), torch.log((1 - p) / p), rtol=1e-4, atol=1e-5)


class TestLevels:
    @pytest.mark.parametrize("backbone", backbone_names())
    def test_every_backbone_has_a_layer_for_each_level(self, backbone):
        network = LesionAttentionNet(backbone, num_classes=2, feature_channels=8, attention=False).eval()
        layers = level_layers(network, 64)
        assert tuple(layers) == STRIDES
        modules = dict(network.encoder.named_modules())
        seen = {}
        for stride, name in layers.items():
            modules[name].register_forward_hook(lambda module, arguments, output, stride=stride: seen.update({stride: output}))
        levels = network.encoder(torch.rand(1, 1, 64, 64))
        assert all(seen[stride] is level for stride, level in zip(STRIDES, levels, strict=True))

    @pytest.mark.slow
    @pytest.mark.parametrize("backbone", backbone_names())
    def test_every_backbone_gives_maps(self, backbone):
        torch.manual_seed(0)
        description = tiny_description({"backbone": backbone})
        maps = GradCamMaps(description.build_network(), description)
        for stride in STRIDES:
            found = maps(picture(), stride)
            assert found.shape == (1, INPUT_SIZE, INPUT_SIZE)
            assert 0 <= float(found.min()) <= float(found.max()) <= 1


class TestGradCam:
    @pytest.mark.parametrize("stride", STRIDES)
    def test_against_the_formula(self, explained, stride):
        """Weights: sums over places of alpha times the positive part of the gradient of exp(score); alpha as in equation 19."""
        maps, network, _ = explained
        level = STRIDES.index(stride)
        features = network.encoder(picture()[None])[level].detach().requires_grad_(True)
        # The rest of the network from this level on, for the resnet's chain of stages.
        stages, taps = network.encoder.stages, network.encoder.taps
        levels = [None] * 3
        with torch.no_grad():
            levels[0] = network.encoder(picture()[None])[0]
        values = features
        levels[level] = values
        for position in range(taps[level] + 1, len(stages)):
            values = stages[position](values)
            if position in taps:
                levels[taps.index(position)] = values
        fine = network.fine_projection(levels[0])
        deep = torch.nn.functional.interpolate(network.deep_projection(levels[2]), size=fine.shape[-2:], mode="bilinear")
        logits = network.head(torch.cat([fine, deep], dim=1).mean(dim=(2, 3)))
        score = logits[:, 1:].logsumexp(dim=1) - logits[:, 0]
        (gradient,) = torch.autograd.grad(score.sum(), features)
        alpha = gradient**2 / (2 * gradient**2 + (features * gradient**3).sum(dim=(2, 3), keepdim=True) + 1e-7)
        weights = (alpha * (score.exp() * gradient).clamp(min=0)).sum(dim=(2, 3), keepdim=True)
        expected = (weights * features).sum(dim=1, keepdim=True).clamp(min=0).detach().double()
        expected = (expected - expected.min()) / (expected.max() - expected.min())
        expected = torch.nn.functional.interpolate(expected, size=INPUT_SIZE, mode="bilinear", align_corners=False)[0]
        torch.testing.assert_close(maps(picture(), stride).double(), expected, rtol=1e-3, atol=1e-4)

    def test_the_network_is_left_as_it_was(self, explained):
        maps, network, _ = explained
        with torch.inference_mode():
            before = network(picture()[None])
            found = maps(picture(), 8)
            assert torch.equal(network(picture()[None]), before)
        assert found.requires_grad is False
        assert all(not parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
        assert not any(module._forward_hooks or module._backward_hooks for module in network.modules())

    def test_a_picture_has_one_map_whatever_came_before(self, explained):
        maps, *_ = explained
        first = maps(picture(1), 16)
        maps(picture(2), 32)
        assert torch.equal(maps(picture(1), 16), first)
        assert not torch.equal(maps(picture(2), 16), first)

    def test_a_map_without_differences_becomes_zeros(self):
        network, description = plain_network()
        torch.nn.init.zeros_(network.head.weight)
        assert not GradCamMaps(network, description)(picture(), 8).any()

    def test_usage(self, explained):
        maps, network, description = explained
        with pytest.raises(UsageError, match="no level of stride 4: choose one of 8, 16, 32"):
            maps(picture(), 4)
        with pytest.raises(UsageError, match="choose one of grad_cam_pp, grad_cam"):
            GradCamMaps(network, description, "lime")


@pytest.fixture
def outlined(tmp_path):
    """Two outlined pictures of one size in training, drawn and boxed, and one that is not."""
    for name in ("a", "b", "c"):
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    mask = np.zeros((40, 60), dtype=np.uint8)
    mask[:20, :30] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    items = (
        DatalistItem("a", "a.png", mask="mask.png", mask_kind="pixel"),
        DatalistItem("b", "b.png", boxes=((0.0, 0.0, 60.0, 20.0),), mask_kind="box"),
        DatalistItem("c", "c.png", mask_kind="empty"),
    )
    return Datalist("small", LabelSpace(), training=items, root=tmp_path)


class TestMeanOutline:
    def test_is_the_share_of_outlines_over_the_greatest(self, outlined):
        found = mean_outline(outlined, 4)
        # Upper left: in both; upper right: in the box alone.
        expected = torch.tensor([[1, 1, 0.5, 0.5], [1, 1, 0.5, 0.5], [0, 0, 0, 0], [0, 0, 0, 0]])[None]
        torch.testing.assert_close(found, expected)

    def test_one_kind_alone(self, outlined):
        found = mean_outline(outlined, 4, kinds=("pixel",))
        torch.testing.assert_close(found, torch.tensor([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])[None])

    def test_none(self, outlined):
        with pytest.raises(NothingToAnalyseError, match="'validation' of the datalist 'small' holds no outline of kind pixel or box"):
            mean_outline(outlined, 4, section="validation")


class TestMapsOfItems:
    def test_lie_on_the_pictures_own_pixels(self, outlined):
        network, description = plain_network()
        recognizer = LesionRecognizer(network, description, device="cpu")
        constant = mean_outline(outlined, INPUT_SIZE)
        sources = baseline_sources(recognizer, constant, methods=("grad_cam_pp", "grad_cam"))
        assert list(sources) == [f"{method}_{stride}" for method in ("grad_cam_pp", "grad_cam") for stride in STRIDES] + [MEAN_OUTLINE]
        for source in (sources["grad_cam_pp_16"], sources[MEAN_OUTLINE]):
            found = list(maps_of(recognizer, source, outlined, outlined.training))
            assert [item.id for item, _ in found] == ["a", "b", "c"]
            assert all(values.shape == (40, 60) and values.dtype == np.float32 for _, values in found)
        assert found[0][1][5, 10] == 1
        assert found[0][1][35, 10] == 0

    def test_the_recognisers_own(self, outlined):
        network, description = plain_network()
        recognizer = LesionRecognizer(network, description, device="cpu")
        for item, values in attention_maps_of(recognizer, outlined, outlined.training[:1]):
            np.testing.assert_array_equal(values, recognizer(outlined.resolve(item.image)).attention_map)
