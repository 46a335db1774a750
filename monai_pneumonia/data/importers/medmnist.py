"""MedMNIST archives: arrays of small pictures, written out as PNG files."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from monai_pneumonia.data.datalist import DatalistItem
from monai_pneumonia.data.importers.intake import (
    DEFAULT_LABEL_RULES,
    DROP,
    ImportResult,
    Intake,
    LabelRules,
    PictureFolder,
    relative,
)
from monai_pneumonia.data.progress import track
from monai_pneumonia.data.splits import DEFAULT_SPLIT_RULES, SplitRules
from monai_pneumonia.errors import BadInputError, OutputNotWritableError
from monai_pneumonia.whole_files import whole_file

_SPLITS: Mapping[str, str] = {"train": "training", "val": "validation", "test": "testing"}
# The labels of PneumoniaMNIST, whose pneumonia is bacterial or viral.
MAPPING: Mapping[str, str | None] = {"0": "normal", "1": "pneumonia_unspecified"}


def import_medmnist(
    archive: Annotated[Path, "The .npz archive (train_images, train_labels, val_images, ...)."],
    *,
    source: Annotated[str | None, "What to call the collection (the archive's name by default)."] = None,
    license: Annotated[str, "Licence of the pictures."] = "CC BY 4.0",
    labels: LabelRules = DEFAULT_LABEL_RULES,
    splits: SplitRules = DEFAULT_SPLIT_RULES,
    pictures: PictureFolder,
) -> ImportResult:
    """Imports a MedMNIST archive (PneumoniaMNIST: 0 normal, 1 pneumonia_unspecified; others by --map).

    A split that the archive lacks is carved out of its training pictures. Training pictures identical to another one, of whatever split,
    are left out: PneumoniaMNIST has such.

    Raises:
        BadInputError: the archive is damaged, or holds no single-label pictures in 2-D.
        NothingToAnalyseError: no picture is left.
        OutputNotWritableError: the pictures cannot be written.
    """
    arrays = _read_archive(archive)
    present = [split for split in _SPLITS if f"{split}_images" in arrays]
    missing = tuple(section for split, section in _SPLITS.items() if split not in present)
    folder = pictures.path.resolve()
    intake = Intake(archive.stem, labels.over(MAPPING))
    intake.note("no patient ids in MedMNIST: each picture counts as a patient")
    if missing:
        intake.note(f"the archive has no pictures for {' and '.join(missing)}: carved out of its training pictures")
    kept: dict[Path, NDArray[np.uint8]] = {}
    seen: set[bytes] = set()
    # Training comes last: of pictures that are there twice, those for validation and testing stay.
    for split in sorted(present, key=lambda split: split == "train"):
        allowed = ("training", *missing) if split == "train" else (_SPLITS[split],)
        for number, (image, code) in enumerate(zip(*_pair(archive, arrays, split), strict=True)):
            file = folder / f"{archive.stem}_{split}_{number:05d}.png"
            label = intake.label(str(code))
            if label == DROP:
                intake.leave_out(f"label '{code}' is mapped to {DROP}", file)
                continue
            if split == "train" and image.tobytes() in seen:
                intake.leave_out("training picture identical to another", file)
                continue
            seen.add(image.tobytes())
            kept[file] = image
            item = DatalistItem(id="", image=relative(file, folder), label=label, source=source or archive.stem, license=license)
            intake.add(item, file, allowed)
    result = intake.finish(folder, splits)
    _write(kept, folder)
    return result


def _read_archive(archive: Path) -> Mapping[str, NDArray[np.generic]]:
    try:
        content = np.load(archive, allow_pickle=False)
        if not isinstance(content, NpzFile):
            raise ValueError("it holds one array")
        with content:
            arrays = {name: content[name] for name in content.files}
    except OSError as error:
        raise BadInputError(f"cannot read {archive}: {error.strerror or error}") from error
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise BadInputError(f"{archive} is no .npz archive of plain arrays: {error}") from error
    if "train_images" not in arrays:
        raise BadInputError(f"{archive} has no array 'train_images'; it has {sorted(arrays)}")
    return arrays


def _pair(archive: Path, arrays: Mapping[str, NDArray[np.generic]], split: str) -> tuple[NDArray[np.uint8], list[int]]:
    """The pictures [N, H, W] or [N, H, W, 3] and the labels of a split."""
    images, labels = arrays[f"{split}_images"], arrays.get(f"{split}_labels")
    if labels is None:
        raise BadInputError(f"{archive} has '{split}_images' but no '{split}_labels'; it has {sorted(arrays)}")
    if images.dtype != np.uint8 or not (images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 3)):
        raise BadInputError(
            f"{archive}: '{split}_images' must be 8-bit pictures [N, H, W] or [N, H, W, 3], got {images.dtype} {images.shape}"
        )
    if labels.shape not in ((len(images),), (len(images), 1)):
        raise BadInputError(f"{archive}: '{split}_labels' must hold one label a picture, [{len(images)}, 1], got {list(labels.shape)}")
    return images.astype(np.uint8, copy=False), [int(code) for code in labels.reshape(-1)]


def _write(pictures: Mapping[Path, NDArray[np.uint8]], folder: Path) -> None:
    """Writes PNG files, each whole or not at all."""
    from PIL import Image

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, pixels in track(pictures.items(), "writing pictures"):
            with whole_file(file) as unfinished:
                Image.fromarray(pixels).save(unfinished, format="PNG")
    except OSError as error:
        raise OutputNotWritableError(f"cannot write pictures to {folder}: {error.strerror or error}") from error
