"""From stored values to grey levels as displayed: modality LUT, then VOI LUT or window, then polarity (PS3.3 C.11 and C.7.6.3.1.2).

Everything is worked out once for each value that can be stored, at most 65536 of them, and looked up for the pixels.

pydicom's apply_modality_lut, apply_voi and apply_windowing (2.4, 3.0) do not fit: they fail on modality LUTs of 10 to 15 bits, wrap
12-bit values in VOI LUTs of 8 bits, turn the picture over where the rescale slope is negative, and leave the output's range to the caller.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

from monai_pneumonia.radiograph.dicom_tags import code

NO_WINDOW = "no window or VOI LUT is stated: the full range of the stored bits is shown"


@dataclass(frozen=True)
class StoredRange:
    """The values that a file's pixels can take.

    Attributes:
        low: the least storable value.
        high: the greatest.
    """

    low: int
    high: int

    @property
    def values(self) -> np.ndarray:
        """All storable values in order, float64 [high - low + 1]."""
        return np.arange(self.low, self.high + 1, dtype=np.float64)


def display_table(dataset: Dataset, stored: StoredRange, shown: StoredRange) -> tuple[np.ndarray, tuple[str, ...]]:
    """The grey level of each storable value.

    Args:
        dataset: with the modality LUT, VOI LUT and photometric interpretation of a MONOCHROME1 or MONOCHROME2 picture.
        stored: what can be stored.
        shown: the least and the greatest value in this picture; a window that shows none of what lies between is passed over.

    Returns:
        float32 [stored.high - stored.low + 1] in [0, 1], bright where MONOCHROME2 is bright; and warnings.
    """
    modality_values, warnings = _modality_values(dataset, stored)
    levels, voi_warnings = _levels_of_interest(dataset, modality_values, _part(stored, shown))
    inverted = code(dataset, "PhotometricInterpretation") == "MONOCHROME1"
    warnings = (*warnings, *voi_warnings, *_polarity_warnings(dataset, inverted))
    # The photometric interpretation alone decides: PresentationLUTShape INVERSE restates it for MONOCHROME1 (PS3.3 C.8.11.3).
    levels = 1.0 - levels if inverted else levels
    padding, padding_warnings = _padding(dataset, stored, shown)
    levels[padding] = 0.0
    return levels.astype(np.float32), (*warnings, *padding_warnings)


def _part(stored: StoredRange, shown: StoredRange) -> slice:
    return slice(shown.low - stored.low, shown.high - stored.low + 1)


def _modality_values(dataset: Dataset, stored: StoredRange) -> tuple[np.ndarray, tuple[str, ...]]:
    sequence = dataset.get("ModalityLUTSequence")
    if sequence:
        return _look_up(sequence[0], stored.values, stored.low < 0, _byte_order(dataset))[0], ()
    slope, intercept = _number(dataset, "RescaleSlope"), _number(dataset, "RescaleIntercept")
    if slope == 0.0:
        return stored.values, ("the rescale slope is zero: taken as one",)
    return stored.values * (1.0 if slope is None else slope) + (intercept or 0.0), ()


def _levels_of_interest(dataset: Dataset, values: np.ndarray, shown: slice) -> tuple[np.ndarray, tuple[str, ...]]:
    """Modality values to levels in [0, 1], by the first VOI LUT, or else the first window, or else by the whole range."""
    low, high = float(values.min()), float(values.max())
    full_range = (values - low) / (high - low) if high > low else np.zeros_like(values)
    sequence = dataset.get("VOILUTSequence")
    if sequence:
        entries, top = _look_up(sequence[0], values, low < 0, _byte_order(dataset))
        levels = np.clip(entries / top, 0.0, 1.0)
    else:
        windowed, warnings = _windowed(dataset, values)
        if windowed is None:
            return full_range, warnings
        levels = windowed
    if levels[shown].min() == levels[shown].max() and full_range[shown].min() < full_range[shown].max():
        return full_range, ("the window or VOI LUT stated shows nothing of this picture: the full range of the stored bits is shown",)
    return levels, () if sequence else warnings


def _windowed(dataset: Dataset, values: np.ndarray) -> tuple[np.ndarray | None, tuple[str, ...]]:
    center, width = _number(dataset, "WindowCenter"), _number(dataset, "WindowWidth")
    if center is None or width is None:
        return None, (NO_WINDOW,)
    function = code(dataset, "VOILUTFunction") or "LINEAR"
    warnings: tuple[str, ...] = ()
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        function, warnings = "LINEAR", ("the VOI LUT function is none of the standard's: taken as LINEAR",)
    if width <= 0 or (function == "LINEAR" and width < 1):
        return None, ("a window of the width stated cannot be shown: the full range of the stored bits is shown",)
    if function == "SIGMOID":
        with np.errstate(over="ignore"):
            return 1.0 / (1.0 + np.exp(-4.0 * (values - center) / width)), warnings
    if function == "LINEAR":
        center, width = center - 0.5, width - 1.0
    if width == 0:
        return (values > center).astype(np.float64), warnings
    return np.clip((values - center) / width + 0.5, 0.0, 1.0), warnings


def _look_up(item: Dataset, values: np.ndarray, signed: bool, order: str) -> tuple[np.ndarray, float]:
    """The entries of a lookup table for some values, and the greatest entry that its number of bits allows."""
    count, first, bits = (int(number) for number in item.LUTDescriptor)
    count = count or 65536
    if signed and first > 32767:
        # Written as US, meant as SS: the descriptor's second value has the sign of what it maps.
        first -= 65536
    entries = _entries(item, count, bits, order)
    index = np.clip(np.rint(values).astype(np.int64) - first, 0, len(entries) - 1)
    return entries[index].astype(np.float64), float(2**bits - 1)


def _byte_order(dataset: Dataset) -> str:
    return "<" if UID(dataset.file_meta.TransferSyntaxUID).is_little_endian else ">"


def _entries(item: Dataset, count: int, bits: int, order: str) -> np.ndarray:
    data = item.LUTData
    if isinstance(data, bytes):
        # OW: two bytes an entry or, in 8-bit tables of some writers, one.
        return np.frombuffer(data, dtype=np.uint8)[:count] if len(data) < 2 * count else np.frombuffer(data, dtype=f"{order}u2")[:count]
    words = np.atleast_1d(np.asarray(data, dtype=np.int64)).astype(np.uint16)
    if bits == 8 and len(words) < count:
        return words.view(np.uint8)[:count]
    return words[:count]


def _number(dataset: Dataset, keyword: str) -> float | None:
    """The first value of a numeric tag; None where it is absent, empty or no finite number."""
    try:
        value = dataset.get(keyword)
        number = float(value if isinstance(value, str | int | float) else value[0])
    except (TypeError, ValueError, IndexError):
        return None
    return number if np.isfinite(number) else None


def _polarity_warnings(dataset: Dataset, inverted: bool) -> tuple[str, ...]:
    shape = code(dataset, "PresentationLUTShape")
    if shape in ("IDENTITY", "INVERSE") and (shape == "INVERSE") != inverted:
        return (f"PresentationLUTShape {shape} contradicts {code(dataset, 'PhotometricInterpretation')}, which is what counts",)
    return ()


def _padding(dataset: Dataset, stored: StoredRange, shown: StoredRange) -> tuple[slice, tuple[str, ...]]:
    """Which storable values stand for "nothing was exposed here"; a viewer shows those as background, whatever the polarity."""
    first = dataset.get("PixelPaddingValue")
    if not isinstance(first, int):
        return slice(0, 0), ()
    last = dataset.get("PixelPaddingRangeLimit")
    low, high = sorted((first, last if isinstance(last, int) else first))
    if stored.low < 0 and low > 32767:
        low, high = low - 65536, high - 65536
    low, high = max(low, stored.low), min(high, stored.high)
    if low > high or high < shown.low or low > shown.high or (low <= shown.low and high >= shown.high):
        return slice(0, 0), ()
    return slice(low - stored.low, high - stored.low + 1), ("pixels with the padding value are shown black",)
