"""Datalist items as the dictionaries that MONAI's datasets and transforms work on."""

from __future__ import annotations

from typing import Any

from monai_pneumonia.data.datalist import Datalist, DatalistItem


def item_record(datalist: Datalist, item: DatalistItem, outlines: bool = True) -> dict[str, Any]:
    """One item with absolute paths and its candidate set.

    Args:
        datalist: whose item it is.
        item: the item.
        outlines: whether outlines will be read; otherwise no mask is named, and none is missed.

    Returns:
        image and mask as paths (mask may be None), boxes, mask_kind, ``target`` [C] of zeros and ones, and ``id``.

    Raises:
        BadInputError: a file does not exist, or the label is unknown.
    """
    return {
        "id": item.id,
        "image": str(datalist.existing(item, item.image)),
        "mask": None if item.mask is None or not outlines else str(datalist.existing(item, item.mask)),
        "boxes": item.boxes,
        "mask_kind": item.mask_kind,
        "target": datalist.labels.target(item.label),
    }


def section_records(datalist: Datalist, section: str, outlines: bool = True) -> list[dict[str, Any]]:
    """The records of ``training``, ``validation`` or ``testing``, in order.

    Args:
        datalist: the data.
        section: of it.
        outlines: whether outlines will be read; otherwise no mask is named, and none is missed.

    Raises:
        BadInputError: no such section, a file does not exist, or a label is unknown.
    """
    return [item_record(datalist, item, outlines) for item in datalist.section(section)]


def class_counts(datalist: Datalist, section: str = "training") -> list[int]:
    """How many items of a section are known to be of each class; groups and unlabelled items count for none."""
    labels = [item.label for item in datalist.section(section)]
    return [labels.count(name) for name in datalist.labels.classes]
