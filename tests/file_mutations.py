"""Damaged copies of DICOM files, each one repeatable from its source and a number.

    python tests/file_mutations.py SOURCE OTHER NUMBER OUTPUT

writes one again: OTHER is the file that splices take their second half from.
"""

from __future__ import annotations

import random
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pydicom

_PREAMBLE = 132
_LONG_VRS = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
_VRS = (
    *_LONG_VRS,
    *(b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI"),
    *(b"UL", b"US", b"??", b"\0\0"),
)
_PIXEL_DATA = 0x7FE00010
_TRANSFER_SYNTAX = 0x00020010
_SYNTAXES = (
    *("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5", "1.2.3", ""),
    *(f"1.2.840.10008.1.2.4.{last}" for last in (50, 51, 57, 70, 80, 81, 90, 91, 100, 102, 201, 202, 203)),
)
_LENGTHS = (0, 1, 2, 3, 0xFF, 0x7FFF, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFE, 0xFFFFFFFF)
_TEXTS = (
    *(b"", b"0", b"-1", b"1", b"nan", b"inf", b"1e999", b"-1e308", b"99999999999999999999", b"1\\2\\3", b"\\", b"\\\\\\", b"../../x"),
    *(b"/etc/passwd", b"\0\0", b"\n\r\t", b"\xff\xfe\x80", b"1.2.840.10008.5.1.4.1.1.2"),
    *(b"CT", b"LL", b"RGB", b"PALETTE COLOR", b"YBR_FULL_422"),
)
# Where compressed streams keep their headers: offset table, item and the first markers.
_STREAM_HEAD = 220


@dataclass(frozen=True)
class Element:
    """One top-level element as it lies in the file."""

    tag: int
    start: int
    value: int
    end: int


@dataclass(frozen=True)
class SourceFile:
    """A file that copies are made of.

    Attributes:
        name: names it in results.
        data: its bytes.
        elements: what it holds, in order; none where it is deflated.
        pixels: where the value of its pixel data begins; the length of the file where there is none.
    """

    name: str
    data: bytes
    elements: tuple[Element, ...]
    pixels: int

    @classmethod
    def read(cls, path: Path) -> SourceFile:
        data, elements = path.read_bytes(), elements_of(path)
        return cls(path.name, data, elements, next((each.value for each in elements if each.tag == _PIXEL_DATA), len(data)))


def elements_of(path: Path) -> tuple[Element, ...]:
    """The top-level elements with known place and length, file meta information included."""
    dataset = pydicom.dcmread(path)
    if str(dataset.file_meta.TransferSyntaxUID) == "1.2.840.10008.1.2.1.99":
        return ()
    data, found = path.read_bytes(), []
    for part in (dataset.file_meta, dataset):
        for tag in list(part.keys()):
            raw = part.get_item(tag)
            value = getattr(raw, "value_tell", None) or getattr(raw, "file_tell", None)
            if not value:
                continue
            explicit = part is dataset.file_meta or not getattr(raw, "is_implicit_VR", False)
            start = value - (12 if explicit and data[value - 8 : value - 6] in _LONG_VRS else 8)
            found.append((int(tag), start, value))
    found.sort(key=lambda each: each[1])
    ends = [start for _, start, _ in found[1:]] + [len(data)]
    return tuple(Element(tag, start, value, end) for (tag, start, value), end in zip(found, ends, strict=True))


def mutant(source: SourceFile, other: SourceFile, number: int) -> bytes:
    """Copy ``number`` of a file, damaged in one to three ways."""
    chance = random.Random(f"{source.name}/{number}")
    data = bytearray(source.data)
    for _ in range(chance.choices((1, 2, 3), (6, 3, 1))[0]):
        if not data:
            break
        # After the first change the places of the elements are those of the source: all the wilder.
        chance.choices(_CHANGES, _WEIGHTS)[0](chance, data, source, other)
    return bytes(data)


def _place(chance: random.Random, data: bytearray, source: SourceFile) -> int:
    """A place in the file: mostly among the tags, else at the head of the pixel data or anywhere in them."""
    part = chance.random()
    low, high = (0, source.pixels) if part < 0.6 else (source.pixels, source.pixels + _STREAM_HEAD) if part < 0.85 else (0, len(data))
    return min(chance.randrange(low, max(high, low + 1)), len(data) - 1)


def _run(chance: random.Random, data: bytearray, source: SourceFile) -> slice:
    start = _place(chance, data, source)
    return slice(start, min(len(data), start + chance.choice((1, 2, 3, 4, 8, 16, 64, 500, 4000))))


def _flip_bits(chance: random.Random, data: bytearray, source: SourceFile, other: SourceFile) -> None:
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        data[_place(chance, data, source)] ^= 1 << chance.randrange(8)


def _change_byte(chance: random.Random, data: bytearray, source: SourceFile, other: SourceFile) -> None:
    data[_place(chance, data, source)] = chance.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, chance.randrange(256)))


def _fill(chance: random.Random, data: bytearray, source: SourceFile, other: SourceFile) -> None:
    run = _run(chance, data, source)
    length = run.stop - run.start
    data[run] = chance.choice((bytes(length), b"\xff" * length, chance.randbytes(length)))


def _duplicate(chance: random.Random, data: bytearray, source: SourceFile, other: SourceFile) -> None:
    run = _run(chance, data, source)
    data[run.stop : run.stop] = bytes(data[run]) * chance.choice((1, 1, 2, 100))


