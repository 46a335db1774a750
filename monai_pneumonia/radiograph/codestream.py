"""What the compressed stream in a DICOM frame says of itself, read without decoding it."""

from __future__ import annotations

import struct

_JPEG_START = b"\xff\xd8"
_JPEG_2000_START = b"\xff\x4f\xff\x51"
_JP2_START = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_END_OF_IMAGE = b"\xff\xd9"
# Start-of-frame markers of JPEG (C0..CF without the tables C4, C8, CC) and of JPEG-LS (F7).
_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC} | {0xF7})
_MARKERS_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})


def declared_shape(stream: bytes) -> tuple[int, int, int] | None:
    """Height, width and samples a pixel that a JPEG, JPEG-LS or JPEG 2000 stream declares.

    Returns:
        (height, width, samples), or None for other streams (RLE) and for headers that end before the samples.
    """
    stream = _without_boxes(stream)
    if stream.startswith(_JPEG_2000_START):
        return _jpeg_2000_shape(stream)
    return _jpeg_shape(stream) if stream.startswith(_JPEG_START) else None


def is_cut_short(stream: bytes) -> bool:
    """Whether a JPEG, JPEG-LS or JPEG 2000 stream lacks its end marker; some decoders fill the missing part in silence."""
    if not _without_boxes(stream).startswith((_JPEG_START, _JPEG_2000_START)):
        return False
    # Frames are padded to even length, by some writers with more than one byte.
    return _END_OF_IMAGE not in stream[-64:]


def _without_boxes(stream: bytes) -> bytes:
    """The JPEG 2000 stream in a JP2 file, which the standard does not allow in a frame, but decoders take; other streams as they are."""
    position = 0
    while stream.startswith(_JP2_START) and position + 8 <= len(stream):
        length, kind = struct.unpack_from(">I4s", stream, position)
        head = 8
        if length == 1 and position + 16 <= len(stream):
            length, head = struct.unpack_from(">Q", stream, position + 8)[0], 16
        if kind == b"jp2c":
            return stream[position + head :]
        if length < head:
            break
        position += length
    return stream


def _jpeg_2000_shape(stream: bytes) -> tuple[int, int, int] | None:
    if len(stream) < 42:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", stream, 8)
    return bottom - top, right - left, struct.unpack_from(">H", stream, 40)[0]


def _jpeg_shape(stream: bytes) -> tuple[int, int, int] | None:
    position = 2
    while position + 10 <= len(stream):
        marker = stream[position + 1]
        if stream[position] != 0xFF:
            return None
        if marker in _FRAME_MARKERS:
            return struct.unpack_from(">2HB", stream, position + 5)
        if marker == 0xFF:
            position += 1
        elif marker in _MARKERS_WITHOUT_LENGTH:
            position += 2
        else:
            position += 2 + struct.unpack_from(">H", stream, position + 2)[0]
    return None
