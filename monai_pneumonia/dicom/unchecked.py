"""Reads and writes values as they are, and says nothing of odd ones, for that would quote patients' names and identifiers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from monai_pneumonia.radiograph.dicom_tags import without_value_validation


@contextmanager
def unchecked_values() -> Iterator[None]:
    """Keeps pydicom and highdicom from checking values and from warning of them."""
    with without_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
