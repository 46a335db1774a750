"""Which DICOM objects are taken, and how they come out."""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import UID
from radiograph_files import SECONDARY_CAPTURE, dicom_dataset, marker, save_dicom, write_dicom

from monai_pneumonia.errors import BadInputError, RejectedImageError, UnreadableImageError
from monai_pneumonia.radiograph import dicom_tags, read_radiograph
from monai_pneumonia.radiograph import types as radiograph_types

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
DX_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.1"
DX_FOR_PROCESSING = "1.2.840.10008.5.1.4.1.1.1.1.1"


def _written(path: Path, values: np.ndarray | None = None, **arguments: Any) -> Path:
    return write_dicom(path / "a.dcm", marker() if values is None else values, **arguments)


@pytest.mark.parametrize(
    "tags",
    [
        {"Modality": "CR"},
        {"Modality": "DX", "SOPClassUID": DX_FOR_PRESENTATION},
        {"Modality": "RG"},
        {"Modality": "CR", "SOPClassUID": SECONDARY_CAPTURE},
        {"Modality": None, "SOPClassUID": DX_FOR_PRESENTATION},
        {"Modality": "", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1"},
        {"NumberOfFrames": 1},
        {"PatientID": None, "PatientName": None},
    ],
)
def test_projection_radiographs_are_taken(tags: dict[str, Any], tmp_path: Path) -> None:
    radiograph = read_radiograph(_written(tmp_path, **tags))
    np.testing.assert_array_equal(radiograph.pixels, marker() / np.float32(255))
    assert radiograph.format == "dicom"
    assert radiograph.pixels.dtype == np.float32


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"Modality": "CT", "SOPClassUID": CT_IMAGE}, "modality CT .CT Image Storage."),
        ({"Modality": "MR"}, "modality MR"),
        ({"Modality": "OT", "SOPClassUID": SECONDARY_CAPTURE}, "modality OT"),
        ({"Modality": None, "SOPClassUID": SECONDARY_CAPTURE}, "no modality"),
        ({"Modality": None, "SOPClassUID": None}, "no modality"),
        ({"NumberOfFrames": 2}, "2 frames"),
        ({"Rows": 20000, "Columns": 20000}, "20000 x 20000 pixels"),
        ({"Rows": 0}, "0 x 44 pixels"),
    ],
)
def test_other_objects_are_rejected_with_a_remedy(tags: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = _written(tmp_path, **tags)
    with pytest.raises(RejectedImageError, match=said) as caught:
        read_radiograph(path)
    assert str(path) in str(caught.value)
    assert "give " in str(caught.value)


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"PixelData": None}, "no pixels"),
        ({"Columns": None}, "lacks Columns"),
        ({"BitsStored": None, "Rows": None}, "lacks Rows, BitsStored"),
        ({"PhotometricInterpretation": None}, "lacks PhotometricInterpretation"),
        ({"BitsStored": 20}, "20 bits stored of 8 allocated"),
        ({"Rows": 61}, r"cannot be decoded \(2640 bytes of pixel data .* 2684: the file was cut short"),
        ({"photometric": "HSV"}, "photometric interpretation is not supported"),
        ({"SamplesPerPixel": 2}, "2 samples a pixel"),
    ],
)
def test_damaged_objects_are_unreadable(tags: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = _written(tmp_path, **tags)
    with pytest.raises(UnreadableImageError, match=said) as caught:
        read_radiograph(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("syntax", ["", "rle", "jpeg_baseline", "jpeg_lossless", "jpeg_ls", "jpeg_2000"])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.99])
def test_a_file_cut_short_is_unreadable(syntax: str, share: float, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    path = _written(tmp_path, noise, syntax=syntax)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UnreadableImageError):
        read_radiograph(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(132, 5000), value=st.integers(0, 255), syntax=st.sampled_from(["", "jpeg_2000", "rle"]))
def test_a_flipped_byte_gives_a_picture_or_an_error_of_ours(position: int, value: int, syntax: str, tmp_path: Path) -> None:
    original = tmp_path / f"{syntax or 'native'}.dcm"
    if not original.exists():
        write_dicom(original, marker(), syntax)
    content = bytearray(original.read_bytes())
    content[position % len(content)] = value
    damaged = tmp_path / "damaged.dcm"
    damaged.write_bytes(content)
    said = ""
    try:
        pixels = read_radiograph(damaged).pixels
    except BadInputError as error:
        said = str(error)
    else:
        assert pixels.ndim == 2
        assert 0 <= pixels.min() <= pixels.max() <= 1
    assert "secret" not in said.lower()


