"""MONAI's door to :mod:`monai_pneumonia.radiograph`: a reader for LoadImaged, and errors that stay readable on their way out."""

from __future__ import annotations

import math
from collections.abc import Generator, Hashable, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.data.image_reader import ImageReader
from monai.transforms import EnsureChannelFirst, MapTransform
from monai.utils import ImageMetaKey
from monai.utils.enums import MetaKeys

from monai_pneumonia.errors import BadInputError, PneumoniaError, pneumonia_error_of
from monai_pneumonia.radiograph import Radiograph, radiograph_from_array, read_radiograph


class RadiographReader(ImageReader):
    """Reads DICOM, PNG, JPEG, TIFF, NIfTI and MetaImage files as [H, W], never transposed (see :func:`read_radiograph`).

    Decoding happens in :meth:`get_data`: LoadImage answers any error of :meth:`read` by trying its other readers, so that a CT slice
    that we reject would come back through ITK as if nothing were wrong.
    """

    def verify_suffix(self, filename: Sequence[PathLike[str] | str] | PathLike[str] | str) -> bool:
        """Always true: the content tells the format, not the name."""
        return True

    def read(self, data: Sequence[PathLike[str] | str] | PathLike[str] | str, **kwargs: Any) -> str:
        """Notes which file to decode.

        Raises:
            BadInputError: not exactly one file.
        """
        paths = [data] if isinstance(data, str | PathLike) else list(data)
        if len(paths) != 1:
            raise BadInputError(f"a radiograph is one file, got {len(paths)}: {', '.join(str(path) for path in paths)}")
        return str(paths[0])

    def get_data(self, img: str) -> tuple[np.ndarray, dict[str, Any]]:
        """Decodes the file.

        Returns:
            float32 [H, W] in [0, 1], and the metadata (see :func:`radiograph_metadata`).

        Raises:
            UnreadableImageError: missing, damaged, or no format that we know.
            RejectedImageError: not a single projection radiograph.
        """
        radiograph = read_radiograph(img)
        return radiograph.pixels, radiograph_metadata(radiograph)


def radiograph_metadata(radiograph: Radiograph) -> dict[str, Any]:
    """The metadata of a MetaTensor, in types that collate into batches: the warnings joined, unknown spacing as NaN."""
    return {
        MetaKeys.ORIGINAL_CHANNEL_DIM: float("nan"),
        MetaKeys.SPATIAL_SHAPE: np.asarray(radiograph.pixels.shape),
        "format": radiograph.format,
        "warnings": "; ".join(radiograph.warnings),
        "pixel_spacing": np.asarray(radiograph.pixel_spacing or (math.nan, math.nan), dtype=np.float64),
    }


class LoadRadiographd(MapTransform):
    """What LoadImaged(reader=RadiographReader(), ensure_channel_first=True) does, and takes an array [H, W] or a Radiograph for a path.

    LoadImaged registers all of MONAI's readers beside the one that it is given: they log what they lack, and answer where ours refuses.

    Gives MetaTensors [1, H, W], float32 in [0, 1].

    Args:
        keys: which values of the item are paths, arrays or radiographs.
        allow_missing_keys: whether an item may lack a key.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Loads the values of the keys.

        Raises:
            BadInputError: a file or an array that is no single radiograph.
        """
        loaded = dict(data)
        for key in self.key_iterator(loaded):
            loaded[key] = load_radiograph(loaded[key])
        return loaded


def load_radiograph(picture: str | PathLike[str] | np.ndarray | torch.Tensor | Radiograph) -> MetaTensor:
    """A file, an upright array [H, W] or a radiograph that was read already, as a MetaTensor [1, H, W], float32 in [0, 1].

    Raises:
        BadInputError: a file or an array that is no single radiograph.
    """
    if isinstance(picture, torch.Tensor):
        picture = picture.detach().cpu().numpy()
    name: str
    if isinstance(picture, Radiograph):
        radiograph = picture
        name = picture.format
    elif isinstance(picture, np.ndarray):
        radiograph = radiograph_from_array(picture)
        name = "array"
    else:
        radiograph = read_radiograph(picture)
        name = str(picture)
    metadata = {**radiograph_metadata(radiograph), ImageMetaKey.FILENAME_OR_OBJ: name}
    channel_first: MetaTensor = EnsureChannelFirst()(MetaTensor(torch.from_numpy(np.ascontiguousarray(radiograph.pixels)), meta=metadata))
    return channel_first


@contextmanager
def plain_errors() -> Generator[None, None, None]:
    """Lets errors of ours through MONAI's wrapping: what was raised inside as a cause leaves as itself."""
    try:
        yield
    except PneumoniaError:
        raise
    except Exception as error:
        ours = pneumonia_error_of(error)
        if ours is None:
            raise
        raise ours from None
