"""What is probed: a pre-trained encoder, a random one of the same kind, and coarse pixels."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader
from tqdm import tqdm

from monai_pneumonia.engines.training import ENCODER_KEY
from monai_pneumonia.errors import ModelFaultError, PneumoniaError
from monai_pneumonia.inference.weights import DESCRIPTION_KEY, INPUT_SIZE_STEP, file_sha256
from monai_pneumonia.metrics.weighted import Floats
from monai_pneumonia.networks.backbones import build_backbone, replace_batch_normalization
from monai_pneumonia.networks.lesion_attention_net import NORMALIZATIONS
from monai_pneumonia.transforms.geometry import check_geometry

PRETRAINED, RANDOM, PIXELS = "pretrained", "random", "pixels"
PIXEL_GRID = 16
SMALLEST_INPUT = 64
_DESCRIBED = ("backbone", "normalization", "input_size", "resize_mode")


class PooledEncoder(nn.Module):
    """A backbone whose deepest level is averaged over the picture.

    Args:
        backbone: of :func:`monai_pneumonia.networks.backbones.build_backbone`.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> Tensor:
        """Maps images [B, 1, H, W] to features [B, D]."""
        pooled: Tensor = self.backbone(images)[-1].mean(dim=(2, 3))
        return pooled


class CoarsePixels(nn.Module):
    """The picture itself, averaged to 16 x 16: what can be told without any encoder."""

    def forward(self, images: Tensor) -> Tensor:
        """Maps images [B, 1, H, W] to grey levels [B, 256]."""
        return functional.adaptive_avg_pool2d(images, PIXEL_GRID).flatten(1)


@dataclass(frozen=True)
class PretrainedEncoder:
    """A file of pre-training, read.

    Attributes:
        network: pictures to features, in evaluation mode.
        description: what the file says of itself, plain values.
        sha256: of the file.
    """

    network: PooledEncoder
    description: Mapping[str, Any]
    sha256: str

    @property
    def input_size(self) -> int:
        """Side of the network's input in pixels."""
        return int(self.description["input_size"])

    @property
    def resize_mode(self) -> str:
        """``stretch`` or ``pad``."""
        return str(self.description["resize_mode"])


def read_pretrained_encoder(path: str | os.PathLike[str]) -> PretrainedEncoder:
    """Reads an encoder into the backbone that its own description names.

    Args:
        path: weights-only file with the backbone's parameters under ``encoder`` and plain values under ``description``.

    Raises:
        ModelFaultError: the file is missing, damaged or without description, or its parameters are not those of its backbone.
    """
    file = Path(path)
    if not file.is_file():
        raise ModelFaultError(f"there is no encoder at {file}: run configs/pretrain.yaml first, or give `--pretrained_encoder`")
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load has no common error of its own
        raise ModelFaultError(f"the encoder {file} is damaged or not a weights-only file ({type(error).__name__})") from error
    description = content.get(DESCRIPTION_KEY) if isinstance(content, dict) else None
    if not isinstance(description, dict) or ENCODER_KEY not in content:
        raise ModelFaultError(f"the encoder {file} lacks '{ENCODER_KEY}' or '{DESCRIPTION_KEY}': give the file that pretrain.yaml wrote")
    backbone = _described_backbone(description, file)
    try:
        backbone.load_state_dict(content[ENCODER_KEY])
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ModelFaultError(
            f"the parameters in {file} are not those of the backbone that its description names, {description['backbone']} with "
            f"{description['normalization']} normalisation ({str(error).splitlines()[0]}): pre-train again"
        ) from error
    broken = [name for name, value in backbone.state_dict().items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if broken:
        raise ModelFaultError(f"the encoder {file} holds values that are not finite, such as in {broken[0]}: pre-train again")
    return PretrainedEncoder(PooledEncoder(backbone).eval(), description, file_sha256(file))


def _described_backbone(description: Mapping[str, Any], file: Path) -> nn.Module:
    missing = [key for key in _DESCRIBED if key not in description]
    if missing:
        raise ModelFaultError(f"the description in {file} does not tell {', '.join(missing)}: give the file that pretrain.yaml wrote")
    try:
        check_geometry(description["input_size"], description["resize_mode"])
        fits = description["input_size"] >= SMALLEST_INPUT and description["input_size"] % INPUT_SIZE_STEP == 0
        if not fits or description["normalization"] not in NORMALIZATIONS:
            raise ValueError(f"input_size {description['input_size']} or normalization {description['normalization']} is none of ours")
        return _backbone(description)
    except (TypeError, ValueError, PneumoniaError) as error:
        raise ModelFaultError(f"the description in {file} cannot be used ({error}): it was not written by this version") from error


def _backbone(description: Mapping[str, Any]) -> nn.Module:
    backbone: nn.Module = build_backbone(description["backbone"])
    if description["normalization"] == "group":
        replace_batch_normalization(backbone)
    return backbone


def random_encoder(description: Mapping[str, Any], pictures: Iterable[Tensor], device: Any, seed: int = 0) -> PooledEncoder:
    """An encoder of the same kind with random weights: what its architecture alone can tell.

    Its batch normalisations take their statistics from the training pictures. As built they have none, activations grow or
    vanish from layer to layer, and the comparison would be with features that nobody would use.

    Args:
        description: of the pre-trained encoder.
        pictures: batches [B, 1, S, S] of the training pictures.
        device: where the network runs.
        seed: of the weights.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = PooledEncoder(_backbone(description)).to(device)
        if any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in network.modules()):
            update_bn(pictures, network, device=torch.device(device))
    return network.eval()


def pictures_of(loader: DataLoader[Any], title: str) -> Iterator[Tensor]:
    """The pictures of a loader of records, batch by batch [B, 1, S, S], with a progress bar on a terminal."""
    for batch in tqdm(loader, desc=title, unit="batch", disable=not sys.stderr.isatty(), leave=False):
        yield torch.as_tensor(batch["image"])


def extract_features(networks: Mapping[str, nn.Module], pictures: Iterable[Tensor], device: Any) -> dict[str, Floats]:
    """What each network makes of every picture.

    Args:
        networks: name to network, from pictures [B, 1, S, S] to features [B, D].
        pictures: batches.
        device: where the networks are.

    Returns:
        Name to features [N, D], in the pictures' order.

    Raises:
        ModelFaultError: a network gives values that are not finite.
    """
    found: dict[str, list[np.ndarray]] = {name: [] for name in networks}
    with torch.no_grad():
        for batch in pictures:
            images = batch.to(device)
            for name, network in networks.items():
                found[name].append(network(images).float().cpu().numpy())
    features = {name: np.concatenate(parts).astype(np.float64) for name, parts in found.items()}
    for name, values in features.items():
        if not np.isfinite(values).all():
            raise ModelFaultError(f"the features of the {name} encoder are not finite: its weights are damaged, pre-train again")
    return features
