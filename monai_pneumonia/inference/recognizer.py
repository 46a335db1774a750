"""LesionRecognizer: picture in, LesionReport out. Bundle, command line, annotation server and container all call it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from typing import TypeAlias

import numpy as np
import torch
from monai.data import MetaTensor, decollate_batch
from monai.transforms import Compose
from torch import Tensor

from monai_pneumonia.errors import DeviceFaultError, ModelFaultError, PneumoniaError, RejectedImageError, UnreadableImageError, UsageError
from monai_pneumonia.inference.bundle import read_bundle
from monai_pneumonia.inference.calibration import Calibration
from monai_pneumonia.inference.faults import named_faults
from monai_pneumonia.inference.maps import attention_maps
from monai_pneumonia.inference.regions import find_lesions
from monai_pneumonia.inference.report import NO_PNEUMONIA, PNEUMONIA, UNSUPERVISED, LesionReport, MapKind
from monai_pneumonia.inference.weights import WeightsDescription
from monai_pneumonia.networks import LesionAttentionNet
from monai_pneumonia.networks.probabilities import class_probabilities
from monai_pneumonia.radiograph import Radiograph
from monai_pneumonia.radiograph.grey_levels import CONSTANT_PICTURE
from monai_pneumonia.transforms.network_input import network_input_transforms, to_original_grid

Picture: TypeAlias = "str | os.PathLike[str] | np.ndarray | Tensor | Radiograph"

IMAGE_KEY = "image"
UNCALIBRATED = "the probabilities are not calibrated: the model has no calibration"
# Chest X-rays are between 0.7 and 1.5 times as wide as high; pictures of small children, cropped, reach twice that.
WIDEST_ASPECT = 2.0


class LesionRecognizer:
    """Recognises pneumonia and its lesions in chest X-rays. Research use only, not for diagnosis.

    What it says of a picture depends neither on the other pictures of a batch nor on who calls it: all forms share one
    path. On a CPU the pictures of a batch pass through the network one by one, for its convolutions sum in another order
    for another batch size, which probabilities show from the sixth digit on; a GPU takes them together, in full single
    precision.

    Args:
        network: gives the logits and maps.
        description: what the weights are for.
        calibration: temperature, operating point and lesion threshold; None is uncalibrated.
        weights_sha256: of the weights file; empty for weights that come from none.
        device: where to compute; None takes a GPU where there is one.
        model_version: None takes the one of the description.

    Attributes:
        preprocessing: the steps from ``{"image": file or array}`` to ``{"image": MetaTensor [1, S, S]}``.
        labels: the classes.

    Raises:
        UsageError: the device does not exist here.
        DeviceFaultError: the device does not take the network.
    """

    def __init__(
        self,
        network: LesionAttentionNet,
        description: WeightsDescription,
        calibration: Calibration | None = None,
        weights_sha256: str = "",
        device: str | torch.device | None = None,
        model_version: str | None = None,
    ) -> None:
        self.device = _device(device)
        try:
            self.network = network.to(self.device).eval().requires_grad_(False)
        except RuntimeError as error:
            raise DeviceFaultError(
                f"the device '{self.device}' does not take the network ({type(error).__name__}): "
                "see that it works and has memory free, or compute on the device cpu"
            ) from error
        self.description = description
        self.labels = description.labels
        self.calibration = calibration or Calibration(weights_sha256=weights_sha256)
        self.weights_sha256 = weights_sha256
        self.model_version = model_version or description.model_version
        self.preprocessing = network_input_transforms(description.input_size, description.resize_mode, keys=(IMAGE_KEY,))

    @classmethod
    def from_bundle(cls, path: str | os.PathLike[str], device: str | torch.device | None = None) -> LesionRecognizer:
        """Builds the recogniser of a bundle's folder; none of the bundle's configurations is executed.

        Args:
            path: the folder, with configs/metadata.json, models/model.pt and perhaps models/calibration.json.
            device: where to compute; None takes a GPU where there is one.

        Raises:
            ModelFaultError: it is no bundle, a file is missing or damaged, or two files contradict each other.
            UsageError: the device does not exist here.
        """
        bundle = read_bundle(path)
        return cls(bundle.network, bundle.description, bundle.calibration, bundle.weights_sha256, device, bundle.version)

    def __call__(self, picture: Picture) -> LesionReport:
        """Recognises one picture.

        Args:
            picture: a DICOM, PNG, JPEG, TIFF, NIfTI or MetaImage file, an upright array [H, W] with bright bones, or what
                :func:`monai_pneumonia.radiograph.read_radiograph` gave for a file.

        Raises:
            BadInputError: the picture cannot be read, or is no single radiograph.
            NotEnoughMemoryError: machine or device have too little memory for it.
            DeviceFaultError: the device failed.
        """
        return self.recognize_batch([picture])[0]

    def recognize_batch(self, pictures: Sequence[Picture]) -> list[LesionReport]:
        """Recognises pictures in one pass through the network; :meth:`stream` takes any number of them.

        Raises:
            BadInputError: one of the pictures cannot be read, or is no single radiograph.
        """
        return self.recognize_inputs([self.prepare(picture) for picture in pictures])

    def stream(self, pictures: Iterable[Picture], batch_size: int = 8) -> Iterator[tuple[Picture, LesionReport | PneumoniaError]]:
        """Recognises any number of pictures, read only as they are asked for.

        A picture that cannot be read or used yields its error and does not stop the others. At most ``batch_size`` network inputs
        are alive at a time, and one map of a picture's full size.

        Args:
            pictures: files or arrays.
            batch_size: how many go through the network together.

        Yields:
            each picture, in order, with its report or its error.

        Raises:
            UsageError: the batch size is below one.
            ModelFaultError: the network gives values that are not finite, or the device failed.
            NotEnoughMemoryError: a batch of network inputs, or a map of full size, needs more memory than there is.
        """
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}: give a whole number above zero")
        remaining = iter(pictures)
        while batch := list(islice(remaining, batch_size)):
            prepared = [prepare_or_error(self.preprocessing, picture) for picture in batch]
            reports = self._reports([inputs for inputs in prepared if isinstance(inputs, MetaTensor)])
            for picture, inputs in zip(batch, prepared, strict=True):
                yield picture, next(reports) if isinstance(inputs, MetaTensor) else inputs
            # Pictures may be arrays of full size: those of this batch must go before the next are taken.
            del batch, prepared

    @named_faults()
    def prepare(self, picture: Picture) -> MetaTensor:
        """One picture as the network's input [1, S, S], float32 in [0, 1], which remembers the picture's own grid.

        Raises:
            BadInputError: the picture cannot be read, is no single radiograph, or is of one grey all over.
            NotEnoughMemoryError: there is too little memory for it.
        """
        return _prepared(self.preprocessing, picture)

    def recognize_inputs(self, inputs: MetaTensor | Sequence[MetaTensor]) -> list[LesionReport]:
        """Recognises what :meth:`prepare` or :attr:`preprocessing` gave, as a data loader's batch or one by one.

        Args:
            inputs: a batch [B, 1, S, S] with its metadata, or a sequence of [1, S, S].

        Raises:
            ValueError: an input lacks the metadata that leads back to the picture.
            ModelFaultError: the network gives values that are not finite.
            NotEnoughMemoryError: machine or device have too little memory.
            DeviceFaultError: the device failed.
        """
        return list(self._reports(decollate_batch(inputs) if isinstance(inputs, Tensor) else list(inputs)))

    def _reports(self, inputs: Sequence[MetaTensor]) -> Iterator[LesionReport]:
        """One pass through the network, then one report at a time, for each holds maps of its picture's full size."""
        if not inputs:
            return
        probabilities, maps, kind = self._predict(torch.stack([picture.as_tensor() for picture in inputs]))
        for picture, row, attention in zip(inputs, probabilities, maps, strict=True):
            yield self._report(picture, row, attention, kind)

    def _predict(self, batch: Tensor) -> tuple[np.ndarray, Tensor, MapKind]:
        """Probabilities [B, C] in double precision and maps [B, 1, S, S] of inputs [B, 1, S, S], on the CPU."""
        with named_faults(self.device), torch.inference_mode(), _exact_arithmetic(self.device):
            outputs = [self.network.explain(part.to(self.device)) for part in batch.split(1 if self.device.type == "cpu" else len(batch))]
            logits = torch.cat([output.logits for output in outputs])
            probabilities = class_probabilities(logits, self.description.output_activation, self.calibration.temperature)
            pairs = [attention_maps(self.network, output, self.description, self.calibration.temperature) for output in outputs]
            maps = torch.cat([part for part, _ in pairs])
            # A GPU tells here, where it is waited for, what failed above.
            if not bool(torch.isfinite(logits).all()) or not bool(torch.isfinite(maps).all()):
                raise ModelFaultError("the network gives values that are not finite: its weights are damaged or belong to another network")
            return probabilities.cpu().numpy(), maps.cpu(), pairs[0][1]

    @named_faults()
    def _report(self, picture: MetaTensor, probabilities: np.ndarray, attention: Tensor, kind: MapKind) -> LesionReport:
        p_pneumonia = float(np.clip(1.0 - probabilities[self.labels.negative_index], 0.0, 1.0))
        decision = PNEUMONIA if p_pneumonia >= self.calibration.operating_point else NO_PNEUMONIA
        attention_map = np.ascontiguousarray(to_original_grid(attention, picture).numpy(), dtype=np.float32)
        lesion_labels, lesions = (
            find_lesions(attention_map, self.calibration.lesion_threshold, _pixel_spacing(picture))
            if decision == PNEUMONIA
            else (np.zeros(attention_map.shape, dtype=np.uint16), ())
        )
        return LesionReport(
            probabilities={name: float(value) for name, value in zip(self.labels.classes, probabilities, strict=True)},
            p_pneumonia=p_pneumonia,
            decision=decision,
            uncertainty=normalized_entropy(probabilities),
            attention_map=attention_map,
            map_kind=kind,
            lesion_labels=lesion_labels,
            lesions=lesions,
            model_version=self.model_version,
            weights_sha256=self.weights_sha256,
            warnings=(*_picture_warnings(picture, attention_map.shape), *self._model_warnings()),
        )

    def _model_warnings(self) -> tuple[str, ...]:
        """What every report of this model must say."""
        uncalibrated = () if self.calibration.is_fitted else (UNCALIBRATED,)
        return uncalibrated if self.description.attention_supervised else (*uncalibrated, UNSUPERVISED)


