"""Overlays: a person sees the picture, where the attention is, what was found, and what it is not for."""

from __future__ import annotations

import numpy as np
import pytest

from monai_pneumonia.inference import LesionReport
from monai_pneumonia.inference.inferno import inferno
from monai_pneumonia.inference.overlay import _OUTLINE, LONGEST_SIDE, SHORTEST_LONG_SIDE, _tinted, draw_overlay
from monai_pneumonia.inference.regions import find_lesions


def report_of(attention: np.ndarray, **values) -> LesionReport:
    labels, lesions = find_lesions(attention, 0.5)
    return LesionReport(
        **{
            "probabilities": {"normal": 0.2, "ill": 0.8},
            "p_pneumonia": 0.8,
            "decision": "pneumonia",
            "uncertainty": 0.7,
            "attention_map": attention,
            "map_kind": "attention",
            "lesion_labels": labels,
            "lesions": lesions,
            "model_version": "0.1.0",
            "weights_sha256": "ab" * 32,
            **values,
        }
    )


def slope(height: int, width: int) -> np.ndarray:
    return np.broadcast_to(np.linspace(0, 1, width, dtype=np.float32), (height, width)).copy()


@pytest.mark.parametrize(
    ("size", "shown"),
    [((2000, 1500), (1024, 768)), ((600, 700), (600, 700)), ((64, 128), (256, 512)), ((1, 3000), (1, 1024)), ((5000, 2), (1024, 1))],
)
def test_pictures_keep_their_aspect_and_a_readable_size(size: tuple[int, int], shown: tuple[int, int]) -> None:
    overlay = draw_overlay(slope(*size), report_of(np.zeros(size, dtype=np.float32)))
    assert overlay.dtype == np.uint8
    assert max(shown) <= LONGEST_SIDE
    assert max(shown) >= SHORTEST_LONG_SIDE
    height, width = shown
    assert overlay.shape[0] > height
    assert overlay.shape[1] == max(width, 512)


def test_without_attention_the_picture_is_grey_and_upright() -> None:
    overlay = draw_overlay(slope(600, 600), report_of(np.zeros((600, 600), dtype=np.float32)))[:600].astype(int)
    assert np.array_equal(overlay[..., 0], overlay[..., 1])
    assert np.array_equal(overlay[..., 1], overlay[..., 2])
    assert overlay[:, 10].mean() < 20
    assert overlay[:, 590].mean() > 235


def test_attention_tints_its_place_alone() -> None:
    attention = np.zeros((600, 600), dtype=np.float32)
    attention[100:200, 300:450] = 0.4  # below the lesion threshold
    overlay = draw_overlay(np.full((600, 600), 0.5, dtype=np.float32), report_of(attention))[:600].astype(int)
    colored = np.abs(overlay - overlay.mean(axis=2, keepdims=True)).max(axis=2) > 5
    assert colored[110:190, 310:440].all()
    assert not colored[:90].any()
    assert not colored[:, :290].any()


def test_lesions_are_outlined_and_boxed_where_they_are() -> None:
    attention = np.zeros((1200, 1600), dtype=np.float32)
    attention[400:800, 200:600] = 1.0
    overlay = draw_overlay(np.zeros((1200, 1600), dtype=np.float32), report_of(attention))
    scale = 1024 / 1600
    rows, columns = np.nonzero((overlay[: round(1200 * scale)] == _OUTLINE).all(axis=2))
    assert rows.min() == pytest.approx(400 * scale, abs=2)
    assert rows.max() == pytest.approx(800 * scale, abs=2)
    assert columns.min() == pytest.approx(200 * scale, abs=2)
    assert columns.max() == pytest.approx(600 * scale, abs=2)
    inside = overlay[round(500 * scale) : round(700 * scale), round(300 * scale) : round(500 * scale)]
    assert not (inside == _OUTLINE).all(axis=2).any()


def test_a_box_spans_its_region() -> None:
    attention = np.zeros((1000, 1000), dtype=np.float32)
    attention[400:700, 200:260] = attention[640:700, 200:900] = 1.0  # an L: two sides of its box are free
    overlay = draw_overlay(np.zeros((1000, 1000), dtype=np.float32), report_of(attention))
    white = (overlay == 255).all(axis=2)
    assert white[400, 300:899].all()
    assert white[401:630, 899].all()
    assert not white[402:630, 300:898].any()
    assert not white[:399].any()


def test_the_legend_changes_with_what_it_says() -> None:
    attention = np.zeros((600, 600), dtype=np.float32)
    pixels = slope(600, 600)

    def legend(**values) -> np.ndarray:
        return draw_overlay(pixels, report_of(attention, **values))[600:]

    assert legend().max() > 200
    for changed in (
        {"p_pneumonia": 0.3},
        {"decision": "no_pneumonia"},
        {"model_version": "0.2.0"},
        {"weights_sha256": ""},
        {"map_kind": "class_activation"},
        {"notice": "Something else."},
    ):
        assert not np.array_equal(legend(**changed), legend())


def test_a_report_of_another_picture_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[5, 6\].*\[6, 5\]"):
        draw_overlay(slope(5, 6), report_of(np.zeros((6, 5), dtype=np.float32)))


def test_the_tint_is_a_mixture_of_grey_and_color_by_attention() -> None:
    pixels = np.random.default_rng(0).random((40, 30)).astype(np.float32)
    attention = np.linspace(0, 1, 40 * 30, dtype=np.float32).reshape(40, 30)
    low, high = np.percentile(pixels, (0.5, 99.5))
    colors = inferno(attention)
    drawn = _tinted(pixels, attention)
    for row in range(40):
        for column in range(30):
            strength = 0.6 * float(attention[row, column])
            grey = min(max((float(pixels[row, column]) - low) / (high - low), 0.0), 1.0)
            expected = 255 * ((1 - strength) * grey + strength * colors[row, column])
            assert np.abs(drawn[row, column] - expected).max() <= 3.5  # rounding, and 256 levels of attention