@pytest.mark.parametrize("bits", [8, 10, 12, 15, 16])
def test_bit_depths_agree_where_no_window_is_stated(bits: int, tmp_path: Path) -> None:
    values = (marker().astype(np.float64) / 255 * (2**bits - 1)).round().astype(np.uint8 if bits == 8 else np.uint16)
    radiograph = read_radiograph(_written(tmp_path, values, bits=bits))
    np.testing.assert_allclose(radiograph.pixels, marker() / 255, atol=0.5 / (2**bits - 1))
    assert any("no window" in warning for warning in radiograph.warnings)


def test_values_beyond_the_bits_stated_are_not_wrapped(tmp_path: Path) -> None:
    values = marker().astype(np.uint16) * 16
    radiograph = read_radiograph(_written(tmp_path, values, bits=10))
    np.testing.assert_allclose(radiograph.pixels, values / 4095, atol=1e-6)
    assert any("need 12 bits, though 10 are stated" in warning for warning in radiograph.warnings)


def test_an_overlay_in_unused_bits_is_left_out(tmp_path: Path) -> None:
    values = marker().astype(np.uint16) * 16
    with_overlay = values.copy()
    with_overlay[5:20, 5:20] |= 1 << 14
    dataset = dicom_dataset(with_overlay, bits=12)
    dataset.add_new((0x6000, 0x0100), "US", 16)
    dataset.add_new((0x6000, 0x0102), "US", 14)
    radiograph = read_radiograph(save_dicom(dataset, tmp_path / "a.dcm"))
    np.testing.assert_allclose(radiograph.pixels, values / 4095, atol=1e-6)
    assert any("overlays" in warning for warning in radiograph.warnings)


def test_values_in_the_high_bits(tmp_path: Path) -> None:
    values = marker().astype(np.uint16) * 16
    radiograph = read_radiograph(_written(tmp_path, values << 4, bits=12, HighBit=15))
    np.testing.assert_allclose(radiograph.pixels, values / 4095, atol=1e-6)


def test_negative_values_without_sign_extension(tmp_path: Path) -> None:
    signed = marker().astype(np.int16) * 16 - 2048
    radiograph = read_radiograph(_written(tmp_path, (signed & 0x0FFF).astype(np.int16), bits=12))
    np.testing.assert_allclose(radiograph.pixels, (signed + 2048) / 4095, atol=1e-6)


def test_a_file_without_preamble(tmp_path: Path) -> None:
    path = _written(tmp_path)
    dataset = pydicom.dcmread(path)
    bare = tmp_path / "bare"
    syntax = UID("1.2.840.10008.1.2")
    plain = Dataset()
    plain.update(dataset)
    with bare.open("wb") as stream:
        if int(pydicom.__version__.split(".")[0]) >= 3:
            pydicom.dcmwrite(stream, plain, implicit_vr=syntax.is_implicit_VR, little_endian=True)
        else:
            plain.is_implicit_VR, plain.is_little_endian = True, True
            pydicom.dcmwrite(stream, plain, write_like_original=True)
    assert bare.read_bytes()[128:132] != b"DICM"
    radiograph = read_radiograph(bare)
    np.testing.assert_array_equal(radiograph.pixels, marker() / np.float32(255))
    assert any("preamble" in warning for warning in radiograph.warnings)


