"""Soft tissue and air: body outline, lungs, heart and great vessels, diaphragm, windpipe, stomach gas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monai_pneumonia.data.phantoms.anatomy import Anatomy
from monai_pneumonia.data.phantoms.projection import (
    BoolArray,
    FloatArray,
    Projection,
    capsule_chord,
    ellipsoid_chord,
    resample,
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
        lesion_site: where a lesion may be drawn: the lungs and what of them lies before or behind the heart.
        x: patient coordinate of each pixel.
        y: patient coordinate of each pixel.
        dome: how far each pixel lies below the diaphragm's dome, in cm; negative above it.
    """

    tissue: FloatArray
    air: FloatArray
    lungs: BoolArray
    lesion_site: BoolArray
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
    site = (open_lung > np.float32(0.4 * anatomy.scale)) & (below < 0) & (lateral < 1)
    shadow = heart > np.float32(3.0 * anatomy.scale)
    lungs = site & ~shadow & (beside > 0.35) & (lateral < 0.985)
    return SoftTissue(tissue.astype(np.float32), air.astype(np.float32), lungs, site, x, y, below)


def _cavity(anatomy: Anatomy, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    wall = np.maximum(anatomy.wall(y), np.float32(1e-3))
    lateral = np.abs(x) / wall
    chord = 2 * anatomy.depth(y) * np.sqrt(np.maximum(1 - lateral**2.3, 0))
    return chord.astype(np.float32), lateral


def _beside_mediastinum(anatomy: Anatomy, x: FloatArray, y: FloatArray) -> FloatArray:
    """Share of the cavity's depth that lung may fill: none in the middle, more and more away from spine and breast bone."""
    half = anatomy.mediastinum * (1 + 0.3 * smooth_step((y - anatomy.lung_height * 0.75) / np.float32(4 * anatomy.scale)))
    # The lungs' apices round off towards the neck.
    half = half + 1.3 * anatomy.scale * np.exp(-np.maximum(y, 0) / (0.9 * anatomy.scale))
    away = np.abs(x) - half
    edge = smooth_step(away / np.float32(0.9 * anatomy.scale))
    slope = smooth_step((away - np.float32(2.6 * anatomy.scale)) / np.float32(3.8 * anatomy.scale))
    return np.asarray(edge * (np.float32(0.48) + np.float32(0.52) * slope), dtype=np.float32)


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
    middle = anatomy.lung_height - 3.2 * size
    knob_y = 0.29 * anatomy.lung_height
    along_y = y - np.float32(knob_y)
    descending = np.float32(1.1 * anatomy.scale)
    beside = 1 - ((x - np.float32(1.35 * anatomy.scale)) / descending) ** 2
    return union(
        ellipsoid_chord(x, y, (anatomy.heart_x + 0.9 * size, middle), (5.9 * size, 4.25 * size, 5.6 * size), anatomy.heart_angle),
        ellipsoid_chord(x, y, (anatomy.heart_x - 3.3 * size, middle + 0.2 * size), (2.9 * size, 4.2 * size, 4.6 * size)),
        ellipsoid_chord(x, y, (anatomy.heart_x + 0.6 * size, middle - 4.1 * size), (2.3 * size, 3.2 * size, 3.2 * size)),
        ellipsoid_chord(x, y, (1.75 * anatomy.scale, knob_y), (anatomy.knob, 1.1 * anatomy.knob, 1.5 * anatomy.knob)),
        ellipsoid_chord(
            x,
            y,
            (-1.3 * anatomy.scale, 0.42 * anatomy.lung_height),
            (1.75 * anatomy.scale, 0.24 * anatomy.lung_height, 3.0 * anatomy.scale),
        ),
        np.asarray(1.3 * descending * np.sqrt(np.maximum(beside, 0)) * smooth_step(along_y / descending), dtype=np.float32),
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
    throat = np.array([[0.0, -20.0 * scale], [0.0, 0.0]])
    neck_radius = 5.2 * scale + 0.3 * anatomy.fat
    parts = [trunk.astype(np.float32), capsule_chord(x, y, throat, (neck_radius, neck_radius))]
    corners = np.array([[0.0, -3.4], [0.62, 0.2], [1.0, 2.2], [1.22, 7.0], [1.7, 19.0]]) * np.array([half + 1.0 * scale, scale])
    radii = np.array([4.0, 4.3, 4.7, 4.2, 3.7]) * scale + 0.45 * anatomy.fat
    for side in (-1.0, 1.0):
        for joint in range(len(corners) - 1):
            ends = corners[joint : joint + 2] * np.array([side, 1.0])
            parts.append(capsule_chord(x, y, ends, (float(radii[joint]), float(radii[joint + 1]))))
    return projection.blur(union(*parts), 0.3 * scale)


def _breasts(anatomy: Anatomy, x: FloatArray, y: FloatArray) -> FloatArray:
    if anatomy.breast == 0:
        return np.zeros_like(x)
    centre_x, centre_y = 0.6 * anatomy.cavity_width, 0.72 * anatomy.lung_height
    size = anatomy.breast
    # Half of an ellipsoid, for the other half would lie within the chest; it starts gently and ends in a fold.
    start = smooth_step((y - np.float32(centre_y - 0.35 * size)) / np.float32(0.6 * size))
    both = sum((ellipsoid_chord(x, y, (side * centre_x, centre_y), (size, 0.95 * size, size)) for side in (-1, 1)), np.zeros_like(x))
    return np.asarray(np.float32(0.24) * both * start, dtype=np.float32)


def _windpipe(anatomy: Anatomy, projection: Projection) -> FloatArray:
    scale, carina, radius = anatomy.scale, 0.36 * anatomy.lung_height, anatomy.trachea
    fork = [-0.25 * scale, carina, 1.0]
    trunk = [[0.0, -14.0 * scale, 0.0, radius], [0.0, 0.0, 0.5, radius], [*fork, radius]]
    right = [[*fork, 0.78 * radius], [-3.2 * scale, carina + 3.3 * scale, 1.0, 0.78 * radius]]
    left = [[*fork, 0.7 * radius], [4.0 * scale, carina + 3.0 * scale, 1.0, 0.7 * radius]]
    curves = [resample(np.array(part), projection.pixel_cm) for part in (trunk, right, left)]
    tubes = [tube_points(curve[:, :3], curve[:, 3], curve[:, 3], projection.pixel_cm) for curve in curves]
    points, volumes = zip(*tubes, strict=True)
    return projection.blur(projection.splat(np.concatenate(points), np.concatenate(volumes)), 0.12 * scale)


def _stomach_gas(anatomy: Anatomy, x: FloatArray, y: FloatArray, below: FloatArray) -> FloatArray:
    if anatomy.gas == 0:
        return np.zeros_like(x)
    scale = anatomy.scale
    top = anatomy.dome_top(1) + 0.7 * scale
    chord = ellipsoid_chord(
        x, y, (0.5 * anatomy.cavity_width, top + anatomy.gas), (1.9 * anatomy.gas, 1.3 * anatomy.gas, 1.5 * anatomy.gas)
    )
    under_dome = smooth_step((below - np.float32(0.7 * scale)) / np.float32(0.18 * scale))
    level = smooth_step((np.float32(top + 1.25 * anatomy.gas) - y) / np.float32(0.3 * scale))
    return np.asarray(chord * under_dome * level, dtype=np.float32)
