"""Checks a datalist against its pictures and outlines, and reports everything that is wrong at once."""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from monai_pneumonia import RESEARCH_USE_ONLY
from monai_pneumonia.data.datalist import SECTIONS, Datalist, DatalistItem
from monai_pneumonia.data.progress import track
from monai_pneumonia.data.splits import patients_in_several_sections
from monai_pneumonia.errors import BadInputError, NothingToAnalyseError, RejectedImageError
from monai_pneumonia.radiograph import read_radiograph

# Boxes come from other resolutions, scaled and rounded.
_BOX_TOLERANCE = 0.5
_LESION_LEVEL = 0.5
_LONGEST_ID = 200
_NAMES_SHOWN = 5


class FaultKind(str, Enum):
    """What may be wrong with a datalist."""

    MISSING_IMAGE = "missing_image"
    UNREADABLE_IMAGE = "unreadable_image"
    REJECTED_IMAGE = "rejected_image"
    UNKNOWN_LABEL = "unknown_label"
    MISSING_MASK = "missing_mask"
    UNREADABLE_MASK = "unreadable_mask"
    MASK_SIZE = "mask_size"
    MASK_KIND = "mask_kind"
    BOX_OUTSIDE = "box_outside"
    DUPLICATE_ID = "duplicate_id"
    UNSAFE_ID = "unsafe_id"
    PATIENT_IN_TWO_SPLITS = "patient_in_two_splits"
    SAME_PICTURE = "same_picture"
    SAME_PICTURE_TWO_LABELS = "same_picture_two_labels"
    EMPTY_CLASS = "empty_class"
    EMPTY_SECTION = "empty_section"


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        kind: what sort of thing.
        section: training, validation or testing.
        item: the item's id, or None where a whole section is meant.
        file: the file that it is about, or None.
        message: what is wrong and what to do; names items, never patients.
    """

    kind: FaultKind
    section: str
    item: str | None
    file: str | None
    message: str


@dataclass(frozen=True)
class ValidationReport:
    """What a validation found.

    Attributes:
        name: of the datalist.
        items: number of items in the datalist.
        read: number of items whose picture could be read.
        faults: what must be mended before training or evaluating.
        warnings: what one should know, but may be meant.
    """

    name: str
    items: int
    read: int
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no fault; warnings do not count."""
        return not self.faults

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "note": RESEARCH_USE_ONLY,
            "name": self.name,
            "ok": self.ok,
            "items": self.items,
            "read": self.read,
            "fault_counts": _counts(self.faults),
            "warning_counts": _counts(self.warnings),
            "faults": [asdict(fault) for fault in self.faults],
            "warnings": [asdict(warning) for warning in self.warnings],
        }


def validate_datalist(datalist: Datalist, workers: int | None = None) -> ValidationReport:
    """Reads every picture and outline of a datalist and gathers all that is wrong.

    Args:
        datalist: what to check.
        workers: number of threads that read pictures; None takes one a core, at most eight.

    Raises:
        NothingToAnalyseError: the datalist has no item.
    """
    placed = list(datalist.items())
    if not placed:
        raise NothingToAnalyseError(f"the datalist '{datalist.name}' has no items: import pictures into it")
    inspections = _inspect_all(datalist, placed, workers or min(os.cpu_count() or 1, 8))
    faults = [
        *_label_faults(datalist, placed),
        *_id_faults(datalist, placed),
        *(fault for inspection in inspections for fault in inspection.faults),
        *_patient_faults(datalist, placed),
    ]
    warnings: list[Fault] = []
    for fault, serious in (*_same_pictures(datalist, placed, inspections), *_empty_parts(datalist)):
        (faults if serious else warnings).append(fault)
    return ValidationReport(
        name=datalist.name,
        items=len(placed),
        read=sum(1 for inspection in inspections if inspection.digest is not None),
        faults=tuple(faults),
        warnings=tuple(warnings),
    )


@dataclass
class _Inspection:
    """What reading one item's files showed.

    Attributes:
        digest: of the picture's pixels; None where it could not be read.
    """

    faults: list[Fault] = field(default_factory=list)
    digest: str | None = None


def _inspect_all(datalist: Datalist, placed: Sequence[tuple[str, DatalistItem]], workers: int) -> list[_Inspection]:
    executor = ThreadPoolExecutor(max_workers=workers)
    try:
        inspections = executor.map(lambda pair: _inspect(datalist, *pair), placed)
        return list(track(inspections, "reading pictures", total=len(placed)))
    finally:
        executor.shutdown(cancel_futures=True)


