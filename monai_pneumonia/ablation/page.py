"""One self-contained HTML page of a study: nothing to fetch, nothing to run."""

from __future__ import annotations

import base64
import importlib.metadata
import platform
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from monai_pneumonia import RESEARCH_USE_ONLY, __version__
from monai_pneumonia.ablation.answers import Answer
from monai_pneumonia.ablation.comparing import ComparedRow
from monai_pneumonia.ablation.figures import FIGURES, FIGURES_FOLDER, FigureKind
from monai_pneumonia.ablation.localization import ATTENTION
from monai_pneumonia.ablation.measuring import ALL_SOURCES, localization_key
from monai_pneumonia.ablation.plan import PRETRAINING
from monai_pneumonia.ablation.preparing import Prepared
from monai_pneumonia.ablation.running import duration
from monai_pneumonia.ablation.statistics import Difference
from monai_pneumonia.ablation.study import REFERENCE_ARM
from monai_pneumonia.ablation.summary import Key, Summary
from monai_pneumonia.evaluation.formatting import MISSING, number
from monai_pneumonia.metrics.registry import localization_names

_MAIN_METRICS = {"p_pneumonia_auc": "AUC of p_pneumonia", "macro_auc": "Macro AUC", "balanced_accuracy": "Balanced accuracy"}
_PACKAGES = ("torch", "monai", "pytorch-ignite", "numpy", "scikit-learn")

NOTES = (
    "An arm is a list of overrides of bundle/configs/train.yaml. The plain arm is what all others are compared with, on the same pictures, "
    "fold and share of labels.",
    "validation is out of fold: each picture is predicted by the one training that held its patient out. testing and flipped are "
    "predicted by every fold's training. In flipped each hospital sends what another sent in training, so that a detector of hospitals "
    "fails there.",
    "A value is the mean over folds. An interval spans 95 % of the resamples of the patients: within each fold for validation, of the "
    "whole split for the others, the same resample for both arms and for all folds. It tells how much the choice of patients matters, and "
    "nothing of the chance in weights and order of training, beyond that every value is a mean over folds.",
    "A fold that leaves a metric undefined (a class that no patient of it has) is left out of the mean, for both arms alike.",
    "Many comparisons stand here, and nothing corrects for their number: of twenty intervals without any effect, one misses 0.",
    "Pixel outlines and boxes are never mixed. Grad-CAM++ at its best level is the level that does best in that very metric and split.",
)


@dataclass(frozen=True)
class PageContent:
    """What a page is made from.

    Attributes:
        prepared: the study.
        summary: means over folds.
        differences: rows of differences.csv.
        answers: to the study's questions.
        drawn: names of the figures that were drawn.
        unfinished: ids of jobs that are not done.
        pretraining_seconds: of all pre-trainings together.
    """

    prepared: Prepared
    summary: Summary
    differences: Sequence[ComparedRow]
    answers: Sequence[Answer]
    drawn: Set[str]
    unfinished: Sequence[str]
    pretraining_seconds: float


def ablation_page(content: PageContent) -> str:
    """The page's HTML; its figures are read from the study's folder."""
    style = (files("monai_pneumonia.evaluation") / "templates" / "report.css").read_text(encoding="utf-8")
    template = Template((files("monai_pneumonia.ablation") / "templates" / "ablation.html").read_text(encoding="utf-8"))
    folder = content.prepared.place.output / FIGURES_FOLDER
    return template.substitute(
        style=style,
        title=escape(f"Ablation study: {content.prepared.name}"),
        warning=escape(RESEARCH_USE_ONLY),
        alarm=_alarm(content),
        answers=_answers(content),
        figures="\n".join(_figure(kind, folder) for kind in FIGURES if kind.name in content.drawn),
        tables="\n".join(f"<section><h3>{escape(title)}</h3>{table}</section>" for title, table in _tables(content)),
        provenance="\n".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in _provenance(content)),
        arms=_arms(content),
        notes="\n".join(f"<li>{escape(note)}</li>" for note in NOTES),
    )


