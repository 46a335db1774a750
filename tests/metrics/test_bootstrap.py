"""Patient-wise intervals against a loop that draws patients and measures the drawn pictures anew."""

from __future__ import annotations

import time

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.errors import BadInputError
from monai_pneumonia.metrics import bootstrap_estimates, classification_metrics, split_by_knowledge
from monai_pneumonia.metrics.weighted import weighted_mean

LABELS = LabelSpace.of(("normal", "bacterial", "viral"))


def made_up(seed=0, count=60, patients=25):
    generator = np.random.default_rng(seed)
    truth = generator.integers(3, size=count)
    scores = generator.gamma(1.0, size=(count, 3)) + 0.8 * np.eye(3)[truth]
    owners = [f"patient:{number}" for number in generator.integers(patients, size=count)]
    return (scores / scores.sum(axis=1, keepdims=True)).round(2).clip(0, 1), truth, owners


def resampled_pictures(owners, resamples, seed):
    """Yields, for each resample, the places of the pictures of the patients drawn."""
    names = sorted(set(owners))
    generator = np.random.default_rng(seed)
    for drawn in generator.integers(len(names), size=(resamples, len(names))):
        yield [at for patient in drawn for at, owner in enumerate(owners) if owner == names[patient]]


class TestAgainstALoop:
    def test_every_metric(self):
        probabilities, truth, owners = made_up()
        classes, _, pneumonia, _ = split_by_knowledge(probabilities, np.eye(3)[truth], LABELS)
        fast = {
            **bootstrap_estimates(classes.statistics, owners, resamples=50, seed=3),
            **bootstrap_estimates(pneumonia.statistics, owners, resamples=50, seed=3),
        }
        slow = [
            classification_metrics(probabilities[places], np.eye(3)[truth[places]], LABELS)
            for places in resampled_pictures(owners, resamples=50, seed=3)
        ]
        for name, estimate in fast.items():
            low, high = np.percentile([resample[name] for resample in slow], [2.5, 97.5])
            assert (estimate.low, estimate.high) == pytest.approx((low, high)), name

    def test_against_scikit_learn(self):
        probabilities, truth, owners = made_up(seed=1)
        classes, *_ = split_by_knowledge(probabilities, np.eye(3)[truth], LABELS)
        fast = bootstrap_estimates(classes.statistics, owners, resamples=40, seed=5, confidence=0.8)
        predicted = probabilities.argmax(axis=1)
        places = list(resampled_pictures(owners, resamples=40, seed=5))
        balanced = [balanced_accuracy_score(truth[some], predicted[some]) for some in places]
        auc = [roc_auc_score(truth[some] == 1, probabilities[some, 1]) for some in places]
        for name, values in (("balanced_accuracy", balanced), ("auc_bacterial", auc)):
            assert (fast[name].low, fast[name].high) == pytest.approx(tuple(np.percentile(values, [10, 90])))


