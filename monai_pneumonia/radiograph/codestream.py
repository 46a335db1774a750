"""What the compressed stream in a DICOM frame says of itself, read without decoding it."""

from __future__ import annotations

import struct

_JPEG_START = b"\xff\xd8"
_JPEG_2000_START = b"\xff\x4f\xff\x51"
_END_OF_IMAGE = b"\xff\xd9"
# Start-of-frame markers of JPEG (C0..CF without the tables C4, C8, CC) and of JPEG-LS (F7).
_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC} | {0xF7})
_MARKERS_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})


def declared_size(stream: bytes) -> tuple[int, int] | None:
    """Height and width that a JPEG, JPEG-LS or JPEG 2000 stream declares.

    Returns:
        (height, width), or None for other streams (RLE) and for headers that end before the size.
    """
    if stream.startswith(_JPEG_2000_START):
        return _jpeg_2000_size(stream)
    return _jpeg_size(stream) if stream.startswith(_JPEG_START) else None


def is_cut_short(stream: bytes) -> bool:
    """Whether a JPEG, JPEG-LS or JPEG 2000 stream lacks its end marker; some decoders fill the missing part in silence."""
    if not stream.startswith((_JPEG_START, _JPEG_2000_START)):
        return False
    # Frames are padded to even length, by some writers with more than one byte.
    return _END_OF_IMAGE not in stream[-64:]


def _jpeg_2000_size(stream: bytes) -> tuple[int, int] | None:
    if len(stream) < 24:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", stream, 8)
    return bottom - top, right - left


def _jpeg_size(stream: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(stream):
        marker = stream[position + 1]
        if stream[position] != 0xFF:
            return None
        if marker in _FRAME_MARKERS:
            height, width = struct.unpack_from(">2H", stream, position + 5)
            return height, width
        if marker == 0xFF:
            position += 1
        elif marker in _MARKERS_WITHOUT_LENGTH:
            position += 2
        else:
            position += 2 + struct.unpack_from(">H", stream, position + 2)[0]
    return None
