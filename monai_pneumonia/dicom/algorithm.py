"""Which algorithm speaks in a DICOM result: product, version, weights and settings."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from monai_pneumonia import __version__

if TYPE_CHECKING:  # the gate needs the names below, and no torch
    from monai_pneumonia.inference.recognizer import LesionRecognizer

MANUFACTURER = "monai-pneumonia"
MODEL_NAME = "lesion recogniser"
ALGORITHM_NAME = "monai-pneumonia lesion recogniser"


@dataclass(frozen=True)
class Algorithm:
    """What identifies the algorithm behind a result.

    Attributes:
        model_version: version of the bundle.
        weights_sha256: SHA-256 of the weights file, in hexadecimal.
        operating_point: p_pneumonia from which the decision is "pneumonia", in [0, 1].
        lesion_threshold: attention from which a pixel belongs to a lesion region, in [0, 1].
        settings_sha256: SHA-256 over all that shapes results beside the weights, in hexadecimal; :meth:`of` computes it.
        package_version: of monai-pneumonia.
    """

    model_version: str
    weights_sha256: str
    operating_point: float
    lesion_threshold: float
    settings_sha256: str = ""
    package_version: str = __version__

    @classmethod
    def of(cls, recognizer: LesionRecognizer) -> Algorithm:
        """The algorithm that a recogniser is."""
        description, calibration = recognizer.description, recognizer.calibration
        settings = {
            "package_version": __version__,
            "model_version": recognizer.model_version,
            "classes": list(description.classes),
            "input_size": description.input_size,
            "resize_mode": description.resize_mode,
            "output_activation": description.output_activation,
            "temperature": calibration.temperature,
            "operating_point": calibration.operating_point,
            "lesion_threshold": calibration.lesion_threshold,
            # A GPU's last digits are not those of a CPU: other results, which need identifiers of their own.
            "device": recognizer.device.type,
        }
        return cls(
            model_version=recognizer.model_version,
            weights_sha256=recognizer.weights_sha256,
            operating_point=calibration.operating_point,
            lesion_threshold=calibration.lesion_threshold,
            settings_sha256=_digest(settings),
        )

    @property
    def version(self) -> str:
        """Versions of model and package, as one text."""
        return f"model {self.model_version}, package {self.package_version}"

    @property
    def parameters(self) -> dict[str, str]:
        """Name and value of what a reader needs to find the same algorithm again."""
        return {
            "weights_sha256": self.weights_sha256 or "none",
            "settings_sha256": self.settings_sha256 or "none",
            "operating_point": f"{self.operating_point:.6g}",
            "lesion_threshold": f"{self.lesion_threshold:.6g}",
        }


def _digest(settings: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
