"""What a screenshot of a viewer must show, as comparisons of arrays. Pictures are [H, W] grey or [H, W, 3] RGB, 0 to 255."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

Array = np.ndarray
# Every way to lay a picture on its rectangle wrongly, beside the right one.
POSES: dict[str, Callable[[Array], Array]] = {
    "upright": lambda picture: picture,
    "turned by 90 degrees": lambda picture: np.rot90(picture, 1),
    "turned by 180 degrees": lambda picture: np.rot90(picture, 2),
    "turned by 270 degrees": lambda picture: np.rot90(picture, 3),
    "mirrored left to right": lambda picture: picture[:, ::-1],
    "mirrored top to bottom": lambda picture: picture[::-1],
    "transposed": lambda picture: np.swapaxes(picture, 0, 1),
    "transposed and turned": lambda picture: np.rot90(np.swapaxes(picture, 0, 1), 2),
}
LIKENESS = 0.95
MARGIN = 0.05
OVERLAP = 0.93
# A tint of OHIF's regions changes grey levels by 20 and more; anti-aliasing of the same picture, drawn twice, by nothing.
CHANGE = 12
# How much one colour must exceed another to be no grey.
COLOUR = 60
REACH = 4
FARTHEST = 0.12


@dataclass(frozen=True)
class Verdict:
    """Whether a check was passed, and what was measured."""

    passed: bool
    measured: str


@dataclass(frozen=True)
class Place:
    """Where on a page a picture of a given size is: it fills its canvas in one direction and is centred in the other.

    Attributes:
        canvas: left, top, width and height of the canvas on the page.
        shape: rows and columns of the picture.
        pixel_aspect: height of a pixel over its width.
    """

    canvas: tuple[float, float, float, float]
    shape: tuple[int, int]
    pixel_aspect: float = 1.0

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom on the page."""
        left, top, width, height = self.canvas
        rows, columns = self.shape[0] * self.pixel_aspect, self.shape[1]
        scale = min(width / columns, height / rows)
        x, y = left + (width - scale * columns) / 2, top + (height - scale * rows) / 2
        return (x, y, x + scale * columns, y + scale * rows)

    @property
    def square(self) -> bool:
        """Whether a pixel is as wide as high, to one in a hundred."""
        return abs(self.pixel_aspect - 1) < 0.01

    def cut(self, page: Array) -> Array:
        """The picture on the page, [rows, columns] or [rows, columns, 3] float."""
        return _resized(page, self.shape, self.box)

    def on_page(self, points: Array) -> Array:
        """Points [N, 2] of (column, row) of the picture as (x, y) of the page."""
        left, top, right, bottom = self.box
        return np.asarray(points) * [(right - left) / self.shape[1], (bottom - top) / self.shape[0]] + [left, top]


def same_picture(shown: Array, expected: Array) -> Verdict:
    """Whether what is shown is the expected picture, upright and with its greys the right way round.

    Windows differ from viewer to viewer, so likeness is the correlation: it must be high, and lower by far in any other pose.
    """
    likeness = {pose: _correlation(shown, _fitted(turn(expected), shown.shape)) for pose, turn in POSES.items()}
    upright = likeness.pop("upright")
    rival = max(likeness, key=lambda pose: likeness[pose])
    return Verdict(
        upright >= LIKENESS and upright >= likeness[rival] + MARGIN,
        f"likeness {upright:.3f} upright, {likeness[rival]:.3f} {rival}",
    )


def drawn_region(with_region: Array, without: Array) -> Array:
    """What was drawn over a picture, bool [H, W]: where it changed, holes filled."""
    changed = np.abs(with_region.astype(float) - without.astype(float)).max(axis=-1) > CHANGE
    # Single pixels are the text of the viewer, if anything.
    return np.asarray(ndimage.binary_fill_holes(ndimage.binary_opening(changed)))


def same_region(drawn: Array, stored: Array) -> Verdict:
    """Whether the region drawn is the region of the file, pixel by pixel."""
    overlap = _overlap(drawn, stored)
    return Verdict(overlap >= OVERLAP, f"overlap of drawn and stored regions {overlap:.3f}")


