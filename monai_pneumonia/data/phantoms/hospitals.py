"""How pictures of different hospitals look: exposure, display curve, borders, burnt-in markers, sharpness, format."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Hospital:
    """One hospital's equipment and habits.

    Attributes:
        name: goes into the datalist's ``source``.
        aspect: width of a picture over its height.
        squashed: whether that width was pressed into a square, so that the true aspect is lost.
        resolution: the picture's long side relative to the size asked for.
        gamma: exponent of the display curve; below 1 is brighter.
        contrast: steepness of the display curve's middle part, 0 for none.
        brightness: added to the displayed value.
        detail: strength of edge enhancement.
        noise: standard deviation of quantum noise where the beam is not weakened, relative to the signal.
        scatter: share of scattered radiation, relative to the mean signal.
        blur: standard deviation of the detector's blur, in cm.
        border: share of the picture's side that the collimator covers, at most.
        marker: letter burnt in beside the patient, ``L`` or ``R``.
        marker_at: row and column of its centre, as shares of the picture's height and width.
        marker_size: its height, as a share of the picture's height.
        caption: words burnt in, or nothing.
        children: share of patients under 14.
        portable: share of AP views.
        outlined: share of pneumonia pictures whose lesions somebody outlined.
        boxed: share of those outlined by boxes only.
        read_empty: share of normal pictures that somebody searched for lesions in vain.
    """

    name: str
    aspect: float = 1.0
    squashed: bool = False
    resolution: float = 1.0
    gamma: float = 1.0
    contrast: float = 0.0
    brightness: float = 0.0
    detail: float = 0.0
    noise: float = 0.01
    scatter: float = 0.1
    blur: float = 0.05
    border: float = 0.0
    marker: str = "R"
    marker_at: tuple[float, float] = (0.1, 0.08)
    marker_size: float = 0.06
    caption: str = ""
    children: float = 0.1
    portable: float = 0.2
    outlined: float = 0.0
    boxed: float = 0.0
    read_empty: float = 0.0


HOSPITALS = (
    Hospital(
        "hospital_a",
        aspect=0.86,
        gamma=0.95,
        contrast=0.35,
        noise=0.006,
        scatter=0.08,
        blur=0.04,
        detail=0.35,
        marker="L",
        marker_at=(0.07, 0.90),
        marker_size=0.055,
        children=0.10,
        portable=0.1,
        read_empty=0.6,
        outlined=0.35,
        boxed=0.8,
    ),
    Hospital(
        "hospital_b",
        aspect=1.22,
        squashed=True,
        resolution=1.0,
        gamma=1.2,
        contrast=0.5,
        brightness=-0.03,
        noise=0.008,
        scatter=0.05,
        blur=0.05,
        border=0.035,
        marker="R",
        marker_at=(0.16, 0.07),
        marker_size=0.085,
        children=0.75,
        portable=0.6,
        outlined=0.0,
    ),
    Hospital(
        "hospital_c",
        aspect=1.0,
        resolution=0.8,
        gamma=0.8,
        brightness=0.05,
        noise=0.016,
        scatter=0.16,
        blur=0.11,
        marker="L",
        marker_at=(0.30, 0.94),
        marker_size=0.05,
        caption="PORTABLE",
        children=0.15,
        portable=0.75,
        outlined=0.6,
        boxed=0.25,
        read_empty=0.3,
    ),
    Hospital(
        "hospital_d",
        aspect=1.12,
        gamma=1.0,
        contrast=0.15,
        noise=0.011,
        scatter=0.12,
        blur=0.07,
        detail=0.15,
        border=0.08,
        marker="R",
        marker_at=(0.12, 0.13),
        marker_size=0.045,
        caption="AP",
        children=0.05,
        portable=0.5,
        outlined=0.75,
        boxed=0.2,
    ),
)
