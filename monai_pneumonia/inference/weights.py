"""The weights file: a network's parameters and all that must travel with them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from monai_pneumonia import RESEARCH_USE_ONLY
from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.errors import ModelFaultError
from monai_pneumonia.networks import LesionAttentionNet

WEIGHTS_KEY = "model"
_DESCRIPTION_KEY = "description"
ACTIVATIONS = ("softmax", "sigmoid")


@dataclass(frozen=True)
class WeightsDescription:
    """What the weights are for; stored in their own file, so that the two are never parted.

    Attributes:
        model_version: the bundle's version.
        network: arguments of :class:`LesionAttentionNet`.
        input_size: side of the network's input in pixels.
        resize_mode: ``stretch`` or ``pad``.
        classes: in the order of the logits.
        groups: group name to its classes.
        output_activation: how logits become probabilities, ``softmax`` or ``sigmoid``.
        training: provenance: data set's name and hash, licences, number of items, epochs, seed, validation metric.
    """

    model_version: str
    network: Mapping[str, Any]
    input_size: int
    resize_mode: str
    classes: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    output_activation: str = "softmax"
    training: Mapping[str, Any] = field(default_factory=dict)
    notice: str = RESEARCH_USE_ONLY

    @property
    def labels(self) -> LabelSpace:
        """The label space of the logits."""
        return LabelSpace.of(self.classes, self.groups)

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> WeightsDescription:
        """Builds a description from the plain values of the file."""
        groups = {name: tuple(members) for name, members in values.get("groups", {}).items()}
        return cls(**{**values, "classes": tuple(values["classes"]), "groups": groups})

    def build_network(self) -> LesionAttentionNet:
        """The network that these weights fit, with random weights."""
        return LesionAttentionNet(**self.network)


def save_weights(path: str | os.PathLike[str], parameters: Mapping[str, Tensor], description: WeightsDescription) -> None:
    """Writes weights in half precision with their description, whole or not at all.

    Running statistics and other vectors stay in single precision: they are small, and variances overflow.

    Args:
        path: the file, readable by ``torch.load(weights_only=True)``.
        parameters: the network's state dictionary.
        description: what the weights are for.
    """
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    compact = {
        name: value.detach().cpu().half() if value.is_floating_point() and value.ndim >= 2 else value.detach().cpu().clone()
        for name, value in parameters.items()
    }
    plain = asdict(description)
    plain["classes"] = list(description.classes)
    plain["groups"] = {name: list(members) for name, members in description.groups.items()}
    unfinished = file.with_name(file.name + ".unfinished")
    torch.save({WEIGHTS_KEY: compact, _DESCRIPTION_KEY: plain}, unfinished)
    unfinished.replace(file)


def load_weights(path: str | os.PathLike[str]) -> tuple[LesionAttentionNet, WeightsDescription]:
    """Reads weights into the network that they describe, in evaluation mode, single precision.

    Raises:
        ModelFaultError: the file is missing, damaged, or not one of ours.
    """
    file = Path(path)
    if not file.is_file():
        raise ModelFaultError(f"no weights at {file}: train first, or give a bundle that holds models/model.pt")
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load has no common error of its own
        raise ModelFaultError(f"the weights file {file} is damaged or not a weights-only file ({type(error).__name__})") from error
    if not isinstance(content, dict) or WEIGHTS_KEY not in content or _DESCRIPTION_KEY not in content:
        raise ModelFaultError(f"the weights file {file} lacks '{WEIGHTS_KEY}' or '{_DESCRIPTION_KEY}': it was not written by this project")
    try:
        description = WeightsDescription.from_plain(content[_DESCRIPTION_KEY])
        network = description.build_network()
        network.load_state_dict(content[WEIGHTS_KEY])
    except (KeyError, TypeError, RuntimeError) as error:
        raise ModelFaultError(f"the weights in {file} do not fit their own description: {str(error).splitlines()[0]}") from error
    return network.eval(), description


def file_sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
