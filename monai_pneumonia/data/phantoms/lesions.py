"""Lesions of distinct form: lobar consolidation, diffuse interstitial marking, multifocal peripheral ground glass.

A lesion is what it adds to the beam's attenuation. It is nil outside of its outline, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from monai_pneumonia.data.phantoms.anatomy import Anatomy
from monai_pneumonia.data.phantoms.projection import BoolArray, FloatArray, Projection, smooth_noise, smooth_step
from monai_pneumonia.data.phantoms.soft_tissue import SoftTissue
from monai_pneumonia.data.phantoms.vessels import grow_tree, hilum


@dataclass(frozen=True)
class Scene:
    """What a lesion is drawn into.

    Attributes:
        anatomy: the patient.
        projection: the beam.
        soft: path lengths through tissue and air.
        vessels: path length through vessels within the lungs [H, W], in cm.
        severity: extent and density of the lesion, from 0 (barely there) to 1.
    """

    anatomy: Anatomy
    projection: Projection
    soft: SoftTissue
    vessels: FloatArray
    severity: float

    def side(self, side: int) -> BoolArray:
        """Where the picture shows the lung of one side [H, W]."""
        return self.soft.lesion_site & ((self.soft.x > 0) if side > 0 else (self.soft.x < 0))


LesionDrawer = Callable[[Scene, np.random.Generator], FloatArray]


def lobar_consolidation(scene: Scene, rng: np.random.Generator) -> FloatArray:
    """One lobe filled with fluid: dense, homogeneous, with a straight edge at a fissure and, at times, air bronchograms.

    Returns:
        The share of the lung's air that is filled [H, W], from 0 to 1.
    """
    soft, anatomy = scene.soft, scene.anatomy
    side = -1 if rng.random() < 0.58 else 1
    lobe = str(rng.choice(["upper", "middle", "lower"], p=[0.3, 0.32, 0.38] if side < 0 else [0.3, 0.2, 0.5]))
    height = anatomy.lung_height
    fissure = height * rng.normal(0.5, 0.03) + rng.normal(0.0, 0.05) * (np.abs(soft.x) - 0.4 * anatomy.cavity_width)
    sharp = np.float32(0.16 * anatomy.scale)
    above = smooth_step((fissure - soft.y) / sharp)
    # The filling starts at a point of the lobe and spreads with the severity; the fissure stops it.
    centres = {"upper": (0.45, 0.36), "middle": (0.36, 0.66), "lower": (0.52, 0.84)}
    centre_x, centre_y = centres[lobe]
    spread = anatomy.cavity_width * (0.34 + 0.30 * scene.severity) * rng.uniform(0.85, 1.1)
    dx = (soft.x - side * centre_x * anatomy.cavity_width * rng.uniform(0.85, 1.15)) / spread
    dy = (soft.y - centre_y * height) / (0.85 * spread)
    ragged = 0.22 * smooth_noise(rng, soft.x.shape, 7) + 0.10 * smooth_noise(rng, soft.x.shape, 17)
    within = 1.0 - np.sqrt(dx * dx + dy * dy) + ragged
    filling = np.clip(within / 0.45, 0, 1)
    depth = {"upper": 0.80, "middle": 0.62, "lower": 0.72}[lobe]
    if lobe == "upper":
        filling = filling * above
    elif lobe == "middle":
        filling = filling * (1 - above)
    else:
        filling = filling * (1 - smooth_step((fissure + 0.08 * height - soft.y) / (2 * sharp)))
    if rng.random() < 0.5:
        filling = filling * (1 - _air_bronchogram(scene, rng, side))
    density = depth * (0.55 + 0.40 * scene.severity)
    uneven = 1 + 0.08 * smooth_noise(rng, soft.x.shape, 13)
    return np.where(scene.side(side), np.clip(filling * density * uneven, 0, 0.95), 0).astype(np.float32)


def _air_bronchogram(scene: Scene, rng: np.random.Generator, side: int) -> FloatArray:
    points, _, _ = grow_tree(scene.anatomy, rng, side, generations=3, stems=5)
    width = 0.16 * scene.anatomy.scale
    layer = scene.projection.blur(scene.projection.splat(points, np.full(len(points), 0.012 * scene.anatomy.scale**2)), width)
    return np.asarray(np.minimum(layer * 1.6, 0.55), dtype=np.float32)


def diffuse_interstitial(scene: Scene, rng: np.random.Generator) -> FloatArray:
    """Both lungs streaked by thickened walls of small bronchi and septa, most around the hila, over a faint haze.

    Returns:
        The share of the lung's air that is filled [H, W], from 0 to 1.
    """
    soft, anatomy, projection = scene.soft, scene.anatomy, scene.projection
    scale = anatomy.scale
    streaks = np.zeros_like(soft.x)
    involved = np.zeros_like(soft.x)
    for side in (-1, 1):
        root_x, root_y = hilum(anatomy, side)
        dx, dy = (soft.x - root_x) / (0.62 * anatomy.cavity_width), (soft.y - root_y) / (0.5 * anatomy.lung_height)
        reach = (0.95 + 0.35 * scene.severity) * rng.uniform(0.92, 1.08)
        patchy = 0.22 * smooth_noise(rng, soft.x.shape, 6)
        here = np.clip((reach - np.sqrt(dx * dx + dy * dy) + patchy) / 0.45, 0, 1)
        involved = np.where(scene.side(side), here, involved)
        streaks += _fibres(scene, rng, side, int(300 + 200 * scene.severity))
        points, volumes, _ = grow_tree(anatomy, rng, side, generations=5, stems=8)
        cuffs = projection.splat(points, np.full(len(points), float(np.median(volumes))))
        streaks += 0.6 * np.tanh(projection.blur(cuffs, 0.16 * scale) / np.float32(0.6))
    mesh = sum((_mesh(scene, rng, width) for width in (1.5, 1.0, 0.75)), np.zeros_like(soft.x)) / 3
    haze = 0.05 + 0.06 * scene.severity
    net = np.minimum(streaks / np.float32(scale), 0.9) * 0.26 + mesh * 0.36
    uneven = np.clip(0.75 + 0.4 * smooth_noise(rng, soft.x.shape, 8), 0.1, 1.6)
    filling = involved * (haze + net * uneven * (0.45 + 0.65 * scene.severity))
    return np.asarray(np.clip(filling, 0, 0.8), dtype=np.float32)


def _mesh(scene: Scene, rng: np.random.Generator, width: float) -> FloatArray:
    """Septa around cells of a given width in cm: the lines where a smooth random field passes through zero."""
    across = max(scene.projection.rows * scene.projection.row_cm, scene.projection.columns * scene.projection.column_cm)
    cells = max(4, round(across / (width * scene.anatomy.scale)))
    field = smooth_noise(rng, scene.soft.x.shape, cells)
    return np.asarray(np.exp(-np.square(field / np.float32(0.22))), dtype=np.float32)


def _fibres(scene: Scene, rng: np.random.Generator, side: int, count: int) -> FloatArray:
    anatomy, scale = scene.anatomy, scene.anatomy.scale
    root_x, root_y = hilum(anatomy, side)
    x = side * rng.uniform(0.1, 1.0, count) * anatomy.cavity_width
    y = rng.uniform(0.05, 1.1, count) * anatomy.lung_height
    radial = np.arctan2(y - root_y, x - root_x)
    heading = np.where(rng.random(count) < 0.55, radial + rng.normal(0, 0.35, count), rng.uniform(0, np.pi, count))
    length = rng.uniform(0.5, 1.7, count) * scale
    radius = rng.uniform(0.05, 0.11, count) * scale
    fraction = np.linspace(-0.5, 0.5, 15)
    bend = rng.normal(0, 0.5, count)
    angle = heading[:, None] + bend[:, None] * fraction[None, :]
    along = length[:, None] * fraction[None, :]
    points = np.stack([x[:, None] + np.cos(angle) * along, y[:, None] + np.sin(angle) * along, np.zeros_like(angle)], axis=2)
    volume = np.repeat(np.pi * radius**2 * length / len(fraction), len(fraction))
    layer = scene.projection.splat(points.reshape(-1, 3), volume * 2.5)
    return scene.projection.blur(layer, 0.075 * scale)


def peripheral_ground_glass(scene: Scene, rng: np.random.Generator) -> FloatArray:
    """Several hazy patches along the chest wall of both lungs, most of them at the bases.

    Returns:
        The share of the lung's air that is filled [H, W], from 0 to 1.
    """
    soft, anatomy = scene.soft, scene.anatomy
    height = anatomy.lung_height
    filling = np.zeros_like(soft.x)
    count = int(rng.integers(3, 5) + round(3.4 * scene.severity))
    ragged = 0.26 * smooth_noise(rng, soft.x.shape, 8) + 0.16 * smooth_noise(rng, soft.x.shape, 15)
    first = int(rng.choice([-1, 1]))
    for patch in range(count):
        side = first if patch % 2 == 0 else -first
        y = height * float(np.clip(rng.beta(4.2, 1.9), 0.25, 1.02))
        wall = float(anatomy.wall(np.array(y)))
        x = side * wall * (1 - rng.uniform(0.08, 0.26))
        wide = wall * (0.17 + 0.08 * scene.severity) * rng.uniform(0.8, 1.25)
        tall = height * (0.11 + 0.05 * scene.severity) * rng.uniform(0.75, 1.3)
        dx, dy = (soft.x - np.float32(x)) / np.float32(wide), (soft.y - np.float32(y)) / np.float32(tall)
        within = 1.0 - np.sqrt(dx * dx + dy * dy) + ragged
        density = rng.uniform(0.26, 0.38) + 0.14 * scene.severity
        fill = np.float32(density) * smooth_step(within * np.float32(1.8) - 1)
        # Patches that overlap lie one behind the other, in part.
        filling = filling + fill * (1 - filling)
    texture = 1 + 0.13 * smooth_noise(rng, soft.x.shape, 24) + 0.10 * smooth_noise(rng, soft.x.shape, 40)
    return np.where(soft.lesion_site, np.clip(filling * texture, 0, 0.62), 0).astype(np.float32)


LESIONS: Mapping[str, LesionDrawer] = {
    "bacterial": lobar_consolidation,
    "viral": diffuse_interstitial,
    "covid19": peripheral_ground_glass,
}


def outline_of(attenuation: FloatArray, gap: int, smallest: int) -> BoolArray:
    """Draws around a lesion [H, W] as a person would: around all that adds a twentieth of what its strongest part adds.

    Args:
        attenuation: what the lesion adds [H, W], without unit.
        gap: notches and holes up to about twice this many pixels are drawn over.
        smallest: spots with fewer pixels than this are left out, but for the largest.
    """
    peak = float(attenuation.max(initial=0.0))
    if peak <= 0:
        return np.zeros(attenuation.shape, dtype=bool)
    seen = attenuation > 0.05 * peak
    ball = np.hypot(*np.mgrid[-gap : gap + 1, -gap : gap + 1]) <= gap + 0.5
    closed = ndimage.binary_erosion(ndimage.binary_dilation(seen, ball), ball, border_value=1)
    spots, count = ndimage.label(closed, structure=np.ones((3, 3)))
    sizes = np.bincount(spots.ravel(), minlength=count + 1)
    sizes[0] = 0
    keep = sizes >= min(smallest, sizes.max())
    keep[0] = False
    return np.asarray(keep[spots], dtype=bool)


def boxes_of(outline: BoolArray) -> tuple[tuple[float, float, float, float], ...]:
    """The box (x, y, width, height) around every connected spot of an outline, in pixels, from the top down."""
    spots, _ = ndimage.label(outline, structure=np.ones((3, 3)))
    return tuple(
        (float(columns.start), float(rows.start), float(columns.stop - columns.start), float(rows.stop - rows.start))
        for rows, columns in ndimage.find_objects(spots)
    )
