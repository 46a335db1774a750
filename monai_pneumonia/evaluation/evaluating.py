"""From predictions and a datalist to a folder of results."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_pneumonia.data.datalist import Datalist, load_datalist
from monai_pneumonia.evaluation.figures import draw_figures, figure_files
from monai_pneumonia.evaluation.joining import join, write_left_out
from monai_pneumonia.evaluation.markdown import markdown_report
from monai_pneumonia.evaluation.measuring import Settings, measure
from monai_pneumonia.evaluation.predictions import read_predictions
from monai_pneumonia.evaluation.report import html_report
from monai_pneumonia.evaluation.samples import choose_samples
from monai_pneumonia.evaluation.writing import METRICS_FILE, finished_folder
from monai_pneumonia.metrics.bootstrap import DEFAULT_CONFIDENCE, DEFAULT_RESAMPLES

if TYPE_CHECKING:
    import pandas as pd

REPORT_FILE = "report.html"
TABLES_FILE = "metrics.md"
LEFT_OUT_FILE = "left_out.csv"
RESULT_FILES = (METRICS_FILE, TABLES_FILE, REPORT_FILE, LEFT_OUT_FILE, *figure_files())


def evaluate_predictions(
    predictions: str | os.PathLike[str] | pd.DataFrame,
    datalist: Datalist | str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    section: str = "testing",
    resamples: int = DEFAULT_RESAMPLES,
    seed: int = 0,
    confidence: float = DEFAULT_CONFIDENCE,
    overlays: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Measures predictions against a datalist and writes metrics.json, metrics.md, figures/, report.html and left_out.csv.

    All files are written, or none. The same input gives the same bytes.

    Args:
        predictions: predictions.csv, the folder that ``predict`` wrote it to, or the same columns as a table.
        datalist: the datalist or its file; only a file has a checksum to be named by.
        output_dir: the folder for the results; an earlier evaluation in it is replaced, other files stay.
        section: ``training``, ``validation``, ``testing``, or ``all`` for the three together.
        resamples: bootstrap resamples of the patients; 0 gives no intervals.
        seed: seed of the draws.
        confidence: share of the resamples that an interval spans, between 0 and 1.
        overlays: folder of overlay pictures (``<id>.png``) to show; by default the one beside predictions.csv where a folder was given.

    Returns:
        The content of metrics.json.

    Raises:
        UsageError: no such section, or a setting out of its range.
        BadInputError: predictions or datalist cannot be read or do not fit together.
        NothingToAnalyseError: no prediction is about an item of the section that has a label.
        OutputNotWritableError: the folder cannot be written.
    """
    settings = Settings(resamples, seed, confidence)
    listed, sha256 = (datalist, None) if isinstance(datalist, Datalist) else (load_datalist(datalist), _sha256(Path(datalist)))
    table = read_predictions(predictions, listed.labels)
    joined = join(table, listed, section)
    labelled = joined.labelled()
    metrics = measure(joined, settings, sha256)
    folder = Path(overlays) if overlays is not None else table.overlays
    samples = choose_samples(labelled, folder) if folder is not None else ()
    with finished_folder(output_dir, RESULT_FILES) as results:
        content = json.dumps(metrics, indent=1, ensure_ascii=False, allow_nan=False)
        (results / METRICS_FILE).write_text(content + "\n", encoding="utf-8")
        write_left_out(joined, results / LEFT_OUT_FILE)
        drawn = draw_figures(labelled, metrics, results)
        (results / TABLES_FILE).write_text(markdown_report(metrics, drawn), encoding="utf-8")
        (results / REPORT_FILE).write_text(html_report(metrics, drawn, results, samples), encoding="utf-8")
    return metrics


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
