"""Localisation metrics against loops over pixels, closed forms, and what no map may change."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from monai_pneumonia.errors import BadInputError, UsageError
from monai_pneumonia.metrics import (
    LOCALIZATION_KINDS,
    LOCALIZATION_METRICS,
    LocalizationSample,
    localization_metrics_of,
    localization_names,
    localization_values,
)
from monai_pneumonia.metrics.localization import (
    RATIO_FLOOR,
    attention_inside,
    dice,
    false_positive_area,
    inside_outside_ratio,
    iou,
    pointing_game,
)
from monai_pneumonia.metrics.registry import localization_markdown_table

DOCUMENT = Path(__file__).parents[2] / "docs" / "evaluation.md"
OUTLINED = (pointing_game, dice, iou, inside_outside_ratio, attention_inside)


@st.composite
def located(draw):
    """A map and an outline of at least one pixel."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=7))
    attention = draw(hnp.arrays(np.float32, shape, elements=st.floats(0, 1, width=32)))
    outline = draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, 1)))
    assume(outline.any())
    return attention, outline


def by_loops(attention, outline, threshold, tolerance):
    """All five metrics from loops over pixels, in plain Python."""
    places = [(row, column) for row in range(attention.shape[0]) for column in range(attention.shape[1])]
    inside = [place for place in places if outline[place]]
    outside = [place for place in places if not outline[place]]
    greatest = max(float(attention[place]) for place in places)
    peaks = [place for place in places if float(attention[place]) == greatest]
    hits = [peak for peak in peaks if min(math.dist(peak, place) for place in inside) <= tolerance]
    marked = [place for place in places if float(attention[place]) >= threshold]
    both = len(set(marked) & set(inside))
    mass_inside, mass_outside = (sum(float(attention[place]) for place in group) for group in (inside, outside))
    mass = mass_inside + mass_outside
    ratio = 1.0
    if outside:
        ratio = (mass_inside / len(inside) + RATIO_FLOOR) / (mass_outside / len(outside) + RATIO_FLOOR)
    return {
        "pointing_game": len(hits) / len(peaks),
        "attention_inside": mass_inside / mass if mass else len(inside) / len(places),
        "inside_outside_ratio": ratio,
        "dice": 2 * both / (len(marked) + len(inside)),
        "iou": both / len(set(marked) | set(inside)),
    }


class TestAgainstLoops:
    @settings(max_examples=200, deadline=None)
    @given(located(), st.floats(0, 1), st.sampled_from([0.0, 1.0, 1.5, 3.0]))
    def test_all_at_once(self, picture, threshold, tolerance):
        attention, outline = picture
        expected = by_loops(attention, outline, threshold, tolerance)
        assert localization_values("pixel", attention, outline, threshold, tolerance) == pytest.approx(expected)
        boxes = localization_values("box", attention, outline, threshold, tolerance)
        assert boxes.pop("box_union_dice") == pytest.approx(expected.pop("dice"))
        assert boxes.pop("box_union_iou") == pytest.approx(expected.pop("iou"))
        assert boxes == pytest.approx(expected)

    @settings(max_examples=50, deadline=None)
    @given(located(), st.floats(0, 1))
    def test_one_by_one(self, picture, threshold):
        attention, outline = picture
        values = localization_values("pixel", attention, outline, threshold)
        assert pointing_game(attention, outline) == values["pointing_game"]
        assert dice(attention, outline, threshold) == values["dice"]
        assert iou(attention, outline, threshold) == values["iou"]
        assert inside_outside_ratio(attention, outline) == values["inside_outside_ratio"]
        assert attention_inside(attention, outline) == values["attention_inside"]

    @settings(max_examples=50, deadline=None)
    @given(located(), st.floats(0, 1))
    def test_false_positive_area(self, picture, threshold):
        attention, _ = picture
        marked = sum(float(value) >= threshold for value in attention.ravel())
        assert false_positive_area(attention, threshold) == pytest.approx(marked / attention.size)
        assert localization_values("empty", attention, None, threshold) == {"false_positive_area": pytest.approx(marked / attention.size)}


