"""Who is who in a data set of phantoms: part, finding, hospital, label, outline, decided before anything is drawn."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from monai_pneumonia.data.labels import DEFAULT_CLASSES, DEFAULT_GROUPS, NEGATIVE_CLASS
from monai_pneumonia.data.phantoms.generate import PhantomSpec
from monai_pneumonia.data.phantoms.hospitals import Hospital
from monai_pneumonia.data.phantoms.settings import PARTS, PhantomSettings

_WHO, _VISIT = 100, 101


@dataclass(frozen=True)
class PlannedItem:
    """One picture to be.

    Attributes:
        id: unique within the data set.
        index: its number.
        part: ``training``, ``validation``, ``testing`` or ``flipped``.
        label: what the datalist says, or None.
        mask_kind: what the datalist says of outlines.
        patient_id: the same for all pictures of a patient.
        spec: what is to be drawn.
    """

    id: str
    index: int
    part: str
    label: str | None
    mask_kind: str
    patient_id: str
    spec: PhantomSpec


def plan_items(settings: PhantomSettings) -> list[PlannedItem]:
    """Plans all pictures. The first n of a longer plan are the plan of n.

    Every part gets every finding before any gets a second patient of it; from there on each patient goes where the parts' and
    findings' shares are furthest from met, so the shares hold at any count.
    """
    items: list[PlannedItem] = []
    for number, (part, finding, first) in enumerate(_cells(settings)):
        if len(items) >= settings.count:
            break
        items += _patient(settings, number, len(items), part, finding, first)
    return items[: settings.count]


def tied_hospital(settings: PhantomSettings, finding: str, flipped: bool) -> Hospital:
    """The hospital that a finding is tied to; in the flipped part two and two findings change places, normal with bacterial."""
    number = DEFAULT_CLASSES.index(finding)
    # Neighbours 2k and 2k + 1 never share a hospital, however many there are.
    place = number ^ 1 if flipped else number
    return settings.hospitals[place % len(settings.hospitals)]


def _cells(settings: PhantomSettings) -> Iterator[tuple[str, str, bool]]:
    """Apportions patients one by one by the method of Huntington and Hill, under which nobody goes without."""
    shares = {
        (part, finding): settings.part_shares.get(part, 0) * settings.class_shares.get(finding, 0)
        for part in PARTS
        for finding in DEFAULT_CLASSES
    }
    seats = dict.fromkeys((cell for cell, share in shares.items() if share > 0), 0)

    def priority(cell: tuple[str, str]) -> tuple[float, float]:
        taken = seats[cell]
        return (shares[cell] / math.sqrt(taken * (taken + 1)) if taken else math.inf, shares[cell])

    while True:
        cell = max(seats, key=priority)
        yield *cell, seats[cell] == 0
        seats[cell] += 1


def _patient(settings: PhantomSettings, number: int, start: int, part: str, finding: str, first: bool) -> list[PlannedItem]:
    rng = np.random.default_rng([settings.seed, number, _WHO])
    hospital = _draw_hospital(settings, rng, finding, part == "flipped")
    child = rng.random() < hospital.children
    age = float(round(rng.uniform(1, 6) if child else rng.uniform(18, 88)))
    sex = "F" if rng.random() < 0.48 else "M"
    label = _label(settings, rng, part, finding, first)
    # The first patient of a finding in a part has one picture, so that small sets reach all findings soon.
    visits = 1 if first else 1 + int(rng.binomial(settings.pictures_per_patient - 1, 0.25))
    items = []
    for visit in range(visits):
        seen = np.random.default_rng([settings.seed, number, visit, _VISIT])
        view = "AP" if seen.random() < hospital.portable else "PA"
        spec = PhantomSpec(finding, hospital, settings.size, settings.seed, number, visit, age, sex, view, settings.lesion_contrast)
        mask_kind = _mask_kind(settings, seen, part, finding, hospital)
        index = start + visit
        items.append(PlannedItem(f"phantom_{index:05d}", index, part, label, mask_kind, f"phantom-{number:05d}", spec))
    return items


def _draw_hospital(settings: PhantomSettings, rng: np.random.Generator, finding: str, flipped: bool) -> Hospital:
    tied = tied_hospital(settings, finding, flipped)
    others = [hospital for hospital in settings.hospitals if hospital != tied]
    chance, other = rng.random(), others[int(rng.integers(len(others)))]
    return tied if chance < settings.confounding else other


def _label(settings: PhantomSettings, rng: np.random.Generator, part: str, finding: str, first: bool) -> str | None:
    nobody_said, only_the_group = rng.random() < settings.unlabelled_share, rng.random() < settings.group_share
    if first:
        return finding
    if nobody_said and part == "training":
        return None
    if only_the_group and finding != NEGATIVE_CLASS:
        return next(iter(DEFAULT_GROUPS))
    return finding


def _mask_kind(settings: PhantomSettings, rng: np.random.Generator, part: str, finding: str, hospital: Hospital) -> str:
    outlined, boxed, read = rng.random(3)
    if settings.outlined_testing and part in ("testing", "flipped"):
        return "empty" if finding == NEGATIVE_CLASS else "pixel"
    if finding == NEGATIVE_CLASS:
        return "empty" if read < hospital.read_empty else "unknown"
    share = hospital.outlined if settings.outlined_share is None else settings.outlined_share
    if outlined >= share:
        return "unknown"
    return "box" if boxed < hospital.boxed else "pixel"