def _alarm(content: PageContent) -> str:
    if not content.unfinished:
        return ""
    total = len(content.prepared.jobs)
    return f"<p class='alarm'>{len(content.unfinished)} of {total} trainings are not done: every number is of the others alone.</p>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1) -> str:
    """A table of escaped cells; the first columns are text, the others numbers."""

    def cells(tag: str, values: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=text' if 0 < at < text_columns else ''}>{value}</{tag}>" if at else f"<th scope='row'>{value}</th>"
            for at, value in enumerate(values)
        )

    head = "".join(f"<th scope='col'{' class=text' if 0 < at < text_columns else ''}>{escape(name)}</th>" for at, name in enumerate(heads))
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<div class='scroll'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _answers(content: PageContent) -> str:
    heads = ("Question", "Answer", "As expected", "Arm", "Reference", "Difference", "Folds", "Patients")
    return _table(heads, [_answer(answer, content) for answer in content.answers], 3) if content.answers else "<p>None were asked.</p>"


def _answer(answer: Answer, content: PageContent) -> list[str]:
    question, found = answer.question, answer.difference
    where = f"{_title(content, question.arm)} against {_title(content, question.reference)}: {question.metric}, {question.split}"
    if question.label_fraction != content.summary.main_fraction():
        where += f", {100 * question.label_fraction:g} % of the labels"
    expected = "" if answer.expected is None else "yes" if answer.expected else "no"
    asked = f"{escape(question.ask)}<small>{escape(where)}</small>"
    if found is None:
        return [asked, escape(answer.answer), expected, MISSING, MISSING, MISSING, MISSING, MISSING]
    values = [number(found.arm), number(found.reference), _with_interval(found), str(found.folds), str(found.patients)]
    return [asked, f"<strong>{escape(answer.answer)}</strong>", expected, *values]


def _title(content: PageContent, name: str) -> str:
    arm = content.prepared.arms.get(name)
    return name.replace("_", " ") if arm is None else arm.title


def _with_interval(found: Difference) -> str:
    if found.difference is None:
        return MISSING
    span = "" if found.low is None or found.high is None else f"<small>{found.low:+.3f} to {found.high:+.3f}</small>"
    return f"{found.difference:+.3f}{span}"


def _figure(kind: FigureKind, folder: Path) -> str:
    encoded = base64.b64encode((folder / f"{kind.name}.svg").read_bytes()).decode("ascii")
    caption = f"<figcaption><strong>{escape(kind.title)}.</strong> {escape(kind.caption)}</figcaption>"
    return f"<figure><img src='data:image/svg+xml;base64,{encoded}' alt='{escape(kind.title)}'>{caption}</figure>"


def _tables(content: PageContent) -> Iterator[tuple[str, str]]:
    for metric, title in _MAIN_METRICS.items():
        yield f"{title}: value, and difference to the plain arm", _difference_table(content, metric)
    recalls = content.summary.metrics("sensitivity_")
    for split in content.summary.splits:
        yield f"Recall of each class, {split}", _mean_table(content, split, {name: name.removeprefix("sensitivity_") for name in recalls})
    for split in content.summary.splits:
        yield f"AUC of p_pneumonia within each source, {split}", _source_table(content, split)
    for split in content.summary.splits:
        for kind in ("pixel", "box", "empty"):
            table = _map_table(content, split, kind)
            if table:
                yield f"Localisation on outlines of kind '{kind}', {split}", table


def _trained(content: PageContent) -> list[tuple[str, float, str]]:
    """(arm, share of labels, title) of every row of a table."""
    main = content.summary.main_fraction()
    rows = [(arm, share) for arm in content.prepared.arms for share in content.summary.fractions(arm)]
    return [
        (arm, share, _title(content, arm) + ("" if share == main else f", {100 * share:g} % of the labels"))
        for arm, share in sorted(rows, key=lambda row: -row[1])
    ]


def _difference_table(content: PageContent, metric: str) -> str:
    found = {
        (row.arm, row.label_fraction, row.split): row.difference
        for row in content.differences
        if (row.reference, row.source, row.metric) == (REFERENCE_ARM, ALL_SOURCES, metric)
    }
    splits = content.summary.splits
    rows = []
    for arm, share, title in _trained(content):
        cells = [escape(title)]
        for split in splits:
            difference = found.get((arm, share, split))
            cells.append(number(content.summary.mean(Key(arm, share, split, metric))))
            cells.append("" if difference is None else _with_interval(difference))
        rows.append(cells)
    return _table(["Arm", *(head for split in splits for head in (split, "difference"))], rows)


