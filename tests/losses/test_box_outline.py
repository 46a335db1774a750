"""Nothing outside of the boxes, something in each of their rows and columns."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from monai_pneumonia.losses.box_outline import box_outline_loss

DARK, LIT = -30.0, 30.0


def box(rows: slice, columns: slice, size: int = 8) -> Tensor:
    boxes = torch.zeros(1, 1, size, size)
    boxes[..., rows, columns] = 1.0
    return boxes


def plain_loss(logits: list[list[float]], boxes: list[list[float]]) -> float:
    """The definition over the cells of one picture."""
    height, width = len(boxes), len(boxes[0])
    largest = max(max(row) for row in boxes)
    outside = [math.log1p(math.exp(logits[y][x])) for y in range(height) for x in range(width) if boxes[y][x] == 0]
    rows, columns = [], []
    for y in range(height):
        if any(boxes[y][x] >= largest / 2 for x in range(width)):
            best = max(logits[y][x] for x in range(width) if boxes[y][x] > 0)
            rows.append(math.log1p(math.exp(-best)))
    for x in range(width):
        if any(boxes[y][x] >= largest / 2 for y in range(height)):
            best = max(logits[y][x] for y in range(height) if boxes[y][x] > 0)
            columns.append(math.log1p(math.exp(-best)))
    dark = sum(outside) / len(outside) if outside else 0.0
    return dark + 0.5 * (sum(rows) / len(rows) + sum(columns) / len(columns))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), pictures=st.integers(1, 3), size=st.integers(2, 7), scale=st.floats(0.1, 5), filled=st.floats(0.0, 1.0))
def test_equals_the_plain_definition(seed: int, pictures: int, size: int, scale: float, filled: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(pictures, 1, size, size, generator=generator) * scale
    boxes = torch.rand(pictures, 1, size, size, generator=generator) * (torch.rand(pictures, 1, size, size, generator=generator) < filled)
    boxes[:, 0, 0, 0] = 0.7
    expected = [plain_loss(row[0].tolist(), drawn[0].tolist()) for row, drawn in zip(logits, boxes, strict=True)]
    torch.testing.assert_close(box_outline_loss(logits, boxes), torch.tensor(expected), rtol=1e-4, atol=1e-5)


# A box of 2 x 2 cells in 4 x 4, all logits 0: log 2 outside, log 2 for the lines.
def test_closed_form() -> None:
    loss = box_outline_loss(torch.zeros(1, 1, 4, 4), box(slice(1, 3), slice(1, 3), 4))
    assert loss.tolist() == pytest.approx([2 * math.log(2)], abs=1e-6)


def test_a_cross_of_hits_that_touches_all_sides_costs_only_what_lies_outside() -> None:
    boxes = box(slice(2, 6), slice(1, 5))
    logits = torch.full((1, 1, 8, 8), DARK)
    logits[..., 3, 1:5], logits[..., 2:6, 2] = LIT, LIT
    assert box_outline_loss(logits, boxes).item() == pytest.approx(0.0, abs=1e-6)
    # One lit cell of the 48 outside.
    logits[..., 0, 0] = LIT
    assert box_outline_loss(logits, boxes).item() == pytest.approx(LIT / 48, abs=1e-5)


def test_a_diagonal_is_enough_and_a_filled_box_no_better() -> None:
    boxes = box(slice(0, 4), slice(0, 4))
    logits = torch.full((1, 1, 8, 8), DARK)
    logits[0, 0, range(4), range(4)] = LIT
    filled = torch.where(boxes > 0, LIT, DARK)
    torch.testing.assert_close(box_outline_loss(logits, boxes), box_outline_loss(filled, boxes), rtol=0, atol=1e-5)


def test_a_row_without_its_hit_raises_the_loss() -> None:
    boxes = box(slice(2, 6), slice(1, 5))
    logits = torch.full((1, 1, 8, 8), DARK)
    logits[0, 0, range(2, 6), range(1, 5)] = LIT
    before = box_outline_loss(logits, boxes)
    logits[0, 0, 5, 4], logits[0, 0, 4, 4] = DARK, LIT
    # Row 5 goes dark, a quarter of the rows; every column still has its hit.
    torch.testing.assert_close(box_outline_loss(logits, boxes) - before, torch.tensor([0.5 * LIT / 4]), rtol=1e-4, atol=1e-4)


def test_the_inside_is_no_target_cell_by_cell() -> None:
    boxes = box(slice(2, 6), slice(2, 6))
    logits = torch.full((1, 1, 8, 8), -1.0)
    logits[0, 0, range(2, 6), range(2, 6)] = 1.0
    logits.requires_grad_()
    box_outline_loss(logits, boxes).sum().backward()
    inside = logits.grad[0, 0, 2:6, 2:6]
    assert (inside.diagonal() < 0).all()
    assert torch.equal(inside - inside.diagonal().diag(), torch.zeros(4, 4))
    assert (logits.grad[boxes == 0] > 0).all()


def test_a_cell_grazed_by_an_edge_asks_for_nothing() -> None:
    boxes = box(slice(2, 5), slice(2, 5))
    boxes[..., 5, 2:5] = 0.2
    logits = torch.where(boxes > 0.5, LIT, DARK)
    assert box_outline_loss(logits, boxes).item() == pytest.approx(0.0, abs=1e-6)
    logits[..., 5, 2:5] = LIT
    assert box_outline_loss(logits, boxes).item() == pytest.approx(0.0, abs=1e-6)


def test_a_box_smaller_than_a_cell_still_wants_its_hit() -> None:
    boxes = torch.zeros(1, 1, 4, 4)
    boxes[..., 1, 2] = 0.05
    assert box_outline_loss(torch.full((1, 1, 4, 4), DARK), boxes).item() == pytest.approx(-DARK, abs=1e-4)


@pytest.mark.parametrize("extreme", [1e3, -1e3])
@pytest.mark.parametrize("rows", [slice(0, 8), slice(2, 4), slice(0, 0)])
def test_extreme_logits_and_boxes_have_finite_values_and_gradients(extreme: float, rows: slice) -> None:
    logits = torch.full((1, 1, 8, 8), extreme, requires_grad=True)
    loss = box_outline_loss(logits, box(rows, slice(0, 8)))
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(logits.grad).all()


def test_wrong_shapes_raise() -> None:
    with pytest.raises(RuntimeError, match="size"):
        box_outline_loss(torch.zeros(2, 1, 4, 4), torch.ones(2, 1, 4, 5))
