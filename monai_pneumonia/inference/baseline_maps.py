"""Maps to hold a model's attention against: Grad-CAM of its network at a level of the backbone, and the mean outline.

They are controls: attention that points no better than these has not learned from outlines where lesions lie.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
import torch
from monai.data import MetaTensor
from monai.visualize import GradCAM, GradCAMpp
from torch import Tensor, nn
from torch.nn import functional

from monai_pneumonia.data.datalist import Datalist, DatalistItem
from monai_pneumonia.errors import NothingToAnalyseError, UsageError
from monai_pneumonia.inference.recognizer import LesionRecognizer
from monai_pneumonia.inference.weights import WeightsDescription
from monai_pneumonia.networks import LesionAttentionNet
from monai_pneumonia.networks.backbones import STRIDES
from monai_pneumonia.transforms.network_input import network_input_transforms, to_original_grid
from monai_pneumonia.transforms.outline import LesionOutlined

MEAN_OUTLINE = "mean_outline"
GRAD_CAM_METHODS = {"grad_cam_pp": GradCAMpp, "grad_cam": GradCAM}
OUTLINED_KINDS = ("pixel", "box")

MapSource: TypeAlias = Callable[[MetaTensor], Tensor]
"""From a network input [1, S, S] to a map [1, S, S] in [0, 1]."""


class PneumoniaScore(nn.Module):
    """A network's log-odds of pneumonia as its only output: log(summed probability of all classes but the negative one / p(negative)).

    Args:
        network: gives logits [B, C] in evaluation.
        description: what the logits mean.
    """

    def __init__(self, network: nn.Module, description: WeightsDescription) -> None:
        super().__init__()
        self.network = network
        self.activation = description.output_activation
        self.negative = description.labels.negative_index

    def forward(self, images: Tensor) -> Tensor:
        """Scores images [B, 1, H, W]: [B, 1]."""
        logits = self.network(images)
        # Up to a constant of the picture, which the difference takes away, both are the logarithms of the probabilities.
        scores = logits if self.activation == "softmax" else functional.logsigmoid(logits)
        others = [channel for channel in range(scores.shape[1]) if channel != self.negative]
        return scores[:, others].logsumexp(dim=1, keepdim=True) - scores[:, self.negative, None]


class GradCamMaps:
    """Grad-CAM++ (Chattopadhay et al. 2018, arXiv 1710.11063) or Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) of the pneumonia score.

    MONAI's classes, on a copy of the network. A map is scaled to [0, 1] by its own least and greatest value, on the level's grid, and
    then interpolated linearly; one that is everywhere alike becomes zeros.

    Args:
        network: any network of the registry's backbones, with or without attention.
        description: what its logits mean.
        method: ``grad_cam_pp`` or ``grad_cam``.
        device: where to compute.

    Attributes:
        layers: stride of each level to the name of the module that gives it.

    Raises:
        UsageError: no such method.
    """

    def __init__(
        self,
        network: LesionAttentionNet,
        description: WeightsDescription,
        method: str = "grad_cam_pp",
        device: str | torch.device = "cpu",
    ) -> None:
        if method not in GRAD_CAM_METHODS:
            raise UsageError(f"unknown method '{method}': choose one of {', '.join(GRAD_CAM_METHODS)}")
        explained = copy.deepcopy(network).to(device).eval().requires_grad_(True)
        for module in explained.modules():
            # Hooks on gradients forbid operations in place.
            if getattr(module, "inplace", False):
                setattr(module, "inplace", False)  # noqa: B010 - no module declares it to mypy
        self.device = torch.device(device)
        self.layers = level_layers(explained, description.input_size)
        self._strides = tuple(self.layers)
        self._cam = GRAD_CAM_METHODS[method](
            PneumoniaScore(explained, description),
            target_layers=tuple(f"network.encoder.{name}" for name in self.layers.values()),
            upsampler=lambda _: _unchanged,
            # MONAI's own scaling makes the greatest value zero.
            postprocessing=_unchanged,
        )

    def __call__(self, inputs: Tensor, stride: int) -> Tensor:
        """The map of one picture.

        Args:
            inputs: the network's input [1, S, S].
            stride: of the level, 8, 16 or 32.

        Returns:
            [1, S, S] in [0, 1], float32 on the CPU.

        Raises:
            UsageError: no such level.
        """
        if stride not in self._strides:
            raise UsageError(f"no level of stride {stride}: choose one of {', '.join(map(str, self._strides))}")
        picture = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        # Whoever calls may have turned gradients off; a clone is no inference tensor.
        with torch.inference_mode(False), torch.enable_grad():
            batch = picture[None].to(self.device).clone()
            found = self._cam(batch, class_idx=0, layer_idx=self._strides.index(stride))
        scaled = _scaled(found.detach().cpu().double())
        return functional.interpolate(scaled, size=picture.shape[-2:], mode="bilinear", align_corners=False)[0].float()

    def at(self, stride: int) -> MapSource:
        """The maps of one level, as a function of the picture alone."""
        return lambda inputs: self(inputs, stride)


def level_layers(network: LesionAttentionNet, input_size: int) -> dict[int, str]:
    """Stride of each of the backbone's levels to the name of the module in ``network.encoder`` whose output the level is.

    Args:
        network: whose backbone is one of the registry.
        input_size: S, the side of the network's input.

    Raises:
        UsageError: a level is the output of no module.
    """
    outputs: list[tuple[str, Tensor]] = []

    def remember(name: str) -> Callable[..., None]:
        return lambda module, arguments, output: outputs.append((name, output))

    hooks = [module.register_forward_hook(remember(name)) for name, module in network.encoder.named_modules() if name]
    try:
        with torch.no_grad():
            device = next(network.parameters()).device
            levels = network.encoder(torch.zeros(1, 1, input_size, input_size, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    layers = {}
    for stride, level in zip(STRIDES, levels, strict=True):
        # The outermost: modules inside it may run more than once, or pass on what they are given.
        names = sorted((name for name, output in outputs if output is level), key=lambda name: name.count("."))
        if not names:
            raise UsageError(f"the level of stride {stride} is the output of no module of the backbone: Grad-CAM has no layer to look at")
        layers[stride] = names[0]
    return layers


def mean_outline(
    datalist: Datalist,
    input_size: int,
    resize_mode: str = "stretch",
    section: str = "training",
    kinds: Sequence[str] = OUTLINED_KINDS,
) -> Tensor:
    """How often each place of the network's grid is outlined, over its greatest value: a map that never looks at the picture.

    Args:
        datalist: the data set.
        input_size: S, the side of the network's input.
        resize_mode: ``stretch`` or ``pad``.
        section: whose outlines; never that which is measured.
        kinds: which outlines, of ``pixel`` and ``box``.

    Returns:
        [1, S, S] in [0, 1].

    Raises:
        NothingToAnalyseError: the section holds no outline of these kinds.
        BadInputError: a picture or an outline cannot be used.
    """
    steps = network_input_transforms(input_size, resize_mode)
    outlined = LesionOutlined(input_size, resize_mode)
    total, count = torch.zeros(1, input_size, input_size, dtype=torch.float64), 0
    for item in datalist.section(section):
        if item.mask_kind not in kinds:
            continue
        record = {
            "id": item.id,
            "image": datalist.existing(item, item.image),
            "mask": None if item.mask is None else str(datalist.existing(item, item.mask)),
            "boxes": item.boxes,
            "mask_kind": item.mask_kind,
        }
        drawn = outlined(steps(record))
        if float(drawn["has_outline"]):
            total += drawn["outline"].as_tensor()
            count += 1
    if not count:
        raise NothingToAnalyseError(f"'{section}' of the datalist '{datalist.name}' holds no outline of kind {' or '.join(kinds)}")
    return (total / total.max()).float()


def baseline_sources(
    recognizer: LesionRecognizer, constant: Tensor | None = None, methods: Sequence[str] = ("grad_cam_pp",)
) -> dict[str, MapSource]:
    """The baselines of a recogniser by name: ``grad_cam_pp_8``, ``_16`` and ``_32`` (the stride of the level), and ``mean_outline``.

    Args:
        recognizer: its network is explained.
        constant: the mean outline [1, S, S]; None leaves it out.
        methods: of :data:`GRAD_CAM_METHODS`.

    Raises:
        UsageError: no such method.
    """
    sources: dict[str, MapSource] = {}
    for method in methods:
        maps = GradCamMaps(recognizer.network, recognizer.description, method, recognizer.device)
        sources |= {f"{method}_{stride}": maps.at(stride) for stride in maps.layers}
    if constant is not None:
        sources[MEAN_OUTLINE] = lambda inputs: constant
    return sources


def maps_of(
    recognizer: LesionRecognizer, source: MapSource, datalist: Datalist, items: Iterable[DatalistItem]
) -> Iterator[tuple[DatalistItem, np.ndarray]]:
    """Yields each item with its map, float32 [H, W] in [0, 1] on the picture's own pixels; one map at a time.

    Args:
        recognizer: reads the pictures as its network needs them.
        source: gives the maps.
        datalist: the items' datalist.
        items: of which pictures.

    Raises:
        BadInputError: a picture cannot be used.
    """
    for item in items:
        prepared = recognizer.prepare(datalist.existing(item, item.image))
        yield item, original_map(source(prepared), prepared)


def attention_maps_of(
    recognizer: LesionRecognizer, datalist: Datalist, items: Iterable[DatalistItem]
) -> Iterator[tuple[DatalistItem, np.ndarray]]:
    """Yields each item with the recogniser's own map, like :func:`maps_of`.

    Args:
        recognizer: whose maps.
        datalist: the items' datalist.
        items: of which pictures.

    Raises:
        BadInputError: a picture cannot be used.
    """
    for item in items:
        yield item, recognizer(datalist.existing(item, item.image)).attention_map


def original_map(values: Tensor, prepared: MetaTensor) -> np.ndarray:
    """A map [1, S, S] on the picture's own pixels, float32 [H, W].

    Args:
        values: the map.
        prepared: the network input that it belongs to.
    """
    return np.ascontiguousarray(to_original_grid(values, prepared).numpy(), dtype=np.float32)


def _unchanged(values: Tensor) -> Tensor:
    return values


def _scaled(values: Tensor) -> Tensor:
    """Values brought to [0, 1] by their least and greatest one; zeros where these are alike or no number."""
    low, high = values.min(), values.max()
    if not bool(high > low):
        return torch.zeros_like(values)
    return (values - low) / (high - low)