@pytest.mark.parametrize("syntax", ["", "rle", "jpeg_baseline"])
def test_colour_secondary_captures_become_grey(syntax: str, tmp_path: Path) -> None:
    colours = np.stack([marker(), marker() // 2, 255 - marker()], axis=-1)
    path = _written(tmp_path, colours, photometric="YBR_FULL" if syntax == "jpeg_baseline" else "RGB", syntax=syntax)
    luma = colours @ np.array([0.299, 0.587, 0.114]) / 255
    radiograph = read_radiograph(path)
    np.testing.assert_allclose(radiograph.pixels, luma, atol=0.2 if syntax == "jpeg_baseline" else 0.51 / 255)
    assert np.abs(radiograph.pixels - luma).mean() < 0.01
    assert any("colour" in warning for warning in radiograph.warnings)


def test_uncompressed_ybr(tmp_path: Path) -> None:
    ybr = np.stack([marker(), np.full_like(marker(), 128), np.full_like(marker(), 128)], axis=-1)
    radiograph = read_radiograph(_written(tmp_path, ybr, photometric="YBR_FULL"))
    np.testing.assert_allclose(radiograph.pixels, marker() / 255, atol=1.01 / 255)


@pytest.mark.parametrize("bits", [8, 16])
def test_palette_colours_become_grey(bits: int, tmp_path: Path) -> None:
    levels = np.arange(256, dtype=np.uint16)[::-1] * (1 if bits == 8 else 257)
    data = levels.astype("<u2").tobytes()
    tags = {f"{colour}PaletteColorLookupTableDescriptor": [256, 0, bits] for colour in ("Red", "Green", "Blue")}
    tags |= {f"{colour}PaletteColorLookupTableData": data for colour in ("Red", "Green", "Blue")}
    dataset = dicom_dataset(marker(), photometric="PALETTE COLOR", **tags)
    radiograph = read_radiograph(save_dicom(dataset, tmp_path / "a.dcm"))
    np.testing.assert_allclose(radiograph.pixels, 1 - marker() / 255, atol=1.01 / 255)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"PixelSpacing": [0.2, 0.1]}, (0.2, 0.1)),
        ({"ImagerPixelSpacing": [0.14, 0.14]}, (0.14, 0.14)),
        ({"PixelSpacing": [0.2, 0.1], "ImagerPixelSpacing": [0.14, 0.14]}, (0.2, 0.1)),
        ({"PixelSpacing": [0, 0]}, None),
        ({}, None),
    ],
)
def test_pixel_spacing(tags: dict[str, Any], expected: tuple[float, float] | None, tmp_path: Path) -> None:
    radiograph = read_radiograph(_written(tmp_path, **tags))
    assert radiograph.pixel_spacing == expected
    assert any("PixelSpacing" in warning for warning in radiograph.warnings) == (tags.get("PixelSpacing") == [0, 0])


@pytest.mark.parametrize(
    ("orientation", "odd"), [(["L", "F"], False), (["P", "F"], False), ("", False), (["R", "F"], True), (["L", "H"], True)]
)
def test_mirrored_pictures_are_told_and_left_as_stored(orientation: Any, odd: bool, tmp_path: Path) -> None:
    radiograph = read_radiograph(_written(tmp_path, PatientOrientation=orientation))
    assert any("mirrored" in warning for warning in radiograph.warnings) == odd
    np.testing.assert_array_equal(radiograph.pixels, marker() / np.float32(255))


@pytest.mark.parametrize(("orientation", "odd"), [(["P", "F"], True), (["A", "F"], True), (["L", "P"], True), (["L", "F"], False)])
def test_pictures_that_are_not_frontal_are_told(orientation: Any, odd: bool, tmp_path: Path) -> None:
    radiograph = read_radiograph(_written(tmp_path, PatientOrientation=orientation))
    assert any("lateral" in warning for warning in radiograph.warnings) == odd


@pytest.mark.parametrize("tags", [{"SOPClassUID": DX_FOR_PROCESSING}, {"PresentationIntentType": "FOR PROCESSING"}])
def test_raw_detector_data_are_told(tags: dict[str, str], tmp_path: Path) -> None:
    radiograph = read_radiograph(_written(tmp_path, Modality="DX", **tags))
    assert any("for processing" in warning for warning in radiograph.warnings)


def test_a_constant_picture_is_taken_with_a_warning(tmp_path: Path) -> None:
    radiograph = read_radiograph(_written(tmp_path, np.full((20, 30), 77, np.uint8)))
    assert any("same value" in warning for warning in radiograph.warnings)


def test_one_row_and_one_column(tmp_path: Path) -> None:
    assert read_radiograph(_written(tmp_path, marker()[:1])).pixels.shape == (1, 44)
    assert read_radiograph(_written(tmp_path, marker()[:, :1])).pixels.shape == (60, 1)


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small.dcm", "rtplan.dcm"])
def test_files_of_other_modalities(name: str) -> None:
    with pytest.raises(RejectedImageError, match="modality"):
        read_radiograph(get_testdata_file(name))


def test_a_picture_beyond_the_limit_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(radiograph_types, "MAX_PIXELS", 60 * 44 - 1)
    with pytest.raises(RejectedImageError, match="60 x 44"):
        read_radiograph(_written(tmp_path))


