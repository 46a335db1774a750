"""Probes on features made by hand, where the right answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_pneumonia.errors import BadInputError
from monai_pneumonia.metrics.probes import (
    DEFAULT_REGULARIZATION,
    PROBES,
    REGULARIZATIONS,
    VOTE_TEMPERATURE,
    _choose_regularization,
    _folds,
    fit_knn,
    fit_linear,
)


def names(count):
    return [f"patient {number}" for number in range(count)]


def clouds(counts, spread=0.1, seed=0, dimensions=6):
    """A cloud of features a kind, each around a corner of its own."""
    generator = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(counts)), counts)
    return np.eye(dimensions)[truth] + spread * generator.normal(size=(len(truth), dimensions)), truth


def slow_knn(features, truth, unseen, neighbours):
    """Cosine distances of standardised features one pair at a time; votes summed in plain Python."""
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    scaled = [(row - mean) / np.where(deviation > 0, deviation, 1) for row in features]
    kinds = int(truth.max()) + 1
    scores = []
    for row in unseen:
        here = (row - mean) / np.where(deviation > 0, deviation, 1)
        distances = []
        for other in scaled:
            size = math.sqrt(sum(here**2)) * math.sqrt(sum(other**2))
            distances.append(1 - sum(here * other) / size if size else 1.0)
        votes = [0.0] * kinds
        for nearest in sorted(range(len(scaled)), key=distances.__getitem__)[:neighbours]:
            votes[truth[nearest]] += math.exp(-distances[nearest] / VOTE_TEMPERATURE)
        votes = [vote / np.mean(truth == kind) for kind, vote in enumerate(votes)]
        scores.append([vote / sum(votes) for vote in votes])
    return np.array(scores)


@pytest.mark.parametrize("fit", PROBES.values(), ids=PROBES)
@pytest.mark.parametrize("counts", [(20, 20), (40, 6), (12, 12, 12), (30, 8, 15)])
def test_kinds_that_lie_apart_are_told(fit, counts):
    features, truth = clouds(counts)
    unseen, wanted = clouds(counts, seed=1)
    scores = fit(features, truth, names(len(truth)))(unseen)
    assert scores.shape == (len(wanted), len(counts))
    assert scores.sum(axis=1) == pytest.approx(1)
    assert np.argmax(scores, axis=1).tolist() == wanted.tolist()


@pytest.mark.parametrize("fit", PROBES.values(), ids=PROBES)
def test_features_that_tell_nothing_give_every_kind_its_equal_share(fit):
    # A rare kind is not taken for unlikely: kinds count alike.
    truth = np.repeat([0, 1], [30, 10])
    scores = fit(np.zeros((40, 3)), truth, names(40))(np.zeros((5, 3)))
    if fit is fit_linear:
        assert scores == pytest.approx(0.5)
    assert scores.sum(axis=1) == pytest.approx(1)
    generator = np.random.default_rng(0)
    scores = fit(generator.normal(size=(40, 3)), truth, names(40))(generator.normal(size=(4000, 3)))
    assert 0.3 < scores[:, 1].mean() < 0.7


@pytest.mark.parametrize("fit", PROBES.values(), ids=PROBES)
def test_no_picture_gives_no_score(fit):
    features, truth = clouds((5, 5, 5))
    assert fit(features, truth, names(15))(np.zeros((0, 6))).shape == (0, 3)


@pytest.mark.parametrize("fit", PROBES.values(), ids=PROBES)
@settings(max_examples=25, deadline=None)
@given(scale=st.floats(1e-3, 1e3), offset=st.floats(-1e3, 1e3))
def test_scale_and_offset_of_a_feature_do_not_count(fit, scale, offset):
    features, truth = clouds((12, 9), spread=0.8)
    unseen, _ = clouds((4, 4), spread=0.8, seed=1)
    moved = [values * np.r_[scale, 1, 1, 1, 1, 1] + np.r_[offset, 0, 0, 0, 0, 0] for values in (features, unseen)]
    assert fit(moved[0], truth, names(21))(moved[1]) == pytest.approx(fit(features, truth, names(21))(unseen), abs=1e-3)


class TestNeighbours:
    @settings(max_examples=30, deadline=None)
    @given(st.integers(0, 1000), st.integers(11, 60))
    def test_against_a_loop(self, seed, count):
        generator = np.random.default_rng(seed)
        features, unseen = generator.normal(size=(count, 4)), generator.normal(size=(5, 4))
        truth = np.r_[0, 1, 2, generator.integers(3, size=count - 3)]
        # A fifth of the items, 20 at most: 11 items have 2 neighbours, 60 items 12.
        expected = slow_knn(features, truth, unseen, count // 5)
        np.testing.assert_allclose(fit_knn(features, truth, names(count))(unseen), expected, atol=1e-6)

    def test_no_more_than_twenty_vote(self):
        features, truth = clouds((100, 100), spread=2.0)
        unseen = clouds((5, 5), seed=1, spread=2.0)[0]
        np.testing.assert_allclose(fit_knn(features, truth, names(200))(unseen), slow_knn(features, truth, unseen, 20), atol=1e-6)

    def test_the_nearest_alone_decides_among_few(self):
        # Four items: a fifth of them is less than one, so one votes.
        features = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
        assert fit_knn(features, np.array([0, 0, 1, 1]), names(4))(np.array([[0.8, 0.0]])).tolist() == [[1.0, 0.0]]


class TestPenalty:
    def test_noise_is_held_back_more_than_signal(self):
        # 80 features of noise and one that tells little, against one that tells all.
        generator = np.random.default_rng(0)
        truth = np.tile([0, 1], 30)
        noisy = np.c_[generator.normal(size=(60, 80)), truth + 2 * generator.normal(size=60)]
        told = truth[:, None] + 0.01 * generator.normal(size=(60, 1))
        assert _choose_regularization(noisy, truth, names(60)) < _choose_regularization(told, truth, names(60)) == max(REGULARIZATIONS)

    def test_a_patient_is_never_on_both_sides(self):
        patients = [f"patient {number // 3}" for number in range(60)]
        truth = np.repeat([0, 1], 30)
        folds = list(_folds(truth, patients))
        assert len(folds) == 3
        assert sorted(np.concatenate([held_out for _, held_out in folds])) == list(range(60))
        for fitted, held_out in folds:
            assert not {patients[place] for place in fitted} & {patients[place] for place in held_out}

    def test_memory_of_patients_does_not_loosen_the_penalty(self):
        # The only feature that helps names the patient: it is worth nothing on another one, so the strongest penalty wins.
        patients = np.repeat(np.arange(20), 4)
        truth = np.random.default_rng(1).permutation(np.tile([0, 1], 10))[patients]
        features = np.eye(20)[patients]
        grouped = _choose_regularization(features, truth, [f"p{owner}" for owner in patients])
        alone = _choose_regularization(features, truth, names(80))
        assert grouped == min(REGULARIZATIONS) < alone

    def test_one_patient_of_a_kind_leaves_nothing_to_hold_out(self):
        features, truth = clouds((6, 2))
        patients = ["a", "b", "c", "d", "e", "f", "g", "g"]
        assert list(_folds(truth, patients)) == []
        assert _choose_regularization(features, truth, patients) == DEFAULT_REGULARIZATION
        assert fit_linear(features, truth, patients)(features).argmax(axis=1).tolist() == truth.tolist()


@pytest.mark.parametrize("fit", PROBES.values(), ids=PROBES)
@pytest.mark.parametrize(
    ("features", "truth", "patients", "told"),
    [
        (np.zeros(4), [0, 1, 0, 1], 4, "shape"),
        (np.zeros((4, 2)), [0, 1, 0], 4, "shape"),
        (np.zeros((4, 2)), [0, 1, 0, 1], 3, "shape"),
        (np.full((4, 2), np.nan), [0, 1, 0, 1], 4, "finite"),
        (np.zeros((4, 2)), [0, 0, 0, 0], 4, "two kinds"),
        (np.zeros((4, 2)), [0, 2, 0, 2], 4, "without a gap"),
    ],
)
def test_what_cannot_be_fitted_is_told(fit, features, truth, patients, told):
    with pytest.raises(BadInputError, match=told):
        fit(features, np.array(truth), names(patients))
