"""PNG, JPEG, BMP, TIFF: all depths and colour modes come upright and alike."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from radiograph_files import marker

from monai_pneumonia.errors import BadInputError, RejectedImageError, UnreadableImageError
from monai_pneumonia.radiograph import read_radiograph
from monai_pneumonia.radiograph import types as radiograph_types

GREY = marker() / np.float32(255)


def _saved(path: Path, image: Image.Image, name: str = "a.png", **options: Any) -> Path:
    image.save(path / name, **options)
    return path / name


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.gif", "a.webp", "a.jp2"])
def test_8_bit_grey_in_lossless_formats(name: str, tmp_path: Path) -> None:
    options = {"lossless": True} if name == "a.webp" else {}
    radiograph = read_radiograph(_saved(tmp_path, Image.fromarray(marker()), name, **options))
    np.testing.assert_array_equal(radiograph.pixels, GREY)
    assert radiograph.pixels.dtype == np.float32
    assert radiograph.format == "raster"
    assert radiograph.warnings == ()
    assert radiograph.pixel_spacing is None


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bit_grey_agrees_with_8_bit(name: str, tmp_path: Path) -> None:
    radiograph = read_radiograph(_saved(tmp_path, Image.fromarray(marker().astype(np.uint16) * 257), name))
    np.testing.assert_array_equal(radiograph.pixels, GREY)


def test_16_bit_grey_keeps_its_levels(tmp_path: Path) -> None:
    levels = np.arange(0, 65536, 13, dtype=np.uint16)[:5000].reshape(50, 100)
    radiograph = read_radiograph(_saved(tmp_path, Image.fromarray(levels)))
    np.testing.assert_array_equal(radiograph.pixels, levels.astype(np.float32) / np.float32(65535))


def test_jpeg_comes_near(tmp_path: Path) -> None:
    radiograph = read_radiograph(_saved(tmp_path, Image.fromarray(marker()), "a.jpg", quality=95))
    assert np.abs(radiograph.pixels - GREY).mean() < 0.01


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int, tmp_path: Path) -> None:
    # How a camera stores an upright scene under each value (TIFF 6.0, tag 274).
    stored = {
        1: marker(),
        2: marker()[:, ::-1],
        3: marker()[::-1, ::-1],
        4: marker()[::-1],
        5: marker().T,
        6: np.rot90(marker()),
        7: marker().T[::-1, ::-1],
        8: np.rot90(marker(), -1),
    }[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    radiograph = read_radiograph(_saved(tmp_path, Image.fromarray(np.ascontiguousarray(stored)), "a.png", exif=exif))
    np.testing.assert_array_equal(radiograph.pixels, GREY)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "CMYK", "YCbCr"])
def test_grey_in_colour_modes(mode: str, tmp_path: Path) -> None:
    image = Image.fromarray(marker()).convert(mode)
    radiograph = read_radiograph(_saved(tmp_path, image, "a.tif" if mode in ("CMYK", "YCbCr") else "a.png"))
    np.testing.assert_allclose(radiograph.pixels, GREY, atol=1.01 / 255)
    assert radiograph.warnings == ()


def test_colours_become_luma(tmp_path: Path) -> None:
    colours = np.stack([marker(), marker() // 2, 255 - marker()], axis=-1)
    radiograph = read_radiograph(_saved(tmp_path, Image.fromarray(colours)))
    np.testing.assert_allclose(radiograph.pixels, colours @ np.array([0.299, 0.587, 0.114]) / 255, atol=0.51 / 255)


def test_a_palette_in_another_order(tmp_path: Path) -> None:
    image = Image.frombytes("P", (44, 60), (255 - marker()).tobytes())
    image.putpalette([255 - level for level in range(256) for _ in range(3)])
    np.testing.assert_array_equal(read_radiograph(_saved(tmp_path, image)).pixels, GREY)


def test_one_bit_pictures(tmp_path: Path) -> None:
    bits = marker() > 128
    np.testing.assert_array_equal(read_radiograph(_saved(tmp_path, Image.fromarray(bits))).pixels, bits.astype(np.float32))


def test_transparent_parts_are_black_and_told(tmp_path: Path) -> None:
    alpha = np.full_like(marker(), 255)
    alpha[:10] = 0
    image = Image.merge("LA", (Image.fromarray(marker()), Image.fromarray(alpha)))
    radiograph = read_radiograph(_saved(tmp_path, image))
    assert (radiograph.pixels[:10] == 0).all()
    np.testing.assert_allclose(radiograph.pixels[10:], GREY[10:], atol=1.01 / 255)
    assert "transparent" in radiograph.warnings[0]


@pytest.mark.parametrize("bits", [8, 16])
def test_white_is_zero_tiffs_are_inverted_once(bits: int, tmp_path: Path) -> None:
    stored = (255 - marker()).astype(f"u{bits // 8}") * (1 if bits == 8 else 257)
    path = tmp_path / "a.tif"
    path.write_bytes(_tiff(stored, photometric=0))
    np.testing.assert_array_equal(read_radiograph(path).pixels, GREY)
    path.write_bytes(_tiff(255 * (1 if bits == 8 else 257) - stored, photometric=1))
    np.testing.assert_array_equal(read_radiograph(path).pixels, GREY)


def _tiff(values: np.ndarray, photometric: int) -> bytes:
    """An uncompressed little-endian TIFF of one strip."""
    height, width = values.shape
    data = values.astype(values.dtype.newbyteorder("<")).tobytes()
    entries = [
        *((256, width), (257, height), (258, 8 * values.dtype.itemsize), (259, 1), (262, photometric)),
        *((273, 8 + 2 + 10 * 12 + 4), (277, 1), (278, height), (279, len(data)), (339, 1)),
    ]
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\x00" + struct.pack("<I", 8) + directory + b"\0\0\0\0" + data


def test_32_bit_floats(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_radiograph(_saved(tmp_path, Image.fromarray(GREY), "a.tif")).pixels, GREY)
    radiograph = read_radiograph(_saved(tmp_path, Image.fromarray(GREY * 1000), "b.tif"))
    np.testing.assert_allclose(radiograph.pixels, GREY, atol=1e-6)
    assert "stretched" in radiograph.warnings[0]
    broken = GREY.copy()
    broken[3, 3] = np.nan
    with pytest.raises(UnreadableImageError, match="not finite"):
        read_radiograph(_saved(tmp_path, Image.fromarray(broken), "c.tif"))


@pytest.mark.parametrize("name", ["a.gif", "a.tif", "a.png", "a.webp"])
def test_several_frames_are_rejected(name: str, tmp_path: Path) -> None:
    frames = [Image.fromarray(np.roll(marker(), shift, axis=0)) for shift in (0, 9, 20)]
    path = _saved(tmp_path, frames[0], name, save_all=True, append_images=frames[1:])
    with pytest.raises(RejectedImageError, match="of 3 pages or frames"):
        read_radiograph(path)


def test_the_first_picture_of_a_phones_mpo_is_taken(tmp_path: Path) -> None:
    first, second = Image.fromarray(marker()), Image.fromarray(marker()[::-1])
    path = _saved(tmp_path, first, "a.jpg", format="MPO", save_all=True, append_images=[second], quality=95)
    assert np.abs(read_radiograph(path).pixels - GREY).mean() < 0.01


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.bmp"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_file_cut_short_is_unreadable(name: str, share: float, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (80, 80)).astype(np.uint8)
    path = _saved(tmp_path, Image.fromarray(noise), name)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UnreadableImageError, match="cannot be decoded") as caught:
        read_radiograph(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def _declared_png(width: int, height: int) -> bytes:
    """A PNG that declares a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(20000, 20000), (9000, 9000), (2_000_000, 100)])
