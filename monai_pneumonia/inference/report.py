"""What a recogniser says of one picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from monai_pneumonia import RESEARCH_USE_ONLY

Decision = Literal["pneumonia", "no_pneumonia"]
MapKind = Literal["attention", "class_activation"]

PNEUMONIA: Decision = "pneumonia"
NO_PNEUMONIA: Decision = "no_pneumonia"
UNSUPERVISED = "no lesion outline trained the attention map: its regions show where the network looked, not measured lesions"


@dataclass(frozen=True)
class LesionRegion:
    """One connected region of a picture that the recogniser takes for a lesion.

    Attributes:
        number: its value in :attr:`LesionReport.lesion_labels`, counted from 1, the largest region first.
        box: smallest rectangle around it, (x, y, width, height) in the picture's pixels.
        area_pixels: number of pixels.
        area_mm2: area in square millimetres at the detector; None where the file states no pixel spacing.
        mean_attention: mean of the attention map inside, in [0, 1].
        peak_attention: greatest value of the attention map inside, in [0, 1].
    """

    number: int
    box: tuple[int, int, int, int]
    area_pixels: int
    area_mm2: float | None
    mean_attention: float
    peak_attention: float


@dataclass(frozen=True, eq=False)
class LesionReport:
    """What a recogniser says of one picture. Research use only, not for diagnosis.

    Attributes:
        probabilities: class to its calibrated probability; they sum to 1.
        p_pneumonia: one minus the probability of the class that means "no pneumonia".
        decision: ``pneumonia`` from the operating point on, else ``no_pneumonia``.
        uncertainty: entropy of the probabilities over that of a uniform guess: 0 certain, 1 no idea.
        attention_map: float32 [H, W] in [0, 1] on the picture's own pixels: where the recogniser looked.
        map_kind: ``attention``, or ``class_activation`` for a network without attention.
        lesion_labels: uint16 [H, W]; 0 outside all regions, elsewhere the number of the region.
        lesions: the regions, the largest first; none unless the decision is ``pneumonia``.
        model_version: version of the model.
        weights_sha256: SHA-256 of the weights file, in hexadecimal; empty for weights that come from no file.
        warnings: what is odd about the picture or the model, one sentence each; no patient data.
        notice: what the report may be used for.
    """

    probabilities: Mapping[str, float]
    p_pneumonia: float
    decision: Decision
    uncertainty: float
    attention_map: np.ndarray
    map_kind: MapKind
    lesion_labels: np.ndarray
    lesions: tuple[LesionRegion, ...]
    model_version: str
    weights_sha256: str
    warnings: tuple[str, ...] = ()
    notice: str = RESEARCH_USE_ONLY

    @property
    def regions_are_lesions(self) -> bool:
        """Whether outlines of lesions trained the map that the regions come from."""
        return UNSUPERVISED not in self.warnings

    @property
    def lesion_mask(self) -> np.ndarray:
        """All regions together, bool [H, W]."""
        return np.asarray(self.lesion_labels > 0)

    def region_mask(self, region: LesionRegion) -> np.ndarray:
        """One region, bool [H, W]."""
        return np.asarray(self.lesion_labels == region.number)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the arrays, as values that JSON knows; the picture's size as ``size`` [H, W]."""
        return {
            "notice": self.notice,
            "size": list(self.attention_map.shape),
            "probabilities": dict(self.probabilities),
            "p_pneumonia": self.p_pneumonia,
            "decision": self.decision,
            "uncertainty": self.uncertainty,
            "map_kind": self.map_kind,
            "lesions": [{**asdict(region), "box": list(region.box)} for region in self.lesions],
            "warnings": list(self.warnings),
            "model_version": self.model_version,
            "weights_sha256": self.weights_sha256,
        }
