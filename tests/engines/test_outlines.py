"""Who reads outlines, and in which order pictures come."""

from __future__ import annotations

from typing import Any

import pytest
from monai.data import DistributedSampler

from monai_pneumonia.engines import OutlinedSampler, training_preprocessing, training_sampler, uses_outlines
from monai_pneumonia.errors import UsageError
from monai_pneumonia.transforms.cached_dataset import RadiographDataset
from monai_pneumonia.transforms.network_input import network_input_transforms
from monai_pneumonia.transforms.outline import LesionOutlined

OFF: dict[str, Any] = {"enabled": True, "guided": False, "weight": 0.0}


@pytest.mark.parametrize(
    ("attention", "regulation", "used"),
    [
        ({}, False, False),
        ({"weight": 0.5}, False, True),
        ({"guided": True}, False, True),
        ({}, True, True),
        ({"weight": 1.0, "guided": True, "enabled": False}, True, False),
        ({"outlined_share": 0.2}, False, False),
    ],
)
def test_outlines_are_used_where_a_part_asks_for_them(attention: dict[str, Any], regulation: bool, used: bool) -> None:
    assert uses_outlines({**OFF, **attention}, {"enabled": regulation}) is used


@pytest.mark.parametrize("outlines", [False, True])
def test_only_a_training_that_uses_outlines_has_the_step_that_reads_masks(outlines: bool) -> None:
    steps = training_preprocessing(64, "pad", outlines).transforms
    assert any(isinstance(step, LesionOutlined) for step in steps) == outlines
    with pytest.raises(UsageError):
        training_preprocessing(64, "crop", outlines)


def test_a_share_chooses_the_sampler() -> None:
    records = [{"image": f"{index}.png", "mask_kind": kind} for index, kind in enumerate(["pixel", "empty", *["unknown"] * 6])]
    dataset = RadiographDataset(records, network_input_transforms(64))
    assert type(training_sampler(dataset, 4, 0.0, 7)) is DistributedSampler
    sampler = training_sampler(dataset, 4, 0.25, 7)
    assert type(sampler) is OutlinedSampler
    assert (sampler.batch_size, sampler.seed, sampler.num_replicas, sampler.rank) == (4, 7, 1, 0)
    assert [len(pool) for pool in sampler.pools] == [1, 1, 6]
