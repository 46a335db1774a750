"""A bundle with small seeded weights, for tests of inference."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from monai_pneumonia.data.labels import DEFAULT_CLASSES, DEFAULT_GROUPS
from monai_pneumonia.inference.calibration import Calibration, save_calibration
from monai_pneumonia.inference.weights import WeightsDescription, file_sha256, save_weights

INPUT_SIZE = 64


def tiny_description(network: Mapping[str, Any] | None = None, **values: Any) -> WeightsDescription:
    classes = values.pop("classes", DEFAULT_CLASSES)
    arguments = {"backbone": "resnet18", "num_classes": len(classes), "feature_channels": 16, **(network or {})}
    groups = DEFAULT_GROUPS if classes == DEFAULT_CLASSES else {}
    return WeightsDescription(
        **{"model_version": "0.1.0", "input_size": INPUT_SIZE, "resize_mode": "stretch", "groups": groups, **values},
        network=arguments,
        classes=classes,
    )


def tiny_parameters(description: WeightsDescription, seed: int = 0) -> dict[str, torch.Tensor]:
    """Seeded weights whose logits and maps vary from picture to picture and place to place, as those of a trained network do."""
    torch.manual_seed(seed)
    network = description.build_network()
    pictures = torch.nn.functional.interpolate(torch.rand(16, 1, 6, 6), size=INPUT_SIZE, mode="bicubic").clamp(0, 1)
    with torch.no_grad():
        _fit_running_statistics(network, pictures)
        output = network.explain(pictures)
        _standardize(network.head, output.logits.mean(dim=0), output.logits.std(dim=0), 1.5)
        if output.attention_logits is not None:
            _standardize(network.attention_head, output.attention_logits.mean().view(1), output.attention_logits.std().view(1), 2.0)
    return network.state_dict()


def _fit_running_statistics(network: torch.nn.Module, pictures: torch.Tensor) -> None:
    normalizations = [layer for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    for layer in normalizations:
        layer.momentum = 1.0
    network.train()(pictures)
    for layer in normalizations:
        layer.momentum = 0.1
    network.eval()


def _standardize(layer: torch.nn.Module, mean: torch.Tensor, deviation: torch.Tensor, wanted: float) -> None:
    factor = wanted / deviation
    layer.weight.mul_(factor.view(-1, *[1] * (layer.weight.ndim - 1)))
    layer.bias.copy_((layer.bias - mean) * factor)


def metadata_of(description: WeightsDescription) -> dict[str, Any]:
    channels = {str(channel): name for channel, name in enumerate(description.classes)}
    return {"version": description.model_version, "network_data_format": {"outputs": {"pred": {"channel_def": channels}}}}


def write_tiny_bundle(root: Path, description: WeightsDescription | None = None, **calibration: Any) -> Path:
    """Writes a bundle's folder; calibration values are written to models/calibration.json, none writes no such file."""
    description = description or tiny_description()
    weights = root / "models" / "model.pt"
    save_weights(weights, tiny_parameters(description), description)
    (root / "configs").mkdir()
    (root / "configs" / "metadata.json").write_text(json.dumps(metadata_of(description)))
    if calibration:
        fitted = Calibration(weights_sha256=file_sha256(weights), fitted_on={"section": "validation"}, **calibration)
        save_calibration(root / "models" / "calibration.json", fitted)
    return root