def _inspect(datalist: Datalist, section: str, item: DatalistItem) -> _Inspection:
    inspection = _Inspection()
    pixels = _read(datalist, section, item, item.image, _IMAGE_KINDS, inspection)
    shape = None if pixels is None else pixels.shape
    if pixels is not None:
        inspection.digest = _digest(pixels)
        inspection.faults.extend(_box_faults(datalist, section, item, pixels.shape))
    mask = _read(datalist, section, item, item.mask, _MASK_KINDS, inspection) if item.mask else None
    if mask is not None and shape is not None and mask.shape != shape:
        message = (
            f"the mask is {mask.shape[1]} x {mask.shape[0]}, the picture {shape[1]} x {shape[0]} pixels: an outline has its picture's size"
        )
        inspection.faults.append(_fault(FaultKind.MASK_SIZE, datalist, section, item, message, item.mask))
    odds = _mask_kind_at_odds(item, mask)
    if odds:
        inspection.faults.append(_fault(FaultKind.MASK_KIND, datalist, section, item, odds, item.mask or item.image))
    return inspection


_IMAGE_KINDS = (FaultKind.MISSING_IMAGE, FaultKind.UNREADABLE_IMAGE, FaultKind.REJECTED_IMAGE)
_MASK_KINDS = (FaultKind.MISSING_MASK, FaultKind.UNREADABLE_MASK, FaultKind.UNREADABLE_MASK)


def _read(
    datalist: Datalist, section: str, item: DatalistItem, path: str, kinds: tuple[FaultKind, FaultKind, FaultKind], inspection: _Inspection
) -> np.ndarray | None:
    """The pixels [H, W] of a file, or None and a fault of one of the kinds (missing, unreadable, rejected)."""
    missing, unreadable, rejected = kinds
    file = datalist.resolve(path)
    if not file.is_file():
        message = f"there is no such file (paths are relative to {datalist.root})"
        inspection.faults.append(_fault(missing, datalist, section, item, message, path))
        return None
    try:
        return read_radiograph(file).pixels
    except BadInputError as error:
        kind = rejected if isinstance(error, RejectedImageError) else unreadable
        inspection.faults.append(_fault(kind, datalist, section, item, str(error), path))
        return None


def _digest(pixels: np.ndarray) -> str:
    """Tells pictures apart by size and grey levels of eight bits, so that copies of 8 and 16 bits are the same picture."""
    levels = np.rint(pixels * 255).astype(np.uint8)
    return hashlib.blake2b(repr(levels.shape).encode() + levels.tobytes(), digest_size=16).hexdigest()


def _box_faults(datalist: Datalist, section: str, item: DatalistItem, shape: tuple[int, ...]) -> Iterator[Fault]:
    height, width = shape
    for box in item.boxes:
        x, y, box_width, box_height = box
        inside = x >= -_BOX_TOLERANCE and y >= -_BOX_TOLERANCE
        inside = inside and x + box_width <= width + _BOX_TOLERANCE and y + box_height <= height + _BOX_TOLERANCE
        if not all(map(math.isfinite, box)) or box_width <= 0 or box_height <= 0:
            problem = "has no positive width and height"
        elif not inside:
            problem = f"leaves the picture of {width} x {height} pixels"
        else:
            continue
        message = f"the box {list(box)} (x, y, width, height) {problem}: boxes are in the picture's own pixels"
        yield _fault(FaultKind.BOX_OUTSIDE, datalist, section, item, message, item.image)


def _mask_kind_at_odds(item: DatalistItem, mask: np.ndarray | None) -> str | None:
    """What is wrong between mask_kind, mask [H, W] (None where there is none, or it cannot be read) and boxes, or None."""
    kind = item.mask_kind
    drawn = mask is not None and bool((mask >= _LESION_LEVEL).any())
    if mask is not None and not drawn and mask.max() > 0:
        return f"the mask's brightest pixel is {mask.max():.3f} of white: write outlines as 0 and 255"
    if kind == "empty" and (drawn or item.boxes):
        return f"mask_kind is empty, but there {'is an outline' if drawn else 'are boxes'}: say pixel or box, or remove it"
    if kind == "unknown" and (item.mask or item.boxes):
        return f"mask_kind is unknown, but there {'is a mask' if item.mask else 'are boxes'}: say pixel, box or empty, or remove it"
    if kind == "pixel" and not item.mask:
        return "mask_kind is pixel, but there is no mask: give one, or say unknown (or box, or empty)"
    if kind == "box" and not item.mask and not item.boxes:
        return "mask_kind is box, but there is neither mask nor box: give one, or say unknown (or empty)"
    if kind in ("pixel", "box") and mask is not None and not drawn:
        return f"mask_kind is {kind}, but the mask is blank: say empty, if the picture was read and nothing found"
    return None


def _label_faults(datalist: Datalist, placed: Iterable[tuple[str, DatalistItem]]) -> Iterator[Fault]:
    labels = datalist.labels
    for section, item in placed:
        if not labels.knows(item.label):
            message = (
                f"unknown label '{item.label}': neither a class of {list(labels.classes)} nor a group of {list(labels.groups)}, nor null"
            )
            yield _fault(FaultKind.UNKNOWN_LABEL, datalist, section, item, message, item.image)


