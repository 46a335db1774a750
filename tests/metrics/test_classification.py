"""Class metrics over candidate-set labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.errors import BadInputError
from monai_pneumonia.metrics import classification_metrics, metric_names, split_by_knowledge

LABELS = LabelSpace()
GROUP = "pneumonia_unspecified"


def targets(*labels, space=LABELS):
    return np.stack([space.target(label) for label in labels])


def random_probabilities(generator, count, classes=4):
    scores = generator.gamma(0.6, size=(count, classes))
    return scores / scores.sum(axis=1, keepdims=True)


class TestClosedForms:
    # Labels n n b v; likeliest classes n b b v.
    PROBABILITIES = np.array([[0.7, 0.1, 0.1, 0.1], [0.3, 0.4, 0.2, 0.1], [0.2, 0.5, 0.2, 0.1], [0.1, 0.2, 0.6, 0.1]])
    LABELS = ("normal", "normal", "bacterial", "viral")

    @pytest.fixture
    def values(self):
        return classification_metrics(self.PROBABILITIES, targets(*self.LABELS), LABELS)

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("accuracy", 3 / 4),
            ("balanced_accuracy", (1 / 2 + 1 + 1) / 3),
            ("sensitivity_normal", 1 / 2),
            ("specificity_normal", 1.0),
            ("sensitivity_bacterial", 1.0),
            ("specificity_bacterial", 2 / 3),
            # One right, none called normal wrongly, one missed.
            ("f1_normal", 2 / 3),
            ("f1_bacterial", 2 / 3),
            ("macro_f1", (2 / 3 + 2 / 3 + 1) / 3),
            ("auc_normal", 1.0),
            ("auc_viral", 1.0),
            ("macro_auc", 1.0),
            ("class_log_loss", -np.log([0.7, 0.3, 0.5, 0.6]).mean()),
            ("class_brier", (0.12 + 0.70 + 0.34 + 0.22) / 4),
            # p_pneumonia is .3 .7 .8 .9 and the threshold .5: one false alarm, none missed.
            ("p_pneumonia_auc", 1.0),
            ("sensitivity", 1.0),
            ("specificity", 1 / 2),
            ("f1", 4 / 5),
            ("brier", (0.09 + 0.49 + 0.04 + 0.01) / 4),
        ],
    )
    def test_value(self, values, name, expected):
        assert values[name] == pytest.approx(expected)

    def test_an_absent_class_has_no_metric(self, values):
        assert {name for name, value in values.items() if np.isnan(value)} == {name for name in values if name.endswith("_covid19")}

    def test_names_are_those_of_the_registry(self, values):
        assert set(values) == set(metric_names(LABELS.classes))


class TestCandidateSets:
    def test_a_group_counts_as_pneumonia_and_as_no_class(self):
        known = classification_metrics(TestClosedForms.PROBABILITIES, targets(*TestClosedForms.LABELS), LABELS)
        probabilities = np.vstack([TestClosedForms.PROBABILITIES, [[0.6, 0.2, 0.1, 0.1]]])
        more = classification_metrics(probabilities, targets(*TestClosedForms.LABELS, GROUP), LABELS)
        assert more["accuracy"] == known["accuracy"]
        assert more["macro_auc"] == known["macro_auc"]
        # One of three cases of pneumonia is missed now.
        assert more["sensitivity"] == pytest.approx(3 / 3 * 2 / 3)

    def test_an_unlabelled_item_counts_nowhere(self):
        known = classification_metrics(TestClosedForms.PROBABILITIES, targets(*TestClosedForms.LABELS), LABELS)
        probabilities = np.vstack([TestClosedForms.PROBABILITIES, [[0.9, 0.05, 0.03, 0.02]]])
        assert classification_metrics(probabilities, targets(*TestClosedForms.LABELS, None), LABELS) == pytest.approx(known, nan_ok=True)

    def test_a_group_that_may_be_normal_decides_nothing(self):
        space = LabelSpace.of(LABELS.classes, {"no_bacteria": ("normal", "viral")})
        _, one_class, _, decided = split_by_knowledge(np.full((2, 4), 0.25), targets("no_bacteria", "viral", space=space), space)
        assert one_class.tolist() == [False, True]
        assert decided.tolist() == [False, True]

    def test_groups_alone_leave_the_auc_of_pneumonia(self):
        values = classification_metrics([[0.8, 0.2, 0, 0], [0.3, 0.3, 0.2, 0.2]], targets("normal", GROUP), LABELS)
        assert values["p_pneumonia_auc"] == 1
        assert values["accuracy"] == 1
        assert np.isnan(values["macro_auc"])
        assert np.isnan(values["balanced_accuracy"])

    def test_normal_need_not_be_the_first_class(self):
        space = LabelSpace.of(("viral", "normal"))
        values = classification_metrics([[0.9, 0.1], [0.2, 0.8]], targets("viral", "normal", space=space), space)
        assert (values["p_pneumonia_auc"], values["sensitivity"], values["specificity"]) == (1, 1, 1)


class TestDegenerate:
    @pytest.mark.parametrize("labels", [(), (None, None)])
    def test_nothing_known(self, labels):
        candidates = targets(*labels) if labels else np.zeros((0, 4))
        values = classification_metrics(np.full((len(labels), 4), 0.25), candidates, LABELS)
        assert set(values) == set(metric_names(LABELS.classes))
        assert all(np.isnan(value) for value in values.values())

    def test_one_class_alone(self):
        values = classification_metrics(np.full((3, 4), 0.25), targets("normal", "normal", "normal"), LABELS)
        # Equal probabilities: the first class is taken as the likeliest; p_pneumonia .75 is above the threshold.
        assert (values["accuracy"], values["sensitivity_normal"], values["f1_normal"], values["specificity"]) == (1, 1, 1, 0)
        for name in ("balanced_accuracy", "macro_auc", "macro_f1", "auc_normal", "specificity_normal", "sensitivity", "f1"):
            assert np.isnan(values[name]), name

    def test_a_true_class_without_probability_costs_much_but_not_everything(self):
        values = classification_metrics([[0.0, 1.0, 0.0, 0.0]], targets("normal"), LABELS)
        assert 30 < values["class_log_loss"] < 40

    def test_the_decision_can_be_given(self):
        values = classification_metrics(
            TestClosedForms.PROBABILITIES, targets(*TestClosedForms.LABELS), LABELS, decisions=[False, False, True, False]
        )
        assert (values["sensitivity"], values["specificity"]) == (0.5, 1)

    def test_p_pneumonia_can_be_given(self):
        values = classification_metrics(
            TestClosedForms.PROBABILITIES, targets(*TestClosedForms.LABELS), LABELS, p_pneumonia=[0.9, 0.8, 0.2, 0.1]
        )
        assert (values["p_pneumonia_auc"], values["macro_auc"]) == (0, 1)


class TestAgainstScikitLearn:
    @settings(max_examples=12, deadline=None)
    @given(st.integers(0, 2**32 - 1), st.integers(2, 6))
    def test_random(self, seed, classes):
        generator = np.random.default_rng(seed)
        space = LabelSpace.of([f"class{channel}" for channel in range(classes)])
        truth = np.r_[np.arange(classes), generator.integers(classes, size=30)]
        probabilities = random_probabilities(generator, len(truth), classes)
        values = classification_metrics(probabilities, np.eye(classes)[truth], space)
        predicted, ill, p = probabilities.argmax(axis=1), truth != 0, 1 - probabilities[:, 0]
        expected = {
            "accuracy": sklearn_metrics.accuracy_score(truth, predicted),
            "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(truth, predicted),
            "macro_f1": sklearn_metrics.f1_score(truth, predicted, average="macro"),
            "class_log_loss": sklearn_metrics.log_loss(truth, probabilities),
            "p_pneumonia_auc": sklearn_metrics.roc_auc_score(ill, p),
            "p_pneumonia_average_precision": sklearn_metrics.average_precision_score(ill, p),
            "sensitivity": sklearn_metrics.recall_score(ill, p >= 0.5),
            "specificity": sklearn_metrics.recall_score(~ill, p < 0.5),
            "f1": sklearn_metrics.f1_score(ill, p >= 0.5),
            "brier": sklearn_metrics.brier_score_loss(ill, p),
            "macro_auc": np.mean([sklearn_metrics.roc_auc_score(truth == c, probabilities[:, c]) for c in range(classes)]),
        }
        for channel, name in enumerate(space.classes):
            of_class, called = truth == channel, predicted == channel
            expected[f"auc_{name}"] = sklearn_metrics.roc_auc_score(of_class, probabilities[:, channel])
            expected[f"average_precision_{name}"] = sklearn_metrics.average_precision_score(of_class, probabilities[:, channel])
            expected[f"sensitivity_{name}"] = sklearn_metrics.recall_score(of_class, called)
            expected[f"specificity_{name}"] = sklearn_metrics.recall_score(~of_class, ~called)
            expected[f"f1_{name}"] = sklearn_metrics.f1_score(of_class, called)
        assert {name: values[name] for name in expected} == pytest.approx(expected)


class TestBadInput:
    @pytest.mark.parametrize(
        ("probabilities", "candidates", "message"),
        [
            (np.full((2, 3), 0.3), np.ones((2, 3)), r"shape \[N, 4\]"),
            (np.full((2, 4), 0.25), np.ones((3, 4)), r"shape \[N, 4\]"),
            (np.full(4, 0.25), np.ones(4), r"shape \[N, 4\]"),
            ([[0.5, 0.5, np.nan, 0.0]], np.ones((1, 4)), r"lie in \[0, 1\]"),
            ([[1.5, -0.5, 0.0, 0.0]], np.ones((1, 4)), r"lie in \[0, 1\]"),
            (np.full((1, 4), 0.25), np.zeros((1, 4)), "no class at all"),
        ],
    )
    def test_is_refused(self, probabilities, candidates, message):
        with pytest.raises(BadInputError, match=message):
            classification_metrics(probabilities, candidates, LABELS)

    @pytest.mark.parametrize("options", [{"p_pneumonia": [0.5, 0.5]}, {"p_pneumonia": [2.0]}, {"decisions": [True, False]}])
    def test_columns_are_checked(self, options):
        with pytest.raises(BadInputError):
            classification_metrics(np.full((1, 4), 0.25), np.ones((1, 4)), LABELS, **options)
