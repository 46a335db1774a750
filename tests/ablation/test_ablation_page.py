"""Figures and page of a made-up study."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_up import make_result, make_results, study_content
from matplotlib.figure import Figure

from monai_pneumonia.ablation.answers import answer_questions
from monai_pneumonia.ablation.comparing import Comparison
from monai_pneumonia.ablation.figures import FIGURES, FIGURES_FOLDER, Shown, draw_study
from monai_pneumonia.ablation.measuring import Result, measure_results
from monai_pneumonia.ablation.page import PageContent, ablation_page
from monai_pneumonia.ablation.plan import Job
from monai_pneumonia.ablation.preparing import Prepared, load_plan, save_plan
from monai_pneumonia.ablation.study import parse_study
from monai_pneumonia.ablation.summary import Summary
from monai_pneumonia.ablation.work import Place
from monai_pneumonia.errors import BadInputError


def prepared_of(values: dict[str, Any], output: Path, jobs: tuple[Job, ...] = ()) -> Prepared:
    study = parse_study(values, output)
    place = Place(output, output / "bundle", output / "datalist.json", study.splits)
    return Prepared("small <study>", place, jobs, study.arms, study.questions, {"datalist": "datalist.json", "sha256": "ab12"}, "0.1+cd34")


def page_of(values: dict[str, Any], results: list[Result], output: Path, unfinished: tuple[str, ...] = ()) -> str:
    prepared = prepared_of(values, output, tuple({result.job.id: result.job for result in results}.values()))
    rows = list(measure_results(results))
    differences = list(Comparison(results, 40).rows())
    summary = Summary(rows)
    shown = Shown(summary, differences, {name: arm.title for name, arm in prepared.arms.items() if name in summary.arms}, {"full"})
    drawn = draw_study(shown, output / FIGURES_FOLDER)
    answers = answer_questions(prepared.questions, differences)
    return ablation_page(PageContent(prepared, summary, differences, answers, drawn, unfinished, 12.0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study's folder with figures and page.html: read, do not change."""
    output = tmp_path_factory.mktemp("study")
    few = [make_result(arm, fold, "testing", skill, 0.1) for arm, skill in {"plain": 0.3, "full": 0.6}.items() for fold in (0, 1)]
    results = [*make_results({"plain": 0.5, "full": 3.0}, ("validation", "testing", "flipped")), *few]
    (output / "page.html").write_text(page_of(study_content(), results, output, ("focal-seed0",)))
    return output


@pytest.fixture
def page(folder: Path) -> str:
    return (folder / "page.html").read_text()


def test_every_figure_is_drawn_and_shown(page: str, folder: Path) -> None:
    for kind in FIGURES:
        assert (folder / FIGURES_FOLDER / f"{kind.name}.svg").stat().st_size > 2000
        assert (folder / FIGURES_FOLDER / f"{kind.name}.png").is_file()
        assert kind.title in page
    assert page.count("data:image/svg+xml;base64,") == len(FIGURES)


def test_the_page_fetches_and_runs_nothing(page: str) -> None:
    assert page.count("Research use only") >= 2
    for forbidden in ("<script", "<link", "<iframe", "url(", "@import", "href=", "onload"):
        assert forbidden not in page
    sources = re.findall(r"src=['\"]([^'\"]{5})", page)
    assert sources
    assert set(sources) == {"data:"}


def test_the_page_answers_with_difference_and_interval(page: str) -> None:
    line = next(row for row in page.split("<tr>") if "Is it better?" in row)
    assert "<strong>yes</strong>" in line
    assert re.search(r"\+0\.\d{3}<small>\+0\.\d{3} to \+0\.\d{3}</small>", line)
    assert "small &lt;study&gt;" in page
    for told in ("ab12", "0.1+cd34", "monai-pneumonia", "torch", "all parts, 10 % of the labels", "class_balanced_softmax"):
        assert told in page
    assert "patient:" not in page
    assert "testing-0" not in page


def test_what_is_not_done_is_told(page: str) -> None:
    assert "1 of 8 trainings are not done" in page


def test_a_study_with_the_plain_arm_alone_has_a_page(study_values: dict[str, Any], tmp_path: Path) -> None:
    everything = {**study_values, "questions": []}
    (tmp_path / FIGURES_FOLDER).mkdir()
    (tmp_path / FIGURES_FOLDER / "differences.svg").write_text("of an earlier report")
    page = page_of(everything, make_results({"plain": 1.0}, ("testing",)), tmp_path)
    assert "None were asked" in page
    assert "are not done" not in page
    # A figure of an earlier report that can no longer be drawn is gone.
    assert not (tmp_path / FIGURES_FOLDER / "differences.svg").exists()


def test_figures_give_nothing_where_there_is_nothing(study_values: dict[str, Any]) -> None:
    results = [replace(result, maps={}) for result in make_results({"plain": 1.0})]
    shown = Shown(Summary(measure_results(results)), [], {"plain": "plain"})
    drawn = {kind.name: kind.draw(shown) for kind in FIGURES}
    assert drawn["localization"] is None
    assert drawn["labels"] is None
    assert drawn["differences"] is None
    assert isinstance(drawn["values"], Figure)


def test_a_plan_comes_back_as_it_was(study_values: dict[str, Any], tmp_path: Path) -> None:
    prepared = prepared_of(study_values, tmp_path, (Job("training", "plain", 0, 1, 2, 0.1, {"a#b": 1}, "h"),))
    save_plan(prepared)
    assert load_plan(tmp_path) == prepared
    (tmp_path / "plan.json").write_text('{"name": "x"}')
    with pytest.raises(BadInputError, match="damaged"):
        load_plan(tmp_path)
    with pytest.raises(BadInputError, match="holds no study"):
        load_plan(tmp_path / "elsewhere")
