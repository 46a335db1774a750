"""Modality LUT, VOI LUT, window and polarity, against values worked out by hand and against pydicom where it is right."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from radiograph_files import dicom_dataset, lut_item

from monai_pneumonia.radiograph.dicom_display import NO_WINDOW, StoredRange, display_table

if int(pydicom.__version__.split(".")[0]) >= 3:
    from pydicom.pixels import apply_modality_lut, apply_voi_lut
else:
    from pydicom.pixel_data_handlers.util import apply_modality_lut, apply_voi_lut

UNSIGNED_8 = StoredRange(0, 255)
UNSIGNED_12 = StoredRange(0, 4095)


def _table(stored: StoredRange = UNSIGNED_8, shown: StoredRange | None = None, **tags: object) -> tuple[np.ndarray, tuple[str, ...]]:
    return display_table(_dataset(stored, **tags), stored, shown or stored)


def _dataset(stored: StoredRange, **tags: object) -> Dataset:
    bits = (stored.high - stored.low).bit_length()
    values = np.zeros((1, 2), dtype=f"{'i' if stored.low < 0 else 'u'}{1 if bits <= 8 else 2}")
    return dicom_dataset(values, bits=bits, **tags)


def test_without_window_the_full_range_of_the_bits_is_shown() -> None:
    table, warnings = _table(UNSIGNED_12)
    np.testing.assert_allclose(table, np.arange(4096) / 4095, atol=1e-7)
    assert warnings == (NO_WINDOW,)


def test_signed_values_without_window() -> None:
    stored = StoredRange(-2048, 2047)
    np.testing.assert_allclose(_table(stored)[0], np.arange(4096) / 4095, atol=1e-7)


def test_an_8_bit_picture_under_the_identity_window_is_unchanged() -> None:
    # LINEAR: (x - (c - 0.5)) / (w - 1) + 0.5 = (x - 127.5) / 255 + 0.5 = x / 255
    table, warnings = _table(WindowCenter=128, WindowWidth=256)
    np.testing.assert_allclose(table, np.arange(256) / 255, atol=1e-7)
    assert warnings == ()


def test_monochrome1_is_inverted_exactly_once_whatever_presentation_lut_shape_says() -> None:
    plain, _ = _table(WindowCenter=100, WindowWidth=100)
    for shape in ({}, {"PresentationLUTShape": "INVERSE"}, {"PresentationLUTShape": "IDENTITY"}):
        inverted, warnings = _table(photometric="MONOCHROME1", WindowCenter=100, WindowWidth=100, **shape)
        np.testing.assert_allclose(inverted, 1 - plain, atol=1e-7)
        assert any("contradicts" in warning for warning in warnings) == (shape.get("PresentationLUTShape") == "IDENTITY")
    upright, warnings = _table(WindowCenter=100, WindowWidth=100, PresentationLUTShape="INVERSE")
    np.testing.assert_array_equal(upright, plain)
    assert "contradicts" in warnings[0]


@given(
    center=st.floats(-500, 5000),
    width=st.floats(1.5, 6000),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    slope=st.floats(0.1, 4),
    intercept=st.floats(-1500, 1500),
    signed=st.booleans(),
)
def test_windows_agree_with_pydicom(center: float, width: float, function: str, slope: float, intercept: float, signed: bool) -> None:
    stored = StoredRange(-2048, 2047) if signed else UNSIGNED_12
    numbers = {name: f"{value:.6f}" for name, value in zip(("c", "w", "s", "i"), (center, width, slope, intercept), strict=True)}
    dataset = _dataset(
        stored,
        WindowCenter=numbers["c"],
        WindowWidth=numbers["w"],
        VOILUTFunction=function,
        RescaleSlope=numbers["s"],
        RescaleIntercept=numbers["i"],
    )
    table, warnings = display_table(dataset, stored, stored)
    assume(not warnings)
    values = np.arange(stored.low, stored.high + 1)
    shown = apply_voi_lut(apply_modality_lut(values, dataset), dataset)
    low, high = (edge * float(numbers["s"]) + float(numbers["i"]) for edge in (stored.low, stored.high))
    np.testing.assert_allclose(table, (shown - low) / (high - low), atol=2e-6)


def test_a_window_of_width_one_is_a_step() -> None:
    table, _ = _table(WindowCenter=100, WindowWidth=1)
    assert table[99] == 0
    assert table[100] == 1


@pytest.mark.parametrize(
    "tags", [{"WindowWidth": 0}, {"WindowWidth": -5}, {"WindowWidth": 0.5}, {"WindowWidth": 0, "VOILUTFunction": "SIGMOID"}]
)
def test_impossible_windows_give_way_to_the_full_range(tags: dict[str, object]) -> None:
    table, warnings = _table(WindowCenter=100, **tags)
    np.testing.assert_allclose(table, np.arange(256) / 255, atol=1e-7)
    assert "cannot be shown" in warnings[0]


def test_a_window_that_shows_nothing_of_the_picture_gives_way_to_the_full_range() -> None:
    table, warnings = _table(shown=StoredRange(10, 60), WindowCenter=200, WindowWidth=20)
    np.testing.assert_allclose(table, np.arange(256) / 255, atol=1e-7)
    assert "shows nothing" in warnings[0]


def test_the_first_of_several_windows_counts() -> None:
    several, _ = _table(WindowCenter=[100, 50], WindowWidth=[60, 10])
    first, _ = _table(WindowCenter=100, WindowWidth=60)
    np.testing.assert_array_equal(several, first)


def test_an_unknown_voi_function_is_linear_with_a_warning() -> None:
    table, warnings = _table(WindowCenter=100, WindowWidth=60, VOILUTFunction="CUBIC")
    np.testing.assert_array_equal(table, _table(WindowCenter=100, WindowWidth=60)[0])
    assert "VOI LUT function" in warnings[0]


def test_a_negative_slope_turns_the_values_over_once() -> None:
    # 255 - x, full range 0..255
    table, _ = _table(RescaleSlope=-1, RescaleIntercept=255)
    np.testing.assert_allclose(table, 1 - np.arange(256) / 255, atol=1e-7)
    # The window acts on 255 - x: x = 205 gives 50, the lower edge of 50..150.
    windowed, _ = _table(RescaleSlope=-1, RescaleIntercept=255, WindowCenter=100, WindowWidth=100, VOILUTFunction="LINEAR_EXACT")
    np.testing.assert_allclose(windowed[[205, 155, 105, 255, 0]], [0, 0.5, 1, 0, 1], atol=1e-6)


def test_a_slope_of_zero_is_taken_as_one() -> None:
    table, warnings = _table(RescaleSlope=0, RescaleIntercept=0)
    np.testing.assert_allclose(table, np.arange(256) / 255, atol=1e-7)
    assert "slope is zero" in warnings[0]


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_voi_luts_of_any_depth_map_12_bit_values(bits: int) -> None:
    top = 2**bits - 1
    entries = [round(top * (index / 4095) ** 2) for index in range(4096)]
    table, warnings = _table(UNSIGNED_12, VOILUTSequence=[lut_item(entries, 0, bits)], WindowCenter=100, WindowWidth=10)
    np.testing.assert_allclose(table, np.array(entries) / top, atol=1e-7)
    assert warnings == ()


def test_values_outside_of_a_voi_lut_take_its_ends() -> None:
    # Entries for 100, 101, 102.
    table, _ = _table(VOILUTSequence=[lut_item([10, 20, 255], 100, 8)])
    np.testing.assert_allclose(table[[0, 99, 100, 101, 102, 103, 255]] * 255, [10, 10, 10, 20, 255, 255, 255], atol=1e-5)


def test_a_voi_lut_that_starts_below_zero() -> None:
    stored = StoredRange(-128, 127)
    entries = list(range(256))
    table, _ = _table(stored, VOILUTSequence=[lut_item(entries, -128, 8)])
    np.testing.assert_allclose(table, np.arange(256) / 255, atol=1e-7)
    # The same first value written as US, as some devices do.
    item = lut_item(entries, 0, 8)
    item.LUTDescriptor = [256, 65536 - 128, 8]
    np.testing.assert_array_equal(_table(stored, VOILUTSequence=[item])[0], table)


@pytest.mark.parametrize("little_endian", [True, False])
def test_lut_data_as_bytes(little_endian: bool) -> None:
    item = lut_item([0], 0, 16)
    del item["LUTData"]
    item.LUTDescriptor = [256, 0, 16]
    entries = np.arange(256, dtype=np.uint16) * 257
    item.add_new("LUTData", "OW", entries.astype("<u2" if little_endian else ">u2").tobytes())
    dataset = _dataset(UNSIGNED_8, VOILUTSequence=[item])
    if not little_endian:
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.2"
    np.testing.assert_allclose(display_table(dataset, UNSIGNED_8, UNSIGNED_8)[0], np.arange(256) / 255, atol=1e-7)


@pytest.mark.parametrize("vr", ["OW", "US"])
def test_8_bit_lut_data_packed_two_to_a_word(vr: str) -> None:
    item = lut_item([0], 0, 8)
    del item["LUTData"]
    item.LUTDescriptor = [256, 0, 8]
    packed = np.arange(256, dtype=np.uint8)
    item.add_new("LUTData", vr, packed.tobytes() if vr == "OW" else packed.view("<u2").tolist())
    np.testing.assert_allclose(_table(VOILUTSequence=[item])[0], np.arange(256) / 255, atol=1e-7)


def test_a_modality_lut_of_12_bits_comes_before_the_window() -> None:
    entries = [4095 - 16 * index for index in range(256)]
    table, _ = _table(ModalityLUTSequence=[lut_item(entries, 0, 12)], WindowCenter=2047.5, WindowWidth=4095, VOILUTFunction="LINEAR_EXACT")
    np.testing.assert_allclose(table, np.array(entries) / 4095, atol=1e-6)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_in_both_polarities(photometric: str) -> None:
    table, warnings = _table(photometric=photometric, PixelPaddingValue=0, PixelPaddingRangeLimit=3, WindowCenter=128, WindowWidth=256)
    assert (table[:4] == 0).all()
    assert table[4] == pytest.approx(4 / 255 if photometric == "MONOCHROME2" else 251 / 255)
    assert "padding" in warnings[0]


def test_padding_that_would_blacken_the_whole_picture_is_passed_over() -> None:
    table, warnings = _table(shown=StoredRange(20, 30), PixelPaddingValue=0, PixelPaddingRangeLimit=255, WindowCenter=25, WindowWidth=20)
    assert table[30] > table[20]
    assert warnings == ()


@pytest.mark.parametrize("value", ["", "abc"])
def test_windows_that_are_no_numbers_count_as_none(value: str) -> None:
    dataset = _dataset(UNSIGNED_8)
    dataset.add_new("WindowWidth", "DS", "100")
    with pydicom.config.disable_value_validation():
        dataset.add_new("WindowCenter", "LO", value)
    assert NO_WINDOW in display_table(dataset, UNSIGNED_8, UNSIGNED_8)[1]
