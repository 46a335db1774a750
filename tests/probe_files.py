"""Files of pre-training as probes read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from monai_pneumonia.networks.backbones import build_backbone, replace_batch_normalization

DESCRIPTION: dict[str, Any] = {
    "notice": "Research use only, not for diagnosis.",
    "method": "moco",
    "backbone": "resnet18",
    "normalization": "batch",
    "input_size": 64,
    "resize_mode": "stretch",
    "epochs": 0,
}


def write_encoder(file: Path, backbone: str = "resnet18", seed: int = 7, parameters_of: str | None = None, **described: Any) -> Path:
    """Writes a random encoder in half precision.

    Args:
        file: where to.
        backbone: described and, unless another is named, built.
        seed: of the parameters.
        parameters_of: another backbone than the one described.
        **described: over :data:`DESCRIPTION`; None leaves a key out, save where it means something.
    """
    description = {**DESCRIPTION, "backbone": backbone, **described}
    left_out = [key for key in DESCRIPTION.keys() | {"training_sha256"} if description.get(key) is None]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = build_backbone(parameters_of or backbone)
    if description["normalization"] == "group":
        replace_batch_normalization(built)
    compact = {name: value.half() if value.is_floating_point() and value.ndim > 1 else value for name, value in built.state_dict().items()}
    told = {key: value for key, value in description.items() if key not in left_out}
    torch.save({"encoder": compact, "description": told}, file)
    return file