def prepare_or_error(preprocessing: Compose, picture: Picture) -> MetaTensor | PneumoniaError:
    """One picture as the network's input [1, S, S], or why it cannot be; no fault of one file stops the others.

    Args:
        preprocessing: a recogniser's.
        picture: a file, or an upright array [H, W].
    """
    name = _name(picture)
    try:
        with named_faults(picture=name):
            return _prepared(preprocessing, picture)
    except PneumoniaError as error:
        return error
    except Exception as error:  # a decoder's unforeseen fault
        unreadable = UnreadableImageError(f"{name}: cannot be read ({type(error).__name__}): export or copy the picture anew")
        unreadable.__cause__ = error
        return unreadable


def _prepared(preprocessing: Compose, picture: Picture) -> MetaTensor:
    """The network's input; a picture of one grey all over has none, for whatever a network said of it would mean nothing."""
    inputs: MetaTensor = preprocessing({IMAGE_KEY: picture})[IMAGE_KEY]
    if CONSTANT_PICTURE in _reader_warnings(inputs):
        raise RejectedImageError(f"{_name(picture)}: {CONSTANT_PICTURE}, so there is nothing to recognise: export or copy the picture anew")
    return inputs


def _name(picture: Picture) -> str:
    return os.fspath(picture) if isinstance(picture, str | os.PathLike) else "the picture"


