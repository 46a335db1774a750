"""Source, view and age group."""

from __future__ import annotations

import math

import numpy as np
import pytest

from monai_pneumonia.data.datalist import DatalistItem
from monai_pneumonia.evaluation.parts import age_group, age_group_title, parts_of


@pytest.mark.parametrize(
    ("age", "group"),
    [
        (0, "child"),
        (17, "child"),
        (17.9, "child"),
        (18, "adult"),
        (64.5, "adult"),
        (65, "older"),
        (101, "older"),
        (None, "unknown"),
        (-1, "unknown"),
        (math.nan, "unknown"),
        (math.inf, "unknown"),
    ],
)
def test_age_group(age, group):
    assert age_group(age) == group


@pytest.mark.parametrize(
    ("name", "title"),
    [("child", "child (0 to 17)"), ("adult", "adult (18 to 64)"), ("older", "older (65 and over)"), ("unknown", "unknown")],
)
def test_age_group_title(name, title):
    assert age_group_title(name) == title


def test_order_of_parts():
    ages, sources = (None, 70, 3), (None, "b", "a")
    items = [DatalistItem(str(at), "x.png", source=source, age=age) for at, (source, age) in enumerate(zip(sources, ages, strict=True))]
    parts = parts_of(items)
    assert list(parts["by_source"]) == ["a", "b", "unknown"]
    assert list(parts["by_age"]) == ["child", "older", "unknown"]
    assert list(parts["by_view"]) == ["unknown"]
    assert parts["by_source"]["b"].tolist() == [False, True, False]


def test_each_item_is_in_one_part_of_each_kind():
    items = [DatalistItem(str(at), "x.png", source="ab"[at % 2], view=(None, "PA", "")[at % 3], age=10 * at) for at in range(12)]
    for flags in parts_of(items).values():
        assert np.sum(list(flags.values()), axis=0).tolist() == [1] * 12
