"""Reading a chest X-ray from any file, upright, bright where dense; no torch needed."""

from monai_pneumonia.radiograph.array import radiograph_from_array
from monai_pneumonia.radiograph.read import read_radiograph
from monai_pneumonia.radiograph.types import MAX_PIXELS, Radiograph

__all__ = ["MAX_PIXELS", "Radiograph", "radiograph_from_array", "read_radiograph"]
