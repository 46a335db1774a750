"""differences.csv, and the answers that are read from it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from made_up import make_result, make_results

from monai_pneumonia.ablation.answers import NOT_MEASURED, UNDECIDED, answer_questions
from monai_pneumonia.ablation.comparing import COLUMNS, ComparedRow, Comparison, write_differences
from monai_pneumonia.ablation.measuring import Result
from monai_pneumonia.ablation.statistics import Difference
from monai_pneumonia.ablation.study import Question

AUC = "p_pneumonia_auc"


def rows_of(results: list[Result], **settings: object) -> dict[tuple[str, ...], ComparedRow]:
    rows = Comparison(results, resamples=200, **settings).rows()  # type: ignore[arg-type]
    return {(row.arm, row.reference, row.split, row.source, row.metric): row for row in rows}


def test_a_better_arm_lies_above_and_an_equal_one_nowhere() -> None:
    results = make_results({"plain": 0.5, "full": 3.0})
    twin = [Result(type(r.job)(**{**r.job.to_dict(), "arm": "twin"}), r.split, r.labelled, r.maps, r.seconds) for r in results[:4]]
    rows = rows_of([*results, *twin])
    for split in ("validation", "testing"):
        better = rows["full", "plain", split, "all", AUC].difference
        assert better.low is not None
        assert better.low > 0
        same = rows["twin", "plain", split, "all", AUC].difference
        assert (same.difference, same.low, same.high) == (0, 0, 0)
    out_of_fold, testing = (rows["full", "plain", split, "all", AUC].difference for split in ("validation", "testing"))
    assert (out_of_fold.patients, testing.patients) == (40, 20)
    assert (out_of_fold.n, testing.n) == (120, 120)


def test_the_difference_is_that_of_the_means_over_folds() -> None:
    results = make_results({"plain": 0.5, "full": 1.0})
    found = rows_of(results)["full", "plain", "testing", "all", "macro_auc"].difference
    values = {}
    for arm in ("plain", "full"):
        samples = [r.labelled.samples()[0] for r in results if r.job.arm == arm and r.split == "testing"]
        values[arm] = np.mean([sample.statistics(np.ones((1, len(sample))))["macro_auc"][0] for sample in samples])
    assert found.arm == pytest.approx(values["full"])
    assert found.reference == pytest.approx(values["plain"])
    assert found.difference == pytest.approx(values["full"] - values["plain"])


def test_only_what_both_have_is_compared() -> None:
    results = [
        make_result("plain", 0, "testing", 0.5),
        make_result("plain", 1, "testing", 0.5),
        make_result("full", 1, "testing", 2.0),
        make_result("full", 1, "testing", 2.0, share=0.1),
    ]
    rows = rows_of(results)
    assert rows["full", "plain", "testing", "all", AUC].difference.folds == 1
    assert {row.label_fraction for row in rows.values()} == {1.0}


def test_a_picture_that_one_arm_lacks_is_left_out_for_both() -> None:
    plain, full = make_result("plain", 0, "testing"), make_result("full", 0, "testing")
    fewer = Result(full.job, full.split, full.labelled.where(np.arange(60) >= 6), full.maps, 1.0)
    found = rows_of([plain, fewer])["full", "plain", "testing", "all", AUC].difference
    assert (found.n, found.patients) == (54, 18)
    part = plain.labelled.where(np.arange(60) >= 6).samples()[2]
    assert found.reference == pytest.approx(part.statistics(np.ones((1, 54)))[AUC][0])


def test_maps_beside_maps_and_the_best_level_is_the_baselines_best() -> None:
    rows = rows_of(make_results({"plain": 0.5, "full": 1.0}))
    metric = "pointing_game_pixel"
    best = rows["full", "gradcampp", "testing", "all", metric].difference
    assert best == rows["full", "gradcampp_16", "testing", "all", metric].difference
    assert (best.reference or 0) > (rows["full", "gradcampp_8", "testing", "all", metric].difference.reference or 1)
    assert best.difference == pytest.approx(0.3, abs=0.03)
    assert rows["full", "mean_outline", "testing", "all", metric].difference.difference == pytest.approx(0.2, abs=0.03)
    assert rows["plain", "gradcampp", "testing", "all", metric].difference.low is not None
    assert ("plain", "plain", "testing", "all", metric) not in rows


def test_other_references_are_compared_where_they_are_asked_for() -> None:
    results = make_results({"plain": 0.5, "sampler": 1.0, "full": 3.0})
    assert ("full", "sampler", "testing", "all", AUC) not in rows_of(results)
    rows = rows_of(results, others=[("full", "sampler"), ("full", "plain")])
    assert (rows["full", "sampler", "testing", "all", AUC].difference.difference or 0) > 0


def test_the_file(tmp_path: Path) -> None:
    rows = list(Comparison(make_results({"plain": 0.5, "full": 1.0}), 50).rows())
    write_differences(rows, tmp_path / "differences.csv")
    with (tmp_path / "differences.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    assert list(table[0]) == list(COLUMNS)
    assert len(table) == len(rows)
    keys = [(row["arm"], row["reference"], row["label_fraction"], row["split"], row["source"], row["metric"]) for row in table]
    assert len(set(keys)) == len(keys)
    assert not any("patient:" in value for row in table for value in row.values())


def row(low: float | None, high: float | None, source: str = "all") -> ComparedRow:
    middle = None if low is None or high is None else (low + high) / 2
    return ComparedRow("full", "plain", 1.0, "flipped", source, AUC, Difference(0.6, 0.5, middle, low, high, 5, 90, 60))


@pytest.mark.parametrize(
    ("low", "high", "answer", "above", "control"),
    [(0.01, 0.1, "yes", True, False), (-0.1, -0.01, "no", False, True), (-0.1, 0.1, UNDECIDED, False, True)],
)
def test_answers(low: float, high: float, answer: str, above: bool, control: bool) -> None:
    questions = [Question("?", "full", "flipped", AUC), Question("?", "full", "flipped", AUC, expect="not_above")]
    found = answer_questions(questions, [row(low, high), row(-1, -0.5, source="a")])
    assert [entry.answer for entry in found] == [answer, answer]
    assert [entry.expected for entry in found] == [above, control]


def test_what_was_not_measured_is_not_answered() -> None:
    question = Question("?", "full", "flipped", AUC)
    for rows in ([], [row(None, None)], [row(0.1, 0.2, source="a")]):
        answer = answer_questions([question], rows)[0]
        assert (answer.answer, answer.expected) == (NOT_MEASURED, None)
