"""A picture with the attention and the lesion regions drawn over it, for people to look at."""

from __future__ import annotations

from typing import cast

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from monai_pneumonia.inference.inferno import inferno
from monai_pneumonia.inference.report import PNEUMONIA, LesionReport

LONGEST_SIDE = 1024
SHORTEST_LONG_SIDE = 512

_STRONGEST_TINT = 0.6
_LEVELS = np.arange(256) / 255
_DISPLAY_PERCENTILES = (0.5, 99.5)
_OUTLINE = (0, 229, 255)
_BOX = (255, 255, 255)
_TEXT = (235, 235, 235)
_WARNING = (255, 196, 0)
_BACKGROUND = (16, 16, 16)
_FONT_SIZE = 15
_LINE_HEIGHT = 21
_MARGIN = 10
_NARROWEST_LEGEND = 512
_MAP_NAMES = {"attention": "attention", "class_activation": "class activation"}


def draw_overlay(pixels: np.ndarray, report: LesionReport) -> np.ndarray:
    """Draws a report over its picture: attention as a tint, lesion regions as outlines and boxes, and a legend below.

    Pictures are scaled to a long side of 512 to 1024 pixels, keeping their aspect.

    Args:
        pixels: the picture as :func:`monai_pneumonia.radiograph.read_radiograph` gives it, [H, W] in [0, 1].
        report: of this picture.

    Returns:
        uint8 [h, w, 3], RGB.

    Raises:
        ValueError: the report's map has another size than the picture.
    """
    if pixels.shape != report.attention_map.shape:
        raise ValueError(f"the picture is {list(pixels.shape)}, the report's map {list(report.attention_map.shape)}")
    size, scale = _display_size(*pixels.shape)
    picture = _tinted(_resized(pixels, size), _resized(report.attention_map, size))
    labels = np.asarray(Image.fromarray(report.lesion_labels).resize(size, Image.Resampling.NEAREST))
    picture[_outline(labels)] = _OUTLINE
    image = Image.fromarray(picture)
    _draw_boxes(image, report, scale)
    return np.asarray(_with_legend(image, report))


def _display_size(height: int, width: int) -> tuple[tuple[int, int], float]:
    """(width, height) to show a picture in, and the factor from the picture's pixels to it."""
    longest = max(height, width)
    scale = min(max(longest, SHORTEST_LONG_SIDE), LONGEST_SIDE) / longest
    return (max(1, round(width * scale)), max(1, round(height * scale))), scale


def _resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Values [H, W] on another grid, given as (width, height); averaged where they shrink."""
    return np.asarray(Image.fromarray(values.astype(np.float32, copy=False)).resize(size, Image.Resampling.BILINEAR))


def _tinted(pixels: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """Grey levels under a tint that grows with the attention, uint8 [h, w, 3]."""
    low, high = np.percentile(pixels, _DISPLAY_PERCENTILES)
    grey = Image.fromarray(_bytes((pixels - low) / max(high - low, 1e-6))).convert("RGB")
    levels = Image.fromarray(_bytes(attention))
    strengths = levels.point([round(_STRONGEST_TINT * level) for level in range(256)])
    levels.putpalette(_bytes(inferno(_LEVELS)).tobytes())
    return np.array(Image.composite(levels.convert("RGB"), grey, strengths))


def _bytes(values: np.ndarray) -> np.ndarray:
    """Values in [0, 1] as uint8 of the same shape; what lies outside takes the nearest end's."""
    return np.asarray((np.clip(values, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8))


def _outline(labels: np.ndarray) -> np.ndarray:
    """The pixels of each region that touch its outside, two pixels wide, bool [h, w]."""
    edge = np.zeros(labels.shape, dtype=bool)
    for number in np.unique(labels[labels > 0]):
        region = labels == number
        edge |= region & ~ndimage.binary_erosion(region, iterations=2)
    return edge


def _draw_boxes(image: Image.Image, report: LesionReport, scale: float) -> None:
    draw, font = ImageDraw.Draw(image), _font()
    for region in report.lesions:
        x, y, width, height = region.box
        corners = (x * scale, y * scale, (x + width) * scale - 1, (y + height) * scale - 1)
        draw.rectangle((corners[0], corners[1], max(corners[0], corners[2]), max(corners[1], corners[3])), outline=_BOX)
        draw.text((corners[0] + 4, corners[1] + 2), str(region.number), fill=_BOX, font=font, stroke_width=2, stroke_fill=(0, 0, 0))


def _with_legend(image: Image.Image, report: LesionReport) -> Image.Image:
    """The picture above a legend, on a canvas that is wide enough to read it."""
    count = len(report.lesions)
    kind = "lesion" if report.regions_are_lesions else "attention"
    regions = f", {count} {kind} region{'' if count == 1 else 's'}" if report.decision == PNEUMONIA else ""
    version = f"model {report.model_version}" + (f" ({report.weights_sha256[:12]})" if report.weights_sha256 else "")
    lines = (
        (f"p(pneumonia) {report.p_pneumonia:.2f}: {report.decision.replace('_', ' ')}{regions}", _TEXT),
        (f"{version}; tint: {_MAP_NAMES[report.map_kind]}", _TEXT),
        (report.notice, _WARNING),
    )
    width = max(image.width, _NARROWEST_LEGEND)
    canvas = Image.new("RGB", (width, image.height + len(lines) * _LINE_HEIGHT + 2 * _MARGIN), _BACKGROUND)
    canvas.paste(image, ((width - image.width) // 2, 0))
    draw, font = ImageDraw.Draw(canvas), _font()
    for position, (text, color) in enumerate(lines):
        draw.text((_MARGIN, image.height + _MARGIN + position * _LINE_HEIGHT), text, fill=color, font=font)
    _draw_color_bar(canvas, draw, font, image.height + _MARGIN + (len(lines) - 1) * _LINE_HEIGHT)
    return canvas


def _draw_color_bar(canvas: Image.Image, draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont, top: int) -> None:
    """The colours from 0 to 1 at the right end of a legend line."""
    length, height = 96, 12
    ramp = inferno(np.linspace(0, 1, length))[None].repeat(height, axis=0)
    left = canvas.width - _MARGIN - 14 - length
    canvas.paste(Image.fromarray((ramp * 255 + 0.5).astype(np.uint8)), (left, top + 4))
    draw.text((left - 14, top), "0", fill=_TEXT, font=font)
    draw.text((left + length + 5, top), "1", fill=_TEXT, font=font)


def _font() -> ImageFont.FreeTypeFont:
    """Pillow's own, at a size of which the legend is readable."""
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(_FONT_SIZE))
