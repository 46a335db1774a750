"""What reading a radiograph gives, and what all formats share."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from monai_pneumonia.errors import RejectedImageError

RadiographFormat = Literal["dicom", "raster", "nifti", "metaimage", "array"]

# Five times the largest detector in use (about 4300 x 3600), and below the size from which Pillow warns of decompression bombs.
MAX_PIXELS = 80_000_000


@dataclass(frozen=True)
class Radiograph:
    """A radiograph as a viewer would show it.

    Attributes:
        pixels: float32 [H, W] in [0, 1]; row 0 is the top, column 0 the left as displayed; dense tissue is bright.
        format: where the pixels came from.
        warnings: what the file left open or states oddly, one sentence each; no patient data.
        pixel_spacing: millimetres between rows and between columns, None where the file states none.
    """

    pixels: np.ndarray
    format: RadiographFormat
    warnings: tuple[str, ...] = ()
    pixel_spacing: tuple[float, float] | None = None


def check_size(name: Path | str, height: int, width: int) -> None:
    """Refuses a picture without pixels or with more than any detector makes, before its pixels are decoded.

    Raises:
        RejectedImageError: height or width below one, or more than :data:`MAX_PIXELS` pixels.
    """
    if height < 1 or width < 1:
        raise RejectedImageError(f"{name}: declares {height} x {width} pixels: give a file that holds a picture")
    if height * width > MAX_PIXELS:
        raise RejectedImageError(
            f"{name}: declares {height} x {width} pixels, more than the {MAX_PIXELS // 1_000_000} million that a radiograph may have: "
            "give the picture at the detector's resolution"
        )


def known_spacing(down: float, across: float) -> tuple[float, float] | None:
    """(row, column) spacing, or None where it is no length or is 1 by 1: what writers put who know of none."""
    if not (np.isfinite([down, across]).all() and down > 0 and across > 0) or (down, across) == (1.0, 1.0):
        return None
    return down, across


def one_line(error: BaseException) -> str:
    """An error's kind and text, on one line of bounded length."""
    return textwrap.shorten(f"{type(error).__name__}: {error}", 200, placeholder=" ...")
