"""From labelled predictions to the content of metrics.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from monai_pneumonia import RESEARCH_USE_ONLY, __version__
from monai_pneumonia.errors import NothingToAnalyseError, UsageError
from monai_pneumonia.evaluation.joining import Joined, LabelledPredictions, account
from monai_pneumonia.evaluation.measuring_maps import measure_maps
from monai_pneumonia.evaluation.parts import AGE_GROUPS, parts_of
from monai_pneumonia.metrics import Estimate, bootstrap_estimates, metric_names
from monai_pneumonia.metrics.bootstrap import DEFAULT_CONFIDENCE, DEFAULT_RESAMPLES
from monai_pneumonia.metrics.weighted import CALIBRATION_BINS, Flags


@dataclass(frozen=True)
class Settings:
    """How intervals are made.

    Attributes:
        resamples: bootstrap resamples of the patients; 0 gives no intervals.
        seed: seed of the draws.
        confidence: share of the resamples that an interval spans, between 0 and 1.

    Raises:
        UsageError: a value out of its range.
    """

    resamples: int = DEFAULT_RESAMPLES
    seed: int = 0
    confidence: float = DEFAULT_CONFIDENCE

    def __post_init__(self) -> None:
        if self.resamples < 0 or self.seed < 0 or not 0 < self.confidence < 1:
            raise UsageError(
                f"resamples ({self.resamples}) and seed ({self.seed}) must not be negative, "
                f"confidence ({self.confidence}) must lie between 0 and 1"
            )


def estimate(labelled: LabelledPredictions, settings: Settings) -> dict[str, Estimate]:
    """All metrics of the registry, in its order.

    Args:
        labelled: the items.
        settings: how intervals are made.
    """
    classes, one_class, pneumonia, decided = labelled.samples()
    families = ((classes, one_class), (pneumonia, decided))
    estimates: dict[str, Estimate] = {}
    for sample, flags in families:
        estimates |= bootstrap_estimates(
            sample.statistics, _patients(labelled, flags), settings.resamples, settings.seed, settings.confidence
        )
    return {name: estimates[name] for name in metric_names(labelled.labels.classes)}


def _patients(labelled: LabelledPredictions, flags: Flags) -> list[str]:
    return [item.patient for item, keep in zip(labelled.items, flags, strict=True) if keep]


def measure(joined: Joined, settings: Settings, datalist_sha256: str | None) -> dict[str, Any]:
    """The content of metrics.json.

    Args:
        joined: items and predictions.
        settings: how intervals are made.
        datalist_sha256: of the datalist's file, where there is one.

    Raises:
        NothingToAnalyseError: no item that has a prediction has a label that decides anything.
        BadInputError: an attention map or an outline cannot be used.
    """
    labelled = joined.labelled()
    accounting = account(joined, labelled)
    if not accounting["measured"]["one_known_class"] + accounting["measured"]["pneumonia_known"]:
        raise NothingToAnalyseError(
            f"none of the {len(labelled)} items with a prediction in '{joined.section}' of the datalist '{joined.datalist.name}' has a "
            "label that tells a class or pneumonia: there is nothing to compare the predictions with"
        )
    parts = {kind: {name: labelled.where(flags) for name, flags in members.items()} for kind, members in _measured_parts(joined).items()}
    return {
        "research_use_only": RESEARCH_USE_ONLY,
        "software": f"monai-pneumonia {__version__}",
        "model": {"model_version": joined.predictions.model_version, "weights_sha256": joined.predictions.weights_sha256},
        "datalist": {"name": joined.datalist.name, "sha256": datalist_sha256, "classes": list(joined.datalist.labels.classes)},
        "predictions": {"sha256": joined.predictions.sha256},
        "section": joined.section,
        "settings": {
            **asdict(settings),
            "calibration_bins": CALIBRATION_BINS,
            "age_groups": {name: [first, None if end == float("inf") else end] for name, (first, end) in AGE_GROUPS.items()},
        },
        "accounting": accounting,
        "overall": _plain(estimate(labelled, settings)),
        **{kind: {name: _plain(estimate(part, settings)) for name, part in members.items()} for kind, members in parts.items()},
        "confusion_matrix": {
            "classes": list(joined.datalist.labels.classes),
            "rows": "label",
            "columns": "prediction",
            "overall": _confusion(labelled),
            **{kind: {name: _confusion(part) for name, part in members.items()} for kind, members in parts.items()},
        },
        "localization": measure_maps(joined, settings.resamples, settings.seed, settings.confidence),
    }


def _measured_parts(joined: Joined) -> dict[str, dict[str, Flags]]:
    """Parts of the whole section, those without any prediction too, as places among the items that have one."""
    answered = joined.answered
    return {kind: {name: flags[answered] for name, flags in members.items()} for kind, members in parts_of(joined.items).items()}


def _plain(estimates: Mapping[str, Estimate]) -> dict[str, dict[str, Any]]:
    return {name: asdict(entry) for name, entry in estimates.items()}


def _confusion(labelled: LabelledPredictions) -> list[list[int]]:
    classes, *_ = labelled.samples()
    return [[int(count) for count in row] for row in classes.confusion()[0]]
