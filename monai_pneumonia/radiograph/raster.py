"""PNG, JPEG, BMP, TIFF and their like, by Pillow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from monai_pneumonia.errors import PneumoniaError, RejectedImageError, UnreadableImageError
from monai_pneumonia.radiograph.grey_levels import constant_warning, unit_range
from monai_pneumonia.radiograph.types import Radiograph, check_size, one_line

# Named, so that Pillow never hands a file to a format that runs another program (EPS calls Ghostscript). MPO comes by way of JPEG.
PILLOW_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP", "JPEG2000")
_TIFF_PHOTOMETRIC = 262
_WHITE_IS_ZERO = 0


def read_raster(path: Path) -> Radiograph:
    """Reads a picture in a common raster format: 1 to 16 bits, grey or colour, upright by its EXIF orientation.

    Raises:
        UnreadableImageError: the file is damaged, cut short, or of a kind that Pillow cannot convert to grey.
        RejectedImageError: it holds several pages or frames, or declares too many pixels.
    """
    try:
        with Image.open(path, formats=PILLOW_FORMATS) as image:
            check_size(path, image.height, image.width)
            _check_single(path, image)
            pixels, warnings = _grey(_upright(image), is_png=image.format == "PNG")
    except (PneumoniaError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise RejectedImageError(f"{path}: declares far more pixels than a radiograph may have: give the picture itself") from error
    except Exception as error:
        raise UnreadableImageError(f"{path}: cannot be decoded ({one_line(error)}): export or copy the picture anew") from error
    return Radiograph(pixels=pixels, format="raster", warnings=(*warnings, *constant_warning(pixels)))


def _check_single(path: Path, image: Image.Image) -> None:
    frames = getattr(image, "n_frames", 1)
    # Phones write MPO: a JPEG followed by previews of itself. Its first picture is the photograph.
    if frames > 1 and image.format != "MPO":
        raise RejectedImageError(
            f"{path}: a {image.format} of {frames} pages or frames: give the one radiograph to analyse as a file of its own"
        )


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    inverted_16_bit = image.mode.startswith("I;16") and _photometric(image) == _WHITE_IS_ZERO
    upright = ImageOps.exif_transpose(image)
    if inverted_16_bit:
        # Pillow inverts white-is-zero TIFFs of 8 bits, but hands 16-bit ones over as stored.
        return Image.fromarray(np.uint16(65535) - np.asarray(upright).astype(np.uint16))
    return upright


def _photometric(image: Image.Image) -> int | None:
    tags = getattr(image, "tag_v2", None)
    return tags.get(_TIFF_PHOTOMETRIC) if tags is not None else None


def _grey(image: Image.Image, is_png: bool) -> tuple[np.ndarray, tuple[str, ...]]:
    """Grey levels [H, W] in [0, 1]; colours by the luma of ITU-R 601, transparent parts over black."""
    if image.mode == "L":
        return unit_range(np.asarray(image))
    if image.mode.startswith("I;16"):
        return unit_range(np.asarray(image).astype(np.uint16))
    if image.mode in ("I", "F"):
        values = np.asarray(image)
        # Older Pillows hand 16-bit PNGs over in 32 bits.
        return unit_range(values.astype(np.uint16) if image.mode == "I" and is_png else values)
    warnings: tuple[str, ...] = ()
    if "transparency" in image.info or image.mode in ("LA", "PA", "RGBA", "La", "RGBa"):
        image, warnings = _over_black(image.convert("RGBA"))
    elif image.mode == "P":
        image = image.convert("RGB")
    return unit_range(np.asarray(image.convert("L")))[0], warnings


def _over_black(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    if image.getchannel("A").getextrema() == (255, 255):
        return image.convert("RGB"), ()
    black = Image.new("RGBA", image.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, image).convert("RGB"), ("parts of the picture are transparent: taken as black",)
