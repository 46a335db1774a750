"""The X-ray beam's geometry: from points in the patient, in cm, to line integrals on the detector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import interpolate, ndimage

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]

# Interpolation takes variance away from noise; this gives it back.
_UNIT = np.float32(1.4)

# Points that fill a tube lie this many pixels apart: closer than one, so that no grid of dots shows.
DENSITY = 0.7


@dataclass(frozen=True)
class Projection:
    """A frontal projection on a detector of rows x columns pixels.

    Patient coordinates, in cm: x to the patient's left (the picture's right), y downwards from the lungs' apex,
    z from the patient's middle to the back.

    Attributes:
        rows: height of the picture, in pixels.
        columns: width of the picture, in pixels.
        row_cm: height of a pixel, in cm at the patient's middle.
        column_cm: width of a pixel, in cm at the patient's middle.
        centre_x: x at the picture's centre.
        centre_y: y at the picture's centre.
        tilt: how far the patient leans in the picture's plane, in radians.
        turn: how far the patient is turned about the long axis, in radians.
        magnification: growth of a structure's size for each cm that it lies towards the back (negative for AP views).
    """

    rows: int
    columns: int
    row_cm: float
    column_cm: float
    centre_x: float = 0.0
    centre_y: float = 12.0
    tilt: float = 0.0
    turn: float = 0.0
    magnification: float = 0.0

    @property
    def pixel_cm(self) -> float:
        """The geometric mean of a pixel's height and width, in cm."""
        return float(np.sqrt(self.row_cm * self.column_cm))

    def grid(self) -> tuple[FloatArray, FloatArray]:
        """The patient coordinates x and y of every pixel's centre in the plane z = 0, two arrays [H, W]."""
        u = (np.arange(self.columns, dtype=np.float32) - (self.columns - 1) / 2) * np.float32(self.column_cm)
        v = (np.arange(self.rows, dtype=np.float32) - (self.rows - 1) / 2) * np.float32(self.row_cm)
        cosine, sine = np.float32(np.cos(self.tilt)), np.float32(np.sin(self.tilt))
        x = cosine * u[None, :] + sine * v[:, None] + np.float32(self.centre_x)
        y = -sine * u[None, :] + cosine * v[:, None] + np.float32(self.centre_y)
        return x, y

    def shift(self, z: float) -> float:
        """How far the patient's turn moves a structure at depth z along x, in cm."""
        return float(np.sin(self.turn) * z)

    def to_pixels(self, points: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Projects points.

        Args:
            points: patient coordinates [N, 3], in cm.

        Returns:
            Rows and columns [N], as fractions of pixels.
        """
        x, y, z = points[:, 0], points[:, 1], points[:, 2]
        turned_x = np.cos(self.turn) * x + np.sin(self.turn) * z
        turned_z = -np.sin(self.turn) * x + np.cos(self.turn) * z
        growth = 1.0 + self.magnification * turned_z
        dx, dy = turned_x * growth - self.centre_x, (y - self.centre_y) * growth
        u = np.cos(self.tilt) * dx - np.sin(self.tilt) * dy
        v = np.sin(self.tilt) * dx + np.cos(self.tilt) * dy
        return v / self.row_cm + (self.rows - 1) / 2, u / self.column_cm + (self.columns - 1) / 2

    def splat(self, points: NDArray[np.floating], volumes: NDArray[np.floating]) -> FloatArray:
        """Spreads small volumes over the pixels that they project to; what the beam crosses of each is conserved.

        Args:
            points: patient coordinates [N, 3], in cm.
            volumes: the volume that each point stands for [N], in cubic cm.

        Returns:
            Path length in each pixel [H, W], in cm.
        """
        row, column = self.to_pixels(points)
        # A frame around the picture takes what falls outside, so that no test for the border is needed below.
        row = np.clip(row, -1.0, self.rows) + 1.0
        column = np.clip(column, -1.0, self.columns) + 1.0
        top, left = row.astype(np.intp), column.astype(np.intp)
        below, right = row - top, column - left
        width = self.columns + 3
        corner = top * width + left
        index = np.concatenate([corner, corner + 1, corner + width, corner + width + 1])
        weights = np.concatenate([(1 - below) * (1 - right), (1 - below) * right, below * (1 - right), below * right])
        weights *= np.tile(volumes, 4)
        total = np.bincount(index, weights, minlength=(self.rows + 3) * width)
        picture = total.reshape(self.rows + 3, width)[1:-2, 1:-2] / (self.row_cm * self.column_cm)
        return picture.astype(np.float32)

    def blur(self, picture: FloatArray, sigma_cm: float) -> FloatArray:
        """Gaussian blur of a picture [H, W] with a standard deviation in cm."""
        sigma = (sigma_cm / self.row_cm, sigma_cm / self.column_cm)
        return np.asarray(ndimage.gaussian_filter(picture, sigma, truncate=3.0, mode="nearest"), dtype=np.float32)


Profile = Callable[[NDArray[np.floating]], NDArray[np.floating]]


def solid(offset: NDArray[np.floating]) -> NDArray[np.floating]:
    """Half the chord of a round rod of radius 1, at offsets between -1 and 1 from its axis."""
    return np.asarray(np.sqrt(np.maximum(1 - offset**2, 0)))


def tube_points(
    centre: NDArray[np.floating],
    width: NDArray[np.floating],
    depth: NDArray[np.floating],
    step: float,
    profile: Profile = solid,
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Fills tubes with points, dense enough across for pixels of a given size.

    Args:
        centre: centre lines [..., K, 3], in cm, dense enough along: see :func:`resample`.
        width: half-widths in the picture's plane [..., K], in cm.
        depth: half-depths along the beam [..., K], in cm.
        step: the size of a pixel, in cm.
        profile: what half a chord crosses in a rod of radius 1.

    Returns:
        Points [N, 3] and the volume that each stands for [N], in cubic cm (times what the profile says).
    """
    tangent = np.gradient(centre, axis=-2)
    length = np.linalg.norm(tangent, axis=-1)
    in_plane = np.maximum(np.hypot(tangent[..., 0], tangent[..., 1]), 1e-9)
    # Where a tube runs along the beam its direction in the picture is arbitrary, which does no harm: it is a disc there.
    normal_x, normal_y = -tangent[..., 1] / in_plane * width, tangent[..., 0] / in_plane * width
    across = max(3, int(np.ceil(2 * width.max() / (DENSITY * step))))
    offset = (np.arange(across) + 0.5) / across * 2 - 1
    points = np.empty((*width.shape, across, 3))
    points[..., 0] = centre[..., None, 0] + offset * normal_x[..., None]
    points[..., 1] = centre[..., None, 1] + offset * normal_y[..., None]
    points[..., 2] = centre[..., None, 2]
    share = profile(offset) / solid(offset).sum()
    volumes = (np.pi * width * depth * length)[..., None] * share
    return points.reshape(-1, 3), volumes.reshape(-1)


def resample(curve: NDArray[np.floating], step: float) -> NDArray[np.floating]:
    """Places points along a polyline, dense enough for pixels of a given size.

    Args:
        curve: corners [K, 3 + n]: x, y and z in cm, and n numbers that go along.
        step: the size of a pixel, in cm.

    Returns:
        The same [K', 3 + n], evenly spaced.
    """
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve[:, :3], axis=0), axis=1))])
    along = np.linspace(0.0, lengths[-1], max(4, int(lengths[-1] / (DENSITY * step)) + 1))
    return np.stack([np.interp(along, lengths, curve[:, column]) for column in range(curve.shape[1])], axis=1)


