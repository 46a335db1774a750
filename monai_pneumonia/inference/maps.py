"""Where a network looked, as a map in [0, 1] on the grid of its input."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from monai_pneumonia.inference.report import MapKind
from monai_pneumonia.inference.weights import WeightsDescription
from monai_pneumonia.networks import LesionAttentionNet, LesionOutput
from monai_pneumonia.networks.probabilities import class_probabilities


def attention_maps(
    network: LesionAttentionNet, output: LesionOutput, description: WeightsDescription, temperature: float
) -> tuple[Tensor, MapKind]:
    """The attention maps A of a batch, or class activation maps where the network has no attention.

    Args:
        network: gave the output.
        output: of a batch.
        description: what the network's logits mean.
        temperature: of the calibration; class activation is calibrated like the probabilities.

    Returns:
        [B, 1, S, S] in [0, 1], interpolated linearly to the input's size S, and the kind of the maps.
    """
    kind: MapKind = "class_activation" if output.attention is None else "attention"
    maps = class_activation(network, output.features, description, temperature) if output.attention is None else output.attention
    size = (description.input_size, description.input_size)
    return functional.interpolate(maps.float(), size=size, mode="bilinear", align_corners=False), kind


def class_activation(network: LesionAttentionNet, features: Tensor, description: WeightsDescription, temperature: float = 1.0) -> Tensor:
    """Class activation maps of pneumonia against the negative class (Zhou et al. 2016, arXiv 1512.04150).

    The head is linear on the mean of the features, so the mean over all places of its logits at each place are exactly the
    picture's logits. The map is p_pneumonia of the logits at a place: class activation brought to [0, 1] by the same
    function that makes the picture's probabilities, not by the map's own range, so that maps of two pictures compare.

    Args:
        network: a network without attention.
        features: F, [B, D, h, w].
        description: what the logits mean.
        temperature: of the calibration.

    Returns:
        [B, 1, h, w] in [0, 1].
    """
    logits = functional.conv2d(features, network.head.weight[:, :, None, None], network.head.bias)
    probabilities = class_probabilities(logits, description.output_activation, temperature)
    return (1.0 - probabilities[:, description.labels.negative_index, None]).clamp(0.0, 1.0)
