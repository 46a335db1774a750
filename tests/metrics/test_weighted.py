"""Weighted metrics against closed forms, scikit-learn and slow loops."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, confusion_matrix, roc_auc_score

from monai_pneumonia.metrics.weighted import (
    TieGroups,
    area_under_roc,
    average_precision,
    brier_score,
    calibration_error,
    equal_mass_bins,
    weighted_confusion,
    weighted_mean,
)


def groups_of(scores, truth, weights=None):
    weights = np.ones((1, len(scores))) if weights is None else np.asarray(weights, dtype=float)
    return TieGroups.of(np.asarray(scores, dtype=float), np.asarray(truth, dtype=bool), weights)


def value(metric, scores, truth, **options):
    return float(metric(groups_of(scores, truth), **options)[0])


def slow_calibration_error(scores, truth, bins=10):
    """Ranks items one by one; a run of tied scores goes to the bin of the run's middle."""
    total, error = len(scores), 0.0
    residuals = [0.0] * bins
    for score, positive in zip(scores, truth, strict=True):
        below = sum(other < score for other in scores)
        tied = sum(other == score for other in scores)
        residuals[min(bins - 1, int(bins * (2 * below + tied) // (2 * total)))] += score - positive
    for residual in residuals:
        error += abs(residual) / total
    return error


# One decimal, so that ties are the rule.
SCORED = st.lists(st.tuples(st.integers(0, 10).map(lambda tenths: tenths / 10), st.booleans()), min_size=1, max_size=40)


class TestClosedForms:
    # Pairs (positive, negative): (.8,.2) right, (.8,.6) right, (.4,.2) right, (.4,.6) wrong: 3 of 4.
    def test_auc_counts_ordered_pairs(self):
        assert value(area_under_roc, [0.2, 0.4, 0.6, 0.8], [0, 1, 0, 1]) == 0.75

    def test_auc_counts_a_tie_as_half(self):
        assert value(area_under_roc, [0.5, 0.5], [0, 1]) == 0.5
        # (.5,.5) half, (.5,.1) right: 1.5 of 2.
        assert value(area_under_roc, [0.1, 0.5, 0.5], [0, 0, 1]) == 0.75

    # By falling score: positive (precision 1), negative, positive (precision 2/3); each adds recall 1/2.
    def test_average_precision(self):
        assert value(average_precision, [0.2, 0.4, 0.6, 0.8], [0, 1, 0, 1]) == pytest.approx((1 + 2 / 3) / 2)

    def test_brier(self):
        assert value(brier_score, [0.2, 0.6], [0, 1]) == pytest.approx((0.04 + 0.16) / 2)

    # Two bins of two: |(.1 + .3) - 0| and |(.6 + .8) - 2|, over four items.
    def test_calibration_error(self):
        assert value(calibration_error, [0.1, 0.3, 0.6, 0.8], [0, 0, 1, 1], bins=2) == pytest.approx((0.4 + 0.6) / 4)

    def test_calibration_error_is_zero_where_scores_are_shares(self):
        assert value(calibration_error, [0.25] * 4 + [0.75] * 4, [1, 0, 0, 0, 1, 1, 1, 0]) == pytest.approx(0)

    def test_calibration_error_of_a_sure_and_wrong_model_is_one(self):
        assert value(calibration_error, [1.0, 1.0, 0.0], [0, 0, 1]) == 1

    def test_bins_hold_the_same_number(self):
        bins = equal_mass_bins(groups_of(np.arange(100) / 100, np.zeros(100)))
        assert bins.mass.tolist() == [[10.0] * 10]
        assert bins.mean_score[0] == pytest.approx(np.arange(10) / 10 + 0.045)

    def test_tied_items_share_a_bin(self):
        bins = equal_mass_bins(groups_of([0.1, 0.5, 0.5, 0.5, 0.5, 0.9], [0, 1, 0, 1, 0, 1]), bins=3)
        assert bins.mass.tolist() == [[1.0, 4.0, 1.0]]
        assert bins.share_positive.tolist() == [[0.0, 0.5, 1.0]]

    def test_confusion_rows_are_labels(self):
        counts = weighted_confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2, np.array([[1.0, 1, 1], [0, 3, 2]]))
        assert counts.tolist() == [[[1, 1], [0, 1]], [[0, 3], [0, 2]]]

    def test_weighted_mean(self):
        assert weighted_mean(np.array([1.0, 4.0]), np.array([[1.0, 1.0], [2.0, 0.0]])).tolist() == [2.5, 1.0]


class TestUndefined:
    @pytest.mark.parametrize("metric", [area_under_roc, average_precision])
    @pytest.mark.parametrize("truth", [[0, 0], [1, 1]])
    def test_needs_both_sides(self, metric, truth):
        assert np.isnan(value(metric, [0.2, 0.8], truth))

    @pytest.mark.parametrize("metric", [area_under_roc, average_precision, brier_score, calibration_error])
    def test_no_item(self, metric):
        assert np.isnan(value(metric, [], []))

    @pytest.mark.parametrize("metric", [area_under_roc, average_precision, brier_score, calibration_error])
    def test_only_the_empty_resample_is_undefined(self, metric):
        result = metric(groups_of([0.2, 0.8], [0, 1], [[0, 0], [1, 1]]))
        assert np.isnan(result[0])
        assert np.isfinite(result[1])

    def test_all_tied(self):
        assert value(area_under_roc, [0.3] * 6, [0, 1, 0, 1, 1, 0]) == 0.5
        assert value(average_precision, [0.3] * 6, [0, 1, 0, 1, 1, 0]) == 0.5
        assert value(calibration_error, [0.3] * 6, [0, 1, 0, 1, 1, 0]) == pytest.approx(0.2)


class TestAgainstOthers:
    @settings(max_examples=60, deadline=None)
    @given(SCORED)
    def test_scikit_learn(self, pairs):
        scores, truth = (list(column) for column in zip(*pairs, strict=True))
        if len(set(truth)) == 2:
            assert value(area_under_roc, scores, truth) == pytest.approx(roc_auc_score(truth, scores))
            assert value(average_precision, scores, truth) == pytest.approx(average_precision_score(truth, scores))
            assert value(brier_score, scores, truth) == pytest.approx(brier_score_loss(truth, scores))

    @settings(max_examples=60, deadline=None)
    @given(SCORED)
    def test_calibration_error_against_a_loop(self, pairs):
        scores, truth = (list(column) for column in zip(*pairs, strict=True))
        assert value(calibration_error, scores, truth) == pytest.approx(slow_calibration_error(scores, truth))

    @settings(max_examples=40, deadline=None)
    @given(SCORED, st.randoms(use_true_random=False))
    def test_a_weight_is_a_repetition(self, pairs, random):
        scores, truth = (np.array(column) for column in zip(*pairs, strict=True))
        weights = np.array([random.randint(0, 3) for _ in pairs])
        weighted = groups_of(scores, truth, [weights])
        repeated = groups_of(np.repeat(scores, weights), np.repeat(truth, weights))
        for metric in (area_under_roc, average_precision, brier_score, calibration_error):
            assert metric(weighted)[0] == pytest.approx(metric(repeated)[0], nan_ok=True), metric.__name__

    @settings(max_examples=40, deadline=None)
    @given(SCORED, st.randoms(use_true_random=False))
    def test_order_does_not_count(self, pairs, random):
        shuffled = random.sample(pairs, len(pairs))
        first, second = (groups_of(*zip(*some, strict=True)) for some in (pairs, shuffled))
        for metric in (area_under_roc, average_precision, brier_score, calibration_error):
            assert metric(first)[0] == pytest.approx(metric(second)[0], nan_ok=True), metric.__name__

    def test_confusion(self):
        truth, predicted = (np.array(column) for column in zip(*product(range(3), repeat=2), (2, 1), (2, 1), strict=True))
        counts = weighted_confusion(truth, predicted, 3, np.ones((1, len(truth))))
        assert counts[0].tolist() == confusion_matrix(truth, predicted).tolist()
