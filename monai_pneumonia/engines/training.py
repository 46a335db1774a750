"""The pieces of a training that a configuration cannot say in one expression."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from ignite.engine import Engine
from monai.engines import Workflow

from monai_pneumonia.engines.faults import one_line_errors
from monai_pneumonia.errors import ModelFaultError
from monai_pneumonia.networks import LesionAttentionNet

ENCODER_KEY = "encoder"


def build_training_network(arguments: Mapping[str, Any], pretrained_encoder: str | None = None, seed: int = 0) -> LesionAttentionNet:
    """A network to train: weights random by the seed, the encoder from pre-training where there is one.

    Args:
        arguments: of :class:`LesionAttentionNet`.
        pretrained_encoder: weights-only file with the encoder's parameters under ``encoder``.
        seed: of the random weights.

    Raises:
        ModelFaultError: the file does not fit the backbone.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = LesionAttentionNet(**arguments)
    if pretrained_encoder is not None:
        load_encoder(network, pretrained_encoder)
    return network


def load_encoder(network: LesionAttentionNet, path: str) -> None:
    """Loads a pre-trained encoder.

    Raises:
        ModelFaultError: the file is damaged, or is of another backbone.
    """
    try:
        network.encoder.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)[ENCODER_KEY])
    except Exception as error:  # torch.load has no common error of its own
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise ModelFaultError(f"the encoder in {path} does not fit this backbone ({reason}) (key `pretrained_encoder`)") from error


def run_engine(engine: Workflow) -> Engine:
    """Runs an engine; one of our own errors ends the process with one line and its exit code.

    Raises:
        SystemExit: in the place of a PneumoniaError.
    """
    with one_line_errors():
        engine.run()
    return engine
