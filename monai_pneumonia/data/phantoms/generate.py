"""One synthetic chest X-ray, from its specification."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from monai_pneumonia.data.phantoms.anatomy import Anatomy, body_scale, draw_anatomy
from monai_pneumonia.data.phantoms.detector import burn_in, draw_exposure, expose
from monai_pneumonia.data.phantoms.hospitals import HOSPITALS, Hospital
from monai_pneumonia.data.phantoms.lesions import LESIONS, Scene, boxes_of, outline_of
from monai_pneumonia.data.phantoms.projection import BoolArray, FloatArray, Projection
from monai_pneumonia.data.phantoms.skeleton import draw_skeleton
from monai_pneumonia.data.phantoms.soft_tissue import draw_soft_tissue
from monai_pneumonia.data.phantoms.vessels import draw_vessels
from monai_pneumonia.errors import UsageError

WATER = 0.19
"""Attenuation of soft tissue, per cm, at the mean energy behind 120 kV."""

SMALLEST_SIZE = 32

# Each draws from a stream of its own, so that a change in one leaves the others as they are.
_BODY, _DISEASE, _PICTURE, _POSE, _NOISE, _VESSELS = range(6)


@dataclass(frozen=True)
class PhantomSpec:
    """What is to be drawn.

    Attributes:
        finding: ``normal``, ``bacterial``, ``viral`` or ``covid19``.
        hospital: where the picture is taken.
        size: long side of a picture of a hospital with resolution 1, in pixels.
        seed: of the whole data set.
        patient: number of the patient; fixes body and place of the disease.
        visit: number of the picture among the patient's; fixes pose, exposure, noise and the disease's extent.
        age: in years.
        sex: ``M`` or ``F``.
        view: ``PA`` or ``AP``.
        lesion_contrast: factor on what the lesion adds; 0 leaves it out and changes nothing else.
    """

    finding: str = "normal"
    hospital: Hospital = field(default=HOSPITALS[0])
    size: int = 192
    seed: int = 0
    patient: int = 0
    visit: int = 0
    age: float = 45.0
    sex: str = "M"
    view: str = "PA"
    lesion_contrast: float = 1.0


@dataclass(frozen=True)
class Phantom:
    """A synthetic picture and what is in it.

    Attributes:
        pixels: [H, W] float32, from 0 (black) to 1; upright, the patient's left at the picture's right, bone bright.
        outline: [H, W], where the lesion is.
        boxes: (x, y, width, height) around each connected spot of the outline, in pixels.
        lungs: [H, W], the lung fields.
        attenuation: what the lesion adds to the beam's attenuation [H, W] float32, without unit; 0 outside of the outline.
        pixel_spacing: height and width of a pixel at the patient's middle, in mm.
    """

    pixels: FloatArray
    outline: BoolArray
    boxes: tuple[tuple[float, float, float, float], ...]
    lungs: BoolArray
    attenuation: FloatArray
    pixel_spacing: tuple[float, float]


def generate_phantom(spec: PhantomSpec) -> Phantom:
    """Draws one picture. The same specification gives the same pixels.

    Raises:
        UsageError: the specification asks for an unknown finding or view, or a picture too small to show a chest.
    """
    _check(spec)
    anatomy = draw_anatomy(_stream(spec, _BODY), spec.age, spec.sex)
    projection = _projection(spec, anatomy)
    picture = _stream(spec, _PICTURE, spec.visit)
    portable = spec.view == "AP"
    soft = draw_soft_tissue(anatomy, projection, picture, 1.1 if portable else 1.0)
    vessels = draw_vessels(anatomy, projection, _stream(spec, _VESSELS))
    in_lung = np.minimum(soft.air / np.float32(4.0 * anatomy.scale), 1)
    vessels = np.minimum(vessels, np.float32(1.6 * anatomy.scale)) * in_lung
    healthy = np.float32(WATER) * (soft.tissue + np.float32(anatomy.lung_density) * soft.air)
    healthy += np.float32(WATER * (1 - anatomy.lung_density)) * vessels
    healthy += draw_skeleton(anatomy, projection, portable)
    healthy = projection.blur(healthy, spec.hospital.blur)
    scene = Scene(anatomy, projection, soft, vessels, _severity(spec))
    exposure = draw_exposure(picture, spec.hospital)
    lesion, outline = _lesion(spec, scene, exposure.opened(soft.x.shape))
    pixels = expose(healthy, lesion, projection, spec.hospital, exposure, _stream(spec, _NOISE, spec.visit))
    pixels = burn_in(pixels, spec.hospital, exposure)
    spacing = (10 * projection.row_cm, 10 * projection.column_cm)
    return Phantom(pixels, outline, boxes_of(outline), soft.lungs, lesion, spacing)


def _check(spec: PhantomSpec) -> None:
    if spec.finding != "normal" and spec.finding not in LESIONS:
        raise UsageError(f"unknown finding '{spec.finding}' for a phantom; use one of normal, {', '.join(LESIONS)}")
    if spec.view not in ("PA", "AP"):
        raise UsageError(f"a phantom's view is PA or AP, not '{spec.view}'")
    if spec.size < SMALLEST_SIZE:
        raise UsageError(f"a phantom needs a size of {SMALLEST_SIZE} pixels or more, got {spec.size}")


def _stream(spec: PhantomSpec, purpose: int, visit: int = 0) -> np.random.Generator:
    return np.random.default_rng([spec.seed, spec.patient, visit, purpose])


def _severity(spec: PhantomSpec) -> float:
    start = _stream(spec, _DISEASE).beta(1.6, 1.6)
    change = _stream(spec, _DISEASE, spec.visit).normal(0, 0.15) if spec.visit else 0.0
    return float(np.clip(start + change, 0.0, 1.0))


def _projection(spec: PhantomSpec, anatomy: Anatomy) -> Projection:
    pose = _stream(spec, _POSE, spec.visit)
    portable = spec.view == "AP"
    hospital = spec.hospital
    long_side = spec.size * hospital.resolution
    height, width = (1.0, 1.0) if hospital.squashed else (min(1.0, 1 / hospital.aspect), min(1.0, hospital.aspect))
    rows, columns = round(long_side * height), round(long_side * width)
    expected = body_scale(spec.age)
    tall = 0.5 * (expected + anatomy.scale) * pose.normal(37.5 if anatomy.child else 35.0, 1.0)
    # The collimator closes around the chest, so it takes away what lies beyond.
    tall *= 1 + 1.2 * hospital.border
    wide = tall * hospital.aspect
    # The chest must fit: a narrow picture shows more height, as a radiographer would choose.
    grow = max(1.0, 2.1 * (anatomy.cavity_width + 1.0 * anatomy.scale) / wide)
    return Projection(
        rows=rows,
        columns=columns,
        row_cm=tall * grow / rows,
        column_cm=wide * grow / columns,
        centre_x=pose.normal(0.2, 0.5) * anatomy.scale,
        centre_y=0.5 * anatomy.lung_height + pose.normal(1.0, 0.5) * anatomy.scale,
        tilt=float(np.deg2rad(pose.normal(0, 2.4 if portable else 1.0))),
        turn=float(np.deg2rad(pose.normal(0, 5.0 if portable else 2.0))),
        magnification=-1 / 105 if portable else 1 / 180,
    )


def _lesion(spec: PhantomSpec, scene: Scene, opened: BoolArray) -> tuple[FloatArray, BoolArray]:
    nothing = np.zeros(scene.soft.x.shape, dtype=np.float32)
    if spec.finding == "normal" or spec.lesion_contrast == 0:
        return nothing, nothing.astype(bool)
    filled = LESIONS[spec.finding](scene, _stream(spec, _DISEASE))
    # Where fluid replaces air, vessels no longer stand out.
    missing = np.float32(WATER * (1 - scene.anatomy.lung_density)) * np.maximum(scene.soft.air - scene.vessels, 0)
    added = scene.projection.blur(filled * missing * np.float32(spec.lesion_contrast), 0.06 * scene.anatomy.scale)
    added = np.where(opened, added, np.float32(0))
    pixels_a_cm = scene.anatomy.scale / scene.projection.pixel_cm
    outline = outline_of(added, gap=max(1, round(0.25 * pixels_a_cm)), smallest=max(4, round(0.5 * pixels_a_cm**2))) & opened
    return np.where(outline, added, np.float32(0)), outline
