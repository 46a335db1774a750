"""Any file to a radiograph: the format is told by the content, whatever the file is called."""

from __future__ import annotations

import os
from pathlib import Path

from monai_pneumonia.radiograph.raster import read_raster
from monai_pneumonia.radiograph.types import Radiograph


def read_radiograph(path: str | os.PathLike[str]) -> Radiograph:
    """Reads a chest X-ray from any supported file."""
    return read_raster(Path(path))
