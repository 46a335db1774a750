"""Places in the same lungs where an equally large lesion could have been."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from monai_pneumonia.data.phantoms.generate import PhantomSpec, generate_phantom
from monai_pneumonia.losses.lesion_free_regions import lesion_free_regions

SHIFTS = [(-0.25, 0.0), (0.25, 0.0), (-0.125, 0.0), (0.125, 0.0), (0.0, -0.125), (0.0, 0.125)]


def plain_regions(outline: list[list[float]]) -> tuple[list[list[list[float]]], list[bool]]:
    """The copies of one picture's outline, cell by cell."""
    height, width = len(outline), len(outline[0])
    mirrored = [row[::-1] for row in outline]

    def copy(source: list[list[float]], down: int, right: int) -> list[list[float]]:
        inside = lambda y, x: 0 <= y - down < height and 0 <= x - right < width  # noqa: E731
        return [[source[y - down][x - right] if inside(y, x) and outline[y][x] == 0 else 0.0 for x in range(width)] for y in range(height)]

    moves = [(round(down * height), round(right * width)) for down, right in SHIFTS]
    copies = [copy(mirrored, 0, 0), *(copy(source, *move) for source in (outline, mirrored) for move in moves)]
    area = sum(map(sum, outline))
    return copies, [area > 0 and sum(map(sum, region)) >= 0.25 * area for region in copies]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), height=st.integers(3, 12), width=st.integers(3, 12), filled=st.floats(0, 0.5))
def test_equals_the_plain_definition(seed: int, height: int, width: int, filled: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    # Eighths, so that sums are exact and "a quarter of the area" does not hang on rounding.
    levels = torch.randint(1, 9, (2, 1, height, width), generator=generator) / 8
    outline = levels * (torch.rand(2, 1, height, width, generator=generator) < filled)
    regions, valid = lesion_free_regions(outline)
    for index in range(2):
        expected, kept = plain_regions(outline[index, 0].tolist())
        torch.testing.assert_close(regions[index], torch.tensor(expected))
        assert valid[index].tolist() == kept


def lesion(rows: slice, columns: slice) -> Tensor:
    outline = torch.zeros(1, 1, 16, 16)
    outline[..., rows, columns] = 1.0
    return outline


def test_the_first_region_is_the_other_lung() -> None:
    outline = lesion(slice(6, 9), slice(2, 5))
    regions, valid = lesion_free_regions(outline)
    torch.testing.assert_close(regions[:, :1], lesion(slice(6, 9), slice(11, 14)))
    assert valid[0, 0]


def test_no_region_touches_the_lesion() -> None:
    outline = lesion(slice(5, 10), slice(3, 7)) * 0.1
    regions, valid = lesion_free_regions(outline)
    assert regions[..., 5:10, 3:7].abs().sum() == 0
    assert valid.any()


@pytest.mark.parametrize("outline", [lesion(slice(0, 0), slice(0, 0)), lesion(slice(0, 16), slice(0, 16))])
def test_no_lesion_and_nothing_but_lesion_have_no_region(outline: Tensor) -> None:
    regions, valid = lesion_free_regions(outline)
    assert regions.sum() == 0
    assert not valid.any()


def test_a_lesion_in_the_middle_has_no_mirror_image_but_other_places() -> None:
    _, valid = lesion_free_regions(lesion(slice(7, 9), slice(7, 9)))
    assert not valid[0, 0]
    assert valid[0, 1:].any()


@pytest.mark.parametrize("finding", ["bacterial", "viral", "covid19"])
def test_most_lesions_of_each_form_have_regions_on_a_coarse_grid(finding: str) -> None:
    outlines = [outline_on_grid(finding, patient, 8) for patient in range(12)]
    _, valid = lesion_free_regions(torch.cat(outlines))
    assert valid.any(dim=1).float().mean() >= 0.7


def outline_on_grid(finding: str, patient: int, side: int) -> Tensor:
    """A phantom's outline, averaged over the cells of a grid: [1, 1, side, side]."""
    outline = generate_phantom(PhantomSpec(finding=finding, size=96, patient=patient)).outline
    return torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(outline)[None, None].float(), side)
