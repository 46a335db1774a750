"""A study's questions, answered by the differences: yes, no, or not decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from monai_pneumonia.ablation.comparing import ComparedRow
from monai_pneumonia.ablation.measuring import ALL_SOURCES
from monai_pneumonia.ablation.statistics import Difference
from monai_pneumonia.ablation.study import Question

YES, NO, UNDECIDED, NOT_MEASURED = "yes", "no", "not decided", "not measured"


@dataclass(frozen=True)
class Answer:
    """A question and what came out.

    Attributes:
        question: the question.
        answer: ``yes`` where the whole interval of the difference lies above 0, ``no`` where it lies below,
            ``not decided`` where it holds 0, ``not measured`` where there is no interval.
        expected: whether this is what the study expected; None where nothing was measured.
        difference: the difference; None where the study has no such comparison.
    """

    question: Question
    answer: str
    expected: bool | None
    difference: Difference | None


def answer_questions(questions: Sequence[Question], rows: Sequence[ComparedRow]) -> list[Answer]:
    """Answers questions from the rows of differences.csv.

    A control (``expect: not_above``) is as expected unless it is ``yes``: that its interval holds 0 is what was hoped for, though it
    proves no equality.
    """
    found = {(row.arm, row.reference, row.label_fraction, row.split, row.metric): row for row in rows if row.source == ALL_SOURCES}
    answers = []
    for question in questions:
        row = found.get((question.arm, question.reference, question.label_fraction, question.split, question.metric))
        difference = None if row is None else row.difference
        answer = _answer(difference)
        expected = None if answer == NOT_MEASURED else (answer == YES) == (question.expect == "above")
        answers.append(Answer(question, answer, expected, difference))
    return answers


def _answer(difference: Difference | None) -> str:
    if difference is None or difference.low is None or difference.high is None:
        return NOT_MEASURED
    if difference.low > 0:
        return YES
    return NO if difference.high < 0 else UNDECIDED