class TestDraws:
    VALUES = np.arange(12.0)
    OWNERS = tuple("aabbccddeeff")

    def mean(self, weights):
        return {"mean": weighted_mean(self.VALUES, weights)}

    def test_the_same_seed_gives_the_same_interval(self):
        first, second, other = (bootstrap_estimates(self.mean, self.OWNERS, seed=seed)["mean"] for seed in (1, 1, 2))
        assert first == second
        assert (first.low, first.high) != (other.low, other.high)

    def test_order_of_the_items_does_not_count(self):
        turned = bootstrap_estimates(lambda weights: {"mean": weighted_mean(self.VALUES[::-1], weights)}, self.OWNERS[::-1])
        assert turned["mean"] == pytest.approx(bootstrap_estimates(self.mean, self.OWNERS)["mean"])

    def test_pictures_of_a_patient_come_together(self):
        seen = []

        def watch(weights):
            seen.append(weights)
            return self.mean(weights)

        bootstrap_estimates(watch, self.OWNERS, resamples=30)
        drawn = np.concatenate(seen[1:])
        assert drawn.shape == (30, 12)
        assert (drawn[:, ::2] == drawn[:, 1::2]).all()
        assert (drawn.sum(axis=1) == 12).all()

    def test_patients_widen_the_interval(self):
        owners = np.repeat(np.arange(6), 20)
        values = np.repeat([0.0, 0.0, 0.0, 1.0, 1.0, 1.0], 20)
        by_patient, by_picture = (
            bootstrap_estimates(lambda weights: {"mean": weighted_mean(values, weights)}, names)["mean"]
            for names in ([str(owner) for owner in owners], [str(at) for at in range(120)])
        )
        assert by_patient.high - by_patient.low > 2 * (by_picture.high - by_picture.low)
        assert (by_patient.n, by_patient.patients, by_picture.patients) == (120, 6, 120)

    def test_covers_the_truth_as_often_as_it_says(self):
        """Of 200 samples of 60 items from a known mean, some 95 % of the intervals hold it: 190, standard deviation 3."""
        generator = np.random.default_rng(7)
        held = 0
        for _ in range(200):
            values = generator.normal(size=60)
            owners = [str(at) for at in range(60)]
            interval = bootstrap_estimates(lambda weights, v=values: {"m": weighted_mean(v, weights)}, owners, resamples=200)["m"]
            held += interval.low <= 0 <= interval.high
        assert 178 <= held <= 198

    def test_memory_is_flat(self):
        """Many items are drawn a few resamples at a time, and nothing changes by it."""
        rows = []

        def watch(weights):
            rows.append(len(weights))
            return {"mean": weighted_mean(np.arange(weights.shape[1], dtype=float), weights)}

        bootstrap_estimates(watch, [str(at) for at in range(200_000)], resamples=25)
        assert max(rows) * 200_000 <= 1 << 21
        assert sum(rows) == 1 + 25

    def test_is_fast(self):
        generator = np.random.default_rng(0)
        truth = generator.integers(3, size=758)
        classes, *_ = split_by_knowledge(np.full((758, 3), 1 / 3) * generator.random((758, 1)), np.eye(3)[truth], LABELS)
        start = time.process_time()
        bootstrap_estimates(classes.statistics, [str(at // 2) for at in range(758)])
        assert time.process_time() - start < 5


class TestTooLittle:
    def flagged(self, truth, owners, **options):
        truth = np.asarray(truth)
        classes, *_ = split_by_knowledge(np.eye(3)[truth] * 0.8, np.eye(3)[truth], LABELS)
        return bootstrap_estimates(classes.statistics, owners, **options)

    def test_one_patient_gives_a_value_without_interval(self):
        estimate = self.flagged([0, 1, 2], ["a", "a", "a"])["accuracy"]
        assert (estimate.value, estimate.low, estimate.high, estimate.n, estimate.patients) == (1, None, None, 3, 1)

    def test_a_class_of_one_patient_has_no_interval(self):
        estimates = self.flagged([0] * 10 + [1], [str(at) for at in range(11)])
        assert estimates["auc_bacterial"].value == 1
        assert estimates["auc_bacterial"].low is None
        assert estimates["balanced_accuracy"].low is None
        assert estimates["accuracy"].low == 1

    def test_a_class_of_five_patients_has_one(self):
        estimates = self.flagged([0] * 10 + [1] * 5, [str(at) for at in range(15)])
        assert estimates["auc_bacterial"].low == 1

    def test_an_undefined_metric_has_nothing(self):
        estimate = self.flagged([0, 1], ["a", "b"])["auc_viral"]
        assert (estimate.value, estimate.low, estimate.high) == (None, None, None)

    def test_no_item(self):
        classes, *_ = split_by_knowledge(np.zeros((0, 3)), np.zeros((0, 3)), LABELS)
        estimate = bootstrap_estimates(classes.statistics, [])["accuracy"]
        assert (estimate.value, estimate.low, estimate.n, estimate.patients) == (None, None, 0, 0)

    def test_no_resample_asked_for(self):
        estimate = self.flagged([0, 1], ["a", "b"], resamples=0)["accuracy"]
        assert (estimate.value, estimate.low) == (1, None)

    @pytest.mark.parametrize(
        "options", [{"resamples": -1}, {"seed": -1}, {"confidence": 0}, {"confidence": 1}, {"confidence": float("nan")}]
    )
    def test_settings_are_checked(self, options):
        with pytest.raises(BadInputError, match="must not be negative"):
            self.flagged([0, 1], ["a", "b"], **options)
