"""The maps that ``predict`` wrote beside its table, read one at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from monai_pneumonia.data.datalist import Datalist, DatalistItem
from monai_pneumonia.errors import BadInputError
from monai_pneumonia.metrics import LOCALIZATION_KINDS
from monai_pneumonia.metrics.localization import DEFAULT_THRESHOLD
from monai_pneumonia.radiograph import read_radiograph

ATTENTION_FOLDER = "attention"
LESIONS_FILE = "lesions.json"
THRESHOLD_KEY = "lesion_threshold"
THRESHOLD_FROM_KEY = "lesion_threshold_from"

OF_THE_MODEL = "the model's calibration"
OF_NOBODY = "the default: lesions.json states none"


@dataclass(frozen=True)
class MapFolder:
    """A folder of maps, and what lesions.json beside it says of them.

    Attributes:
        folder: holds ``<id>.npy`` for each picture.
        thresholds: kind of outline to the least value that counts as marked.
        threshold_from: where the thresholds come from.
        map_kinds: id to the kind of its map, where stated.
        sizes: id to the picture's (H, W), where stated.
    """

    folder: Path
    thresholds: Mapping[str, float]
    threshold_from: str
    map_kinds: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, predictions: Path) -> MapFolder | None:
        """Opens the maps in a folder that ``predict`` wrote; None where it holds none.

        Raises:
            BadInputError: lesions.json is damaged.
        """
        folder = predictions / ATTENTION_FOLDER
        if not folder.is_dir():
            return None
        facts = _read_facts(predictions / LESIONS_FILE)
        try:
            stated = facts.get(THRESHOLD_KEY)
            thresholds = _by_kind(DEFAULT_THRESHOLD if stated is None else stated)
            origin = OF_NOBODY if stated is None else str(facts.get(THRESHOLD_FROM_KEY, OF_THE_MODEL))
            pictures = facts.get("pictures", {})
            kinds = {name: str(picture["map_kind"]) for name, picture in pictures.items() if "map_kind" in picture}
            sizes = {name: _size(picture["size"]) for name, picture in pictures.items() if "size" in picture}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise _damaged(predictions / LESIONS_FILE) from error
        return cls(folder, thresholds, origin, kinds, sizes)

    def file_of(self, identifier: str) -> Path:
        """The file of a picture's map, whether or not it exists."""
        # Here, for it brings torch along, and most evaluations hold no map.
        from monai_pneumonia.inference.pictures import file_name_of

        return self.folder / f"{file_name_of(identifier)}.npy"

    def load(self, item: DatalistItem, datalist: Datalist) -> np.ndarray | None:
        """The map of an item [H, W], in [0, 1]; None where there is no file.

        Raises:
            BadInputError: the file holds no such map, or one of another size than the picture; names the file.
        """
        file = self.file_of(item.id)
        try:
            values = np.load(file, allow_pickle=False)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, EOFError) as error:
            raise BadInputError(f"the map {file} cannot be read ({type(error).__name__}): predict anew") from error
        if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind != "f" or not np.all((values >= 0) & (values <= 1)):
            raise BadInputError(f"{file} holds no attention map: give floating point numbers [H, W] between 0 and 1, or predict anew")
        size = self._size_of(item, datalist)
        if size is not None and values.shape != size:
            raise BadInputError(
                f"the map {file} is {values.shape[0]} x {values.shape[1]} pixels, its picture {size[0]} x {size[1]}: maps lie on their "
                "picture's own pixels; predict anew"
            )
        return values

    def _size_of(self, item: DatalistItem, datalist: Datalist) -> tuple[int, int] | None:
        """The picture's size as ``predict`` saw it, or as its file has it; None where neither is there."""
        if item.id in self.sizes:
            return self.sizes[item.id]
        picture = datalist.resolve(item.image)
        if not picture.is_file():
            return None
        height, width = read_radiograph(picture).pixels.shape
        return height, width


def _read_facts(file: Path) -> Mapping[str, Any]:
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise _damaged(file) from error
    if not isinstance(facts, dict):
        raise _damaged(file)
    return facts


def _by_kind(stated: Any) -> dict[str, float]:
    by_kind = {kind: float(stated[kind] if isinstance(stated, dict) else stated) for kind in LOCALIZATION_KINDS}
    if not all(0 <= value <= 1 for value in by_kind.values()):
        raise ValueError("a threshold lies between 0 and 1")
    return by_kind


def _size(stated: Any) -> tuple[int, int]:
    height, width = stated
    return int(height), int(width)


def _damaged(file: Path) -> BadInputError:
    return BadInputError(f"{file} is not what 'monai-pneumonia predict' wrote: predict anew, or move it away to go without its details")
