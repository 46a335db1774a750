"""Overlay pictures for the report: what the model found, missed and mistook, the surest first."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from monai_pneumonia.data.datalist import DatalistItem
from monai_pneumonia.evaluation.joining import UNLABELLED, LabelledPredictions
from monai_pneumonia.metrics.weighted import Flags, Floats

SAMPLES_EACH = 4
_LONG_SIDE = 448
_QUALITY = 84


@dataclass(frozen=True)
class Sample:
    """A picture with the model's overlay.

    Attributes:
        picture: as a data URI.
        size: (width, height) in pixels.
        caption: lines under it.
    """

    picture: str
    size: tuple[int, int]
    caption: tuple[str, ...]


@dataclass(frozen=True)
class SampleGroup:
    """Samples of one outcome."""

    title: str
    samples: tuple[Sample, ...]


def choose_samples(labelled: LabelledPredictions, overlays: Path, each: int = SAMPLES_EACH) -> tuple[SampleGroup, ...]:
    """Reads overlays of the four outcomes of the decision, those with the surest probability first.

    Args:
        labelled: the items.
        overlays: the folder that ``predict`` wrote them to, named by id.
        each: how many of each outcome at most.

    Returns:
        The outcomes that have a readable overlay.
    """
    decided = np.array([labelled.labels.is_pneumonia(item.label) is not None for item in labelled.items])
    ill = np.array([bool(labelled.labels.is_pneumonia(item.label)) for item in labelled.items])
    called, p = labelled.decisions, labelled.p_pneumonia
    outcomes = (
        ("Missed pneumonia", decided & ill & ~called, p),
        ("False alarms", decided & ~ill & called, -p),
        ("Pneumonia, called pneumonia", decided & ill & called, -p),
        ("No pneumonia, called none", decided & ~ill & ~called, p),
    )
    groups = [SampleGroup(title, tuple(_samples(labelled, overlays, flags, rank, each))) for title, flags, rank in outcomes]
    return tuple(group for group in groups if group.samples)


def _samples(labelled: LabelledPredictions, overlays: Path, flags: Flags, rank: Floats, each: int) -> Sequence[Sample]:
    found: list[Sample] = []
    for at in np.flatnonzero(flags)[np.argsort(rank[flags], kind="stable")]:
        if len(found) == each:
            break
        picture = _read(overlays, labelled.items[at])
        if picture is not None:
            found.append(Sample(*picture, _caption(labelled, int(at))))
    return found


def _read(overlays: Path, item: DatalistItem) -> tuple[str, tuple[int, int]] | None:
    """A picture as a data URI with its size; None where there is none that can be read."""
    # Here, for it brings torch along, and most evaluations show no picture.
    from monai_pneumonia.inference import file_name_of

    file = overlays / f"{file_name_of(item.id)}.png"
    if not file.is_file():
        return None
    try:
        with Image.open(file) as opened:
            picture = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    picture.thumbnail((_LONG_SIDE, _LONG_SIDE))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii"), picture.size


def _caption(labelled: LabelledPredictions, at: int) -> tuple[str, ...]:
    item = labelled.items[at]
    likeliest = int(np.argmax(labelled.probabilities[at]))
    lines = (
        f"p_pneumonia {labelled.p_pneumonia[at]:.3f}",
        f"label {item.label or UNLABELLED}; likeliest {labelled.labels.classes[likeliest]} {labelled.probabilities[at, likeliest]:.3f}",
    )
    # Some data sets name the picture after the patient.
    names_patient = item.patient_id is not None and item.patient_id.casefold() in item.id.casefold()
    return lines if names_patient else (item.id, *lines)