class TestProperties:
    @settings(max_examples=100, deadline=None)
    @given(located(), st.floats(0, 1))
    def test_values_stay_in_their_range(self, picture, threshold):
        values = localization_values("pixel", *picture, threshold)
        ratio = values.pop("inside_outside_ratio")
        assert all(0 <= value <= 1 for value in values.values())
        assert RATIO_FLOOR / (1 + RATIO_FLOOR) * 0.999 <= ratio <= (1 + RATIO_FLOOR) / RATIO_FLOOR * 1.001
        assert values["iou"] <= values["dice"]

    @settings(max_examples=100, deadline=None)
    @given(located(), st.sampled_from([0.5, 0.25, 0.125]))
    def test_scaling_moves_neither_the_pointing_game_nor_the_share_inside(self, picture, factor):
        attention, outline = picture
        # Powers of two, of values that stay normal numbers: exact, so that no tie appears or goes.
        attention = np.where(attention < 1e-30, 0, attention)
        for metric in (pointing_game, attention_inside):
            assert metric(attention * factor, outline) == pytest.approx(metric(attention, outline))

    @settings(max_examples=50, deadline=None)
    @given(located())
    def test_mirroring_changes_nothing(self, picture):
        attention, outline = picture
        mirrored = localization_values("pixel", attention[:, ::-1], outline[:, ::-1])
        assert mirrored == pytest.approx(localization_values("pixel", attention, outline))

    @settings(max_examples=50, deadline=None)
    @given(located())
    def test_the_outline_itself_is_a_perfect_map(self, picture):
        _, outline = picture
        values = localization_values("pixel", outline.astype(np.float32), outline)
        assert values.pop("inside_outside_ratio") == pytest.approx(1 if outline.all() else 1 + 1 / RATIO_FLOOR)
        assert values == dict.fromkeys(values, 1.0)

    @settings(max_examples=50, deadline=None)
    @given(located(), st.floats(0, 1, width=32))
    def test_a_map_that_is_everywhere_alike_has_chance(self, picture, level):
        _, outline = picture
        values = localization_values("pixel", np.full(outline.shape, level, np.float32), outline, threshold=0.5)
        assert values["pointing_game"] == values["attention_inside"] == pytest.approx(outline.mean())
        assert values["inside_outside_ratio"] == pytest.approx(1)
        assert values["iou"] == pytest.approx(outline.mean() if level >= 0.5 else 0)


class TestByHand:
    OUTLINE = np.array([[0, 1, 1, 0], [0, 0, 0, 0]])
    ATTENTION = np.array([[0.8, 0.6, 0.2, 0.0], [0.0, 0.8, 0.0, 0.0]])

    @pytest.mark.parametrize(
        ("metric", "expected"),
        [
            # Two peaks of .8, neither inside.
            (pointing_game, 0.0),
            # Marked: .8 .6 .8, one of them inside: 2 * 1 / (3 + 2), 1 / 4.
            (dice, 2 / 5),
            (iou, 1 / 4),
            # (.6 + .2) / 2.4
            (attention_inside, 1 / 3),
            # .8 / 2 and 1.6 / 6
            (inside_outside_ratio, (0.4 + 0.001) / (1.6 / 6 + 0.001)),
        ],
    )
    def test_value(self, metric, expected):
        assert metric(self.ATTENTION, self.OUTLINE) == pytest.approx(expected)

    def test_a_tolerance_reaches_neighbours(self):
        assert pointing_game(self.ATTENTION, self.OUTLINE, tolerance=1) == 1
        assert pointing_game(np.eye(2, 4), self.OUTLINE[:, ::-1], tolerance=0.9) == 0
        # The peaks of the unit matrix are next to, and at a corner of, the outlined pixels 1 and 2.
        assert pointing_game(np.eye(2, 4), self.OUTLINE, tolerance=1) == 1

    def test_the_threshold_itself_counts_as_marked(self):
        assert dice(np.full((1, 2), 0.5), [[1, 1]], 0.5) == 1
        assert false_positive_area([[0.5, 0.49]], 0.5) == 0.5


