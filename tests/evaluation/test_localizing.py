"""Maps against the outlines of a datalist, picture by picture and as a whole."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
from PIL import Image

from monai_pneumonia.data.datalist import Datalist, DatalistItem
from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.errors import BadInputError, NothingToAnalyseError
from monai_pneumonia.evaluation.localizing import best_thresholds, localization_of_maps, outline_of
from monai_pneumonia.metrics import LOCALIZATION_KINDS, localization_names
from monai_pneumonia.metrics.localization import dice

SIZE = (24, 30)
BOXES = ((3.0, 2.0, 6.0, 5.0), (12.0, 10.0, 8.4, 4.6))


@pytest.fixture
def datalist(tmp_path):
    """Drawn outlines of three patients, boxes, a picture found empty, and one of which nothing is known."""
    generator = np.random.default_rng(0)
    items = []
    for at in range(4):
        mask = np.zeros(SIZE, dtype=np.uint8)
        top, left = generator.integers(2, 12, size=2)
        mask[top : top + 6, left : left + 8] = 255
        Image.fromarray(mask).save(tmp_path / f"mask{at}.png")
        owner, place = f"secret-{at // 2 + at % 2}", ("north", "south")[at % 2]
        items.append(DatalistItem(f"p{at}", "x.png", mask=f"mask{at}.png", mask_kind="pixel", patient_id=owner, source=place))
    items.append(DatalistItem("b", "x.png", boxes=BOXES, mask_kind="box"))
    Image.fromarray(np.zeros(SIZE, dtype=np.uint8)).save(tmp_path / "nothing.png")
    items.append(DatalistItem("e", "x.png", mask="nothing.png", mask_kind="empty", source="north"))
    items.append(DatalistItem("u", "x.png"))
    return Datalist("small", LabelSpace(), testing=tuple(items), root=tmp_path)


def perfect_maps(datalist):
    for item in datalist.testing:
        drawn = item.mask_kind in ("pixel", "box")
        yield item, outline_of(item, datalist, SIZE).astype(np.float32) if drawn else np.zeros(SIZE, np.float32)


def random_maps(datalist, seed=1):
    generator = np.random.default_rng(seed)
    for item in datalist.testing:
        yield item, generator.random(SIZE, dtype=np.float32)


def test_boxes_are_the_pixels_that_they_cover_by_half(datalist):
    expected = np.zeros(SIZE, dtype=bool)
    expected[2:7, 3:9] = True
    # 12 to 20.4 and 10 to 14.6: the last column is covered by .4, the last row by .6.
    expected[10:15, 12:20] = True
    np.testing.assert_array_equal(outline_of(datalist.testing[4], datalist, SIZE), expected)


def test_perfect_maps(datalist):
    found = localization_of_maps(perfect_maps(datalist), datalist, resamples=50)
    assert found.without_outline == 1
    assert found.without_pixel == 0
    for kind, count, patients in (("pixel", 4, 3), ("box", 1, 1), ("empty", 1, 1)):
        assert tuple(found.estimates[kind]) == localization_names(kind)
        for name, entry in found.estimates[kind].items():
            best = {"false_positive_area": 0, "inside_outside_ratio": 1001}.get(name, 1)
            assert entry.value == pytest.approx(best), name
            assert (entry.n, entry.patients) == (count, patients)


def test_the_table_holds_what_the_estimates_are_made_from(datalist):
    found = localization_of_maps(random_maps(datalist), datalist, resamples=0)
    rows = found.table()
    assert {(row.id, row.kind) for row in rows} == {*((f"p{at}", "pixel") for at in range(4)), ("b", "box"), ("e", "empty")}
    assert {(row.id, row.source) for row in rows} >= {("p0", "north"), ("p1", "south"), ("b", "unknown")}
    assert {row.patient for row in rows if row.id in ("p1", "p2")} == {"patient:secret-1"}
    for kind in LOCALIZATION_KINDS:
        for name, entry in found.estimates[kind].items():
            values = [row.value for row in rows if (row.kind, row.metric) == (kind, name)]
            mean = np.exp(np.mean(np.log(values))) if name == "inside_outside_ratio" else np.mean(values)
            assert entry.value == pytest.approx(mean)
            assert entry.low is None


def test_maps_are_taken_one_at_a_time(datalist):
    alive = []

    def watched():
        for item in datalist.testing[:4]:
            assert not [reference for reference in alive if reference() is not None][1:]
            values = np.random.default_rng(0).random(SIZE)
            alive.append(weakref.ref(values))
            yield item, values
            del values

    localization_of_maps(watched(), datalist, resamples=0)
    assert len(alive) == 4


def test_thresholds_by_kind(datalist):
    half = [(item, np.full(SIZE, 0.5)) for item in datalist.testing]
    found = localization_of_maps(half, datalist, {"pixel": 0.4, "box": 0.6, "empty": 0.5}, resamples=0).estimates
    assert found["pixel"]["dice"].value > 0
    assert found["box"]["box_union_dice"].value == 0
    assert found["empty"]["false_positive_area"].value == 1


def test_an_outline_without_a_pixel_is_counted(datalist):
    item = DatalistItem("tiny", "x.png", boxes=((2.0, 2.0, 0.3, 0.3),), mask_kind="box")
    found = localization_of_maps([(item, np.zeros(SIZE))], datalist, resamples=0)
    assert found.without_pixel == 1
    assert found.estimates["box"]["pointing_game"].value is None


@pytest.mark.parametrize(
    ("item", "attention", "message"),
    [
        (DatalistItem("i", "x.png", mask="mask0.png", mask_kind="pixel"), np.zeros((30, 24)), "item 'i': the mask .*mask0.png is 24 x 30"),
        (DatalistItem("i", "x.png", mask="none.png", mask_kind="pixel"), np.zeros(SIZE), "item 'i': .*none.png does not exist"),
        (DatalistItem("i", "x.png", mask="mask0.png", mask_kind="pixel"), np.full(SIZE, 2.0), r"item 'i': .*must lie in \[0, 1\]"),
        (DatalistItem("i", "x.png", boxes=((0, 0, -1, 2),), mask_kind="box"), np.zeros(SIZE), "item 'i': .* is no box"),
        (DatalistItem("i", "x.png", mask_kind="empty"), np.full(SIZE, np.nan), "item 'i': .*not a number"),
    ],
)
def test_what_cannot_be_measured_names_the_item(datalist, item, attention, message):
    with pytest.raises(BadInputError, match=message):
        localization_of_maps([(item, attention)], datalist)


class TestBestThresholds:
    def test_against_trying_them_all(self, datalist):
        candidates = (0.9, 0.1, 0.3, 0.5, 0.7)
        # Outlines under noise, of different strength for the two kinds.
        generator = np.random.default_rng(2)
        maps = []
        for item, outline in perfect_maps(datalist):
            strength = 0.6 if item.mask_kind == "pixel" else 0.1
            maps.append((item, np.clip(strength * outline + 0.4 * generator.random(SIZE), 0, 1).astype(np.float32)))
        found = best_thresholds(maps, datalist, candidates)

        def mean_dice(kind, threshold):
            chosen = [(item, values) for item, values in maps if item.mask_kind == kind]
            return np.mean([dice(values, outline_of(item, datalist, SIZE), threshold) for item, values in chosen])

        for kind in ("pixel", "box"):
            assert found[kind] == max(candidates, key=lambda threshold: mean_dice(kind, threshold))
        assert found["pixel"] != found["box"]
        assert found["empty"] == found["pixel"]

    def test_a_value_at_the_threshold_is_marked(self, datalist):
        maps = [(item, np.where(values > 0, 0.5, 0.25)) for item, values in perfect_maps(datalist)]
        assert best_thresholds(maps, datalist, (0.25, 0.5, 0.75))["pixel"] == 0.5

    def test_one_kind_stands_in_for_the_other(self, datalist):
        maps = [(item, values * 0.6) for item, values in perfect_maps(datalist) if item.mask_kind == "box"]
        found = best_thresholds(maps, datalist, (0.6, 0.8))
        assert found == {"pixel": 0.6, "box": 0.6, "empty": 0.6}

    def test_nothing_to_choose_on(self, datalist):
        with pytest.raises(NothingToAnalyseError, match="give a part that holds outlined pictures"):
            best_thresholds([(item, np.zeros(SIZE)) for item in datalist.testing[5:]], datalist)
