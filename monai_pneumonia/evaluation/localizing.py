"""Maps against outlines: whose map it is does not matter, so candidates and their baselines are measured alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from monai_pneumonia.data.datalist import Datalist, DatalistItem
from monai_pneumonia.errors import BadInputError, NothingToAnalyseError
from monai_pneumonia.evaluation.parts import UNKNOWN
from monai_pneumonia.metrics import LOCALIZATION_KINDS, Estimate, LocalizationSample, bootstrap_estimates, localization_values
from monai_pneumonia.metrics.bootstrap import DEFAULT_CONFIDENCE, DEFAULT_RESAMPLES
from monai_pneumonia.metrics.localization import DEFAULT_THRESHOLD
from monai_pneumonia.metrics.weighted import Flags, Floats

OUTLINED_KINDS = ("pixel", "box")
CANDIDATE_THRESHOLDS = tuple(step / 40 for step in range(1, 40))

_COVERED = 0.5

MapOfItem: TypeAlias = tuple[DatalistItem, np.ndarray]
Threshold: TypeAlias = "float | Mapping[str, float]"


@dataclass(frozen=True)
class LocatedPicture:
    """What a map is worth on one picture.

    Attributes:
        item: the picture.
        values: metric name to value, all of the item's kind of outline.
    """

    item: DatalistItem
    values: Mapping[str, float]


@dataclass(frozen=True)
class PictureValue:
    """One metric of one picture: a row of a table for paired comparisons.

    Attributes:
        id: the picture's.
        patient: keeps pictures of one patient together; for resampling alone, not for any output.
        source: where the picture comes from.
        kind: ``pixel``, ``box`` or ``empty``.
        metric: the metric's name.
        value: its value.
    """

    id: str
    patient: str
    source: str
    kind: str
    metric: str
    value: float


@dataclass(frozen=True)
class MapLocalization:
    """How well maps point at lesions; ``pixel``, ``box`` and ``empty`` pictures apart.

    Attributes:
        pictures: the pictures measured, by kind, each in the order in which the maps came.
        estimates: kind to metric to its estimate; every metric of a kind without pictures is None.
        without_outline: pictures of which no outline is known.
        without_pixel: pictures whose outline covers no pixel.
    """

    pictures: Mapping[str, tuple[LocatedPicture, ...]]
    estimates: Mapping[str, Mapping[str, Estimate]]
    without_outline: int
    without_pixel: int

    def table(self) -> tuple[PictureValue, ...]:
        """Every value of every picture."""
        return tuple(
            PictureValue(picture.item.id, picture.item.patient, picture.item.source or UNKNOWN, kind, name, value)
            for kind, pictures in self.pictures.items()
            for picture in pictures
            for name, value in picture.values.items()
        )


def localization_of_maps(
    maps: Iterable[MapOfItem],
    datalist: Datalist,
    threshold: Threshold = DEFAULT_THRESHOLD,
    resamples: int = DEFAULT_RESAMPLES,
    seed: int = 0,
    confidence: float = DEFAULT_CONFIDENCE,
) -> MapLocalization:
    """Measures maps, one at a time, against what is outlined in their pictures.

    Args:
        maps: (item, map [H, W] in [0, 1] on the picture's own pixels); items without a known outline are counted and passed over.
        datalist: the items' datalist, for the paths of masks.
        threshold: least value that counts as marked; one for all kinds of outlines, or by kind.
        resamples: bootstrap resamples of the patients; 0 gives no intervals.
        seed: seed of the draws.
        confidence: share of the resamples that an interval spans, between 0 and 1.

    Raises:
        BadInputError: a map or an outline that cannot be used, or the two differ in size; names the item.
    """
    pictures: dict[str, list[LocatedPicture]] = {kind: [] for kind in LOCALIZATION_KINDS}
    without_outline = without_pixel = 0
    for item, attention in maps:
        if item.mask_kind not in LOCALIZATION_KINDS:
            without_outline += 1
        elif (located := locate(item, attention, datalist, threshold)) is None:
            without_pixel += 1
        else:
            pictures[item.mask_kind].append(located)
    estimates = {kind: estimate_located(kind, found, resamples, seed, confidence) for kind, found in pictures.items()}
    return MapLocalization({kind: tuple(found) for kind, found in pictures.items()}, estimates, without_outline, without_pixel)


def locate(
    item: DatalistItem, attention: np.ndarray, datalist: Datalist, threshold: Threshold = DEFAULT_THRESHOLD
) -> LocatedPicture | None:
    """Measures one map.

    Args:
        item: a picture of kind ``pixel``, ``box`` or ``empty``.
        attention: its map [H, W] in [0, 1], on the picture's own pixels.
        datalist: the item's datalist.
        threshold: least value that counts as marked, or that by kind.

    Returns:
        The values; None where the outline covers no pixel, so that there is nothing to point at.

    Raises:
        BadInputError: a map or an outline that cannot be used, or the two differ in size; names the item.
    """
    least = threshold[item.mask_kind] if isinstance(threshold, Mapping) else threshold
    outline = None if item.mask_kind == "empty" else outline_of(item, datalist, attention.shape)
    if outline is not None and not outline.any():
        return None
    try:
        return LocatedPicture(item, localization_values(item.mask_kind, attention, outline, least))
    except BadInputError as error:
        raise BadInputError(f"item '{item.id}': {error}") from error


def outline_of(item: DatalistItem, datalist: Datalist, size: Sequence[int]) -> Flags:
    """What is outlined in a picture, bool [H, W]: the drawn pixels, or those of which boxes cover half or more.

    Args:
        item: a picture of kind ``pixel`` or ``box``.
        datalist: its datalist.
        size: (H, W) of the picture.

    Raises:
        BadInputError: the mask is missing, unreadable or of another size, or a box is none; names the item.
    """
    # Here, for it brings torch along, and most evaluations hold no map.
    from monai_pneumonia.transforms.outline import drawn_outline

    mask = None if item.mask is None or (item.mask_kind == "box" and item.boxes) else str(datalist.existing(item, item.mask))
    drawn = drawn_outline({"id": item.id, "mask": mask, "boxes": item.boxes, "mask_kind": item.mask_kind}, (size[0], size[1]))
    return np.asarray(drawn >= _COVERED)


def estimate_located(
    kind: str, pictures: Sequence[LocatedPicture], resamples: int, seed: int = 0, confidence: float = DEFAULT_CONFIDENCE
) -> dict[str, Estimate]:
    """Every metric of pictures of one kind, with intervals over their patients.

    Args:
        kind: ``pixel``, ``box`` or ``empty``.
        pictures: measured pictures of this kind.
        resamples: bootstrap resamples of the patients; 0 gives no intervals.
        seed: seed of the draws.
        confidence: share of the resamples that an interval spans, between 0 and 1.
    """
    sample = LocalizationSample.of(kind, [picture.values for picture in pictures])
    return bootstrap_estimates(sample.statistics, [picture.item.patient for picture in pictures], resamples, seed, confidence)


def best_thresholds(maps: Iterable[MapOfItem], datalist: Datalist, candidates: Sequence[float] = CANDIDATE_THRESHOLDS) -> dict[str, float]:
    """The threshold with the best mean Dice: what favours a map that was made without any threshold in mind.

    To be chosen on other pictures than those it is then used on, and for every candidate alike.

    Args:
        maps: (item, map [H, W] in [0, 1]) of the pictures to choose on.
        datalist: the items' datalist.
        candidates: thresholds to choose from; of equally good ones the least is taken.

    Returns:
        Kind of outline to threshold, for :func:`localization_of_maps`: on ``pixel`` outlines, on ``box`` outlines (each stands in for
        the other where it has no picture), and for ``empty`` pictures the former.

    Raises:
        NothingToAnalyseError: no picture is outlined.
        BadInputError: a map or an outline that cannot be used, or the two differ in size; names the item.
    """
    levels = np.sort(np.asarray(candidates, dtype=np.float64))
    rows: dict[str, list[Floats]] = {kind: [] for kind in OUTLINED_KINDS}
    for item, attention in maps:
        if item.mask_kind in OUTLINED_KINDS:
            outline = outline_of(item, datalist, attention.shape)
            if outline.any():
                rows[item.mask_kind].append(_dice_at(levels, attention, outline))
    best = {kind: float(levels[np.argmax(np.mean(found, axis=0))]) for kind, found in rows.items() if found}
    if not best:
        raise NothingToAnalyseError("no picture to choose a threshold on has an outline: give a part that holds outlined pictures")
    pixel = best.get("pixel", best.get("box", DEFAULT_THRESHOLD))
    return {"pixel": pixel, "box": best.get("box", pixel), "empty": pixel}


def _dice_at(thresholds: Floats, attention: np.ndarray, outline: Flags) -> Floats:
    """Dice at rising thresholds [T], from two histograms instead of T passes over the picture."""
    reached = np.searchsorted(thresholds, attention.astype(np.float64), side="right")
    marked, inside = (_at_least(reached[chosen], len(thresholds)) for chosen in (np.ones_like(outline), outline))
    return np.asarray(2 * inside / (marked + outline.sum()))


def _at_least(reached: np.ndarray, thresholds: int) -> Floats:
    """How many pixels reach each threshold [T], from how many thresholds each pixel reaches."""
    counts = np.bincount(reached, minlength=thresholds + 1)
    return np.asarray(counts[::-1].cumsum()[::-1][1:], dtype=np.float64)
