"""What a data set of phantoms is made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from monai_pneumonia.data.labels import DEFAULT_CLASSES, NEGATIVE_CLASS
from monai_pneumonia.data.phantoms.generate import SMALLEST_SIZE
from monai_pneumonia.data.phantoms.hospitals import HOSPITALS, Hospital
from monai_pneumonia.errors import UsageError

PARTS = ("training", "validation", "testing", "flipped")
IMAGE_FORMATS = ("png", "dicom")
TRANSFER_SYNTAXES = ("explicit", "implicit", "rle", "mixed")


def _class_shares() -> dict[str, float]:
    return {"normal": 0.44, "bacterial": 0.31, "viral": 0.19, "covid19": 0.06}


def _part_shares() -> dict[str, float]:
    return {"training": 0.56, "validation": 0.14, "testing": 0.15, "flipped": 0.15}


@dataclass(frozen=True)
class PhantomSettings:
    """What a data set of phantoms is made of. The defaults give a shortcut: the hospital's look tells the class.

    Attributes:
        count: pictures in all parts together.
        size: long side of a picture, in pixels.
        seed: of everything; item k is the same whatever the count.
        image_format: ``png`` (8 bit grey) or ``dicom`` (CR and DX, MONOCHROME1 and 2, 8 to 16 bit).
        transfer_syntax: of DICOM files: ``explicit``, ``implicit``, ``rle``, or ``mixed`` for all three in turn.
        hospitals: two or more.
        class_shares: share of patients with each finding.
        part_shares: share of patients in ``training``, ``validation``, ``testing`` and ``flipped``.
        confounding: probability that a patient comes from the hospital tied to the class, others sharing the rest evenly;
            ``1 / len(hospitals)`` unties class and hospital. In ``flipped`` each class is tied to another's hospital.
        pictures_per_patient: at most.
        group_share: share of pneumonia patients whose label says ``pneumonia_unspecified`` only.
        unlabelled_share: share of patients without a label, in training alone.
        outlined_share: share of pneumonia pictures with an outline, for all hospitals; None leaves it to each hospital.
        outlined_testing: whether every testing picture has its outline, as a reference for localisation.
        lesion_contrast: factor on what lesions add to the attenuation: how easy the task is.

    Raises:
        UsageError: a setting is out of range; all of them are named.
    """

    count: int = 600
    size: int = 192
    seed: int = 0
    image_format: str = "png"
    transfer_syntax: str = "mixed"
    hospitals: tuple[Hospital, ...] = HOSPITALS
    class_shares: Mapping[str, float] = field(default_factory=_class_shares)
    part_shares: Mapping[str, float] = field(default_factory=_part_shares)
    confounding: float = 0.85
    pictures_per_patient: int = 3
    group_share: float = 0.08
    unlabelled_share: float = 0.05
    outlined_share: float | None = None
    outlined_testing: bool = True
    lesion_contrast: float = 1.0

    def __post_init__(self) -> None:
        faults = [message for message in self._faults() if message]
        if faults:
            raise UsageError("phantoms cannot be made: " + "; ".join(faults))

    def _faults(self) -> list[str]:
        faults = [
            _least("count", self.count, 1),
            _least("size", self.size, SMALLEST_SIZE),
            _least("seed", self.seed, 0),
            _least("pictures_per_patient", self.pictures_per_patient, 1),
            _one_of("image_format", self.image_format, IMAGE_FORMATS),
            _one_of("transfer_syntax", self.transfer_syntax, TRANSFER_SYNTAXES),
            _shares("class_shares", self.class_shares, DEFAULT_CLASSES),
            _shares("part_shares", self.part_shares, PARTS),
        ]
        probabilities = {name: getattr(self, name) for name in ("confounding", "group_share", "unlabelled_share", "outlined_share")}
        faults += [_probability(name, value) for name, value in probabilities.items() if value is not None]
        if not 0 < self.lesion_contrast < math.inf:
            faults.append(f"lesion_contrast must be more than 0, got {self.lesion_contrast}")
        names = [hospital.name for hospital in self.hospitals]
        if len(names) < 2 or len(set(names)) < len(names):
            faults.append(f"hospitals must be two or more with distinct names, got {names}")
        if not self.class_shares.get(NEGATIVE_CLASS, 0) < 1:
            faults.append("class_shares leave no patient with pneumonia")
        return faults


def _least(name: str, value: float, least: float) -> str:
    return "" if math.isfinite(value) and value >= least else f"{name} must be {least} or more, got {value}"


def _one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    return "" if value in known else f"{name} must be one of {', '.join(known)}, got '{value}'"


def _probability(name: str, value: float) -> str:
    return "" if 0 <= value <= 1 else f"{name} must lie between 0 and 1, got {value}"


def _shares(name: str, shares: Mapping[str, float], known: tuple[str, ...]) -> str:
    unknown = sorted(set(shares) - set(known))
    if unknown:
        return f"{name} knows {', '.join(known)}, not {', '.join(unknown)}"
    if any(not share >= 0 for share in shares.values()) or not math.isclose(sum(shares.values()), 1.0, abs_tol=1e-6):
        return f"{name} must be 0 or more and add up to 1, got {dict(shares)}"
    return ""
