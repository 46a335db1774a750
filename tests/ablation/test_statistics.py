"""Paired differences against a slow reference: patients repeated in lists, metrics by scikit-learn, one resample at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from monai_pneumonia.ablation.statistics import Pair, PatientDraws, paired_differences
from monai_pneumonia.errors import BadInputError
from monai_pneumonia.metrics import LocalizationSample, PneumoniaSample

RESAMPLES = 60


def slow_draws(strata: list[list[str]], seed: int) -> list[list[str]]:
    """The patients of each resample, in the order in which they are drawn."""
    generator = np.random.default_rng(seed)
    drawn: list[list[str]] = [[] for _ in range(RESAMPLES)]
    for stratum in strata:
        members = sorted(set(stratum))
        for resample, places in zip(drawn, generator.integers(len(members), size=(RESAMPLES, len(members))), strict=True):
            resample += [members[place] for place in places]
    return drawn


def slow_auc(scores: list[float], truth: list[bool]) -> float:
    return float(roc_auc_score(truth, scores)) if len(set(truth)) == 2 else float("nan")


def make_pair(generator: np.random.Generator, patients: list[str], truth: np.ndarray | None = None) -> Pair:
    ill = generator.random(len(patients)) < 0.5 if truth is None else truth
    samples = []
    for _ in range(2):
        scores = np.round(np.clip(generator.normal(0.4 + 0.2 * ill, 0.2), 0, 1), 2)
        samples.append(PneumoniaSample(scores, ill, scores > 0.5))
    return Pair(samples[0], samples[1], tuple(patients))


def slow_difference(pairs: list[Pair], resample: list[str] | None) -> float:
    """Mean over folds of the AUC's difference, among the folds that define it."""
    differences = []
    for pair in pairs:
        rows = list(range(len(pair.patients)))
        if resample is not None:
            rows = [row for name in resample for row, patient in enumerate(pair.patients) if patient == name]
        truth = [bool(pair.arm.truth[row]) for row in rows]
        own = slow_auc([float(pair.arm.p_pneumonia[row]) for row in rows], truth)
        other = slow_auc([float(pair.reference.p_pneumonia[row]) for row in rows], truth)
        differences.append(own - other)
    known = [difference for difference in differences if difference == difference]
    return sum(known) / len(known) if known else float("nan")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("out_of_fold", [True, False])
def test_against_plain_loops(seed: int, out_of_fold: bool) -> None:
    generator = np.random.default_rng(100 + seed)
    folds = 3
    if out_of_fold:
        groups = [[f"fold{fold}-{generator.integers(7)}" for _ in range(16)] for fold in range(folds)]
        pairs = [make_pair(generator, group) for group in groups]
        strata = groups
    else:
        shared = [f"p{generator.integers(9)}" for _ in range(18)]
        truth = generator.random(18) < 0.5
        pairs = [make_pair(generator, shared, truth) for _ in range(folds)]
        strata = [shared]
    found = paired_differences(pairs, PatientDraws(strata, RESAMPLES, seed), ["p_pneumonia_auc"])["p_pneumonia_auc"]
    drawn = np.array([slow_difference(pairs, resample) for resample in slow_draws(strata, seed)])
    assert found.difference == pytest.approx(slow_difference(pairs, None))
    assert found.difference == pytest.approx((found.arm or 0) - (found.reference or 0))
    defined = drawn[np.isfinite(drawn)]
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(defined, [2.5, 97.5])))
    assert (found.folds, found.n) == (folds, sum(len(pair.patients) for pair in pairs))
    assert found.patients == len({name for pair in pairs for name in pair.patients})


def sample_of(values: list[float]) -> LocalizationSample:
    """The false positive area is the only metric of its kind, and a plain mean."""
    return LocalizationSample("empty", np.array(values)[:, np.newaxis])


AREA = "false_positive_area"


def test_by_hand() -> None:
    # Two patients with one picture each. A resample holds the first twice, the second twice, or both:
    # the difference is .4, .0 or .2, its mean .2.
    pair = Pair(sample_of([0.5, 0.3]), sample_of([0.1, 0.3]), ("a", "b"))
    found = paired_differences([pair], PatientDraws([["a", "b"]], 400), [AREA])[AREA]
    assert found.difference == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0, 0.4))


