"""From the maps of a prediction folder to the part of metrics.json that says how well they point at lesions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from monai_pneumonia.data.progress import track
from monai_pneumonia.evaluation.joining import Joined
from monai_pneumonia.evaluation.localizing import LocatedPicture, estimate_located, locate
from monai_pneumonia.evaluation.map_folder import MapFolder
from monai_pneumonia.evaluation.parts import UNKNOWN, parts_of
from monai_pneumonia.metrics import LOCALIZATION_KINDS

NO_OUTLINE = "no item of the section has a known outline"
NO_FOLDER = "the predictions came as a table alone: give the folder that 'monai-pneumonia predict' wrote"
NO_MAPS = "the predictions' folder holds no attention maps: predict without --no-maps"

STATES = ("without_prediction", "without_map", "without_pixel", "measured")
"""What becomes of an outlined item: no prediction with status ok, no map, an outline that covers no pixel, or measured."""


def measure_maps(joined: Joined, resamples: int, seed: int, confidence: float) -> dict[str, Any]:
    """The content of metrics.json's ``localization``.

    Maps are read one at a time. Items are measured that have a prediction with status ok, a known outline and a map.

    Args:
        joined: items and predictions.
        resamples: bootstrap resamples of the patients; 0 gives no intervals.
        seed: seed of the draws.
        confidence: share of the resamples that an interval spans, between 0 and 1.

    Returns:
        ``missing`` says why there is nothing, and is all there is then; else it is None.

    Raises:
        BadInputError: a map or an outline cannot be used, or is not of its picture's size; names file or item.
    """
    if not any(item.mask_kind in LOCALIZATION_KINDS for item in joined.items):
        return {"missing": NO_OUTLINE}
    if joined.predictions.folder is None:
        return {"missing": NO_FOLDER}
    maps = MapFolder.of(joined.predictions.folder)
    if maps is None:
        return {"missing": NO_MAPS}
    located, states, map_kinds = _located(joined, maps)
    accounting = {kind: {"outlined": states[kind].total(), **{state: states[kind][state] for state in STATES}} for kind in states}
    if not any(located.values()):
        counts = ", ".join(f"{sum(account[state] for account in accounting.values())} {state.replace('_', ' ')}" for state in STATES[:-1])
        return {"missing": f"none of the outlined items of the section can be measured: {counts}"}
    return {
        "missing": None,
        "map_kind": ", ".join(sorted(map_kinds)),
        "lesion_threshold": dict(maps.thresholds),
        "lesion_threshold_from": maps.threshold_from,
        "accounting": accounting,
        **{kind: _estimates(kind, pictures, resamples, seed, confidence) for kind, pictures in located.items()},
    }


def _located(joined: Joined, maps: MapFolder) -> tuple[dict[str, list[LocatedPicture]], dict[str, Counter[str]], set[str]]:
    """Measured pictures by kind of outline, what became of each outlined item, and the kinds of maps that were measured."""
    located: dict[str, list[LocatedPicture]] = {kind: [] for kind in LOCALIZATION_KINDS}
    states: dict[str, Counter[str]] = {kind: Counter() for kind in LOCALIZATION_KINDS}
    map_kinds: set[str] = set()
    outlined = [(item, ok) for item, ok in zip(joined.items, joined.answered, strict=True) if item.mask_kind in LOCALIZATION_KINDS]
    for item, ok in track(outlined, "attention maps"):
        attention = maps.load(item, joined.datalist) if ok else None
        picture = None if attention is None else locate(item, attention, joined.datalist, maps.thresholds)
        if picture is not None:
            located[item.mask_kind].append(picture)
            map_kinds.add(maps.map_kinds.get(item.id, UNKNOWN))
        states[item.mask_kind][
            "without_prediction" if not ok else "without_map" if attention is None else "without_pixel" if picture is None else "measured"
        ] += 1
    return located, states, map_kinds


def _estimates(kind: str, pictures: list[LocatedPicture], resamples: int, seed: int, confidence: float) -> dict[str, Any]:
    def plain(chosen: list[LocatedPicture]) -> Mapping[str, Any]:
        return {name: asdict(entry) for name, entry in estimate_located(kind, chosen, resamples, seed, confidence).items()}

    sources = parts_of([picture.item for picture in pictures])["by_source"]
    return {
        "overall": plain(pictures),
        "by_source": {
            source: plain([picture for picture, keep in zip(pictures, flags, strict=True) if keep]) for source, flags in sources.items()
        },
    }
