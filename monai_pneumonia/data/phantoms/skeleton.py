"""Bones: ribs, spine, collar bones, shoulder blades and upper arms, as tubes with a dense cortex around a lighter core."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monai_pneumonia.data.phantoms.anatomy import Anatomy
from monai_pneumonia.data.phantoms.projection import (
    DENSITY,
    FloatArray,
    Projection,
    resample,
    smooth_curve,
    smooth_step,
    solid,
    tube_points,
)

CORTEX = 0.72
CORE = 0.20
RIBS = 11


def draw_skeleton(anatomy: Anatomy, projection: Projection, shoulder_blades_over_lungs: bool) -> FloatArray:
    """Renders the bones.

    Args:
        anatomy: the patient.
        projection: the beam.
        shoulder_blades_over_lungs: true for AP views, where the arms are not rolled forward.

    Returns:
        What bone attenuates above soft tissue, as a line integral [H, W], without unit.
    """
    step = projection.pixel_cm
    curves = [_collar_bone(anatomy, shoulder_blades_over_lungs), _upper_arm(anatomy), _shoulder_blade(anatomy, shoulder_blades_over_lungs)]
    tubes = [_both_sides(_ribs(anatomy, step), step)] + [_both_sides(resample(curve, step), step) for curve in curves]
    points, volumes = zip(*tubes, strict=True)
    bones = projection.splat(np.concatenate(points), np.concatenate(volumes))
    # Overlapping tubes of one bone must not count twice.
    bones = np.float32(0.5) * np.tanh(projection.blur(bones, 0.07 * anatomy.scale) / np.float32(0.5))
    return np.asarray(anatomy.bone * (bones + _spine(anatomy, projection)), dtype=np.float32)


def _both_sides(curve: NDArray[np.floating], step: float) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Bones of the patient's left [..., K, 5] (x, y, z, half-width, half-depth) and their mirror images, as points."""
    points, attenuation = tube_points(curve[..., :3], curve[..., 3], curve[..., 4], step, _cortex_and_core)
    return np.concatenate([points, points * np.array([-1.0, 1.0, 1.0])]), np.tile(attenuation, 2)


def _cortex_and_core(offset: NDArray[np.floating]) -> NDArray[np.floating]:
    return CORTEX * solid(offset) - (CORTEX - CORE) * 0.7 * solid(offset / 0.76)


def _ribs(anatomy: Anatomy, step: float) -> NDArray[np.floating]:
    scale = anatomy.scale
    rib = np.arange(RIBS)[:, None]
    # Angle about the body's long axis: 0 at the back, pi at the breast bone; cartilage, which does not show, ends it early.
    end = np.deg2rad(np.interp(rib, [0, 1, 6, 8, 10], [148, 146, 138, 112, 78]))
    longest = 2.6 * anatomy.cavity_width
    share = np.linspace(0, 1, max(24, int(longest / (DENSITY * step))))[None, :]
    angle = np.deg2rad(9) + (end - np.deg2rad(9)) * share
    start = (rib - 0.55) * anatomy.rib_spacing
    drop = anatomy.rib_drop * np.interp(rib, [0, 2, 7, 10], [0.5, 0.75, 1.1, 1.15])
    arch = (0.3 if anatomy.child else 0.12) * anatomy.rib_spacing * np.sin(angle) ** 2
    y = start + drop * ((1 - np.cos(angle)) / 2) ** 0.95 - arch
    middle = np.maximum(start + 0.45 * drop, 0.6 * scale)
    x = np.maximum((anatomy.wall(middle) + 0.12 * scale) * np.sin(angle) ** 0.85, 1.7 * scale)
    z = (anatomy.depth(middle) + 0.3 * scale) * np.cos(angle)
    width = anatomy.rib_radius * np.interp(angle, [0.1, 1.2, 2.5], [0.8, 1.0, 1.12])
    # The side of a rib is thin; without that every rib would end in a bright spot where it runs along the beam.
    depth = width * (0.34 + 0.3 * np.abs(np.cos(angle)))
    return np.stack([x, y, z, width, depth], axis=-1)


