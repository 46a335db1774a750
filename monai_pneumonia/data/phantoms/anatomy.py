"""One patient's body: sizes and positions of organs, drawn by chance around textbook values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Anatomy:
    """Sizes and positions in cm, in the coordinates of :class:`~monai_pneumonia.data.phantoms.projection.Projection`.

    Attributes:
        scale: size of the patient, 1 for a middling adult.
        child: whether rib cage and heart have a child's proportions.
        cavity_width: half the inner width of the rib cage.
        cavity_depth: half the inner depth of the rib cage.
        lung_height: from the apex to the top of the right dome.
        left_dome_drop: how much lower the left dome stands.
        fat: thickness of the soft tissue over the ribs.
        breast: half-width of a breast; 0 for none to be seen.
        heart_scale: size of the heart relative to the rib cage.
        heart_x: how far the heart's middle lies to the patient's left.
        heart_angle: of its long axis, in radians from x towards y.
        knob: radius of the aortic arch.
        mediastinum: half-width of the upper mediastinum.
        trachea: radius of the windpipe.
        rib_spacing: from rib to rib at the spine.
        rib_radius: half-width of a rib.
        rib_drop: how far a middle rib descends on its way to the front.
        bone: mineral content, 1 for a young adult.
        lung_density: share of tissue in the lungs' volume.
        gas: radius of the gas bubble in the stomach; 0 for none.
        spine_curve: sideways bend of the spine, in cm.
    """

    scale: float
    child: bool
    cavity_width: float
    cavity_depth: float
    lung_height: float
    left_dome_drop: float
    fat: float
    breast: float
    heart_scale: float
    heart_x: float
    heart_angle: float
    knob: float
    mediastinum: float
    trachea: float
    rib_spacing: float
    rib_radius: float
    rib_drop: float
    bone: float
    lung_density: float
    gas: float
    spine_curve: float

    def wall(self, y: np.ndarray) -> np.ndarray:
        """Half the inner width of the rib cage at height y, in cm; 0 above the apex."""
        rise = np.clip(y / (0.68 * self.lung_height), 0.0, 1.0)
        dome = (1 - (1 - rise) ** 2) ** 0.56
        apex = 3.1 * self.scale
        return np.asarray(np.where(y > 0, apex + (self.cavity_width - apex) * dome, 0.0), dtype=np.float32)

    def depth(self, y: np.ndarray) -> np.ndarray:
        """Half the inner depth of the rib cage at height y, in cm."""
        rise = np.clip(y / (0.55 * self.lung_height), 0.0, 1.0)
        return np.asarray(self.cavity_depth * (0.3 + 0.7 * np.sqrt(rise)), dtype=np.float32)

    def dome_top(self, side: int) -> float:
        """Height y of the top of a diaphragm dome, in cm; side is -1 for the patient's right, +1 for the left."""
        return self.lung_height + (self.left_dome_drop if side > 0 else 0.0)


def body_scale(age: float) -> float:
    """Size of a body relative to an adult's: 0.42 for a newborn, 1 from the age of 18."""
    return float(np.interp(age, [0.0, 1.0, 3.0, 6.0, 12.0, 18.0], [0.42, 0.5, 0.58, 0.68, 0.85, 1.0]))


def draw_anatomy(rng: np.random.Generator, age: float, sex: str) -> Anatomy:
    """Draws the body of a patient.

    Args:
        rng: source of chance; the same state gives the same body.
        age: in years.
        sex: ``M`` or ``F``.
    """
    child = age < 14
    scale = body_scale(age) * rng.normal(0.95 if sex == "F" else 1.02, 0.035)
    width = rng.normal(13.2, 0.55) * scale
    heart = rng.normal(1.13 if child else 1.0, 0.06)
    if age > 60:
        heart *= rng.uniform(1.0, 1.14)
    return Anatomy(
        scale=scale,
        child=child,
        cavity_width=width,
        cavity_depth=rng.normal(9.6 if child else 8.6, 0.6) * scale,
        lung_height=rng.normal(19.5 if child else 22.5, 1.5) * scale,
        left_dome_drop=rng.uniform(0.3, 1.7) * scale,
        fat=float(np.clip(rng.gamma(3.0, 0.75), 0.7, 6.0)) * scale,
        breast=rng.uniform(4.2, 6.4) * scale if sex == "F" and age >= 15 else 0.0,
        heart_scale=heart * scale,
        heart_x=rng.normal(1.7, 0.25) * scale,
        heart_angle=np.deg2rad(rng.normal(32 if child else 42, 5)),
        knob=(rng.uniform(1.0, 1.3) if child else rng.uniform(1.5, 2.0) + max(age - 40, 0) * 0.007) * scale,
        mediastinum=(rng.normal(2.8, 0.4) if age < 3 else rng.normal(2.1, 0.22)) * scale,
        trachea=rng.normal(0.85, 0.06) * scale,
        rib_spacing=rng.normal(2.3, 0.1) * scale * (0.9 if child else 1.0),
        rib_radius=rng.normal(0.56, 0.04) * scale,
        rib_drop=rng.normal(5.5 if child else 7.6, 0.7) * scale,
        bone=float(np.interp(age, [0, 15, 30, 60, 90], [0.75, 0.95, 1.0, 0.9, 0.7])) * rng.normal(1.0, 0.06),
        lung_density=float(np.clip(rng.normal(0.27, 0.025), 0.2, 0.34)),
        gas=rng.uniform(1.2, 2.8) * scale if rng.random() < 0.6 else 0.0,
        spine_curve=rng.normal(0.0, 0.25) * scale,
    )
