"""A bundle's folder: weights, calibration and metadata that belong together. None of its configurations is executed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_pneumonia.errors import ModelFaultError
from monai_pneumonia.inference.calibration import Calibration, load_calibration
from monai_pneumonia.inference.weights import WeightsDescription, file_sha256, load_weights
from monai_pneumonia.networks import LesionAttentionNet

METADATA_FILE = "configs/metadata.json"
WEIGHTS_FILE = "models/model.pt"
CALIBRATION_FILE = "models/calibration.json"
_CHANNELS_KEY = "network_data_format.outputs.pred.channel_def"


@dataclass(frozen=True)
class BundleContents:
    """What inference needs of a bundle.

    Attributes:
        network: in evaluation mode, on the CPU.
        description: what the weights are for.
        calibration: that belongs to the weights; all defaults where the bundle has none.
        weights_sha256: of models/model.pt.
        version: of the bundle.
    """

    network: LesionAttentionNet
    description: WeightsDescription
    calibration: Calibration
    weights_sha256: str
    version: str


def read_bundle(path: str | os.PathLike[str]) -> BundleContents:
    """Reads a bundle and checks that its parts belong together.

    Args:
        path: the bundle's folder, with configs/metadata.json, models/model.pt and perhaps models/calibration.json.

    Raises:
        ModelFaultError: it is no bundle, a file is missing or damaged, or two files contradict each other.
    """
    root = Path(path)
    if not root.is_dir():
        raise ModelFaultError(f"no bundle at {root}: give a folder that holds {METADATA_FILE} and {WEIGHTS_FILE}")
    metadata = _read_metadata(root / METADATA_FILE)
    network, description = load_weights(root / WEIGHTS_FILE)
    channels = _channel_names(metadata, root / METADATA_FILE)
    if channels != description.classes:
        raise ModelFaultError(
            f"{root / METADATA_FILE} names {len(channels)} classes, {', '.join(channels)} ({_CHANNELS_KEY}), but the weights "
            f"{root / WEIGHTS_FILE} give {len(description.classes)}: {', '.join(description.classes)}; they do not belong together"
        )
    weights_sha256 = file_sha256(root / WEIGHTS_FILE)
    calibration = load_calibration(root / CALIBRATION_FILE, weights_sha256)
    return BundleContents(network, description, calibration, weights_sha256, str(metadata["version"]))


def _read_metadata(file: Path) -> Mapping[str, Any]:
    try:
        metadata = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelFaultError(f"{file} does not exist: {file.parents[1]} is no bundle, or only a part of one") from error
    except (OSError, ValueError) as error:
        raise ModelFaultError(f"{file} cannot be read as JSON ({type(error).__name__}): restore it") from error
    if not isinstance(metadata, dict) or "version" not in metadata:
        raise ModelFaultError(f"{file} states no `version`: restore the metadata of the bundle")
    return metadata


def _channel_names(metadata: Mapping[str, Any], file: Path) -> tuple[str, ...]:
    """The class names of the metadata, in the order of their channels."""
    value: Any = metadata
    try:
        for key in _CHANNELS_KEY.split("."):
            value = value[key]
        return tuple(str(value[str(channel)]) for channel in range(len(value)))
    except (KeyError, TypeError) as error:
        raise ModelFaultError(f'{file} must name the classes under `{_CHANNELS_KEY}` as {{"0": "...", "1": "..."}}') from error
