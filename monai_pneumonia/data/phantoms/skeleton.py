"""Bones: ribs, spine, collar bones, shoulder blades and upper arms, as tubes with a dense cortex around a lighter core."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from monai_pneumonia.data.phantoms.anatomy import Anatomy
from monai_pneumonia.data.phantoms.projection import FloatArray, Projection, smooth_curve, smooth_step, tube_points

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
    tubes: list[tuple[NDArray[np.floating], NDArray[np.floating]]] = []
    for side in (-1.0, 1.0):
        for rib in range(RIBS):
            tubes += _bone(*_rib(anatomy, side, rib), projection.pixel_cm)
        tubes += _bone(*_collar_bone(anatomy, side, shoulder_blades_over_lungs), projection.pixel_cm)
        tubes += _bone(*_upper_arm(anatomy, side), projection.pixel_cm)
        tubes += _bone(*_shoulder_blade_border(anatomy, side, shoulder_blades_over_lungs), projection.pixel_cm)
    bones = projection.splat(np.concatenate([points for points, _ in tubes]), np.concatenate([volumes for _, volumes in tubes]))
    # Overlapping tubes of one bone must not count twice.
    bones = np.float32(0.5) * np.tanh(projection.blur(bones, 0.07 * anatomy.scale) / np.float32(0.5))
    return np.asarray(anatomy.bone * (bones + _spine(anatomy, projection)), dtype=np.float32)


def _bone(
    curve: NDArray[np.floating], width: NDArray[np.floating] | float, depth: NDArray[np.floating] | float, step: float
) -> list[tuple[NDArray[np.floating], NDArray[np.floating]]]:
    outer_points, outer_volumes = tube_points(curve, width, depth, step)
    inner_points, inner_volumes = tube_points(curve, np.asarray(width) * 0.76, np.asarray(depth) * 0.7, step)
    return [(outer_points, outer_volumes * CORTEX), (inner_points, inner_volumes * (CORE - CORTEX))]


def _rib(anatomy: Anatomy, side: float, rib: int) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]:
    # Angle about the body's long axis: 0 at the back, pi at the breast bone; cartilage, which does not show, ends it early.
    end = np.deg2rad(np.interp(rib, [0, 1, 6, 8, 10], [148, 146, 138, 112, 78]))
    angle = np.linspace(np.deg2rad(9), end, 64)
    start = (rib - 0.55) * anatomy.rib_spacing
    drop = anatomy.rib_drop * np.interp(rib, [0, 2, 7, 10], [0.5, 0.75, 1.1, 1.15])
    y = start + drop * ((1 - np.cos(angle)) / 2) ** 0.95 - (0.3 if anatomy.child else 0.12) * anatomy.rib_spacing * np.sin(angle) ** 2
    middle = np.maximum(start + 0.45 * drop, 0.6 * anatomy.scale)
    reach = anatomy.wall(middle) + 0.12 * anatomy.scale
    back = anatomy.depth(middle) + 0.3 * anatomy.scale
    x = side * np.maximum(reach * np.sin(angle) ** 0.85, 1.7 * anatomy.scale)
    curve = np.stack([x, y, back * np.cos(angle)], axis=1)
    width = anatomy.rib_radius * np.interp(angle, [0.1, 1.2, 2.5], [0.8, 1.0, 1.12])
    # The side of a rib is thin; without that every rib would end in a bright spot where it runs along the beam.
    return curve, width, width * (0.34 + 0.3 * np.abs(np.cos(angle)))


def _collar_bone(anatomy: Anatomy, side: float, raised: bool) -> tuple[NDArray[np.floating], float, float]:
    scale, lift = anatomy.scale, 1.0 if raised else 0.0
    along = np.linspace(0, 1, 40)
    reach = anatomy.cavity_width + 1.5 * scale
    x = side * (1.6 * scale + (reach - 1.6 * scale) * along)
    y = scale * (1.9 - lift - 3.3 * along + 0.9 * np.sin(2 * np.pi * along))
    z = -anatomy.depth(np.array(4.0)) * (1 - 0.9 * along)
    return np.stack([x, y, z], axis=1), 0.55 * scale, 0.5 * scale


def _upper_arm(anatomy: Anatomy, side: float) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]:
    scale = anatomy.scale
    reach = anatomy.cavity_width + 2.4 * scale + 0.8 * anatomy.fat
    corners = np.array([[1.0, 0.6, 0.0], [1.05, 2.2, 0.0], [1.22, 7.0, 0.0], [1.7, 19.0, 0.0]]) * np.array([side * reach, scale, 1.0])
    curve = smooth_curve(corners, np.array([1.6, 2.0, 1.1, 1.0]) * scale)
    return curve[:, :3], curve[:, 3], curve[:, 3] * 0.5


def _shoulder_blade_border(anatomy: Anatomy, side: float, over_lungs: bool) -> tuple[NDArray[np.floating], NDArray[np.floating], float]:
    scale = anatomy.scale
    wall = anatomy.cavity_width + 0.6 * anatomy.fat
    inner = (0.74 if over_lungs else 1.0) * wall
    corners = np.array(
        [[inner + 2.6 * scale, 0.4 * scale, 6.0], [inner + 2.0 * scale, 6 * scale, 6.5], [inner + 2.0 * scale, 12 * scale, 6.5]]
    )
    corners[:, 0] *= side
    curve = smooth_curve(corners, np.array([2.7, 2.0, 0.6]) * scale)
    return curve[:, :3], curve[:, 3], 0.22 * scale


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
