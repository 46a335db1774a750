"""InfoNCE of the attended feature, the lesion's, and those of lesion-free regions."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from monai_pneumonia.losses import FeatureRegulationLoss
from monai_pneumonia.losses.feature_regulation import pooled_features
from monai_pneumonia.losses.lesion_free_regions import lesion_free_regions


def plain_pool(features: Tensor, region: Tensor) -> list[float]:
    """The mean of features [D, h, w] under a region [h, w]."""
    cells = [(y, x) for y in range(region.shape[0]) for x in range(region.shape[1])]
    area = sum(float(region[cell]) for cell in cells)
    return [sum(float(channel[cell] * region[cell]) for cell in cells) / (area + 1e-6) for channel in features]


def unit_length(features: Tensor) -> Tensor:
    """Features [D, h, w] divided by their length at every place."""
    scaled = features.clone()
    for y in range(features.shape[1]):
        for x in range(features.shape[2]):
            scaled[:, y, x] /= math.sqrt(sum(float(value) ** 2 for value in features[:, y, x]))
    return scaled


def cosine(first: list[float], second: list[float]) -> float:
    product = sum(a * b for a, b in zip(first, second, strict=True))
    return product / (math.sqrt(sum(a * a for a in first)) * math.sqrt(sum(b * b for b in second)))


def plain_loss(levels: list[Tensor], attention: Tensor, outline: Tensor, temperature: float) -> float:
    """The definition, level by level and picture by picture."""
    regions, valid = lesion_free_regions(outline)
    values = []
    for level in levels:
        for index in range(len(outline)):
            free = [region for region, kept in zip(regions[index], valid[index].tolist(), strict=True) if kept]
            if not free:
                continue
            features = unit_length(level[index])
            attended = plain_pool(features, attention[index, 0])
            positive = math.exp(cosine(attended, plain_pool(features, outline[index, 0])) / temperature)
            negatives = sum(math.exp(cosine(attended, plain_pool(features, region)) / temperature) for region in free)
            values.append(-math.log(positive / (positive + negatives)))
    return sum(values) / len(values) if values else 0.0


def some_batch(
    seed: int, lesions: list[tuple[int, int]], size: int = 8, channels: tuple[int, ...] = (3, 5)
) -> tuple[list[Tensor], Tensor, Tensor]:
    """Levels, attention, and outlines of 2 x 2 cells at a place each; a place outside of the map is no lesion."""
    generator = torch.Generator().manual_seed(seed)
    levels = [torch.randn(len(lesions), count, size, size, generator=generator) for count in channels]
    attention = torch.rand(len(lesions), 1, size, size, generator=generator)
    outline = torch.zeros(len(lesions), 1, size, size)
    for index, (y, x) in enumerate(lesions):
        outline[index, 0, y : y + 2, x : x + 2] = 1.0
    return levels, attention, outline


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    lesions=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=3),
    temperature=st.floats(0.05, 1),
)
def test_equals_the_plain_definition(seed: int, lesions: list[tuple[int, int]], temperature: float) -> None:
    levels, attention, outline = some_batch(seed, lesions)
    value = FeatureRegulationLoss(temperature)(levels, attention, outline)
    assert value.shape == ()
    assert value.item() == pytest.approx(plain_loss(levels, attention, outline, temperature), rel=1e-3, abs=1e-4)


def half_and_half() -> tuple[Tensor, Tensor, Tensor]:
    """Features (1, 0) on the lesion, (0, 1) elsewhere; the lesion in one corner."""
    outline = torch.zeros(1, 1, 8, 8)
    outline[..., 1:3, 1:3] = 1.0
    return torch.cat([outline, 1 - outline], dim=1), outline, 1 - outline


# On the lesion the positive's cosine is 1 and that of each of K regions 0: log(1 + K e^(-1/t)); beside it the other way round.
def test_closed_form_where_attention_is_on_the_lesion_and_where_it_is_beside() -> None:
    features, outline, rest = half_and_half()
    count = int(lesion_free_regions(outline)[1].sum())
    assert count > 1
    loss = FeatureRegulationLoss(0.5)
    assert loss([features], outline, outline).item() == pytest.approx(math.log1p(count * math.exp(-2)), abs=1e-4)
    assert loss([features], rest, outline).item() == pytest.approx(math.log1p(count * math.exp(2)), abs=1e-4)


def test_features_that_tell_nothing_cost_the_logarithm_of_the_choices() -> None:
    _, outline, _ = half_and_half()
    count = int(lesion_free_regions(outline)[1].sum())
    value = FeatureRegulationLoss()([torch.ones(1, 4, 8, 8)], torch.rand(1, 1, 8, 8) + 0.1, outline)
    assert value.item() == pytest.approx(math.log(1 + count), abs=1e-4)


def test_gradients_pull_the_attention_to_the_lesion() -> None:
    features, outline, _ = half_and_half()
    attention = torch.full((1, 1, 8, 8), 0.5, requires_grad=True)
    FeatureRegulationLoss()([features], attention, outline).backward()
    assert (attention.grad[outline > 0] < 0).all()
    assert (attention.grad[outline == 0] > 0).all()


def test_features_are_constants_so_only_the_map_learns() -> None:
    levels, attention, outline = some_batch(3, [(1, 1), (4, 2)])
    features = [level.requires_grad_() for level in levels]
    attention.requires_grad_()
    FeatureRegulationLoss()(features, attention, outline).backward()
    assert all(level.grad is None for level in features)
    assert (attention.grad.abs().sum(dim=(1, 2, 3)) > 0).all()


def test_a_place_counts_by_its_attention_and_not_by_the_length_of_its_feature() -> None:
    levels, attention, outline = some_batch(4, [(2, 1), (5, 3)])
    lengths = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 100 + 0.1
    loss = FeatureRegulationLoss()
    torch.testing.assert_close(loss([level * lengths for level in levels], attention, outline), loss(levels, attention, outline))


def test_the_gradient_is_that_of_the_attended_feature_with_all_else_held() -> None:
    levels, attention, outline = some_batch(4, [(2, 1), (9, 9)], channels=(4,))
    attention.requires_grad_()
    FeatureRegulationLoss(0.2)(levels, attention, outline).backward()
    regions, valid = lesion_free_regions(outline)
    features = torch.nn.functional.normalize(levels[0], dim=1)
    constants = pooled_features(features, torch.cat([outline, regions], dim=1))[0, [True, *valid[0].tolist()]]
    held = attention.detach().clone().requires_grad_()
    attended = (features[0] * held[0]).sum(dim=(1, 2)) / held[0].sum()
    similarity = torch.nn.functional.cosine_similarity(attended[None], constants) / 0.2
    (-torch.log_softmax(similarity, dim=0)[0]).backward()
    torch.testing.assert_close(attention.grad, held.grad, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("whole", [False, True], ids=["no lesion", "nothing but lesion"])
def test_without_a_lesion_or_without_a_region_it_is_zero_with_a_gradient_of_zero(whole: bool) -> None:
    levels, attention, outline = some_batch(5, [(9, 9), (9, 9)])
    outline = outline + float(whole)
    attention.requires_grad_()
    value = FeatureRegulationLoss()(levels, attention, outline)
    value.backward()
    assert value.item() == 0.0
    assert torch.equal(attention.grad, torch.zeros_like(attention))


def test_pictures_without_a_lesion_or_a_region_are_left_out_of_the_mean() -> None:
    levels, attention, outline = some_batch(6, [(1, 1), (9, 9), (2, 5)])
    outline[2] = 1.0
    attention.requires_grad_()
    value = FeatureRegulationLoss()(levels, attention, outline)
    value.backward()
    alone = FeatureRegulationLoss()([level[:1] for level in levels], attention[:1], outline[:1])
    torch.testing.assert_close(value, alone)
    assert torch.equal(attention.grad[1:], torch.zeros_like(attention[1:]))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_features_are_compared_in_single_precision(kind: torch.dtype) -> None:
    levels, attention, outline = some_batch(7, [(1, 1), (4, 2)])
    halves = [level.to(kind) for level in levels]
    value = FeatureRegulationLoss()(halves, attention.to(kind), outline)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, FeatureRegulationLoss()([level.float() for level in halves], attention.to(kind).float(), outline))


def test_dark_maps_and_dead_features_have_finite_gradients() -> None:
    levels, _, outline = some_batch(8, [(1, 1)])
    attention = torch.zeros(1, 1, 8, 8, requires_grad=True)
    dead = [torch.zeros_like(level) for level in levels]
    FeatureRegulationLoss()(dead, attention, outline).backward()
    assert torch.isfinite(attention.grad).all()


@pytest.mark.parametrize(
    "shapes",
    [
        ((2, 1, 8, 8), (2, 1, 4, 4), (2, 3, 8, 8)),
        ((2, 1, 8, 8), (1, 1, 8, 8), (2, 3, 8, 8)),
        ((2, 1, 8, 8), (2, 1, 8, 8), (2, 3, 4, 4)),
        ((2, 1, 8, 8), (2, 1, 8, 8), (1, 3, 8, 8)),
    ],
)
def test_wrong_shapes_raise(shapes: tuple[tuple[int, ...], ...]) -> None:
    attention, outline, level = (torch.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match=r"\[B, 1, h, w\]"):
        FeatureRegulationLoss()([level], attention, outline)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_cannot_be_raises(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature"):
        FeatureRegulationLoss(temperature)


def test_under_autocast_the_loss_is_that_of_single_precision() -> None:
    generator = torch.Generator().manual_seed(3)
    levels = [torch.randn(2, 6, 8, 8, generator=generator) for _ in range(2)]
    attention, outline = torch.rand(2, 1, 8, 8, generator=generator), torch.zeros(2, 1, 8, 8)
    outline[:, :, 3:5, 1:3] = 1.0
    expected = FeatureRegulationLoss()(levels, attention, outline)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(FeatureRegulationLoss()(levels, attention, outline), expected)
