"""The checks of screenshots: they pass what is right, and see each way in which a viewer may show it wrongly."""

from __future__ import annotations

import numpy as np
import pytest
from picture_checks import POSES, Place, drawn_region, on_the_lesion, polygon_drawn, same_picture, same_region
from PIL import Image, ImageDraw

CANVAS = (287.0, 51.0, 955.0, 742.0)
PAGE = (800, 1280)


def chest(rows: int = 256, columns: int = 220) -> np.ndarray:
    """Something with the likeness of both its sides that a chest has, and a marker in one corner, [H, W] uint8."""
    y, x = np.mgrid[:rows, :columns] / np.array([rows, columns]).reshape(2, 1, 1)
    lungs = np.exp(-(((y - 0.45) / 0.25) ** 2 + ((np.abs(x - 0.5) - 0.22) / 0.1) ** 2))
    picture = 60 + 120 * y - 90 * lungs + 60 * np.exp(-(((y - 0.6) / 0.15) ** 2 + ((x - 0.58) / 0.15) ** 2))
    picture[rows // 12 : rows // 8, columns // 12 : columns // 6] = 250
    return np.clip(picture, 0, 255).astype(np.uint8)


def lesion(rows: int = 256, columns: int = 220) -> np.ndarray:
    """In the upper left quarter, far from either diagonal, bool [H, W]."""
    y, x = np.mgrid[:rows, :columns]
    return ((y - 0.18 * rows) / (0.06 * rows)) ** 2 + ((x - 0.36 * columns) / (0.08 * columns)) ** 2 < 1


def page_of(picture: np.ndarray, pixel_aspect: float = 1.0) -> np.ndarray:
    """A page that shows a picture [H, W, 3] as large as its canvas allows, uint8."""
    left, top, width, height = CANVAS
    rows, columns = picture.shape[:2]
    scale = min(width / columns, height / (rows * pixel_aspect))
    size = (round(columns * scale), round(rows * pixel_aspect * scale))
    page = Image.new("RGB", PAGE[::-1], (5, 10, 40))
    page.paste(Image.new("RGB", (int(width), int(height))), (int(left), int(top)))
    page.paste(
        Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR),
        (round(left + (width - size[0]) / 2), round(top + (height - size[1]) / 2)),
    )
    return np.asarray(page)


def rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=-1)


def tinted(grey: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A red tint where the mask is, uint8 RGB."""
    picture = rgb(grey).astype(float)
    picture[mask] = 0.5 * picture[mask] + 0.5 * np.array([220, 80, 80])
    return picture.astype(np.uint8)


@pytest.mark.parametrize(("shape", "pixel_aspect"), [((256, 220), 1.0), ((220, 256), 1.0), ((256, 256), 0.82), ((100, 400), 1.0)], ids=str)
def test_the_picture_is_found_on_the_page(shape: tuple[int, int], pixel_aspect: float) -> None:
    picture = chest(*shape)
    place = Place(CANVAS, shape, pixel_aspect)
    shown = place.cut(page_of(rgb(picture), pixel_aspect))
    assert shown.shape == (*shape, 3)
    assert same_picture(shown.mean(axis=-1), picture).passed


def test_points_of_the_picture_land_on_the_page() -> None:
    # 100 x 50 pixels in a canvas of 200 x 200: twice as large, 50 pixels from the canvas's top.
    place = Place((10.0, 20.0, 200.0, 200.0), (50, 100))
    assert place.box == (10.0, 70.0, 210.0, 170.0)
    assert place.on_page(np.array([(0, 0), (100, 50), (50, 25)])).tolist() == [[10, 70], [210, 170], [110, 120]]


@pytest.mark.parametrize("contrast", [(1.0, 0), (0.6, 40), (1.4, -60)])
def test_another_window_is_no_fault(contrast: tuple[float, int]) -> None:
    shown = np.clip(chest().astype(float) * contrast[0] + contrast[1], 0, 255)
    assert same_picture(shown, chest()).passed


@pytest.mark.parametrize("pose", [pose for pose in POSES if pose != "upright"])
def test_a_picture_in_another_pose_is_seen(pose: str) -> None:
    picture = chest(256, 256)
    verdict = same_picture(POSES[pose](picture), picture)
    assert not verdict.passed, verdict


def test_an_inverted_or_an_empty_picture_is_seen() -> None:
    assert not same_picture(255.0 - chest(), chest()).passed
    assert not same_picture(np.zeros((256, 220)), chest()).passed


def test_the_poses_are_the_eight_of_a_square() -> None:
    corner = np.arange(9).reshape(3, 3)
    assert len({turn(corner).tobytes() for turn in POSES.values()}) == len(POSES) == 8


def seen(mask: np.ndarray) -> np.ndarray:
    """What is found on two pages, one without and one with the tint."""
    place = Place(CANVAS, (256, 220))
    without, with_region = (place.cut(page_of(picture)) for picture in (rgb(chest()), tinted(chest(), mask)))
    return drawn_region(with_region, without)


def test_a_region_in_its_place_passes() -> None:
    drawn = seen(lesion())
    assert same_region(drawn, lesion()).passed
    assert on_the_lesion(drawn, lesion()).passed


@pytest.mark.parametrize("pose", ["mirrored left to right", "mirrored top to bottom", "turned by 180 degrees"])
def test_a_region_in_another_pose_is_seen(pose: str) -> None:
    drawn = seen(POSES[pose](lesion()))
    assert not same_region(drawn, lesion()).passed
    assert not on_the_lesion(drawn, lesion()).passed


def test_a_transposed_region_is_seen() -> None:
    truth = np.zeros((256, 256), dtype=bool)
    truth[30:80, 90:125] = True
    assert on_the_lesion(truth, truth).passed
    assert not on_the_lesion(truth.T, truth).passed


def test_a_shifted_region_is_seen() -> None:
    drawn = seen(np.roll(lesion(), (12, 0), axis=(0, 1)))
    assert not same_region(drawn, lesion()).passed


def test_no_region_is_seen() -> None:
    drawn = seen(np.zeros((256, 220), dtype=bool))
    assert not drawn.any()
    assert not same_region(drawn, lesion()).passed
    assert not on_the_lesion(drawn, lesion()).passed


def test_a_rough_region_on_the_lesion_passes() -> None:
    y, x = np.mgrid[:256, :220]
    rough = (np.abs(y - 50) < 24) & (np.abs(x - 84) < 26)
    assert on_the_lesion(rough, lesion()).passed


POLYGON = np.array([(400, 200), (600, 220), (620, 400), (420, 380), (400, 200)], dtype=float)


def page_with_line(points: np.ndarray) -> np.ndarray:
    page = Image.fromarray(page_of(rgb(chest())))
    ImageDraw.Draw(page).line([tuple(point) for point in points], fill=(255, 255, 0), width=2)
    return np.asarray(page)


def test_a_drawn_polygon_passes_and_others_do_not() -> None:
    assert polygon_drawn(page_with_line(POLYGON), POLYGON).passed
    assert not polygon_drawn(page_with_line(POLYGON + 30), POLYGON).passed
    assert not polygon_drawn(page_of(rgb(chest())), POLYGON).passed
    mirrored = POLYGON * [-1, 1] + [1200, 0]
    assert not polygon_drawn(page_with_line(mirrored), POLYGON).passed
    # Colour all over the page is no line.
    assert not polygon_drawn(np.full((*PAGE, 3), (255, 0, 0), dtype=np.uint8), POLYGON).passed
