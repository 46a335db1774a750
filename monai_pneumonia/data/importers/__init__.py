"""Importers: one file a source, one entry in :data:`IMPORTERS`; each turns a public layout into a datalist."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from monai_pneumonia.data.importers.csv_table import import_csv
from monai_pneumonia.data.importers.intake import DROP, ImportResult, LabelRules

IMPORTERS: Mapping[str, Callable[..., ImportResult]] = {
    "csv": import_csv,
}
"""Sub-command of ``monai-pneumonia import`` to the function behind it.

The first parameter is the source; parameters annotated ``Annotated[type, "help"]`` become options, a :class:`LabelRules` parameter
the options ``--classes``, ``--group`` and ``--map``, a :class:`SplitRules` parameter ``--seed`` and ``--fractions``; the first
line of the docstring is the help text.
"""

__all__ = ["DROP", "IMPORTERS", "ImportResult", "LabelRules"]