def smooth_curve(points: NDArray[np.floating], values: NDArray[np.floating], count: int = 48) -> NDArray[np.floating]:
    """Rounds the corners of a polyline and of numbers given along it.

    Args:
        points: corners [K, 3], in cm.
        values: a number for each corner [K].
        count: how many points to give back.

    Returns:
        Points and numbers [count, 4].
    """
    corners = np.concatenate([points, values[:, None]], axis=1)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    spline = interpolate.PchipInterpolator(along, corners)
    return np.asarray(spline(np.linspace(0.0, along[-1], count)))


def smooth_step(value: NDArray[np.floating]) -> FloatArray:
    """Rises from 0 at -1 to 1 at +1 without a corner."""
    clipped = np.clip(value * np.float32(0.5) + np.float32(0.5), 0, 1)
    return np.asarray(clipped * clipped * (3 - 2 * clipped), dtype=np.float32)


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cells: int) -> FloatArray:
    """Smooth random field [H, W] of about unit variance; the same rng gives the same field at any resolution.

    Args:
        rng: source of chance.
        shape: height and width, in pixels.
        cells: how many bumps fit along a side.
    """
    coarse = rng.standard_normal((cells + 3, cells + 3)).astype(np.float32)
    return np.asarray(resize(coarse, shape) * _UNIT, dtype=np.float32)


def resize(picture: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """Brings a picture [h, w] to another size [H, W] by cubic interpolation."""
    resized = Image.fromarray(picture).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(resized, dtype=np.float32)


def ellipsoid_chord(
    x: FloatArray, y: FloatArray, centre: tuple[float, float], half_axes: tuple[float, float, float], angle: float = 0.0
) -> FloatArray:
    """What the beam crosses of an ellipsoid.

    Args:
        x: patient coordinate of each pixel [H, W], in cm.
        y: patient coordinate of each pixel [H, W], in cm.
        centre: x and y of the centre, in cm.
        half_axes: two half axes in the picture's plane and the one along the beam, in cm.
        angle: of the first axis, in radians from x towards y.

    Returns:
        Path length [H, W], in cm.
    """
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    first = (cosine * dx + sine * dy) / np.float32(half_axes[0])
    second = (-sine * dx + cosine * dy) / np.float32(half_axes[1])
    inside = np.maximum(1 - first * first - second * second, 0)
    return np.asarray(np.float32(2 * half_axes[2]) * np.sqrt(inside), dtype=np.float32)


def capsule_chord(x: FloatArray, y: FloatArray, ends: NDArray[np.floating], radii: tuple[float, float]) -> FloatArray:
    """What the beam crosses of a limb's piece: a round cone between two points, closed by spheres.

    Args:
        x: patient coordinate of each pixel [H, W], in cm.
        y: patient coordinate of each pixel [H, W], in cm.
        ends: two points [2, 2], in cm.
        radii: at the two ends, in cm.

    Returns:
        Path length [H, W], in cm.
    """
    along = (ends[1] - ends[0]).astype(np.float32)
    dx, dy = x - np.float32(ends[0, 0]), y - np.float32(ends[0, 1])
    share = np.clip((dx * along[0] + dy * along[1]) / np.float32(along @ along), 0, 1)
    distance = (dx - share * along[0]) ** 2 + (dy - share * along[1]) ** 2
    radius = np.float32(radii[0]) + share * np.float32(radii[1] - radii[0])
    return np.asarray(2 * np.sqrt(np.maximum(radius * radius - distance, 0)), dtype=np.float32)


def union(*chords: FloatArray) -> FloatArray:
    """Path length through overlapping solids [H, W], in cm: a smooth maximum, for tissue is not counted twice."""
    total = np.zeros_like(chords[0])
    for chord in chords:
        squared = chord * chord
        total += squared * squared
    return np.sqrt(np.sqrt(total))