def test_an_arm_beside_itself_differs_by_nothing() -> None:
    sample = sample_of([0.1, 0.9, 0.4])
    found = paired_differences([Pair(sample, sample, ("a", "b", "c"))], PatientDraws([["a", "b", "c"]], 50), [AREA])[AREA]
    assert (found.difference, found.low, found.high) == (0, 0, 0)


def test_pairing_takes_away_what_pictures_have_in_common() -> None:
    generator = np.random.default_rng(0)
    base = generator.uniform(0.1, 0.8, 40)
    names = tuple(f"p{number}" for number in range(40))
    pair = Pair(sample_of(list(base + 0.05)), sample_of(list(base)), names)
    found = paired_differences([pair], PatientDraws([names], 200), [AREA])[AREA]
    assert (found.low, found.high) == pytest.approx((0.05, 0.05))


def test_one_resample_serves_all_folds() -> None:
    # Opposite effects in two folds on the same pictures: the same patients in both cancel each other out in every resample.
    names = ("a", "b", "c", "d")
    up, flat = sample_of([0.9, 0.1, 0.3, 0.2]), sample_of([0.0, 0.0, 0.0, 0.0])
    found = paired_differences([Pair(up, flat, names), Pair(flat, up, names)], PatientDraws([names], 100), [AREA])[AREA]
    assert (found.difference, found.low, found.high) == pytest.approx((0, 0, 0))


def test_a_fold_that_leaves_a_metric_undefined_is_left_out_for_both() -> None:
    ill, mixed = np.array([True, True]), np.array([True, False])
    scores = np.array([0.9, 0.2])
    empty = Pair(PneumoniaSample(scores, ill, ill), PneumoniaSample(scores, ill, ill), ("a", "b"))
    good = Pair(PneumoniaSample(scores, mixed, mixed), PneumoniaSample(1 - scores, mixed, mixed), ("c", "d"))
    metric = "p_pneumonia_auc"
    found = paired_differences([empty, good], PatientDraws([["a", "b"], ["c", "d"]], 100), [metric])[metric]
    assert (found.arm, found.reference, found.difference, found.folds, found.n, found.patients) == (1, 0, 1, 1, 2, 2)
    # Half of the resamples draw one patient of the fold twice: too many for an interval.
    assert (found.low, found.high) == (None, None)
    nothing = paired_differences([empty], PatientDraws([["a", "b"]], 100), [metric])[metric]
    assert (nothing.difference, nothing.folds) == (None, 0)


def test_a_single_patient_gives_no_interval() -> None:
    pair = Pair(sample_of([0.5, 0.3]), sample_of([0.1, 0.3]), ("a", "a"))
    found = paired_differences([pair], PatientDraws([["a"]], 50), [AREA])[AREA]
    assert found.difference == pytest.approx(0.2)
    assert (found.low, found.high) == (None, None)


def test_different_items_are_no_pair() -> None:
    with pytest.raises(BadInputError, match="same items"):
        Pair(sample_of([0.5]), sample_of([0.1, 0.3]), ("a",))


def test_a_patient_in_two_folds_is_refused() -> None:
    with pytest.raises(BadInputError, match="patient-wise"):
        PatientDraws([["a", "b"], ["b", "c"]])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=8, unique=True), min_size=1, max_size=4), st.integers(0, 5))
def test_every_stratum_is_drawn_from_itself(numbers: list[list[int]], seed: int) -> None:
    strata = [[f"{at}-{number}" for number in stratum] for at, stratum in enumerate(numbers)]
    draws = PatientDraws(strata, 20, seed)
    for stratum in strata:
        weights = draws.weights(stratum)
        assert weights.shape == (20, len(stratum))
        assert (weights.sum(axis=1) == len(stratum)).all()
    # Items of one patient are drawn together.
    twice = draws.weights([strata[0][0], strata[0][0]])
    assert (twice[:, 0] == twice[:, 1]).all()
