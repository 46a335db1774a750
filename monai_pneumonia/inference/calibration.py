"""models/calibration.json: the temperature of the probabilities and the operating point of the decision."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from monai_pneumonia.errors import ModelFaultError
from monai_pneumonia.whole_files import whole_file


@dataclass(frozen=True)
class Calibration:
    """What turns logits into probabilities that mean what they say, and a probability into a decision.

    Attributes:
        temperature: logits are divided by it, > 0 (Guo et al. 2017, arXiv 1706.04599).
        operating_point: p_pneumonia from which the decision is "pneumonia", in [0, 1].
        lesion_threshold: attention from which a pixel belongs to a lesion region, in [0, 1].
        weights_sha256: of the weights that it was fitted to.
        fitted_on: provenance: data set, section, number of items, criterion; empty where nothing was fitted.

    Raises:
        ValueError: temperature, operating point or lesion threshold out of range.
    """

    temperature: float = 1.0
    operating_point: float = 0.5
    lesion_threshold: float = 0.5
    weights_sha256: str = ""
    fitted_on: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf or not 0 <= self.operating_point <= 1 or not 0 <= self.lesion_threshold <= 1:
            raise ValueError("temperature must be positive and finite, operating_point and lesion_threshold within [0, 1]")

    @property
    def is_fitted(self) -> bool:
        """Whether the values were fitted to data."""
        return bool(self.fitted_on)


def save_calibration(path: str | os.PathLike[str], calibration: Calibration) -> None:
    """Writes a calibration, whole or not at all."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(file) as unfinished:
        unfinished.write_text(json.dumps(asdict(calibration), indent=1) + "\n", encoding="utf-8")


def load_calibration(path: str | os.PathLike[str], weights_sha256: str) -> Calibration:
    """Reads the calibration that belongs to the weights; a bundle without one is uncalibrated.

    Raises:
        ModelFaultError: the file is damaged, or was fitted to other weights.
    """
    file = Path(path)
    if not file.is_file():
        return Calibration(weights_sha256=weights_sha256)
    try:
        calibration = Calibration(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ModelFaultError(f"the calibration {file} is damaged: {error}") from error
    if calibration.weights_sha256 != weights_sha256:
        raise ModelFaultError(f"the calibration {file} was fitted to other weights: train again, or delete it to go on uncalibrated")
    return calibration
