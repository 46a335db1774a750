"""Backbones by name: MONAI networks that give their feature maps at strides 8, 16 and 32.

A new backbone is one decorated builder; tests walk the registry.
"""

from __future__ import annotations

from collections.abc import Callable

from monai.networks.nets.densenet import DenseNet121
from monai.networks.nets.efficientnet import EfficientNetBNFeatures
from monai.networks.nets.resnet import ResNet
from monai.networks.nets.senet import SEResNet50
from torch import Tensor, nn

from monai_pneumonia.errors import UsageError

STRIDES = (8, 16, 32)


class FeaturePyramid(nn.Module):
    """A chain of stages whose last outputs, at strides 8, 16 and 32, are kept.

    Args:
        stages: modules run one after the other.
        channels: channels of the three levels kept.
        taps: positions in ``stages`` whose outputs are the three levels.
    """

    def __init__(self, stages: list[nn.Module], channels: tuple[int, int, int], taps: tuple[int, int, int]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.channels = channels
        self.taps = taps

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps images [B, 1, H, W] to levels [B, D_k, H / s, W / s] for s in (8, 16, 32)."""
        levels = []
        features = images
        for position, stage in enumerate(self.stages):
            features = stage(features)
            if position in self.taps:
                levels.append(features)
        return levels


class LastLevels(nn.Module):
    """A MONAI feature network, of whose levels the three deepest are kept.

    Args:
        network: returns a list of feature maps, the deepest last.
        channels: channels of the three deepest levels.
    """

    def __init__(self, network: nn.Module, channels: tuple[int, int, int]) -> None:
        super().__init__()
        self.network = network
        self.channels = channels

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps images [B, 1, H, W] to levels [B, D_k, H / s, W / s] for s in (8, 16, 32)."""
        levels: list[Tensor] = self.network(images)[-len(STRIDES) :]
        return levels


Backbone = FeaturePyramid | LastLevels
BackboneBuilder = Callable[[int], Backbone]


_REGISTRY: dict[str, BackboneBuilder] = {}


def register_backbone(name: str) -> Callable[[BackboneBuilder], BackboneBuilder]:
    """Registers a builder (number of input channels -> backbone) under a name."""

    def register(build: BackboneBuilder) -> BackboneBuilder:
        _REGISTRY[name] = build
        return build

    return register


def backbone_names() -> tuple[str, ...]:
    """The names that ``build_backbone`` knows."""
    return tuple(_REGISTRY)


def build_backbone(name: str, in_channels: int = 1) -> Backbone:
    """Builds a backbone with random weights.

    Raises:
        UsageError: nobody registered this name.
    """
    if name not in _REGISTRY:
        raise UsageError(f"unknown backbone '{name}': choose one of {', '.join(_REGISTRY)} (key `backbone`)")
    return _REGISTRY[name](in_channels)


def _resnet(block: str, layers: list[int], channels: tuple[int, int, int], in_channels: int) -> Backbone:
    # Not MONAI's ResNetFeatures: its resnet18 has parameter-free short cuts through `.data`, where gradients end and exports fail.
    network = ResNet(
        block,
        layers,
        block_inplanes=[64, 128, 256, 512],
        spatial_dims=2,
        n_input_channels=in_channels,
        conv1_t_stride=2,
        shortcut_type="B",
        bias_downsample=False,
        feed_forward=False,
    )
    stem = nn.Sequential(network.conv1, network.bn1, network.act, network.maxpool, network.layer1)
    return FeaturePyramid([stem, network.layer2, network.layer3, network.layer4], channels, taps=(1, 2, 3))


@register_backbone("resnet10")
def _resnet10(in_channels: int) -> Backbone:
    return _resnet("basic", [1, 1, 1, 1], (128, 256, 512), in_channels)


@register_backbone("resnet18")
def _resnet18(in_channels: int) -> Backbone:
    return _resnet("basic", [2, 2, 2, 2], (128, 256, 512), in_channels)


@register_backbone("resnet50")
def _resnet50(in_channels: int) -> Backbone:
    return _resnet("bottleneck", [3, 4, 6, 3], (512, 1024, 2048), in_channels)


@register_backbone("densenet121")
def _densenet121(in_channels: int) -> Backbone:
    parts = dict(DenseNet121(spatial_dims=2, in_channels=in_channels, out_channels=1).features.named_children())
    stem = nn.Sequential(*(parts[name] for name in ("conv0", "norm0", "relu0", "pool0", "denseblock1", "transition1")))
    stages = [stem, parts["denseblock2"], parts["transition2"], parts["denseblock3"], parts["transition3"]]
    # A dense block ends in a plain concatenation: norm5 and its activation close the deepest one.
    stages.append(nn.Sequential(parts["denseblock4"], parts["norm5"], nn.ReLU(inplace=True)))
    return FeaturePyramid(stages, (512, 1024, 1024), taps=(1, 3, 5))


@register_backbone("seresnet50")
def _seresnet50(in_channels: int) -> Backbone:
    network = SEResNet50(spatial_dims=2, in_channels=in_channels, num_classes=1)
    stages = [nn.Sequential(network.layer0, network.layer1), network.layer2, network.layer3, network.layer4]
    return FeaturePyramid(stages, (512, 1024, 2048), taps=(1, 2, 3))


@register_backbone("efficientnet-b0")
def _efficientnet_b0(in_channels: int) -> Backbone:
    network = EfficientNetBNFeatures("efficientnet-b0", pretrained=False, spatial_dims=2, in_channels=in_channels)
    for unused in ("_conv_head", "_bn1", "_avg_pooling", "_dropout", "_fc"):
        setattr(network, unused, nn.Identity())
    return LastLevels(network, (40, 112, 320))


def replace_batch_normalization(module: nn.Module, groups: int = 8) -> None:
    """Replaces every batch normalisation by a group normalisation, in place: no picture sees another.

    Args:
        module: the network.
        groups: at most this many groups; fewer where the channels cannot be divided so.
    """
    for name, child in module.named_children():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            divisor = next(count for count in range(groups, 0, -1) if child.num_features % count == 0)
            setattr(module, name, nn.GroupNorm(divisor, child.num_features, eps=child.eps))
        else:
            replace_batch_normalization(child, groups)