class _Listener(logging.Handler):
    """Gathers what is said in logs, warnings, errors and the radiograph's own warnings."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())

    def read(self, path: Path) -> str:
        """Everything that reading a file says."""
        self.said.clear()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                self.said += read_radiograph(path).warnings
            except BadInputError as error:
                self.said.append(str(error))
        return " ".join([*self.said, *(str(warning.message) for warning in caught)]).lower()


@pytest.fixture
def listener() -> Iterator[_Listener]:
    handler = _Listener()
    logging.getLogger("pydicom").addHandler(handler)
    yield handler
    logging.getLogger("pydicom").removeHandler(handler)


@pytest.mark.parametrize("tags", [{"Modality": "CT"}, {"BitsStored": None}, {"Rows": 61}, {"NumberOfFrames": 3}, {}])
def test_no_message_holds_patient_data(tags: dict[str, Any], tmp_path: Path, listener: _Listener) -> None:
    assert "secret" not in listener.read(_written(tmp_path, **tags))


@pytest.mark.parametrize(
    "keyword",
    [
        *("Modality", "SOPClassUID", "PhotometricInterpretation", "PresentationLUTShape", "PatientOrientation", "VOILUTFunction"),
        *("NumberOfFrames", "WindowCenter", "WindowWidth", "RescaleSlope", "PixelSpacing"),
    ],
)
def test_a_name_in_any_tag_is_not_repeated(keyword: str, tmp_path: Path, listener: _Listener) -> None:
    # Numbers are written as bytes of that length, as a damaged file would hold them.
    dataset = dicom_dataset(marker(), WindowCenter=128, WindowWidth=256)
    setattr(dataset, keyword, "1" * 12 if keyword not in _TEXT else "X" * 12)
    path = save_dicom(dataset, tmp_path / "a.dcm")
    content = path.read_bytes()
    filler = b"1" * 12 if keyword not in _TEXT else b"X" * 12
    assert filler in content
    path.write_bytes(content.replace(filler, b"SECRET^NAME "))
    said = listener.read(path)
    assert "secret" not in said
    assert "name" not in said.replace(str(path).lower(), "")


_TEXT = ("Modality", "PhotometricInterpretation", "PresentationLUTShape", "PatientOrientation", "VOILUTFunction")


def test_no_damaged_byte_of_the_header_makes_a_name_heard(tmp_path: Path, listener: _Listener) -> None:
    # A changed length lets a value swallow the name that follows it.
    path = _written(tmp_path, marker()[:8, :8], PatientOrientation=["L", "F"], WindowCenter=128, WindowWidth=256)
    content = path.read_bytes()
    damaged = tmp_path / "damaged.dcm"
    heard = []
    for position in range(132, content.find(b"\xe0\x7f\x10\x00")):
        for value in {0, content[position] ^ 0x10, content[position] ^ 0x80} - {content[position]}:
            damaged.write_bytes(content[:position] + bytes([value]) + content[position + 1 :])
            if "secret" in listener.read(damaged):
                heard.append((position, value))
    assert heard == []


def test_the_validation_of_pydicom_is_left_as_it_was(tmp_path: Path) -> None:
    before = pydicom.config.settings.reading_validation_mode
    read_radiograph(_written(tmp_path))
    (tmp_path / "b.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\x02\x00\x00\x00UL\x04")
    with pytest.raises(UnreadableImageError):
        read_radiograph(tmp_path / "b.dcm")
    assert pydicom.config.settings.reading_validation_mode == before


@pytest.mark.parametrize("modality", ["SMITH", "SECRET NAME"])
def test_a_modality_that_is_none_is_rejected_without_repeating_it(modality: str, tmp_path: Path) -> None:
    with pytest.raises(RejectedImageError, match="modality of no known kind") as caught:
        read_radiograph(_written(tmp_path, Modality=modality))
    assert modality not in str(caught.value)


@pytest.mark.parametrize("has_preamble", [True, False])
def test_a_deflated_file_is_read_and_one_that_inflates_beyond_measure_is_not(
    has_preamble: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = dicom_dataset(marker())
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.1.99")
    path = save_dicom(dataset, tmp_path / "a.dcm")
    plain = read_radiograph(save_dicom(dicom_dataset(marker()), tmp_path / "b.dcm"))
    np.testing.assert_array_equal(read_radiograph(path).pixels, plain.pixels)
    monkeypatch.setattr(dicom_tags, "_MAX_INFLATED", 2000)
    monkeypatch.setattr(dicom_tags, "_PIECE", 64)
    if not has_preamble:
        path.write_bytes(path.read_bytes()[132:])
    with pytest.raises(RejectedImageError, match="inflates to more than the 0 MB"):
        dicom_tags.read_tags(path, has_preamble)
    read_radiograph(tmp_path / "b.dcm")


EMPTY_ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
MANY_TAGS = {
    "items of an unknown number": struct.pack("<HH2sHI", 0x28, 0x9999, b"SQ", 0, 0xFFFFFFFF) + EMPTY_ITEM * 60_000,
    "items of a sequence that is needed": struct.pack("<HH2sHI", 0x28, 0x3010, b"SQ", 0, 8 * 20_000) + EMPTY_ITEM * 20_000,
    "items in items": struct.pack("<HH2sHI", 0x28, 0x3010, b"SQ", 0, 0xFFFFFFFF)
    + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    + struct.pack("<HH2sHI", 0x40, 0x275, b"SQ", 0, 8 * 20_000)
    + EMPTY_ITEM * 20_000
    + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
    + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0),
    "items in the place of pixels": struct.pack("<HH2sHI", 0x7FE0, 0x10, b"SQ", 0, 8 * 20_000) + EMPTY_ITEM * 20_000,
    "elements": b"".join(struct.pack("<HH2sH", 0x29, 0x1000 + number % 0x8000, b"LO", 0) for number in range(60_000)),
    "parts of a value": struct.pack("<HH2sHI", 0x28, 0x3010, b"UN", 0, 2_200_000) + b"1\\" * 1_100_000,
}


@pytest.mark.parametrize("kind", MANY_TAGS)
@pytest.mark.parametrize("deflated", [False, True])
def test_tags_that_would_take_minutes_to_read_are_refused(kind: str, deflated: bool, tmp_path: Path) -> None:
    head, body = _head_and_body(save_dicom(dicom_dataset(marker()), tmp_path / "a.dcm"))
    place = body.index(struct.pack("<HH2s", 0x7FE0, 0x10, b"OB"))
    body = body[:place] + MANY_TAGS[kind]
    if deflated:
        dataset = dicom_dataset(marker())
        dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.1.99")
        head, _ = _head_and_body(save_dicom(dataset, tmp_path / "a.dcm"))
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        body = deflater.compress(body) + deflater.flush()
    path = tmp_path / "a.dcm"
    path.write_bytes(head + body)
    with pytest.raises(RejectedImageError, match=r"a\.dcm: has more tags than any radiograph.*: give"):
        read_radiograph(path)


def _head_and_body(file: Path) -> tuple[bytes, bytes]:
    """Preamble and file meta information, and what follows them."""
    content = file.read_bytes()
    end = 144 + struct.unpack_from("<I", content, 140)[0]
    return content[:end], content[end:]


def test_a_deflated_stream_that_is_cut_short_is_damaged(tmp_path: Path) -> None:
    dataset = dicom_dataset(marker())
    dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.1.99")
    path = save_dicom(dataset, tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UnreadableImageError, match="damaged"):
        read_radiograph(path)


@pytest.mark.parametrize("keyword", ["Rows", "HighBit", "PixelRepresentation", "PlanarConfiguration"])
def test_texts_in_the_place_of_numbers_are_not_repeated(keyword: str, tmp_path: Path) -> None:
    # A damaged length, or a tag that is another's: decoders would quote the value.
    path = _written(tmp_path, **{keyword: None} if keyword != "PlanarConfiguration" else {})
    dataset = pydicom.dcmread(path)
    dataset.add_new(keyword, "LO", "Secret^Name")
    dataset.save_as(path)
    with pytest.raises(UnreadableImageError, match="damaged: export") as caught:
        read_radiograph(path)
    assert "Secret" not in str(caught.value)


def test_a_grey_picture_may_leave_its_planar_configuration_empty(tmp_path: Path) -> None:
    path = _written(tmp_path)
    dataset = pydicom.dcmread(path)
    dataset.PlanarConfiguration = None
    dataset.save_as(path)
    assert read_radiograph(path).pixels.shape == (60, 44)
