"""The threshold of the attention map, on maps whose best one is known."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from monai_pneumonia.engines.lesion_threshold import FEWEST_PICTURES, fit_lesion_threshold
from monai_pneumonia.transforms.outline import OutlineKind

SIZE = 16


class _Output(NamedTuple):
    attention: Tensor | None


class MadeUp(torch.nn.Module):
    """A network whose map is the picture itself."""

    def explain(self, images: Tensor) -> _Output:
        return _Output(images)


class Blind(torch.nn.Module):
    def explain(self, images: Tensor) -> _Output:
        return _Output(None)


def lit(lesion: float, halo: float) -> tuple[Tensor, Tensor]:
    """A map with a lesion of one level, a halo of a lower one, and little elsewhere; and the lesion's outline."""
    outline, attention = torch.zeros(1, SIZE, SIZE), torch.full((1, SIZE, SIZE), 0.02)
    attention[:, 2:10, 2:10] = halo
    attention[:, 4:8, 4:8] = lesion
    outline[:, 4:8, 4:8] = 1.0
    return attention, outline


def loader(*pictures: tuple[OutlineKind, float, float], batch_size: int = 3) -> list[dict[str, Any]]:
    made = [(*lit(lesion, halo), int(kind)) for kind, lesion, halo in pictures]
    parts = [made[start : start + batch_size] for start in range(0, len(made), batch_size)]
    return [
        {
            "image": torch.stack([attention for attention, _, _ in part]),
            "outline": torch.stack([outline for _, outline, _ in part]),
            "outline_kind": torch.tensor([kind for _, _, kind in part]),
        }
        for part in parts
    ]


def test_the_threshold_parts_lesion_and_halo() -> None:
    # Halo .42, lesion .78: the outline exactly from .45 to .75; the first of them is taken.
    found = fit_lesion_threshold(MadeUp(), loader(*[(OutlineKind.PIXEL, 0.78, 0.42)] * 6), "cpu")  # type: ignore[arg-type]
    assert found is not None
    assert found[0] == pytest.approx(0.45)
    assert "1.000" in found[1]
    assert "6 validation pictures with pixel outlines" in found[1]


def test_the_mean_over_pictures_decides() -> None:
    # Four pictures need more than .62, three less than .58: the four win, for a lost lesion costs a picture all its Dice.
    pictures = [(OutlineKind.PIXEL, 0.9, 0.62)] * 4 + [(OutlineKind.PIXEL, 0.58, 0.1)] * 3
    found = fit_lesion_threshold(MadeUp(), loader(*pictures), "cpu")  # type: ignore[arg-type]
    assert found is not None
    # Below .58 three pictures are right and four have 16 of 64 cells, Dice .4; above .62 four are right and three have none.
    low, high = (3 + 4 * 2 * 16 / (64 + 16)) / 7, 4 / 7
    assert (found[0] > 0.62) == (high > low)
    assert f"{max(low, high):.3f}" in found[1]


def test_pixel_outlines_come_before_boxes_and_the_two_are_never_pooled() -> None:
    pixels, boxes = [(OutlineKind.PIXEL, 0.9, 0.62)] * 5, [(OutlineKind.BOX, 0.5, 0.22)] * 20
    found = fit_lesion_threshold(MadeUp(), loader(*boxes, *pixels), "cpu")  # type: ignore[arg-type]
    assert found is not None
    assert found[0] == pytest.approx(0.65)
    assert "5 validation pictures with pixel outlines" in found[1]
    found = fit_lesion_threshold(MadeUp(), loader(*boxes, *pixels[1:]), "cpu")  # type: ignore[arg-type]
    assert found is not None
    assert found[0] == pytest.approx(0.25)
    assert "20 validation pictures with box outlines" in found[1]


@pytest.mark.parametrize("kinds", [[OutlineKind.PIXEL] * 4, [OutlineKind.PIXEL] * 4 + [OutlineKind.BOX] * 4, [OutlineKind.EMPTY] * 9, []])
def test_too_few_outlined_pictures_fit_nothing(kinds: list[OutlineKind]) -> None:
    assert FEWEST_PICTURES == 5
    assert fit_lesion_threshold(MadeUp(), loader(*((kind, 0.8, 0.4) for kind in kinds)), "cpu") is None  # type: ignore[arg-type]


def test_a_drawn_outline_that_is_empty_does_not_count() -> None:
    batches = loader(*[(OutlineKind.PIXEL, 0.8, 0.4)] * 5)
    batches[0]["outline"][0] = 0.0
    assert fit_lesion_threshold(MadeUp(), batches, "cpu") is None  # type: ignore[arg-type]


def test_without_outlines_or_attention_there_is_no_threshold() -> None:
    batches = loader(*[(OutlineKind.PIXEL, 0.8, 0.4)] * 5)
    assert fit_lesion_threshold(Blind(), batches, "cpu") is None  # type: ignore[arg-type]
    assert fit_lesion_threshold(MadeUp(), [{"image": batch["image"]} for batch in batches], "cpu") is None  # type: ignore[arg-type]


def test_a_coarse_map_is_enlarged_to_the_outline() -> None:
    batches = loader(*[(OutlineKind.PIXEL, 0.8, 0.02)] * 5)
    for batch in batches:
        batch["image"] = torch.nn.functional.avg_pool2d(batch["image"], 4)
    found = fit_lesion_threshold(MadeUp(), batches, "cpu")  # type: ignore[arg-type]
    assert found is not None
    # One coarse cell of .8 is a pyramid when enlarged: its middle 4 x 4 pixels are those above .4 or so.
    assert 0.2 <= found[0] <= 0.6
