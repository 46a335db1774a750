"""The content of metrics.json against numbers made another way."""

from __future__ import annotations

import json

import pytest
from sklearn.metrics import roc_auc_score

from monai_pneumonia import RESEARCH_USE_ONLY
from monai_pneumonia.data.datalist import load_datalist
from monai_pneumonia.errors import NothingToAnalyseError, UsageError
from monai_pneumonia.evaluation.joining import join
from monai_pneumonia.evaluation.measuring import Settings, measure
from monai_pneumonia.evaluation.predictions import read_predictions
from monai_pneumonia.metrics import metric_names

CLASSES = ("normal", "bacterial", "viral", "covid19")


def measured(study, section="testing", **settings):
    datalist = load_datalist(study.datalist)
    return measure(join(read_predictions(study.predictions, datalist.labels), datalist, section), Settings(**settings), None)


@pytest.fixture
def metrics(hospitals):
    return measured(hospitals, resamples=200)


def every_set(metrics):
    yield "overall", metrics["overall"]
    for kind in ("by_source", "by_view", "by_age"):
        yield from metrics[kind].items()


class TestShape:
    def test_every_part_holds_every_metric(self, metrics):
        for name, values in every_set(metrics):
            assert tuple(values) == metric_names(CLASSES), name
            assert all(set(entry) == {"value", "low", "high", "n", "patients"} for entry in values.values())

    def test_an_interval_comes_whole_and_in_order(self, metrics):
        for _, values in every_set(metrics):
            for entry in values.values():
                assert (entry["low"] is None) == (entry["high"] is None)
                assert entry["low"] is None or (entry["value"] is not None and entry["low"] <= entry["high"])

    def test_parts(self, metrics):
        assert list(metrics["by_source"]) == ["adults", "children", "elsewhere"]
        assert list(metrics["by_view"]) == ["AP", "PA", "unknown"]
        assert list(metrics["by_age"]) == ["child", "adult", "older", "unknown"]

    def test_says_what_was_measured(self, metrics):
        assert metrics["research_use_only"] == RESEARCH_USE_ONLY
        assert metrics["model"] == {"model_version": "resnet18-1", "weights_sha256": "ab" * 32}
        assert metrics["datalist"] == {"name": "made up", "sha256": None, "classes": list(CLASSES)}
        assert metrics["section"] == "testing"
        assert {key: metrics["settings"][key] for key in ("resamples", "seed", "confidence")} == {
            "resamples": 200,
            "seed": 0,
            "confidence": 0.95,
        }

    def test_is_json_without_nan(self, metrics):
        json.dumps(metrics, allow_nan=False)


class TestValues:
    def test_absent_classes_are_null_and_the_auc_of_pneumonia_stands(self, metrics):
        adults = metrics["by_source"]["adults"]
        for name in ("auc_normal", "auc_viral", "f1_viral", "sensitivity_covid19", "specificity_covid19", "macro_auc", "balanced_accuracy"):
            assert adults[name]["value"] is None, name
        assert adults["p_pneumonia_auc"]["value"] is not None
        assert adults["p_pneumonia_auc"]["low"] is not None
        assert metrics["by_source"]["children"]["macro_auc"]["value"] is not None

    def test_counts_are_of_the_items_used(self, metrics):
        assert (metrics["overall"]["accuracy"]["n"], metrics["overall"]["accuracy"]["patients"]) == (58, 24 + 10)
        assert (metrics["overall"]["brier"]["n"], metrics["overall"]["brier"]["patients"]) == (68, 24 + 20)
        assert metrics["by_source"]["adults"]["accuracy"]["n"] == 10

    def test_a_part_without_a_prediction_is_null(self, metrics):
        assert {(entry["value"], entry["n"]) for entry in metrics["by_source"]["elsewhere"].values()} == {(None, 0)}

    def test_against_the_rows_themselves(self, hospitals, metrics):
        truth = {item["id"]: item["label"] for item in hospitals.sections["testing"] if item.get("source") == "adults"}
        known = [(truth[row["id"]] != "normal", float(row["p_pneumonia"])) for row in hospitals.rows if truth.get(row["id"])]
        assert metrics["by_source"]["adults"]["p_pneumonia_auc"]["value"] == pytest.approx(roc_auc_score(*zip(*known, strict=True)))

    def test_sensitivity_is_of_the_decision_not_of_a_threshold(self, study):
        study.rows[1]["decision"] = "no_pneumonia"
        overall = measured(study.write())["overall"]
        assert overall["sensitivity"]["value"] == pytest.approx(2 / 3)
        assert overall["p_pneumonia_auc"]["value"] == 1

    def test_confusion_matrices_add_up(self, metrics):
        matrices = metrics["confusion_matrix"]
        assert sum(map(sum, matrices["overall"])) == 58
        for kind in ("by_source", "by_view", "by_age"):
            for row in range(4):
                for column in range(4):
                    assert sum(matrix[row][column] for matrix in matrices[kind].values()) == matrices["overall"][row][column]

    def test_a_part_does_not_depend_on_the_others(self, hospitals, metrics):
        hospitals.sections["testing"] = [item for item in hospitals.sections["testing"] if item.get("source") == "adults"]
        alone = measured(hospitals.write(), resamples=200)
        assert alone["overall"] == alone["by_source"]["adults"] == metrics["by_source"]["adults"]

    def test_order_of_rows_does_not_count(self, hospitals, metrics):
        hospitals.rows.reverse()
        again = measured(hospitals.write(), resamples=200)
        assert again["overall"] == metrics["overall"]

    def test_confidence_narrows(self, hospitals, metrics):
        half = measured(hospitals, resamples=200, confidence=0.5)["overall"]["p_pneumonia_auc"]
        wide = metrics["overall"]["p_pneumonia_auc"]
        assert wide["low"] < half["low"] < half["high"] < wide["high"]


class TestRefusing:
    @pytest.mark.parametrize("label", [None])
    def test_labels_that_decide_nothing(self, study, refuses, label):
        for item in study.sections["testing"]:
            item["label"] = label
        assert "none of the 4 items with a prediction" in refuses(NothingToAnalyseError, lambda: measured(study.write()))

    @pytest.mark.parametrize("settings", [{"resamples": -1}, {"seed": -1}, {"confidence": 1.0}])
    def test_settings(self, refuses, settings):
        assert "must not be negative" in refuses(UsageError, lambda: Settings(**settings))
