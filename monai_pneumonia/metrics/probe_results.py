"""What probes of frozen features find out: pneumonia, the class, and the hospital, with intervals, for several encoders side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.errors import BadInputError
from monai_pneumonia.metrics.bootstrap import DEFAULT_RESAMPLES, Estimate, bootstrap_estimates
from monai_pneumonia.metrics.classification import ClassSample
from monai_pneumonia.metrics.probes import PROBES, Probe
from monai_pneumonia.metrics.weighted import Flags, Floats, Indices, TieGroups, area_under_roc, ratio

PNEUMONIA, CLASS, SOURCE = "pneumonia", "class", "source"
ALL, WITHIN_SOURCES, ONE_SOURCE = "all", "within sources", "one source"

Statistic = Callable[[Floats, Floats], Floats]
"""From scores [N, K] and weights of the items [R, N] to one value a row [R], NaN where undefined."""


@dataclass(frozen=True)
class ProbeData:
    """Items of a section and their features.

    Attributes:
        features: name of an encoder to what it gives [N, D]; the first is compared with each of the others.
        candidates: the classes that each item's label allows [N, C].
        sources: the hospital that each of the N items comes from; None where unknown.
        patients: who each of the N items belongs to.
    """

    features: Mapping[str, Floats]
    candidates: Flags
    sources: tuple[str | None, ...]
    patients: tuple[str, ...]

    def __post_init__(self) -> None:
        lengths = {name: len(values) for name, values in self.features.items()}
        if not lengths or {*lengths.values(), len(self.candidates), len(self.sources), len(self.patients)} != {len(self.patients)}:
            raise BadInputError(
                f"features, candidates, sources and patients must be of the same items; got {lengths}, {len(self.candidates)}, "
                f"{len(self.sources)} and {len(self.patients)}"
            )

    def __len__(self) -> int:
        return len(self.patients)

    def where(self, flags: Flags) -> ProbeData:
        """The items whose flags [N] are set."""
        return replace(
            self,
            features={name: values[flags] for name, values in self.features.items()},
            candidates=self.candidates[flags],
            sources=tuple(source for source, keep in zip(self.sources, flags, strict=True) if keep),
            patients=tuple(patient for patient, keep in zip(self.patients, flags, strict=True) if keep),
        )

    def of_source(self, source: str) -> Flags:
        """Which items come from a hospital [N]."""
        return np.array([name == source for name in self.sources], dtype=bool)


@dataclass(frozen=True)
class ProbeResult:
    """One line of the comparison: the same question put to every encoder's features.

    Attributes:
        question: ``pneumonia`` (or not), ``class`` or ``source`` (the hospital).
        metric: its name in metrics.json; ``macro_auc`` and ``balanced_accuracy`` count every kind alike.
        part: ``all`` items; ``within sources``: pairs of items from the same hospital only; ``one source``: the items of one.
        source: which one.
        probe: of :data:`monai_pneumonia.metrics.probes.PROBES`.
        fitted_on: ``all`` items that answer the question, or those of ``one source``.
        chance: what features that tell nothing give.
        values: encoder to the metric.
        differences: encoder to the first encoder's metric less its own, over the same resamples of the patients.
    """

    question: str
    metric: str
    part: str
    source: str | None
    probe: str
    fitted_on: str
    chance: float
    values: Mapping[str, Estimate]
    differences: Mapping[str, Estimate]


def probe_results(
    fitted: ProbeData, scored: ProbeData, labels: LabelSpace, resamples: int = DEFAULT_RESAMPLES, seed: int = 0
) -> list[ProbeResult]:
    """Fits every probe on one section and scores it on another.

    Where label and hospital go together, an AUC over all items can come from telling the hospitals apart; within a source it cannot.

    Args:
        fitted: what probes are fitted on.
        scored: what they are scored on; the same encoders, and no patient of ``fitted``.
        labels: the classes, in the order of the candidates.
        resamples: of the patients, for the intervals; 0 gives none.
        seed: of the draws.

    Returns:
        Question by question. A value is None where the items leave it undefined.

    Raises:
        BadInputError: different encoders, or patients that are in both.
    """
    if list(fitted.features) != list(scored.features):
        raise BadInputError(f"both sections need features of the same encoders; got {list(fitted.features)} and {list(scored.features)}")
    shared = len(set(fitted.patients) & set(scored.patients))
    if shared:
        raise BadInputError(
            f"{shared} patient(s) are in the part that probes are fitted on and in the part that they are scored on: the nearest "
            "neighbour would be the same patient's picture. Split by patient (`monai-pneumonia validate` names them)"
        )
    comparison = _Comparison(resamples, seed)
    results = []
    for name, probe in PROBES.items():
        results += _pneumonia_results(fitted, scored, labels, name, probe, comparison)
    for question, kinds_of in ((CLASS, _class_kinds(labels)), (SOURCE, _source_kinds)):
        for name, probe in PROBES.items():
            results += _kind_results(question, kinds_of(fitted), kinds_of(scored), (fitted, scored), (name, probe), comparison)
    return results


@dataclass(frozen=True)
class _Comparison:
    """How scores of several encoders become estimates and paired differences."""

    resamples: int
    seed: int

    def __call__(self, scores: Mapping[str, Floats | None], statistic: Statistic, patients: Sequence[str]) -> dict[str, Any]:
        first, *others = scores

        def statistics(weights: Floats) -> dict[str, Floats]:
            undefined = np.full(len(weights), np.nan)
            values = {name: undefined if given is None else statistic(given, weights) for name, given in scores.items()}
            return {**values, **{f"-{name}": values[first] - values[name] for name in others}}

        estimates = bootstrap_estimates(statistics, patients, self.resamples, self.seed)
        return {
            "values": {name: estimates[name] for name in scores},
            "differences": {name: estimates[f"-{name}"] for name in others},
        }


def _scores(fitted: ProbeData, truth: Indices, scored: ProbeData, probe: Probe) -> dict[str, Floats | None]:
    """Encoder to the scores of the items [M, K]; None where the fitted part holds one kind alone."""
    if len(np.unique(truth)) < 2:
        return dict.fromkeys(fitted.features)
    return {name: probe(values, truth, fitted.patients)(scored.features[name]) for name, values in fitted.features.items()}


def _pneumonia_results(
    fitted: ProbeData, scored: ProbeData, labels: LabelSpace, name: str, probe: Probe, compare: _Comparison
) -> list[ProbeResult]:
    (fitted, fit_truth), (scored, truth) = (_decided(data, labels.negative_index) for data in (fitted, scored))
    joint = _scores(fitted, fit_truth, scored, probe)
    places = {source: scored.of_source(source) for source in sorted({source for source in scored.sources if source is not None})}
    known = list(places.values())

    def result(part: str, source: str | None, fitted_on: str, compared: dict[str, Any]) -> ProbeResult:
        return ProbeResult(PNEUMONIA, "p_pneumonia_auc", part, source, name, fitted_on, 0.5, **compared)

    results = [
        result(ALL, None, ALL, compare(joint, _auc(truth), scored.patients)),
        result(WITHIN_SOURCES, None, ALL, compare(joint, _auc_within(truth, known), scored.patients)),
    ]
    for source, here in places.items():
        part = scored.where(here)
        of_part = {encoder: None if values is None else values[here] for encoder, values in joint.items()}
        results.append(result(ONE_SOURCE, source, ALL, compare(of_part, _auc(truth[here]), part.patients)))
        there = fitted.of_source(source)
        if len(np.unique(fit_truth[there])) == 2:
            own = _scores(fitted.where(there), fit_truth[there], part, probe)
            results.append(result(ONE_SOURCE, source, ONE_SOURCE, compare(own, _auc(truth[here]), part.patients)))
    return results


def _decided(data: ProbeData, negative: int) -> tuple[ProbeData, Indices]:
    """The items whose label decides whether it is pneumonia, and whether it is [n]; a group decides it, too."""
    allowed = data.candidates > 0
    flags = ~allowed[:, negative] | (allowed.sum(axis=1) == 1)
    return data.where(flags), (~allowed[flags, negative]).astype(np.intp)


def _auc(truth: Indices) -> Statistic:
    return lambda scores, weights: area_under_roc(TieGroups.of(scores[:, 1], truth == 1, weights))


def _auc_within(truth: Indices, places: Sequence[Flags]) -> Statistic:
    """The share of (pneumonia, no pneumonia) pairs from one hospital that are in the right order, over the pairs of all hospitals."""

    def statistic(scores: Floats, weights: Floats) -> Floats:
        ordered, pairs = np.zeros(len(weights)), np.zeros(len(weights))
        for here in places:
            groups = TieGroups.of(scores[here, 1], truth[here] == 1, weights[:, here])
            count = groups.positives.sum(axis=1) * groups.negatives.sum(axis=1)
            ordered += count * np.nan_to_num(area_under_roc(groups))
            pairs += count
        return ratio(ordered, pairs)

    return statistic


def _class_kinds(labels: LabelSpace) -> Callable[[ProbeData], list[str | None]]:
    """The class of each item whose label names one, by name; None for the others."""

    def kinds(data: ProbeData) -> list[str | None]:
        allowed = data.candidates > 0
        return [labels.classes[int(np.argmax(row))] if row.sum() == 1 else None for row in allowed]

    return kinds


def _source_kinds(data: ProbeData) -> list[str | None]:
    return list(data.sources)


def _kind_results(
    question: str,
    fit_kinds: list[str | None],
    scored_kinds: list[str | None],
    sections: tuple[ProbeData, ProbeData],
    named_probe: tuple[str, Probe],
    compare: _Comparison,
) -> list[ProbeResult]:
    """How well a kind is told among those that the fitted part holds; items of no kind, or of another, take no part."""
    kinds = sorted({kind for kind in fit_kinds if kind is not None})
    (fitted, fit_truth), (scored, truth) = (
        _of_kinds(data, given, kinds) for data, given in zip(sections, (fit_kinds, scored_kinds), strict=True)
    )
    name, probe = named_probe
    scores = _scores(fitted, fit_truth, scored, probe)
    results = []
    for metric, chance in (("macro_auc", 0.5), ("balanced_accuracy", 1 / max(1, len(kinds)))):
        compared = compare(scores, _of_classes(metric, truth, tuple(kinds)), scored.patients)
        results.append(ProbeResult(question, metric, ALL, None, name, ALL, chance, **compared))
    return results


def _of_kinds(data: ProbeData, given: list[str | None], kinds: list[str]) -> tuple[ProbeData, Indices]:
    flags = np.array([kind in kinds for kind in given], dtype=bool)
    return data.where(flags), np.array([kinds.index(kind) for kind in given if kind in kinds], dtype=np.intp)


def _of_classes(metric: str, truth: Indices, kinds: tuple[str, ...]) -> Statistic:
    return lambda scores, weights: ClassSample(scores, truth, kinds).statistics(weights)[metric]
