"""Which pictures a pre-trained encoder has seen, and whether a training may use it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Collection
from typing import Any

import torch

from monai_pneumonia.data.datalist import Datalist
from monai_pneumonia.errors import BadInputError, ModelFaultError, UsageError
from monai_pneumonia.inference.weights import DESCRIPTION_KEY

_LOGGER = logging.getLogger(__name__)


def training_sha256(datalist: Datalist) -> str:
    """A hash over the sorted ids of the training section's items."""
    return hashlib.sha256(json.dumps(sorted(item.id for item in datalist.training)).encode()).hexdigest()


def check_training_only(datalist: Datalist) -> None:
    """Checks that no item, picture or patient of the training section is in validation or testing as well.

    Raises:
        BadInputError: some are; how many is told, but not who.
    """
    held_out = [*datalist.validation, *datalist.testing]
    shared: dict[str, Collection[object]] = {
        "item ids": {item.id for item in datalist.training} & {item.id for item in held_out},
        "pictures": {datalist.resolve(item.image) for item in datalist.training} & {datalist.resolve(item.image) for item in held_out},
        "patients": {item.patient for item in datalist.training} & {item.patient for item in held_out},
    }
    told = [f"{len(found)} {kind}" for kind, found in shared.items() if found]
    if told:
        raise BadInputError(
            f"{', '.join(told)} of the training section are in validation or testing as well, and pre-training must not see those: "
            "split the datalist by patient (`monai-pneumonia validate` lists them)"
        )


def check_encoder_data(encoder_path: str | os.PathLike[str], datalist: Datalist, datalist_sha256: str) -> None:
    """Checks that an encoder has seen no picture that a training validates or tests on, as far as its description tells.

    Args:
        encoder_path: file of the encoder.
        datalist: of the training, after its fold.
        datalist_sha256: SHA-256 of the datalist's file.

    Raises:
        UsageError: it was pre-trained on another part of the same datalist.
        ModelFaultError: the file is damaged.
    """
    description = read_encoder_description(encoder_path)
    if "training_sha256" not in description:
        _LOGGER.warning("the encoder %s does not say what it was pre-trained on: it may have seen the pictures held out here", encoder_path)
    elif description.get("datalist_sha256") != datalist_sha256:
        _LOGGER.warning(
            "the encoder %s was pre-trained on another datalist ('%s'): see to it that none of its pictures is held out here",
            *(encoder_path, description.get("datalist")),
        )
    elif description["training_sha256"] != training_sha256(datalist):
        seen = ", ".join(f"{key} {description.get(key)}" for key in ("fold", "n_folds", "seed"))
        raise UsageError(
            f"the encoder {encoder_path} was pre-trained on another training section of this datalist ({seen}), so it has seen pictures "
            "that this run validates or tests on: give the same `fold`, `n_folds` and `seed`, or pre-train for this fold"
        )


def read_encoder_description(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What an encoder's file says of its pre-training; empty where it says nothing.

    Raises:
        ModelFaultError: the file is missing or damaged.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load has no common error of its own
        raise ModelFaultError(
            f"the encoder {path} is missing, damaged or not a weights-only file ({type(error).__name__}) (key `pretrained_encoder`)"
        ) from error
    description = content.get(DESCRIPTION_KEY) if isinstance(content, dict) else None
    return description if isinstance(description, dict) else {}