def _cut(chance: random.Random, data: bytearray, source: SourceFile, other: SourceFile) -> None:
    del data[_run(chance, data, source)]


def _truncate(chance: random.Random, data: bytearray, source: SourceFile, other: SourceFile) -> None:
    del data[_place(chance, data, source) :]


def _splice(chance: random.Random, data: bytearray, source: SourceFile, other: SourceFile) -> None:
    """The first part of this file and the last of the other, cut at elements or anywhere."""
    if source.elements and other.elements and chance.random() < 0.6:
        here, there = chance.choice(source.elements).start, chance.choice(other.elements).start
    else:
        here, there = _place(chance, data, source), chance.randrange(len(other.data))
    data[here:] = other.data[there:]


def _blow_length(chance: random.Random, data: bytearray, source: SourceFile, other: SourceFile) -> None:
    element = _element(chance, data, source)
    if element is None:
        return _change_byte(chance, data, source, other)
    length = element.end - element.value
    new = chance.choice((*_LENGTHS, length + 1, length + 2, max(length - 1, 0), max(length - 2, 0), 2 * length, chance.randrange(2**32)))
    is_short = element.value - element.start == 8 and bytes(data[element.start + 4 : element.start + 6]).isalpha()
    field = struct.pack("<H", new & 0xFFFF) if is_short else struct.pack("<I", new & 0xFFFFFFFF)
    data[element.value - len(field) : element.value] = field


def _swap_tags(chance: random.Random, data: bytearray, source: SourceFile, other: SourceFile) -> None:
    one, two = _element(chance, data, source), _element(chance, data, source)
    if one is None or two is None:
        return _flip_bits(chance, data, source, other)
    first, second = slice(one.start, one.start + 4), slice(two.start, two.start + 4)
    data[first], data[second] = data[second], data[first]


def _move_element(chance: random.Random, data: bytearray, source: SourceFile, other: SourceFile) -> None:
    """Deletes an element, or puts it to another place, or has it twice."""
    one, two = _element(chance, data, source), _element(chance, data, source)
    if one is None or two is None:
        return _cut(chance, data, source, other)
    content = bytes(data[one.start : one.end])
    if chance.random() < 0.6:
        del data[one.start : one.end]
    if chance.random() < 0.6:
        data[two.start : two.start] = content


def _change_vr(chance: random.Random, data: bytearray, source: SourceFile, other: SourceFile) -> None:
    element = _element(chance, data, source)
    if element is None:
        return _change_byte(chance, data, source, other)
    data[element.start + 4 : element.start + 6] = chance.choice(_VRS)


def _change_syntax(chance: random.Random, data: bytearray, source: SourceFile, other: SourceFile) -> None:
    """Another transfer syntax than the file is written in."""
    element = next((each for each in source.elements if each.tag == _TRANSFER_SYNTAX and each.end <= len(data)), None)
    if element is None:
        return _change_byte(chance, data, source, other)
    text = chance.choice(_SYNTAXES).encode()
    text += b"\0" * (len(text) % 2)
    data[element.value - 2 : element.end] = struct.pack("<H", len(text)) + text


def _drop_preamble(chance: random.Random, data: bytearray, source: SourceFile, other: SourceFile) -> None:
    """Without preamble, or without file meta information too, as old files are."""
    meta_end = max((each.end for each in source.elements if each.tag >> 16 == 2), default=_PREAMBLE)
    del data[: chance.choice((_PREAMBLE, meta_end, 128, 4))]


def _change_value(chance: random.Random, data: bytearray, source: SourceFile, other: SourceFile) -> None:
    element = _element(chance, data, source)
    if element is None or element.tag == _PIXEL_DATA:
        return _change_byte(chance, data, source, other)
    length = element.end - element.value
    if length in (2, 4) and chance.random() < 0.7:
        number = chance.choice((0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 32, 64, 0x7FFF, 0x8000, 20000, 0xFFFF, chance.randrange(2**16)))
        data[element.value : element.value + 2] = struct.pack("<H", number)
        return None
    text = chance.choice(_TEXTS)
    if element.value - element.start == 8 and bytes(data[element.start + 4 : element.start + 6]).isalpha() and chance.random() < 0.5:
        text += b" " * (len(text) % 2)
        data[element.value - 2 : element.end] = struct.pack("<H", len(text)) + text
    else:
        data[element.value : element.end] = text[:length].ljust(length)
    return None


def _element(chance: random.Random, data: bytearray, source: SourceFile) -> Element | None:
    inside = [each for each in source.elements if each.end <= len(data)]
    return chance.choice(inside) if inside else None


_Change = Callable[[random.Random, bytearray, SourceFile, SourceFile], None]
_CHANGES: tuple[_Change, ...] = (
    *(_flip_bits, _change_byte, _fill, _duplicate, _cut, _truncate, _splice),
    *(_blow_length, _swap_tags, _move_element, _change_vr, _change_syntax, _drop_preamble, _change_value),
)
_WEIGHTS = (16, 12, 8, 6, 6, 5, 5, 12, 5, 5, 6, 4, 2, 16)


if __name__ == "__main__":
    Path(sys.argv[4]).write_bytes(mutant(SourceFile.read(Path(sys.argv[1])), SourceFile.read(Path(sys.argv[2])), int(sys.argv[3])))
