"""From attenuation to a picture: scatter, quantum noise, logarithm, display curve, collimator, burnt-in marks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from monai_pneumonia.data.phantoms.glyphs import stamp
from monai_pneumonia.data.phantoms.hospitals import Hospital
from monai_pneumonia.data.phantoms.projection import FloatArray, Projection, smooth_noise


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
    rows, columns = picture.shape
    marked = picture.copy()
    top, bottom, left, right = exposure.borders
    marked[: round(top * rows)] = 0
    marked[rows - round(bottom * rows) :] = 0
    marked[:, : round(left * columns)] = 0
    marked[:, columns - round(right * columns) :] = 0
    if exposure.marked:
        row, column = hospital.marker_at
        at = (row + exposure.marker_shift[0], column + exposure.marker_shift[1])
        stamp(marked, hospital.marker, at, hospital.marker_size)
    if hospital.caption:
        stamp(marked, hospital.caption, (0.045, 0.5 + 4 * exposure.marker_shift[1]), 0.035)
    return marked


def _veil(primary: FloatArray) -> FloatArray:
    """Scattered radiation: the beam, blurred over several cm and brought to the mean of the whole."""
    rows, columns = primary.shape
    coarse = Image.fromarray(primary).resize((12, 12), Image.Resampling.BOX)
    wide = np.asarray(coarse, dtype=np.float32)
    padded = np.pad(wide, 1, mode="edge")
    mean = sum(padded[i : i + 12, j : j + 12] for i in range(3) for j in range(3)) / np.float32(9)
    veil = Image.fromarray(np.asarray(0.5 * mean + 0.5 * mean.mean(), dtype=np.float32)).resize((columns, rows), Image.Resampling.BICUBIC)
    return np.maximum(np.asarray(veil, dtype=np.float32), np.float32(1e-4))


def _grain(rng: np.random.Generator, shape: tuple[int, int], projection: Projection) -> FloatArray:
    # A smaller pixel collects fewer photons; the detector's glow spreads each over its neighbours.
    white = rng.standard_normal(shape, dtype=np.float32) * np.float32(0.18 / projection.pixel_cm) ** np.float32(0.5)
    return white + np.float32(0.25) * smooth_noise(rng, shape, 60)