def test_pictures_beyond_the_limit_are_rejected_before_decoding(width: int, height: int, tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(_declared_png(width, height))
    with pytest.raises(RejectedImageError, match="pixels"):
        read_radiograph(path)


def test_the_limit_lies_below_pillows_warning() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    assert radiograph_types.MAX_PIXELS < Image.MAX_IMAGE_PIXELS


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(height=st.integers(1, 40), width=st.integers(1, 40), wide=st.booleans(), seed=st.integers(0, 9))
def test_any_size_comes_back(height: int, width: int, wide: bool, seed: int, tmp_path: Path) -> None:
    kind = np.uint16 if wide else np.uint8
    values = np.random.default_rng(seed).integers(0, np.iinfo(kind).max, (height, width), dtype=kind, endpoint=True)
    radiograph = read_radiograph(_saved(tmp_path, Image.fromarray(values)))
    np.testing.assert_array_equal(radiograph.pixels, values.astype(np.float32) / np.float32(np.iinfo(kind).max))
    assert ("all pixels have the same value" in radiograph.warnings) == (values.min() == values.max())


@settings(max_examples=60, deadline=None)
@given(position=st.integers(0, 5000), value=st.integers(0, 255), name=st.sampled_from(["PNG", "JPEG", "TIFF", "GIF", "BMP"]))
def test_a_flipped_byte_gives_a_picture_or_an_error_of_ours(
    position: int, value: int, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stream = io.BytesIO()
    Image.fromarray(marker()).save(stream, name)
    content = bytearray(stream.getvalue())
    content[position % len(content)] = value
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content)
    try:
        pixels = read_radiograph(path).pixels
    except BadInputError:
        return
    assert pixels.ndim == 2
    assert 0 <= pixels.min() <= pixels.max() <= 1