def _collar_bone(anatomy: Anatomy, raised: bool) -> NDArray[np.floating]:
    scale, lift = anatomy.scale, 1.0 if raised else 0.0
    along = np.linspace(0, 1, 40)
    x = 1.6 * scale + (anatomy.cavity_width - 0.1 * scale) * along
    y = scale * (1.9 - lift - 3.3 * along + 0.9 * np.sin(2 * np.pi * along))
    z = -anatomy.depth(np.array(4.0)) * (1 - 0.9 * along)
    return np.stack([x, y, z, np.full(40, 0.55 * scale), np.full(40, 0.5 * scale)], axis=1)


def _upper_arm(anatomy: Anatomy) -> NDArray[np.floating]:
    scale = anatomy.scale
    reach = anatomy.cavity_width + 2.4 * scale + 0.8 * anatomy.fat
    corners = np.array([[1.0, 0.6, 0.0], [1.05, 2.2, 0.0], [1.22, 7.0, 0.0], [1.7, 19.0, 0.0]]) * np.array([reach, scale, 1.0])
    curve = smooth_curve(corners, np.array([1.6, 2.0, 1.1, 1.0]) * scale)
    return np.concatenate([curve, 0.5 * curve[:, 3:]], axis=1)


def _shoulder_blade(anatomy: Anatomy, over_lungs: bool) -> NDArray[np.floating]:
    scale = anatomy.scale
    inner = (0.74 if over_lungs else 1.0) * (anatomy.cavity_width + 0.6 * anatomy.fat)
    corners = np.array(
        [[inner + 2.6 * scale, 0.4 * scale, 6.0], [inner + 2.0 * scale, 6 * scale, 6.5], [inner + 2.0 * scale, 12 * scale, 6.5]]
    )
    curve = smooth_curve(corners, np.array([2.7, 2.0, 0.6]) * scale)
    return np.concatenate([curve, np.full((len(curve), 1), 0.22 * scale)], axis=1)


def _spine(anatomy: Anatomy, projection: Projection) -> FloatArray:
    x, y = projection.grid()
    scale = anatomy.scale
    bend = anatomy.spine_curve * np.sin(y / np.float32(0.35 * anatomy.lung_height))
    x = x - np.float32(projection.shift(0.75 * anatomy.cavity_depth)) - bend
    half = np.float32(1.45 * scale) + np.float32(0.012) * np.maximum(y, 0)
    period = anatomy.rib_spacing
    phase = (y / np.float32(period)) % 1.0
    from_middle = np.abs(phase - np.float32(0.5)) * 2
    body = np.sqrt(np.maximum(1 - (np.abs(x) / half) ** 3, 0)) * smooth_step((np.float32(0.84) - from_middle) / np.float32(0.07))
    plate = np.exp(-(((from_middle - np.float32(0.8)) / np.float32(0.06)) ** 2)) * (np.abs(x) < half)
    waist = half * (0.93 + 0.07 * from_middle)
    side_edge = np.exp(-(((np.abs(x) - waist) / np.float32(0.13 * scale)) ** 2)) * (from_middle < 0.84)
    pedicle_x = (np.abs(x) - 0.62 * half) / np.float32(0.3 * scale)
    pedicle_y = (phase - np.float32(0.33)) * np.float32(period) / np.float32(0.48 * scale)
    radius = np.sqrt(pedicle_x * pedicle_x + pedicle_y * pedicle_y)
    pedicle = np.exp(-(((radius - 0.8) / 0.3) ** 2))
    process = np.exp(-((x / np.float32(0.22 * scale)) ** 2) - ((phase - np.float32(0.75)) / np.float32(0.2)) ** 2)
    transverse = np.exp(-(((phase - np.float32(0.3)) / np.float32(0.14)) ** 2)) * smooth_step(
        (2.7 * scale - np.abs(x)) / np.float32(0.3 * scale)
    )
    total = 0.16 * body + 0.06 * plate + 0.05 * side_edge + 0.12 * pedicle + 0.16 * process + 0.07 * transverse
    return projection.blur((total * scale).astype(np.float32), 0.07 * scale)