def normalized_entropy(probabilities: np.ndarray) -> float:
    """Entropy of probabilities [C] over log C: 0 where one class is certain, 1 where all are alike; 0 for a single class."""
    if len(probabilities) < 2:
        return 0.0
    positive = probabilities[probabilities > 0]
    return float(np.clip(-(positive * np.log(positive)).sum() / np.log(len(probabilities)), 0.0, 1.0))


def _device(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"cannot compute on the device '{device}': give one that exists here, such as cpu") from error
    return chosen


def _exact_arithmetic(device: torch.device) -> AbstractContextManager[None]:
    """On a GPU, convolutions in full single precision by one algorithm, so that a batch's size does not change its results."""
    if device.type != "cuda":
        return nullcontext()
    exact: AbstractContextManager[None] = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    return exact


def _pixel_spacing(picture: MetaTensor) -> tuple[float, float] | None:
    down, across = (float(length) for length in picture.meta["pixel_spacing"])
    return (down, across) if down > 0 and across > 0 else None


def _picture_warnings(picture: MetaTensor, size: tuple[int, ...]) -> tuple[str, ...]:
    """The reader's warnings, and what is odd about the picture's size."""
    warnings = _reader_warnings(picture)
    height, width = size
    aspect = max(width / height, height / width)
    if aspect > WIDEST_ASPECT:
        longer = "wide" if width > height else "high"
        warnings.append(f"the picture is {aspect:.1f} times as {longer} as the other way: unlike a chest X-ray")
    if max(height, width) < picture.shape[-1]:
        warnings.append(f"the picture has only {height} x {width} pixels: enlarged for the network")
    return tuple(warnings)


def _reader_warnings(picture: MetaTensor) -> list[str]:
    return [text for text in str(picture.meta.get("warnings", "")).split("; ") if text]
