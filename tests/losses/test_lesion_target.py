"""What labels and outlines of a batch say."""

from __future__ import annotations

import torch
from lesion_batches import lesion_target, rectangle

from monai_pneumonia.losses import LesionTarget
from monai_pneumonia.transforms.outline import OutlineKind

SPOT = rectangle(slice(2, 4), slice(2, 4))


def test_an_outline_is_known_where_it_was_drawn_and_is_not_empty() -> None:
    target = lesion_target(
        ("viral", OutlineKind.PIXEL, SPOT),
        ("viral", OutlineKind.BOX, SPOT),
        ("viral", OutlineKind.PIXEL, None),
        ("normal", OutlineKind.EMPTY, None),
        ("viral", OutlineKind.UNKNOWN, None),
        ("viral", OutlineKind.UNKNOWN, SPOT),
        ("normal", OutlineKind.EMPTY, SPOT),
    )
    assert target.has_outline.tolist() == [True, True, False, False, False, False, False]


def test_labels_say_pneumonia_no_pneumonia_or_leave_it_open() -> None:
    labels = ("normal", "viral", "pneumonia", "open")
    target = lesion_target(*((label, OutlineKind.UNKNOWN, None) for label in labels))
    ill, well = target.says_pneumonia(0)
    assert ill.tolist() == [False, True, True, False]
    assert well.tolist() == [True, False, False, False]


def test_the_negative_class_may_have_any_channel() -> None:
    candidates = torch.tensor([[1.0, 0, 0], [0, 0, 1.0], [1.0, 1.0, 0], [0, 1.0, 1.0]])
    empty = torch.zeros(4, 1, 2, 2)
    ill, well = LesionTarget(candidates, empty, empty, torch.zeros(4)).says_pneumonia(2)
    assert ill.tolist() == [True, False, True, False]
    assert well.tolist() == [False, True, False, False]
