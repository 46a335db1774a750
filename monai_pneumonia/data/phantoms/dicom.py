"""Writes a phantom as a CR or DX image."""

from pathlib import Path

from monai_pneumonia.data.phantoms.generate import Phantom
from monai_pneumonia.data.phantoms.plan import PlannedItem


def write_dicom(path: Path, phantom: Phantom, item: PlannedItem, transfer_syntax: str) -> None:
    raise NotImplementedError
