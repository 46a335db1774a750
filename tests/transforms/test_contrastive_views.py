"""Views for contrastive pre-training: random, independent, repeatable, upright."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.transforms import Compose

from monai_pneumonia.transforms.cached_dataset import RadiographDataset
from monai_pneumonia.transforms.contrastive_views import ContrastiveViewsd, RandomCrop, contrastive_augmentation

SIZE = 64


def _picture(seed: int = 0) -> torch.Tensor:
    return torch.rand(1, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def _views(seed: int, picture: torch.Tensor | None = None, **options: float) -> tuple[torch.Tensor, torch.Tensor]:
    augmentation = contrastive_augmentation(SIZE, **options).set_random_state(seed=seed)
    item = augmentation({"image": _picture() if picture is None else picture, "outline": 1})
    assert set(item) == {"view_1", "view_2"}
    return item["view_1"], item["view_2"]


def _smooth_blob(row: float, column: float, width: float = 5.0) -> torch.Tensor:
    grid = torch.arange(SIZE).float()
    return (torch.exp(-((grid - row) ** 2) / (2 * width**2))[:, None] * torch.exp(-((grid - column) ** 2) / (2 * width**2)))[None]


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**31 - 1), strength=st.sampled_from([0.0, 0.5, 1.0, 3.0]), kind=st.sampled_from(["noise", "black", "white"]))
def test_views_are_pictures_again(seed: int, strength: float, kind: str) -> None:
    picture = {"noise": _picture(seed % 7), "black": torch.zeros(1, SIZE, SIZE), "white": torch.ones(1, SIZE, SIZE)}[kind]
    before = picture.clone()
    for view in _views(seed, picture, strength=strength):
        assert type(view) is torch.Tensor
        assert (view.shape, view.dtype) == ((1, SIZE, SIZE), torch.float32)
        assert torch.isfinite(view).all()
        assert view.min() >= 0
        assert view.max() <= 1
    assert torch.equal(picture, before)


def test_the_two_views_differ_and_another_seed_gives_others() -> None:
    first, second = _views(3)
    assert not torch.equal(first, second)
    again = _views(3)
    assert torch.equal(first, again[0])
    assert torch.equal(second, again[1])
    assert not torch.equal(first, _views(4)[0])


def test_without_strength_nothing_changes_but_the_flip() -> None:
    picture = _picture()
    for view in _views(0, picture, strength=0.0):
        torch.testing.assert_close(view, picture, atol=1e-5, rtol=0)
    for view in _views(0, picture, strength=0.0, horizontal_flip=1.0):
        torch.testing.assert_close(view, picture.flip(2), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("flip", "mirrored"), [(0.0, 0), (1.0, 120), (0.5, 60)])
def test_views_stay_upright_and_are_mirrored_only_when_asked_for(flip: float, mirrored: int) -> None:
    """A large blob above and to the left of the middle stays above it, whatever the view."""
    picture = _smooth_blob(18, 22)
    grid = torch.arange(SIZE).float() - (SIZE - 1) / 2
    rights = 0
    crop = RandomCrop(horizontal_flip=flip)
    crop.set_random_state(seed=0)
    for _ in range(120):
        view = crop(picture)[0]
        row, column = ((view.sum(dim=axis) * grid).sum() / view.sum() for axis in (1, 0))
        assert row < 4
        rights += int(column > 4)
    assert abs(rights - mirrored) <= 25 if flip == 0.5 else abs(rights - mirrored) <= 12


def test_a_window_magnifies_by_what_was_drawn() -> None:
    """A quarter of the picture's area, from its middle or elsewhere, doubles a blob's width and shows no border."""
    crop = RandomCrop(area=(0.25, 0.25), stretch=1.0, degrees=0.0)
    crop.set_random_state(seed=1)
    for _ in range(20):
        view = crop(torch.ones(1, SIZE, SIZE))
        torch.testing.assert_close(view, torch.ones(1, SIZE, SIZE))
    crop.matrix = np.array([[0.5, 0, 0], [0, 0.5, 0]], dtype=np.float32)
    crop.randomize = lambda data=None: None  # type: ignore[method-assign]
    magnified = crop(_smooth_blob(31.5, 31.5, width=4.0))
    torch.testing.assert_close(magnified, _smooth_blob(31.5, 31.5, width=8.0), atol=0.02, rtol=0)


@settings(deadline=None, max_examples=100)
@given(seed=st.integers(0, 2**31 - 1), low=st.floats(0.3, 1.0), stretch=st.floats(1.0, 1.5))
def test_windows_keep_their_limits(seed: int, low: float, stretch: float) -> None:
    crop = RandomCrop((low, 1.0), stretch=stretch, degrees=10.0)
    crop.set_random_state(seed=seed)
    crop.randomize()
    linear, shift = crop.matrix[:, :2].astype(float), crop.matrix[:, 2]
    scales = np.linalg.norm(linear, axis=0)
    # A window wider than the picture is cut to it, which takes at most the stretch's root off its area.
    assert low / np.sqrt(stretch) - 1e-4 <= abs(np.linalg.det(linear)) <= 1 + 1e-4
    assert max(scales[0] / scales[1], scales[1] / scales[0]) <= stretch + 1e-4
    assert abs(np.degrees(np.arctan2(linear[1, 0], linear[0, 0]))) <= 10 + 1e-3
    assert (np.abs(shift) <= 1 - scales + 1e-4).all()


def test_every_kind_of_change_happens() -> None:
    """Exposure, contrast, blur, noise and erasing all change a picture, each when its turn comes."""
    view = contrastive_augmentation(SIZE).transforms[0].view
    picture = _smooth_blob(30, 30) * 0.8 + 0.1
    for step in view.transforms[1:]:
        step.prob = 1.0
        step.set_random_state(seed=0)
        # Cloned, for MONAI's RandCoarseDropout writes into its input; the window before it is always a new tensor.
        assert not torch.allclose(step(picture.clone()), picture, atol=1e-3), type(step).__name__
        step.prob = 0.0
        assert torch.equal(torch.as_tensor(step(picture.clone())), picture)


def test_metadata_is_left_behind() -> None:
    augmentation = contrastive_augmentation(SIZE).set_random_state(seed=0)
    assert type(augmentation({"image": MetaTensor(_picture())})["view_1"]) is torch.Tensor


def test_a_state_given_as_a_state_seeds_as_well() -> None:
    def drawn() -> torch.Tensor:
        views = ContrastiveViewsd("image", Compose([RandomCrop()]))
        return torch.as_tensor(views.set_random_state(state=np.random.RandomState(5))({"image": _picture()})["view_1"])

    assert torch.equal(drawn(), drawn())


def test_in_the_data_set_a_view_is_a_function_of_seed_epoch_and_item() -> None:
    records = [{"image": _picture(seed), "patient": seed} for seed in range(3)]

    def view(epoch: int, index: int, seed: int = 0) -> torch.Tensor:
        dataset = RadiographDataset(records, Compose([]), augmentation=contrastive_augmentation(SIZE), seed=seed)
        dataset.set_epoch(epoch)
        item = dataset[index]
        assert item["patient"] == index
        return torch.as_tensor(item["view_2"])

    assert torch.equal(view(1, 2), view(1, 2))
    assert not torch.equal(view(1, 2), view(2, 2))
    assert not torch.equal(view(1, 2), view(1, 2, seed=1))
