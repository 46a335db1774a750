"""Importers: one file a source, one entry in :data:`IMPORTERS`; each turns a public layout into a datalist."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from monai_pneumonia.data.importers.class_folders import import_folders
from monai_pneumonia.data.importers.covid19 import import_covid19
from monai_pneumonia.data.importers.csv_table import import_csv
from monai_pneumonia.data.importers.guangzhou import import_guangzhou
from monai_pneumonia.data.importers.intake import DROP, ImportResult, LabelRules, PictureFolder
from monai_pneumonia.data.importers.medmnist import import_medmnist
from monai_pneumonia.data.importers.nih import import_nih
from monai_pneumonia.data.importers.rsna import import_rsna

IMPORTERS: Mapping[str, Callable[..., ImportResult]] = {
    "csv": import_csv,
    "folders": import_folders,
    "medmnist": import_medmnist,
    "rsna": import_rsna,
    "nih": import_nih,
    "guangzhou": import_guangzhou,
    "covid19": import_covid19,
}
"""Sub-command of ``monai-pneumonia import`` to the function behind it.

The first parameter is the source; the others, annotated ``Annotated[type, "help"]``, become options of the same name. A parameter of the
type :class:`LabelRules` becomes ``--classes``, ``--group`` and ``--map``, one of :class:`SplitRules` ``--seed`` and ``--fractions``, one
of :class:`PictureFolder` ``--pictures``. The docstring, up to ``Raises:``, is the help text.
"""

__all__ = ["DROP", "IMPORTERS", "ImportResult", "LabelRules", "PictureFolder"]
