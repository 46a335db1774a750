"""All that a study leaves for a reader: tables, figures and one page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from monai_pneumonia.ablation.answers import answer_questions
from monai_pneumonia.ablation.comparing import Comparison, write_differences
from monai_pneumonia.ablation.figures import FIGURES_FOLDER, Shown, draw_study
from monai_pneumonia.ablation.measuring import measure_results, read_results, write_rows
from monai_pneumonia.ablation.page import PageContent, ablation_page
from monai_pneumonia.ablation.plan import PRETRAINING
from monai_pneumonia.ablation.preparing import Prepared, collect_predictions
from monai_pneumonia.ablation.queue import JobFolder
from monai_pneumonia.ablation.summary import Summary
from monai_pneumonia.errors import NothingToAnalyseError
from monai_pneumonia.whole_files import whole_file

ABLATION_FILE = "ablation.csv"
DIFFERENCES_FILE = "differences.csv"
PAGE_FILE = "ablation.html"


def write_report(prepared: Prepared, resamples: int) -> Iterator[Path]:
    """Writes tables, figures and page of all finished trainings; yields each file as it is there.

    Args:
        prepared: the study.
        resamples: of the patients, for the intervals.

    Raises:
        NothingToAnalyseError: no training is done.
    """
    output = prepared.place.output
    results = read_results(prepared.place, prepared.jobs)
    if not results:
        raise NothingToAnalyseError(f"no training of the study in {output} is done: there is nothing to report")
    collect_predictions(prepared)
    rows = list(measure_results(results))
    write_rows(rows, output / ABLATION_FILE)
    yield output / ABLATION_FILE
    asked = [(question.arm, question.reference) for question in prepared.questions if question.reference in prepared.arms]
    differences = list(Comparison(results, resamples, others=asked).rows())
    write_differences(differences, output / DIFFERENCES_FILE)
    yield output / DIFFERENCES_FILE
    summary = Summary(rows)
    titles = {name: arm.title for name, arm in prepared.arms.items() if name in summary.arms}
    shown = Shown(summary, differences, titles, {name for name, arm in prepared.arms.items() if arm.uses_outlines})
    drawn = draw_study(shown, output / FIGURES_FOLDER)
    folders = [(job, JobFolder(prepared.place.jobs / job.id)) for job in prepared.jobs]
    pretrained = [folder for job, folder in folders if job.kind == PRETRAINING and folder.is_done()]
    content = PageContent(
        prepared=prepared,
        summary=summary,
        differences=differences,
        answers=answer_questions(prepared.questions, differences),
        drawn=drawn,
        unfinished=[job.id for job, folder in folders if not folder.is_done()],
        pretraining_seconds=sum(folder.result()["training_seconds"] for folder in pretrained),
    )
    with whole_file(output / PAGE_FILE) as unfinished:
        unfinished.write_text(ablation_page(content), encoding="utf-8")
    yield output / PAGE_FILE