class TestRefusing:
    @pytest.mark.parametrize("metric", OUTLINED)
    @pytest.mark.parametrize(
        ("attention", "outline", "message"),
        [
            (np.zeros((2, 3)), np.ones((3, 2)), r"one shape, got \[2, 3\] and \[3, 2\]"),
            (np.zeros(4), np.ones(4), r"shape \[H, W\], got \[4\]"),
            (np.zeros((0, 3)), np.ones((0, 3)), r"shape \[H, W\]"),
            (np.full((2, 2), 1.5), np.ones((2, 2)), r"must lie in \[0, 1\]"),
            (np.full((2, 2), np.nan), np.ones((2, 2)), r"not a number"),
            (np.zeros((2, 2)), np.full((2, 2), 255), "zeros and ones"),
            (np.zeros((2, 2)), np.zeros((2, 2)), "false_positive_area"),
        ],
    )
    def test_what_is_no_map_or_no_outline(self, metric, attention, outline, message):
        with pytest.raises(BadInputError, match=message):
            metric(attention, outline)

    def test_an_empty_pictures_map_is_checked_too(self):
        with pytest.raises(BadInputError, match="must lie in"):
            false_positive_area([[2.0]])

    def test_usage(self):
        with pytest.raises(UsageError, match="not 'unknown'"):
            localization_values("unknown", np.ones((2, 2)), np.ones((2, 2)))
        with pytest.raises(UsageError, match="needs its outline"):
            localization_values("box", np.ones((2, 2)), None)
        for tolerance in (-1.0, math.nan):
            with pytest.raises(UsageError, match="tolerance"):
                pointing_game(np.ones((2, 2)), np.ones((2, 2)), tolerance)


class TestSample:
    @pytest.mark.parametrize("kind", LOCALIZATION_KINDS)
    def test_weights_are_repetitions(self, kind):
        generator = np.random.default_rng(3)
        outline = np.zeros((6, 6), dtype=bool)
        outline[1:4, 2:5] = True
        pictures = [localization_values(kind, generator.random((6, 6)), outline) for _ in range(5)]
        weights = np.array([[1, 1, 1, 1, 1], [2, 0, 1, 0, 3]], dtype=float)
        repeated = [picture for picture, times in zip(pictures, (2, 0, 1, 0, 3), strict=True) for _ in range(times)]
        found = LocalizationSample.of(kind, pictures).statistics(weights)
        assert tuple(found) == localization_names(kind)
        for name, column in found.items():
            for value, used in zip(column, (pictures, repeated), strict=True):
                values = [picture[name] for picture in used]
                mean = math.prod(values) ** (1 / len(values)) if name == "inside_outside_ratio" else sum(values) / len(values)
                assert value == pytest.approx(mean), name

    @pytest.mark.parametrize("kind", LOCALIZATION_KINDS)
    def test_no_picture_leaves_all_undefined(self, kind):
        sample = LocalizationSample.of(kind, [])
        assert len(sample) == 0
        assert all(np.isnan(column).all() for column in sample.statistics(np.ones((2, 0))).values())


class TestTable:
    @pytest.mark.parametrize("kind", LOCALIZATION_KINDS)
    def test_code_computes_exactly_the_table(self, kind):
        assert tuple(localization_values(kind, np.eye(3), np.eye(3))) == localization_names(kind)

    @pytest.mark.parametrize("metric", LOCALIZATION_METRICS, ids=lambda metric: metric.name)
    def test_a_perfect_map_has_the_best_value(self, metric):
        outline = np.eye(4)
        attention = np.zeros((4, 4)) if metric.kinds == ("empty",) else outline
        value = localization_values(metric.kinds[0], attention, outline)[metric.name]
        assert value == pytest.approx(1 + 1 / RATIO_FLOOR if math.isinf(metric.best) else metric.best)

    def test_outlines_and_boxes_share_no_overlap_metric(self):
        only = [{metric.name for metric in localization_metrics_of(kind)} for kind in ("pixel", "box")]
        assert only[0] & only[1] == {"pointing_game", "attention_inside", "inside_outside_ratio"}

    def test_the_document_holds_the_table(self):
        assert localization_markdown_table() in DOCUMENT.read_text(encoding="utf-8")
