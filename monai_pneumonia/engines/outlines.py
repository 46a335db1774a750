"""What of a training's data depends on whether outlines are used: its preprocessing and its sampler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ignite.distributed as idist
from monai.data import DistributedSampler
from monai.transforms import Compose

from monai_pneumonia.engines.outlined_sampler import OutlinedSampler
from monai_pneumonia.transforms.cached_dataset import RadiographDataset
from monai_pneumonia.transforms.network_input import NetworkInputTransforms, network_input_transforms
from monai_pneumonia.transforms.outline import LesionOutlined


def uses_outlines(attention: Mapping[str, Any], regulation: Mapping[str, Any]) -> bool:
    """Whether a configuration's sections ask for lesion outlines; a training that does not never reads a mask."""
    return bool(attention["enabled"] and (attention["guided"] or attention["weight"] > 0 or regulation["enabled"]))


def training_preprocessing(input_size: int, resize_mode: str, outlines: bool) -> Compose:
    """The network's input, with the lesion outline on the same grid where outlines are used.

    Raises:
        UsageError: an input size below one, or an unknown resize mode.
    """
    steps = network_input_transforms(input_size, resize_mode)
    return NetworkInputTransforms([*steps.transforms, LesionOutlined(input_size, resize_mode)]) if outlines else steps


def training_sampler(dataset: RadiographDataset, batch_size: int, outlined_share: float, seed: int) -> DistributedSampler | OutlinedSampler:
    """An order of the training pictures for this process: with a set share of outlined ones, or plain.

    Args:
        dataset: the training pictures.
        batch_size: over all processes together.
        outlined_share: of a batch; 0 leaves the order to chance.
        seed: of the order.
    """
    processes = {"num_replicas": idist.get_world_size(), "rank": idist.get_rank()}
    if not outlined_share:
        return DistributedSampler(dataset, shuffle=True, seed=seed, **processes)
    kinds = [record["mask_kind"] for record in dataset.data]
    return OutlinedSampler(kinds, batch_size, outlined_share, seed, **processes)
