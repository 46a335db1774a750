"""The sum of what a training asks for, and what of it is switched on when."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch
from lesion_batches import lesion_target, rectangle
from torch import Tensor

from monai_pneumonia.losses import AttentionSupervisionLoss, CandidateCrossEntropyLoss, LesionLoss
from monai_pneumonia.transforms.outline import OutlineKind

SPOT = rectangle(slice(2, 7), slice(2, 7))
TARGET = lesion_target(("viral", OutlineKind.PIXEL, SPOT), ("normal", OutlineKind.EMPTY, None), ("pneumonia", OutlineKind.UNKNOWN, None))
PLAIN = CandidateCrossEntropyLoss()
SUPERVISION = AttentionSupervisionLoss()


class Output(NamedTuple):
    logits: Tensor
    attention_logits: Tensor | None
    levels: tuple[Tensor, ...] = ()

    @property
    def attention(self) -> Tensor | None:
        return None if self.attention_logits is None else self.attention_logits.sigmoid()


def some_output() -> Output:
    generator = torch.Generator().manual_seed(0)
    return Output(torch.randn(3, 4, generator=generator).requires_grad_(), torch.randn(3, 1, 4, 4, generator=generator).requires_grad_())


def mean_of_map(output: Any, target: Any) -> Tensor:
    """A regulation that is easy to follow."""
    mean: Tensor = output.attention_logits.mean()
    return mean


def test_the_sum_is_weighted_and_its_parts_are_told_unweighted() -> None:
    output = some_output()
    loss = LesionLoss(PLAIN, SUPERVISION, 0.7, mean_of_map, 0.3, regulation_warmup=0.0)
    value = loss(output, TARGET)
    parts = PLAIN(output.logits, TARGET.candidates), SUPERVISION(output.attention_logits, TARGET), output.attention_logits.mean()
    torch.testing.assert_close(value, parts[0] + 0.7 * parts[1] + 0.3 * parts[2])
    assert list(loss.parts) == ["classification", "attention", "regulation"]
    for told, part in zip(loss.parts.values(), parts, strict=True):
        torch.testing.assert_close(told, part.detach())
        assert not told.requires_grad


@pytest.mark.parametrize(
    "arguments", [{}, {"attention": SUPERVISION}, {"regulation": mean_of_map}, {"attention_weight": 1.0}, {"regulation_weight": 1.0}]
)
@pytest.mark.parametrize("bare", [False, True])
def test_without_weight_or_part_classification_stands_alone(arguments: dict[str, Any], bare: bool) -> None:
    output = some_output()
    loss = LesionLoss(PLAIN, **arguments)
    value = loss(output, TARGET.candidates if bare else TARGET)
    value.backward()
    assert torch.equal(value, PLAIN(output.logits, TARGET.candidates))
    assert output.attention_logits.grad is None
    assert list(loss.parts) == ["classification"]


# Nothing in the first fifth, then linearly to its full weight at two fifths.
@pytest.mark.parametrize(("progress", "share"), [(0.0, 0.0), (0.2, 0.0), (0.25, 0.25), (0.3, 0.5), (0.4, 1.0), (0.9, 1.0)])
def test_regulation_comes_in_after_its_warm_up(progress: float, share: float) -> None:
    output = some_output()
    loss = LesionLoss(PLAIN, regulation=mean_of_map, regulation_weight=2.0, regulation_warmup=0.2)
    loss.set_progress(progress)
    value = loss(output, TARGET)
    torch.testing.assert_close(value - PLAIN(output.logits, TARGET.candidates), 2.0 * share * output.attention_logits.mean())
    assert ("regulation" in loss.parts) == (share > 0)


def test_before_its_warm_up_regulation_costs_no_time() -> None:
    def never(output: Any, target: Any) -> Tensor:
        raise AssertionError("called")

    loss = LesionLoss(PLAIN, regulation=never, regulation_weight=1.0, regulation_warmup=0.5)
    loss.set_progress(0.5)
    loss(some_output(), TARGET)
    loss.set_progress(0.6)
    with pytest.raises(AssertionError, match="called"):
        loss(some_output(), TARGET)


@pytest.mark.parametrize("progress", [0.0, 0.5])
def test_without_a_warm_up_it_is_there_from_the_start(progress: float) -> None:
    loss = LesionLoss(PLAIN, regulation=mean_of_map, regulation_weight=1.0, regulation_warmup=0.0)
    loss.set_progress(progress)
    loss(some_output(), TARGET)
    assert "regulation" in loss.parts


@pytest.mark.parametrize(
    "part", [{"attention": SUPERVISION, "attention_weight": 1.0}, {"regulation": mean_of_map, "regulation_weight": 1.0}]
)
def test_a_network_without_attention_or_a_target_without_outlines_raise(part: dict[str, Any]) -> None:
    loss = LesionLoss(PLAIN, **part)
    with pytest.raises(ValueError, match="a network with attention"):
        loss(some_output()._replace(attention_logits=None), TARGET)
    with pytest.raises(ValueError, match="a target with outlines"):
        loss(some_output(), TARGET.candidates)


def test_an_outline_on_the_grid_is_its_share_of_each_cell_and_zero_where_none_is_known() -> None:
    target = lesion_target(("viral", OutlineKind.BOX, SPOT), ("viral", OutlineKind.UNKNOWN, SPOT), ("normal", OutlineKind.EMPTY, None))
    cells = target.outline_on((4, 4))
    assert cells.shape == (3, 1, 4, 4)
    # Pixels 2 to 6 in cells of four: two of four, then three of four, each way.
    line = torch.tensor([0.5, 0.75, 0.0, 0.0])
    torch.testing.assert_close(cells[0, 0], torch.outer(line, line))
    assert torch.equal(cells[1:], torch.zeros(2, 1, 4, 4))
