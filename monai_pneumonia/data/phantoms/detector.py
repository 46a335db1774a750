"""From attenuation to a picture: scatter, quantum noise, logarithm, display curve, collimator, burnt-in marks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from monai_pneumonia.data.phantoms.glyphs import stamp
from monai_pneumonia.data.phantoms.hospitals import Hospital
from monai_pneumonia.data.phantoms.projection import BoolArray, FloatArray, Projection, resize, smooth_noise

# Some scatter reaches every pixel, so the logarithm stays finite.
_DARKEST = np.float32(1e-4)


@dataclass(frozen=True)
class Exposure:
    """How far one picture strays from its hospital's habit.

    Attributes:
        gamma: factor on the display curve's exponent.
        brightness: added to the displayed value.
        noise: factor on the noise.
        borders: what the collimator covers at the top, bottom, left and right, as shares of the side.
        marker_shift: rows and columns that the marker is off its place, as shares of the side.
        marked: whether somebody put a marker at all.
    """

    gamma: float
    brightness: float
    noise: float
    borders: tuple[float, float, float, float]
    marker_shift: tuple[float, float]
    marked: bool

    def opened(self, shape: tuple[int, int]) -> BoolArray:
        """What the collimator leaves open of a picture [H, W]."""
        rows, columns = shape
        top, bottom, left, right = self.borders
        field = np.zeros(shape, dtype=bool)
        field[round(top * rows) : rows - round(bottom * rows), round(left * columns) : columns - round(right * columns)] = True
        return field


def draw_exposure(rng: np.random.Generator, hospital: Hospital) -> Exposure:
    """Draws one picture's exposure."""
    borders = rng.uniform(0.25, 1.0, 4) * hospital.border
    shift = rng.normal(0, 0.012, 2)
    return Exposure(
        gamma=float(np.exp(rng.normal(0, 0.10))),
        brightness=float(rng.normal(0, 0.03)),
        noise=float(np.exp(rng.normal(0, 0.25))),
        borders=(float(borders[0]), float(borders[1]), float(borders[2]), float(borders[3])),
        marker_shift=(float(shift[0]), float(shift[1])),
        marked=bool(rng.random() < 0.92),
    )


def expose(
    healthy: FloatArray, lesion: FloatArray, projection: Projection, hospital: Hospital, exposure: Exposure, rng: np.random.Generator
) -> FloatArray:
    """Takes the picture.

    Scatter, scaling and edge enhancement follow the healthy patient, so that a lesion changes no pixel outside of itself.

    Args:
        healthy: the patient's attenuation without the lesion [H, W], a line integral without unit.
        lesion: what the lesion adds [H, W].
        projection: the beam.
        hospital: its equipment.
        exposure: this one picture's.
        rng: source of the noise.

    Returns:
        The picture [H, W], from 0 (black) to 1.
    """
    primary = np.exp(-healthy)
    scattered = np.float32(hospital.scatter) * _veil(primary)
    grain = _grain(rng, primary.shape, projection) * np.float32(hospital.noise * exposure.noise)

    def logarithm(beam: FloatArray) -> FloatArray:
        signal = beam + scattered
        # Photons are counted: the noise of the logarithm grows as the signal falls.
        return np.asarray(-np.log(signal) + grain / np.sqrt(signal), dtype=np.float32)

    reference = logarithm(primary)
    body = reference[::2, ::2][healthy[::2, ::2] > 0.6]
    low, high = np.quantile(body, [0.01, 0.985]) if body.size > 16 else (float(reference.min()), float(reference.max()))
    picture = logarithm(primary * np.exp(-lesion))
    if hospital.detail:
        picture = picture + np.float32(hospital.detail) * (picture - projection.blur(reference, 0.8))
    span = max(float(high) - float(low), 1e-3)
    value = np.clip((picture - np.float32(low)) / np.float32(span) * np.float32(0.88) + np.float32(0.07), 0, 1)
    if hospital.contrast:
        value = (1 - np.float32(hospital.contrast)) * value + np.float32(hospital.contrast) * value * value * (3 - 2 * value)
    value = value ** np.float32(hospital.gamma * exposure.gamma) + np.float32(hospital.brightness + exposure.brightness)
    return np.asarray(np.clip(value, 0, 1), dtype=np.float32)


def burn_in(picture: FloatArray, hospital: Hospital, exposure: Exposure) -> FloatArray:
    """Covers what the collimator covers and burns in marker and caption."""
    marked = np.where(exposure.opened(picture.shape), picture, np.float32(0))
    if exposure.marked:
        row, column = hospital.marker_at
        at = (row + exposure.marker_shift[0], column + exposure.marker_shift[1])
        stamp(marked, hospital.marker, at, hospital.marker_size)
    if hospital.caption:
        stamp(marked, hospital.caption, (0.045, 0.5 + 4 * exposure.marker_shift[1]), 0.035)
    return marked


def _veil(primary: FloatArray) -> FloatArray:
    """Scattered radiation: half of it from the beam's surroundings, a few cm wide, half from the whole patient."""
    coarse = np.asarray(Image.fromarray(primary).resize((12, 12), Image.Resampling.BOX), dtype=np.float32)
    nearby = np.asarray(ndimage.uniform_filter(coarse, 3, mode="nearest"), dtype=np.float32)
    mixed = np.asarray((nearby + nearby.mean()) / 2, dtype=np.float32)
    return np.maximum(resize(mixed, primary.shape), _DARKEST)


def _grain(rng: np.random.Generator, shape: tuple[int, int], projection: Projection) -> FloatArray:
    # A smaller pixel collects fewer photons; the detector's glow spreads each over its neighbours.
    white = rng.standard_normal(shape, dtype=np.float32) * np.float32(np.sqrt(0.18 / projection.pixel_cm))
    return np.asarray(white + np.float32(0.25) * smooth_noise(rng, shape, 60), dtype=np.float32)
