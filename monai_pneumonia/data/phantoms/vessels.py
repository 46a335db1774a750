"""Branching trees in the lungs: vessels from the hilum to the periphery, and the same shape for the bronchi."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from monai_pneumonia.data.phantoms.anatomy import Anatomy
from monai_pneumonia.data.phantoms.projection import FloatArray, Projection, ellipsoid_chord

GENERATIONS = 6


def hilum(anatomy: Anatomy, side: int) -> tuple[float, float]:
    """Position (x, y) of a lung's root, in cm; side is -1 for the patient's right, +1 for the left, which lies higher."""
    return side * 3.9 * anatomy.scale, anatomy.lung_height * (0.47 if side < 0 else 0.435)


def draw_vessels(anatomy: Anatomy, projection: Projection, rng: np.random.Generator) -> FloatArray:
    """Renders the vessels of both lungs as if they were everywhere in the picture; multiply by where lung is.

    Returns:
        Path length through vessels [H, W], in cm.
    """
    x, y = projection.grid()
    scale = anatomy.scale
    roots = [ellipsoid_chord(x, y, hilum(anatomy, side), (1.5 * scale, 2.3 * scale, 0.7 * scale), -0.3 * side) for side in (-1, 1)]
    total = projection.blur(roots[0] + roots[1], 0.45 * scale)
    trees = [grow_tree(anatomy, rng, side) for side in (-1, 1)]
    points, volumes, radii = (np.concatenate(part) for part in zip(*trees, strict=True))
    edges = np.array([0.0, 0.09, 0.18, 0.33, 9.0]) * scale
    for low, high in itertools.pairwise(edges):
        chosen = (radii >= low) & (radii < high)
        if chosen.any():
            layer = projection.splat(points[chosen], volumes[chosen])
            total += projection.blur(layer, 0.55 * float(radii[chosen].mean()))
    return total


def grow_tree(
    anatomy: Anatomy, rng: np.random.Generator, side: int, generations: int = GENERATIONS, stems: int = 11
) -> tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]:
    """Grows the tree of one lung.

    Args:
        anatomy: the patient.
        rng: source of chance.
        side: -1 for the patient's right, +1 for the left.
        generations: how often branches fork.
        stems: how many branches leave the hilum.

    Returns:
        Points [N, 3] in cm, the volume that each stands for [N] in cubic cm, the branch's radius there [N] in cm.
    """
    scale = anatomy.scale
    x, y = hilum(anatomy, side)
    start = np.tile([x, y, 1.0], (stems, 1)) + rng.normal(0, 0.35 * scale, (stems, 3))
    heading = np.linspace(np.deg2rad(-68), np.deg2rad(82), stems) + rng.normal(0, 0.13, stems)
    length = rng.uniform(2.6, 3.9, stems) * scale
    radius = rng.uniform(0.6, 0.95, stems) * scale
    collected: list[tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.floating]]] = []
    steps = 22
    fraction = (np.arange(steps) + 0.5) / steps
    for _ in range(generations):
        bend = rng.normal(0, 0.28, len(heading))
        angle = heading[:, None] + bend[:, None] * fraction[None, :]
        step = length[:, None] / steps
        along_x = start[:, None, 0] + np.cumsum(side * np.cos(angle) * step, axis=1)
        along_y = start[:, None, 1] + np.cumsum(np.sin(angle) * step, axis=1)
        along_z = np.broadcast_to(start[:, None, 2], along_x.shape)
        taper = radius[:, None] * (1 - 0.25 * fraction[None, :])
        volume = np.pi * taper**2 * step
        collected.append((np.stack([along_x, along_y, along_z], axis=2).reshape(-1, 3), volume.ravel(), taper.ravel()))
        start = np.repeat(np.stack([along_x[:, -1], along_y[:, -1], along_z[:, -1]], axis=1), 2, axis=0)
        fork = rng.uniform(0.22, 0.55, len(heading))
        heading = np.stack([heading + bend - fork, heading + bend + fork * rng.uniform(0.5, 1.2, len(heading))], axis=1).ravel()
        length = np.repeat(length, 2) * rng.uniform(0.6, 0.92, len(start))
        radius = np.repeat(radius * 0.75, 2) * rng.uniform(0.74, 1.0, len(start))
    points, volumes, radii = (np.concatenate(part) for part in zip(*collected, strict=True))
    return points, volumes, radii
