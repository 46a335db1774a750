"""Augmentation: within [0, 1], repeatable, no mirror unless asked for."""

from __future__ import annotations

import pytest
import torch

from monai_pneumonia.transforms.augmentation import training_augmentation


def _picture(size: int = 64) -> torch.Tensor:
    picture = torch.zeros(1, size, size)
    picture[:, :, : size // 2] = 1.0
    return picture


def test_views_stay_pictures() -> None:
    augmentation = training_augmentation(64)
    for seed in range(30):
        view = augmentation.set_random_state(seed)({"image": _picture()})["image"]
        assert view.shape == (1, 64, 64)
        assert view.dtype == torch.float32
        assert float(view.min()) >= 0
        assert float(view.max()) <= 1


def test_a_seed_gives_the_same_view_whatever_was_drawn_before() -> None:
    first, second = training_augmentation(64), training_augmentation(64)
    second.set_random_state(99)({"image": _picture()})
    views = [augmentation.set_random_state(7)({"image": _picture()})["image"] for augmentation in (first, second)]
    assert torch.equal(*views)


def test_left_stays_left_unless_asked_otherwise() -> None:
    def brighter_on_the_left(horizontal_flip: float) -> list[bool]:
        augmentation = training_augmentation(64, horizontal_flip=horizontal_flip)
        views = [augmentation.set_random_state(seed)({"image": _picture()})["image"] for seed in range(40)]
        return [bool(view[..., :32].mean() > view[..., 32:].mean()) for view in views]

    assert all(brighter_on_the_left(0.0))
    assert not any(brighter_on_the_left(1.0))


def test_without_strength_or_flip_nothing_changes() -> None:
    augmentation = training_augmentation(64, strength=0.0)
    view = augmentation.set_random_state(3)({"image": _picture()})["image"]
    torch.testing.assert_close(torch.as_tensor(view), _picture(), atol=2e-3, rtol=0)


def test_outlines_move_with_the_picture_and_keep_their_values() -> None:
    augmentation = training_augmentation(64, maps=("outline",))
    square = torch.zeros(1, 64, 64)
    square[:, 20:44, 20:44] = 1.0
    for seed in range(20):
        view = augmentation.set_random_state(seed)({"image": square.clone(), "outline": square.clone()})
        lit = view["image"] > 0.5
        outline = view["outline"] > 0.5
        overlap = (lit & outline).sum() / (lit | outline).sum()
        assert float(overlap) > 0.75


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_views_differ_from_each_other(strength: float) -> None:
    augmentation = training_augmentation(64, strength=strength)
    views = [augmentation.set_random_state(seed)({"image": _picture()})["image"] for seed in range(4)]
    assert not torch.equal(views[0], views[1])
