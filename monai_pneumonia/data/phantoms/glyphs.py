"""Letters to burn into pictures, drawn here so that they look the same under every version of every library."""

from __future__ import annotations

import numpy as np
from PIL import Image

from monai_pneumonia.data.phantoms.projection import FloatArray

_GLYPHS = {
    "A": ("01110", "10001", "10001", "11111", "10001", "10001", "10001"),
    "B": ("11110", "10001", "10001", "11110", "10001", "10001", "11110"),
    "D": ("11110", "10001", "10001", "10001", "10001", "10001", "11110"),
    "E": ("11111", "10000", "10000", "11110", "10000", "10000", "11111"),
    "L": ("10000", "10000", "10000", "10000", "10000", "10000", "11111"),
    "O": ("01110", "10001", "10001", "10001", "10001", "10001", "01110"),
    "P": ("11110", "10001", "10001", "11110", "10000", "10000", "10000"),
    "R": ("11110", "10001", "10001", "11110", "10100", "10010", "10001"),
    "T": ("11111", "00100", "00100", "00100", "00100", "00100", "00100"),
}
LETTERS = frozenset(_GLYPHS)


def stamp(picture: FloatArray, text: str, at: tuple[float, float], size: float) -> None:
    """Burns white letters into a picture, in place.

    Args:
        picture: [H, W], from 0 to 1.
        text: letters of :data:`LETTERS`.
        at: row and column of the text's centre, as shares of height and width.
        size: height of a letter, as a share of the picture's height.
    """
    rows, columns = picture.shape
    letters = [np.array([[float(bit) for bit in row] for row in _GLYPHS[letter]], dtype=np.float32) for letter in text]
    line = np.concatenate([np.pad(letter, ((0, 0), (0, 1))) for letter in letters], axis=1)[:, :-1]
    height = max(7, round(size * rows))
    width = max(1, round(height * line.shape[1] / 7))
    drawn = np.asarray(Image.fromarray(line).resize((min(width, columns), min(height, rows)), Image.Resampling.BILINEAR), dtype=np.float32)
    top = int(np.clip(round(at[0] * rows - drawn.shape[0] / 2), 0, rows - drawn.shape[0]))
    left = int(np.clip(round(at[1] * columns - drawn.shape[1] / 2), 0, columns - drawn.shape[1]))
    patch = picture[top : top + drawn.shape[0], left : left + drawn.shape[1]]
    np.copyto(patch, patch + (np.float32(0.97) - patch) * np.clip(drawn * 1.3, 0, 1))
