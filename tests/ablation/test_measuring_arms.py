"""ablation.csv: its columns, and its numbers against scikit-learn."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from made_up import make_result, make_results
from sklearn.metrics import recall_score, roc_auc_score

from monai_pneumonia.ablation.measuring import COLUMNS, localization_key, measure_results, write_rows
from monai_pneumonia.ablation.summary import Key, Summary


def test_columns_are_those_of_the_contract(tmp_path: Path) -> None:
    rows = list(measure_results([make_result("plain", 1, "testing", share=0.1)]))
    write_rows(rows, tmp_path / "ablation.csv")
    with (tmp_path / "ablation.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    assert ",".join(table[0]) == "arm,seed,fold,label_fraction,split,source,metric,value,n,patients,config_hash,seconds"
    assert list(table[0]) == list(COLUMNS)
    assert len(table) == len(rows)
    keys = ("arm", "seed", "fold", "label_fraction", "split", "source", "config_hash", "seconds")
    assert [table[0][key] for key in keys] == ["plain", "0", "1", "0.1", "testing", "all", "hash-plain-1", "60.0"]
    assert {row["source"] for row in table} == {"all", "a", "b"}
    assert len({(row["source"], row["metric"]) for row in table}) == len(table)


@pytest.mark.parametrize("source", ["all", "a", "b"])
def test_values_are_scikit_learns(source: str) -> None:
    result = make_result("plain", 0, "testing")
    found = {row.metric: row for row in measure_results([result]) if row.source == source}
    chosen = np.array([source in ("all", item.source) for item in result.labelled.items])
    truth = np.array([result.labelled.labels.classes.index(str(item.label)) for item in result.labelled.items])[chosen]
    p = result.labelled.probabilities[chosen]
    assert found["p_pneumonia_auc"].value == pytest.approx(roc_auc_score(truth > 0, 1 - p[:, 0]))
    for channel, name in enumerate(result.labelled.labels.classes):
        if (truth == channel).any():
            assert found[f"auc_{name}"].value == pytest.approx(roc_auc_score(truth == channel, p[:, channel]))
            assert found[f"sensitivity_{name}"].value == pytest.approx(recall_score(truth == channel, p.argmax(axis=1) == channel))
    assert found["p_pneumonia_auc"].n == chosen.sum()
    table = result.maps["gradcampp_16", "pixel"]
    assert found["gradcampp_16_pointing_game_pixel"].value == pytest.approx(table.sample.values[chosen, 0].mean())
    assert found["pointing_game_pixel"].n == chosen.sum()


def test_kinds_of_outlines_are_kept_apart_in_the_name() -> None:
    assert localization_key("attention", "pixel", "dice") == "dice_pixel"
    assert localization_key("attention", "box", "pointing_game") == "pointing_game_box"
    assert localization_key("attention", "empty", "false_positive_area") == "false_positive_area"
    assert localization_key("mean_outline", "pixel", "iou") == "mean_outline_iou_pixel"


def test_what_is_undefined_is_empty(tmp_path: Path) -> None:
    result = make_result("plain", 0, "testing")
    rows = list(measure_results([result]))
    undefined = [row for row in rows if row.value is None]
    single = type(result)(result.job, result.split, result.labelled.where(np.arange(60) < 3), {}, 1.0)
    rows = list(measure_results([single]))
    assert {row.metric for row in rows if row.value is None} >= {"p_pneumonia_auc", "macro_auc"}
    assert not undefined or all(row.source != "all" for row in undefined)
    write_rows(rows, tmp_path / "ablation.csv")
    with (tmp_path / "ablation.csv").open(newline="") as stream:
        values = {row["metric"]: row["value"] for row in csv.DictReader(stream) if row["source"] == "all"}
    assert values["p_pneumonia_auc"] == ""


def test_summary_is_the_mean_over_folds() -> None:
    results = make_results({"plain": 1.0, "full": 2.0})
    rows = list(measure_results(results))
    summary = Summary(rows)
    own = [row.value for row in rows if (row.arm, row.split, row.source, row.metric) == ("full", "testing", "all", "macro_auc")]
    assert len(own) == 2
    assert summary.mean(Key("full", 1.0, "testing", "macro_auc")) == pytest.approx(np.mean([value or 0 for value in own]))
    assert summary.mean(Key("full", 0.1, "testing", "macro_auc")) is None
    assert (summary.splits, summary.sources, summary.arms) == (("validation", "testing"), ("a", "b"), ("plain", "full"))
    assert summary.seconds == {"plain": 120.0, "full": 120.0}
    assert summary.trainings == {"plain": 2, "full": 2}
