"""Soft tissue and air: body outline, lungs, heart and great vessels, diaphragm, windpipe, stomach gas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monai_pneumonia.data.phantoms.anatomy import Anatomy
from monai_pneumonia.data.phantoms.projection import (
    BoolArray,
    FloatArray,
    Projection,
    ellipsoid_chord,
    smooth_noise,
    smooth_step,
    tube_points,
    union,
)


@dataclass(frozen=True)
class SoftTissue:
    """Path lengths along the beam, each [H, W], in cm.

    Attributes:
        tissue: through water-like tissue, the lungs' own left aside.
        air: through lung.
        lungs: where the lungs are seen (their fields, without the part hidden by heart and diaphragm).
        x: patient coordinate of each pixel.
        y: patient coordinate of each pixel.
        dome: how far each pixel lies below the diaphragm's dome, in cm; negative above it.
    """

    tissue: FloatArray
    air: FloatArray
    lungs: BoolArray
    x: FloatArray
    y: FloatArray
    dome: FloatArray


def draw_soft_tissue(anatomy: Anatomy, projection: Projection, rng: np.random.Generator, magnified_heart: float) -> SoftTissue:
    """Renders a patient's soft tissue and lungs.

    Args:
        anatomy: the patient.
        projection: the beam.
        rng: source of chance for the small unevenness of this one picture's tissue.
        magnified_heart: growth of the heart's shadow, 1 for a PA view.
    """
    x, y = projection.grid()
    cavity, lateral = _cavity(anatomy, x, y)
    heart = _heart(anatomy, x - np.float32(projection.shift(-0.35 * anatomy.cavity_depth)), y, magnified_heart)
    below = _below_dome(anatomy, x, y)
    hidden = smooth_step(below / np.float32(0.22 * anatomy.scale))
    recess = 1 - smooth_step((below - np.float32(3.0 * anatomy.scale)) / np.float32(1.6 * anatomy.scale))
    beside = _beside_mediastinum(anatomy, x - np.float32(projection.shift(-0.2 * anatomy.cavity_depth)), y)
    open_lung = cavity * beside * (1 - hidden + np.float32(0.13) * hidden * recess)
    air = np.maximum(open_lung - heart * (1 - hidden), 0)
    body = _body(anatomy, projection, x, y)
    tissue = np.maximum(body - air, 0) + _breasts(anatomy, x, y)
    tissue -= _windpipe(anatomy, projection)
    tissue = np.maximum(tissue - _stomach_gas(anatomy, x, y, below), 0)
    tissue *= 1 + np.float32(0.012) * smooth_noise(rng, x.shape, 9)
    shadow = heart > np.float32(2.2 * anatomy.scale)
    lungs = (open_lung > np.float32(1.1 * anatomy.scale)) & (below < 0) & ~shadow & (lateral < 0.985) & (beside > 0.5)
    return SoftTissue(tissue.astype(np.float32), air.astype(np.float32), lungs, x, y, below)


def _cavity(anatomy: Anatomy, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    wall = np.maximum(anatomy.wall(y), np.float32(1e-3))
    lateral = np.abs(x) / wall
    chord = 2 * anatomy.depth(y) * np.sqrt(np.maximum(1 - lateral**2.3, 0))
    return chord.astype(np.float32), lateral


def _beside_mediastinum(anatomy: Anatomy, x: FloatArray, y: FloatArray) -> FloatArray:
    half = anatomy.mediastinum * (1 + 0.35 * smooth_step((y - anatomy.lung_height * 0.75) / np.float32(4 * anatomy.scale)))
    # The lungs' apices round off towards the neck.
    half = half + 1.3 * anatomy.scale * np.exp(-np.maximum(y, 0) / (0.9 * anatomy.scale))
    softness = np.float32(0.45 * anatomy.scale)
    return smooth_step((np.abs(x) - half) / softness)


def _below_dome(anatomy: Anatomy, x: FloatArray, y: FloatArray) -> FloatArray:
    centre, wall = 0.5 * anatomy.cavity_width, anatomy.cavity_width
    outward = np.abs(x) - np.float32(centre)
    lateral = np.clip(outward / np.float32(wall - centre), 0, 1.3)
    medial = np.clip(-outward / np.float32(centre), 0, 1)
    fall = 4.6 * anatomy.scale * lateral**2.4 + 1.3 * anatomy.scale * medial**2
    top = np.where(x > 0, anatomy.dome_top(1), anatomy.dome_top(-1))
    return np.asarray(y - top - fall, dtype=np.float32)


def _heart(anatomy: Anatomy, x: FloatArray, y: FloatArray, magnified: float) -> FloatArray:
    size = anatomy.heart_scale * magnified
    middle = anatomy.lung_height - 3.9 * size
    knob_y = 0.29 * anatomy.lung_height
    along_y = y - np.float32(knob_y)
    descending = np.float32(1.1 * anatomy.scale)
    beside = 1 - ((x - np.float32(1.35 * anatomy.scale)) / descending) ** 2
    return union(
        ellipsoid_chord(x, y, (anatomy.heart_x + 0.9 * size, middle), (5.9 * size, 4.25 * size, 4.6 * size), anatomy.heart_angle),
        ellipsoid_chord(x, y, (anatomy.heart_x - 3.3 * size, middle + 0.2 * size), (2.9 * size, 4.2 * size, 3.4 * size)),
        ellipsoid_chord(x, y, (anatomy.heart_x + 0.6 * size, middle - 4.1 * size), (2.2 * size, 2.8 * size, 2.1 * size)),
        ellipsoid_chord(x, y, (1.75 * anatomy.scale, knob_y), (anatomy.knob, 1.1 * anatomy.knob, 1.5 * anatomy.knob)),
        ellipsoid_chord(
            x,
            y,
            (-1.3 * anatomy.scale, 0.42 * anatomy.lung_height),
            (1.75 * anatomy.scale, 0.24 * anatomy.lung_height, 2.2 * anatomy.scale),
        ),
        np.asarray(2 * descending * np.sqrt(np.maximum(beside, 0)) * smooth_step(along_y / descending), dtype=np.float32),
    )


def _body(anatomy: Anatomy, projection: Projection, x: FloatArray, y: FloatArray) -> FloatArray:
    scale = anatomy.scale
    half = anatomy.cavity_width + 1.0 * scale + 0.8 * anatomy.fat
    thick = anatomy.cavity_depth + 1.0 * scale + 0.8 * anatomy.fat
    # From the armpits up the trunk narrows into shoulders and neck; those are tubes of their own.
    narrowing = smooth_step((y - np.float32(1.0 * scale)) / np.float32(5.0 * scale))
    half_width = half * (0.42 + 0.58 * narrowing)
    half_depth = thick * (0.55 + 0.45 * smooth_step((y - np.float32(2.0 * scale)) / np.float32(6.0 * scale)))
    ratio = np.abs(x) / half_width
    trunk = 2 * half_depth * np.sqrt(np.maximum(1 - ratio**2.6, 0))
    step = 2.0 * projection.pixel_cm
    limbs = np.zeros_like(trunk)
    for side in (-1.0, 1.0):
        reach = half + 1.0 * scale
        shoulder = np.array(
            [
                [0.0, -2.5 * scale, 0.0],
                [0.55 * reach, 0.2 * scale, 0.0],
                [reach, 3.2 * scale, 0.0],
                [1.16 * reach, 9 * scale, 0.0],
                [1.32 * reach, 34 * scale, 0.0],
            ]
        )
        radius = np.array([4.6, 4.3, 4.6, 3.8, 3.2]) * scale + 0.5 * anatomy.fat
        shoulder[:, 0] *= side
        limbs = np.maximum(limbs, projection.splat(*tube_points(shoulder, radius, 1.05 * radius, step)))
    neck = np.array([[0.0, -16.0 * scale, 1.0], [0.0, 1.0 * scale, 1.0]])
    neck_radius = 5.3 * scale + 0.3 * anatomy.fat
    throat = projection.splat(*tube_points(neck, neck_radius, neck_radius, step))
    return projection.blur(union(trunk.astype(np.float32), limbs, throat), 0.25 * scale)


def _breasts(anatomy: Anatomy, x: FloatArray, y: FloatArray) -> FloatArray:
    if anatomy.breast == 0:
        return np.zeros_like(x)
    centre_x, centre_y = 0.6 * anatomy.cavity_width, 0.72 * anatomy.lung_height
    size = anatomy.breast
    # Half of an ellipsoid: the other half would lie within the chest.
    return sum((0.27 * ellipsoid_chord(x, y, (side * centre_x, centre_y), (size, 0.95 * size, size)) for side in (-1, 1)), np.zeros_like(x))


def _windpipe(anatomy: Anatomy, projection: Projection) -> FloatArray:
    scale, carina = anatomy.scale, 0.36 * anatomy.lung_height
    trunk = np.array([[0.0, -14.0 * scale, 0.0], [0.0, 0.0, 0.5], [-0.25 * scale, carina, 1.0]])
    right = np.array([[-0.25 * scale, carina, 1.0], [-3.2 * scale, carina + 3.3 * scale, 1.0]])
    left = np.array([[-0.25 * scale, carina, 1.0], [4.0 * scale, carina + 3.0 * scale, 1.0]])
    radius = anatomy.trachea
    parts = ((trunk, radius), (right, 0.78 * radius), (left, 0.7 * radius))
    return projection.blur(
        sum(projection.splat(*tube_points(curve, size, size, projection.pixel_cm)) for curve, size in parts), 0.12 * scale
    )


def _stomach_gas(anatomy: Anatomy, x: FloatArray, y: FloatArray, below: FloatArray) -> FloatArray:
    if anatomy.gas == 0:
        return np.zeros_like(x)
    centre = (0.47 * anatomy.cavity_width, anatomy.dome_top(1) + 1.0 * anatomy.scale + 0.75 * anatomy.gas)
    chord = ellipsoid_chord(x, y, centre, (1.6 * anatomy.gas, anatomy.gas, 1.3 * anatomy.gas))
    return chord * smooth_step((below - np.float32(0.6 * anatomy.scale)) / np.float32(0.2 * anatomy.scale))
