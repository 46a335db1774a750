"""Shapes and ends that compressed streams declare."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from radiograph_files import JPEG_12_BIT, marker, write_dicom

from monai_pneumonia.radiograph.codestream import declared_shape, is_cut_short
from monai_pneumonia.radiograph.dicom_pixels import _first_frame


def _jpeg(height: int, width: int, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(marker(height, width)).save(stream, "JPEG", **options)
    return stream.getvalue()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"comment": b"a comment before the frame"}, {"restart_marker_rows": 1}])
def test_jpeg_of_pillow(options: dict[str, object]) -> None:
    assert declared_shape(_jpeg(37, 53, **options)) == (37, 53, 1)


def test_a_colour_jpeg_has_three_samples() -> None:
    stream = io.BytesIO()
    Image.fromarray(marker(37, 53)).convert("RGB").save(stream, "JPEG")
    assert declared_shape(stream.getvalue()) == (37, 53, 3)


@pytest.mark.parametrize("form", ["short", "long", "to the end"])
def test_a_jp2_file_declares_what_the_stream_in_it_does(form: str, tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(marker(37, 53)).save(file, "JPEG2000", no_jp2=False)
    stream = file.getvalue()
    start = stream.index(b"jp2c") - 4
    bare = stream[start + 8 :]
    # A box before it that holds another stream deceives nobody.
    decoy = b"uuid" + b"\xff\x4f\xff\x51" + bytes(60)
    decoy = (len(decoy) + 4).to_bytes(4, "big") + decoy
    head = {
        "short": (len(bare) + 8).to_bytes(4, "big") + b"jp2c",
        "long": b"\0\0\0\1jp2c" + (len(bare) + 16).to_bytes(8, "big"),
        "to the end": b"\0\0\0\0jp2c",
    }[form]
    boxed = stream[:start] + decoy + head + bare
    assert declared_shape(boxed) == declared_shape(bare) == (37, 53, 1)
    assert not is_cut_short(boxed)
    assert is_cut_short(boxed[:-70])


def test_a_12_bit_jpeg() -> None:
    assert declared_shape(JPEG_12_BIT) == (32, 24, 1)
    assert not is_cut_short(JPEG_12_BIT)


@pytest.mark.parametrize("syntax", ["jpeg_baseline", "jpeg_lossless", "jpeg_ls", "jpeg_2000"])
def test_streams_in_dicom(syntax: str, tmp_path: Path) -> None:
    values = marker(37, 53) if syntax == "jpeg_baseline" else marker(37, 53).astype(np.uint16) * 16
    path = write_dicom(tmp_path / "a.dcm", values, syntax, bits=8 if syntax == "jpeg_baseline" else 12)
    stream = _first_frame(pydicom.dcmread(path))
    assert declared_shape(stream) == (37, 53, 1)
    assert not is_cut_short(stream)
    assert is_cut_short(stream[: len(stream) * 9 // 10])


def test_rle_and_rubbish_declare_nothing() -> None:
    assert declared_shape(b"\x01\x00\x00\x00" + b"\0" * 60) is None
    assert not is_cut_short(b"\x01\x00\x00\x00" + b"\0" * 60)
    assert declared_shape(b"") is None


@given(st.integers(min_value=0, max_value=700))
def test_a_header_cut_anywhere_raises_nothing(length: int) -> None:
    shape = declared_shape(_jpeg(37, 53)[:length])
    assert shape in (None, (37, 53, 1))


@given(st.binary(max_size=200))
def test_rubbish_after_a_start_raises_nothing(rubbish: bytes) -> None:
    declared_shape(b"\xff\xd8" + rubbish)
    declared_shape(b"\xff\x4f\xff\x51" + rubbish)
    declared_shape(b"\x00\x00\x00\x0cjP  \r\n\x87\n" + rubbish)
