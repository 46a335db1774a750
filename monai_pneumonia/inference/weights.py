"""The weights file: a network's parameters and all that must travel with them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from monai_pneumonia import RESEARCH_USE_ONLY
from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.errors import ModelFaultError, PneumoniaError
from monai_pneumonia.networks import LesionAttentionNet
from monai_pneumonia.transforms.geometry import check_geometry
from monai_pneumonia.whole_files import whole_file

WEIGHTS_KEY = "model"
DESCRIPTION_KEY = "description"
ACTIVATIONS = ("softmax", "sigmoid")
INPUT_SIZE_STEP = 32


@dataclass(frozen=True)
class WeightsDescription:
    """What the weights are for; stored in their own file, so that the two are never parted.

    Attributes:
        model_version: the bundle's version.
        network: arguments of :class:`LesionAttentionNet`.
        input_size: side of the network's input in pixels, a multiple of 32.
        resize_mode: ``stretch`` or ``pad``.
        classes: in the order of the logits.
        groups: group name to its classes.
        output_activation: how logits become probabilities, ``softmax`` or ``sigmoid``.
        training: provenance: data set's name and hash, licences, number of items, epochs, seed, validation metric.

    Raises:
        ValueError: the values contradict each other, or are none that this version knows.
        PneumoniaError: the classes, groups, input size or resize mode cannot be.
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

    def __post_init__(self) -> None:
        if self.output_activation not in ACTIVATIONS:
            raise ValueError(f"output_activation is '{self.output_activation}', not one of {', '.join(ACTIVATIONS)}")
        check_geometry(self.input_size, self.resize_mode)
        if self.input_size % INPUT_SIZE_STEP:
            raise ValueError(f"input_size is {self.input_size}, not a multiple of {INPUT_SIZE_STEP}")
        outputs = self.network.get("num_classes")
        if outputs != len(self.classes):
            raise ValueError(f"network.num_classes is {outputs}, but there are {len(self.classes)} classes: {', '.join(self.classes)}")
        LabelSpace.of(self.classes, self.groups)

    @property
    def attention_supervised(self) -> bool:
        """Whether lesion outlines trained the attention map; without them it shows where the network looked, not how far lesions reach."""
        settings, outlines = self.training.get("settings", {}), self.training.get("outlines", {})
        weight = float(settings.get("attention#weight") or 0.0) if settings.get("attention#enabled", True) else 0.0
        return (
            weight > 0.0 and not settings.get("attention#shuffled_outlines") and any(outlines.get(kind, 0) > 0 for kind in ("pixel", "box"))
        )

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

    Raises:
        ValueError: a parameter is not finite.
        TypeError: the description holds values that JSON does not know, which no weights-only file could be read with.
    """
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    compact = compact_parameters(parameters)
    plain = json.loads(json.dumps(asdict(description)))
    with whole_file(file) as unfinished:
        torch.save({WEIGHTS_KEY: compact, DESCRIPTION_KEY: plain}, unfinished)


def compact_parameters(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU; what has two dimensions or more and fits into half precision is in half precision.

    Raises:
        ValueError: a parameter is not finite.
    """
    compact = {name: _compact(value) for name, value in parameters.items()}
    broken = [name for name, value in compact.items() if not _is_finite(value)]
    if broken:
        raise ValueError(f"{len(broken)} parameter(s) hold values that are not finite, such as {broken[0]}: these weights are not kept")
    return compact


def _compact(value: Tensor) -> Tensor:
    """A copy on the CPU; of two dimensions or more and within the range of half precision, in half precision."""
    copy = value.detach().cpu().clone(memory_format=torch.contiguous_format)
    if not copy.is_floating_point() or copy.ndim < 2:
        return copy
    half = copy.half()
    return half if _is_finite(half) else copy


def _is_finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(torch.isfinite(value).all())


def load_weights(path: str | os.PathLike[str]) -> tuple[LesionAttentionNet, WeightsDescription]:
    """Reads weights into the network that they describe, in evaluation mode, single precision.

    Raises:
        ModelFaultError: the file is missing, damaged, not one of ours, or its weights do not fit its description.
    """
    file = Path(path)
    if not file.is_file():
        raise ModelFaultError(f"no weights at {file}: train first, or give a bundle that holds models/model.pt")
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load has no common error of its own
        raise ModelFaultError(
            f"the weights file {file} is damaged or not a weights-only file ({type(error).__name__}): copy the bundle anew"
        ) from error
    if not isinstance(content, dict) or WEIGHTS_KEY not in content or DESCRIPTION_KEY not in content:
        raise ModelFaultError(f"the weights file {file} lacks '{WEIGHTS_KEY}' or '{DESCRIPTION_KEY}': it was not written by this project")
    try:
        description = WeightsDescription.from_plain(content[DESCRIPTION_KEY])
        network = description.build_network()
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, PneumoniaError) as error:
        raise ModelFaultError(f"the description in {file} cannot be used ({type(error).__name__}: {error})") from error
    _fill(network, content[WEIGHTS_KEY], file)
    return network.eval(), description


def _fill(network: LesionAttentionNet, parameters: Any, file: Path) -> None:
    """Loads parameters into the network that they must fit exactly."""
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    if not isinstance(parameters, Mapping) or not all(isinstance(value, Tensor) for value in parameters.values()):
        raise ModelFaultError(f"'{WEIGHTS_KEY}' in {file} is no table of tensors: it was not written by this project")
    found = {name: tuple(value.shape) for name, value in parameters.items()}
    if "head.weight" in found and found["head.weight"][:1] != expected["head.weight"][:1]:
        raise ModelFaultError(
            f"the weights in {file} are for {found['head.weight'][0]} classes, their description names {expected['head.weight'][0]}: "
            "restore the file as it was trained"
        )
    odd = [name for name in {**expected, **found} if expected.get(name) != found.get(name)]
    if odd:
        raise ModelFaultError(
            f"the weights in {file} do not fit the network that they describe: {len(odd)} parameter(s) are missing, unknown or of another "
            f"shape, such as {odd[0]}; they belong to another network or version"
        )
    broken = [name for name, value in parameters.items() if not _is_finite(value)]
    if broken:
        raise ModelFaultError(f"the weights in {file} hold values that are not finite, such as in {broken[0]}: train again")
    network.load_state_dict(dict(parameters))


def file_sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
