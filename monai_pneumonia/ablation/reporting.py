"""All that a study leaves for a reader: tables, figures and one page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from monai_pneumonia.ablation.comparing import Comparison, write_differences
from monai_pneumonia.ablation.measuring import measure_results, read_results, write_rows
from monai_pneumonia.ablation.preparing import Prepared, collect_predictions
from monai_pneumonia.errors import NothingToAnalyseError

ABLATION_FILE = "ablation.csv"
DIFFERENCES_FILE = "differences.csv"


def write_report(prepared: Prepared, resamples: int) -> Iterator[Path]:
    """Writes the tables of all finished trainings; yields each file as it is there.

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
    differences = list(Comparison(results, resamples).rows())
    write_differences(differences, output / DIFFERENCES_FILE)
    yield output / DIFFERENCES_FILE