def _mean_table(content: PageContent, split: str, metrics: Mapping[str, str]) -> str:
    rows = [
        [escape(title), *(number(content.summary.mean(Key(arm, share, split, metric))) for metric in metrics)]
        for arm, share, title in _trained(content)
    ]
    return _table(["Arm", *metrics.values()], rows)


def _source_table(content: PageContent, split: str) -> str:
    sources = (ALL_SOURCES, *content.summary.sources)
    rows = [
        [escape(title), *(number(content.summary.mean(Key(arm, share, split, "p_pneumonia_auc", source))) for source in sources)]
        for arm, share, title in _trained(content)
    ]
    return _table(["Arm", *sources], rows)


def _map_table(content: PageContent, split: str, kind: str) -> str:
    """Every map that was measured on a kind of outline; empty where none was."""
    names = localization_names(kind)
    ending = localization_key("", kind, names[0])
    baselines = [metric.removesuffix(ending) for metric in content.summary.metrics() if metric.endswith(ending) and metric != ending[1:]]
    lines = [(title, arm, share, ATTENTION) for arm, share, title in _trained(content)]
    lines += [(f"{name.replace('_', ' ')} of the plain arm", REFERENCE_ARM, content.summary.main_fraction(), name) for name in baselines]
    rows = []
    for title, arm, share, name in lines:
        means = [content.summary.mean(Key(arm, share, split, localization_key(name, kind, metric))) for metric in names]
        if any(mean is not None for mean in means):
            rows.append([escape(title), *map(number, means)])
    return _table(["Map", *(name.replace("_", " ") for name in names)], rows) if rows else ""


def _provenance(content: PageContent) -> Iterator[tuple[str, str]]:
    prepared, summary = content.prepared, content.summary
    jobs = prepared.jobs
    yield "Data", f"{Path(prepared.data['datalist']).name}, SHA-256 of all its parts {prepared.data['sha256']}"
    yield "Code", f"monai-pneumonia {__version__}, state {prepared.code}"
    versions = [f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES]
    yield "With", ", ".join([f"Python {platform.python_version()}", *versions])
    folds, most = len({job.fold for job in jobs}), max(job.n_folds for job in jobs)
    yield "Folds", f"{folds} of {most}, patient-wise; seeds {_listed({job.seed for job in jobs})}"
    yield "Trainings", f"{sum(summary.trainings.values())}, {duration(sum(summary.seconds.values()))} of one process each"
    pretrainings = sum(job.kind == PRETRAINING for job in jobs)
    if pretrainings:
        yield "Pre-trainings", f"{pretrainings}, {duration(content.pretraining_seconds)}, shared by all arms that start from them"


def _listed(values: Set[int]) -> str:
    return ", ".join(str(value) for value in sorted(values))


def _arms(content: PageContent) -> str:
    """What each arm overrides beyond what all have in common."""
    arms = content.prepared.arms
    common = set.intersection(*(set(map(str, arm.overrides.items())) for arm in arms.values()))
    shared = [f"{key}: {value}" for key, value in next(iter(arms.values())).overrides.items() if str((key, value)) in common]
    rows = []
    for arm in arms.values():
        own = ", ".join(f"{key}: {value}" for key, value in arm.overrides.items() if str((key, value)) not in common)
        pretraining = "" if arm.pretraining is None else ", ".join(f"{key}: {value}" for key, value in arm.pretraining.items())
        trained = content.summary.trainings.get(arm.name, 0)
        seconds = content.summary.seconds.get(arm.name, 0.0) / trained if trained else 0.0
        rows.append([escape(arm.title), escape(own), escape(pretraining), str(trained), f"{seconds:.0f}"])
    table = _table(("Arm", "Overrides", "Pre-training", "Trainings", "Seconds each"), rows, 3)
    return f"<h3>Arms</h3><p>All trainings: <code>{escape(', '.join(shared))}</code></p>{table}"