def on_the_lesion(drawn: Array, truth: Array) -> Verdict:
    """Whether a region lies on the lesion: near it, and far nearer and over more of it than in any other pose.

    A recogniser's region is rough, so nothing is asked of its outline.
    """
    if not drawn.any():
        return Verdict(False, "nothing is drawn")
    distance = _distance(drawn, truth)
    others = {pose: _distance(_turned(drawn, pose, truth), truth) for pose in POSES if pose != "upright"}
    nearest = min(others, key=lambda pose: others[pose])
    overlap, (rival, next_best) = _overlap(drawn, truth), likest_other_pose(drawn, truth)
    return Verdict(
        distance <= min(FARTHEST, others[nearest] / 2) and overlap > next_best,
        f"centres {distance:.3f} of the diagonal apart, {others[nearest]:.3f} {nearest}; overlap {overlap:.2f}, {next_best:.2f} {rival}",
    )


def likest_other_pose(region: Array, other: Array) -> tuple[str, float]:
    """The wrong pose in which a region would overlap another most, and that overlap."""
    overlap = {pose: _overlap(_turned(region, pose, other), other) for pose in POSES if pose != "upright"}
    rival = max(overlap, key=lambda pose: overlap[pose])
    return rival, overlap[rival]


def polygon_drawn(page: Array, points: Array) -> Verdict:
    """Whether a coloured line follows a polygon.

    Args:
        page: the page, RGB.
        points: its corners, [N, 2] of (x, y) on the page.
    """
    levels = page.astype(int)
    coloured = levels.max(axis=-1) - levels.min(axis=-1) > COLOUR
    near = ndimage.binary_dilation(coloured, iterations=REACH)
    line = _along(points)
    inside = ((line >= 0) & (line < page.shape[1::-1])).all(axis=1)
    share = float(near[line[inside, 1], line[inside, 0]].mean()) if inside.any() else 0.0
    background = float(near.mean())
    return Verdict(share >= 0.9 and background < 0.3, f"{share:.0%} of the polygon is drawn, colour is on {background:.0%} of the page")


def _along(points: Array) -> Array:
    """Whole pixels (x, y) along a closed polygon, a pixel apart."""
    starts, ends = points, np.roll(points, -1, axis=0)
    steps = [np.linspace(a, b, max(2, int(np.hypot(*(b - a))) + 1)) for a, b in zip(starts, ends, strict=True)]
    return np.round(np.concatenate(steps)).astype(int)


def _turned(region: Array, pose: str, other: Array) -> Array:
    return _fitted(POSES[pose](region), other.shape) > 0.5


def _distance(first: Array, second: Array) -> float:
    """Between the centres of two regions, as a share of the picture's diagonal."""
    here, there = (np.array(ndimage.center_of_mass(mask)) for mask in (first, second))
    return float(np.hypot(*(here - there)) / np.hypot(*second.shape))


def _fitted(picture: Array, shape: tuple[int, ...]) -> Array:
    """A picture drawn out to another picture's rows and columns, float."""
    return _resized(picture, (shape[0], shape[1]), None)


def _resized(picture: Array, shape: tuple[int, int], box: tuple[float, float, float, float] | None) -> Array:
    channels = picture[..., None] if picture.ndim == 2 else picture
    images = [Image.fromarray(channels[..., number].astype(np.float32)) for number in range(channels.shape[-1])]
    sized = np.stack([np.asarray(image.resize(shape[::-1], Image.Resampling.BOX, box=box)) for image in images], axis=-1)
    return sized[..., 0] if picture.ndim == 2 else sized


def _correlation(first: Array, second: Array) -> float:
    a, b = (values.astype(float).ravel() - values.mean() for values in (first, second))
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm > 0 else 0.0


def _overlap(first: Array, second: Array) -> float:
    union = int((first | second).sum())
    return int((first & second).sum()) / union if union else 0.0
