"""From a region's pixels to the polygon around it, in the image coordinates of DICOM."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

# One value of a structured report holds 64 KiB at most: 8191 points. Half of that outlines any region closely.
MOST_POINTS = 4000
_TOLERANCE = 0.5


def outline(mask: np.ndarray) -> np.ndarray:
    """The closed polygon around a region, holes filled.

    Pixels that touch at a corner are connected, as in :func:`monai_pneumonia.inference.regions.find_lesions`. Image coordinates are
    those of PS3.3 C.18.6: the upper left pixel reaches from (0, 0) to (1, 1). The polygon deviates from the pixels' edges by half a
    pixel at most, or by more where it would else have more than :data:`MOST_POINTS` points.

    Args:
        mask: one connected region, bool [H, W].

    Returns:
        float64 [N, 2] of (column, row), N >= 4; the last point is the first.

    Raises:
        ValueError: the mask is empty or holds several regions.
    """
    if not mask.any():
        raise ValueError("the region has no pixels")
    place = ndimage.find_objects(mask.astype(np.int8))[0]
    corners = _boundary(ndimage.binary_fill_holes(mask[place]))
    tolerance = _TOLERANCE
    polygon = _simplified(corners, tolerance)
    while len(polygon) > MOST_POINTS:
        tolerance *= 2
        polygon = _simplified(corners, tolerance)
    return np.asarray(polygon + np.array([place[1].start, place[0].start]))


def _boundary(mask: np.ndarray) -> np.ndarray:
    """The corners of the pixels' edges around a region without holes, clockwise as displayed, int [N, 2] of (column, row), closed."""
    inside = np.pad(mask, 1)
    middle = inside[1:-1, 1:-1]
    # For each side of a pixel that faces the outside: from which corner to which its edge runs, the region at its right hand.
    sides = (
        (inside[:-2, 1:-1], (0, 0), (1, 0)),
        (inside[1:-1, 2:], (1, 0), (0, 1)),
        (inside[2:, 1:-1], (1, 1), (-1, 0)),
        (inside[1:-1, :-2], (0, 1), (0, -1)),
    )
    edges: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for neighbour, (right, down), step in sides:
        rows, columns = np.nonzero(middle & ~neighbour)
        for column, row in zip((columns + right).tolist(), (rows + down).tolist(), strict=True):
            edges.setdefault((column, row), []).append(step)
    count = sum(map(len, edges.values()))
    start = min(edges, key=lambda corner: (corner[1], corner[0]))
    corners, step = [start], edges[start].pop()
    while len(corners) <= count:
        corner = (corners[-1][0] + step[0], corners[-1][1] + step[1])
        corners.append(corner)
        if corner == start and not edges[start]:
            break
        # Where two pixels touch at a corner, the left turn leads on to the other pixel.
        left = (step[1], -step[0])
        step = left if left in edges[corner] else edges[corner][0]
        edges[corner].remove(step)
    if any(edges.values()):
        raise ValueError("the mask holds several regions: outline each by itself")
    return np.array(corners)


def _simplified(corners: np.ndarray, tolerance: float) -> np.ndarray:
    """A closed polygon with fewer points, by Douglas and Peucker: none that is left out lies further than the tolerance from it."""
    points = corners.astype(np.float64)
    far = int(np.argmax(np.square(points - points[0]).sum(axis=1)))
    keep = np.zeros(len(points), dtype=bool)
    keep[[0, far, -1]] = True
    waiting = [(0, far), (far, len(points) - 1)]
    while waiting:
        first, last = waiting.pop()
        if last - first < 2:
            continue
        distances = _distances(points[first + 1 : last], points[first], points[last])
        worst = int(np.argmax(distances))
        if distances[worst] > tolerance:
            middle = first + 1 + worst
            keep[middle] = True
            waiting += [(first, middle), (middle, last)]
    if keep.sum() < 4:  # two points and the first again enclose nothing
        keep[int(np.argmax(_distances(points, points[0], points[far])))] = True
    return points[keep]


def _distances(points: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Distances [N] of points [N, 2] from the stretch between two points."""
    along = last - first
    share = np.clip((points - first) @ along / max(float(along @ along), 1e-12), 0, 1)
    return np.asarray(np.linalg.norm(points - first - share[:, None] * along, axis=1))