def _id_faults(datalist: Datalist, placed: Sequence[tuple[str, DatalistItem]]) -> Iterator[Fault]:
    times = Counter(item.id for _, item in placed)
    for section, item in placed:
        if times[item.id] > 1:
            message = f"{times[item.id]} items have this id: ids name result files, so each must be unique"
            yield _fault(FaultKind.DUPLICATE_ID, datalist, section, item, message, item.image)
        if not is_safe_id(item.id):
            message = "the id is no safe file name: use letters, digits, '.', '-' and '_', and start with a letter, digit or '_'"
            yield _fault(FaultKind.UNSAFE_ID, datalist, section, item, message, item.image)


def is_safe_id(name: str) -> bool:
    """Whether an id can name a file anywhere: no path or shell characters, no leading dot or dash, not too long."""
    allowed = all(character.isalnum() or character in "._- " for character in name)
    return allowed and bool(name) and name == name.strip() and name[0] not in ".-" and len(name.encode()) <= _LONGEST_ID


def _patient_faults(datalist: Datalist, placed: Sequence[tuple[str, DatalistItem]]) -> Iterator[Fault]:
    spread = patients_in_several_sections(placed)
    by_patient: dict[str, list[tuple[str, DatalistItem]]] = {patient: [] for patient in spread}
    for section, item in placed:
        if item.patient in by_patient:
            by_patient[item.patient].append((section, item))
    for pairs in by_patient.values():
        section, item = pairs[-1]
        message = f"items of one patient are in several splits: {_listed(pairs)}; keep a patient in one split"
        yield _fault(FaultKind.PATIENT_IN_TWO_SPLITS, datalist, section, item, message, item.image)


def _same_pictures(
    datalist: Datalist, placed: Sequence[tuple[str, DatalistItem]], inspections: Sequence[_Inspection]
) -> Iterator[tuple[Fault, bool]]:
    """Groups of items with the same pixels, and whether that is a fault (labels, splits or patients differ) or a warning."""
    by_digest: dict[str, list[tuple[str, DatalistItem]]] = {}
    for pair, inspection in zip(placed, inspections, strict=True):
        if inspection.digest is not None:
            by_digest.setdefault(inspection.digest, []).append(pair)
    for pairs in by_digest.values():
        if len(pairs) == 1:
            continue
        section, item = pairs[-1]
        labels = sorted({item.label for _, item in pairs if item.label is not None})
        if len(labels) > 1:
            message = f"the same picture is labelled {' and '.join(labels)}: {_listed(pairs)}; keep one label, or none"
            yield _fault(FaultKind.SAME_PICTURE_TWO_LABELS, datalist, section, item, message, item.image), True
        splits, patients = {section for section, _ in pairs}, {item.patient for _, item in pairs}
        where = " in several splits" if len(splits) > 1 else " under several patients" if len(patients) > 1 else ""
        message = f"the same picture is there {len(pairs)} times{where}: {_listed(pairs)}; keep one"
        serious = len(splits) > 1 or len(patients) > 1
        yield _fault(FaultKind.SAME_PICTURE, datalist, section, item, message, item.image), serious


def _empty_parts(datalist: Datalist) -> Iterator[tuple[Fault, bool]]:
    """Sections without items and classes without items, and whether that is a fault or a warning.

    In training it is a fault, unless a group that is there may mean the class.
    """
    for section in SECTIONS:
        items = datalist.section(section)
        serious = section == "training"
        if not items:
            yield Fault(FaultKind.EMPTY_SECTION, section, None, None, f"{section} has no items"), serious
            continue
        labels = {item.label for item in items}
        for name in datalist.labels.classes:
            if name not in labels:
                groups = [group for group, members in datalist.labels.groups.items() if name in members and group in labels]
                hint = f" (only {' and '.join(groups)} may mean it)" if groups else ""
                message = f"{section} has no item of the class '{name}'{hint}: add some, or take the class out of `classes`"
                yield Fault(FaultKind.EMPTY_CLASS, section, None, None, message), serious and not groups


def _fault(kind: FaultKind, datalist: Datalist, section: str, item: DatalistItem, message: str, path: str | None) -> Fault:
    return Fault(kind, section, item.id, str(datalist.resolve(path)) if path else None, message)


def _listed(pairs: Sequence[tuple[str, DatalistItem]]) -> str:
    names = [f"{item.id} ({section})" for section, item in pairs[:_NAMES_SHOWN]]
    more = len(pairs) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _counts(faults: Iterable[Fault]) -> dict[str, int]:
    return {kind.value: count for kind, count in Counter(fault.kind for fault in faults).items()}
