"""A data set that decodes every picture once and draws its augmentation from (seed, epoch, item)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import PersistentDataset, get_track_meta, set_track_meta
from monai.transforms import Compose, Randomizable

from monai_pneumonia import __version__
from monai_pneumonia.errors import PneumoniaError

_INPUT_KEYS = ("image", "mask", "boxes", "mask_kind")


def _hash_inputs(record: dict[str, Any]) -> bytes:
    """Names a cached item by its files' paths, sizes and times of change, so that a changed picture is read anew."""
    stated = [record.get(key) for key in _INPUT_KEYS]
    for key in ("image", "mask"):
        if record.get(key) is not None:
            status = Path(record[key]).stat()
            stated.append([status.st_size, status.st_mtime_ns])
    return hashlib.sha256(json.dumps(stated).encode()).hexdigest()[:32].encode()


class RadiographDataset(PersistentDataset):
    """Deterministic steps once, on disk; random ones at every look.

    The random state of an item is a function of (seed, epoch, item) alone: it depends neither on the number of workers
    and processes nor on what was drawn before, so an interrupted training goes on as an unbroken one.

    Args:
        data: records of :func:`monai_pneumonia.data.records.section_records`.
        transform: deterministic steps, from file to network input; their result is cached.
        cache_dir: folder of the cache; may be shared by trainings and deleted at any time. None caches nothing.
        augmentation: random steps.
        seed: of the random steps.
        cache_name: what else the cached result depends on, e.g. the input size.
    """

    def __init__(
        self,
        data: Sequence[dict[str, Any]],
        transform: Compose,
        cache_dir: str | Path | None = None,
        augmentation: Compose | None = None,
        seed: int = 0,
        cache_name: str = "",
    ) -> None:
        folder = None if cache_dir is None else Path(cache_dir) / f"{__version__}-{cache_name}".rstrip("-")
        super().__init__(list(data), transform, cache_dir=folder, hash_func=_hash_inputs, track_meta=False, weights_only=True)
        self.augmentation = augmentation
        self.seed = seed
        # In shared memory, so that workers that outlive an epoch see it change.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def set_epoch(self, epoch: int) -> None:
        """States the epoch that the random steps draw for."""
        self._epoch.fill_(epoch)

    def _cachecheck(self, item_transformed: dict[str, Any]) -> Any:
        try:
            return super()._cachecheck(item_transformed)
        except (EOFError, OSError, RuntimeError) as error:
            # A run killed while it wrote leaves a cut file, which MONAI knows in one of its forms only.
            file = self._cache_file(item_transformed)
            if isinstance(error, PneumoniaError) or file is None or not file.is_file():
                raise
            file.unlink()
            return super()._cachecheck(item_transformed)

    def _cache_file(self, inputs: dict[str, Any]) -> Path | None:
        return None if self.cache_dir is None else Path(self.cache_dir) / f"{self.hash_func(inputs).decode()}.pt"

    def _pre_transform(self, item_transformed: dict[str, Any]) -> Any:
        return self.transform(item_transformed)

    def _transform(self, index: int) -> dict[str, Any]:
        record = self.data[index]
        prepared = self._cachecheck({key: record[key] for key in _INPUT_KEYS if key in record})
        item = {key: value for key, value in prepared.items() if key not in ("mask", "boxes", "mask_kind")}
        if self.augmentation is not None:
            seed = np.random.SeedSequence([self.seed, int(self._epoch), index]).generate_state(1)[0]
            item = augmented(self.augmentation, item, int(seed))
        return {**item, **{key: value for key, value in record.items() if key not in _INPUT_KEYS}}

    def prepare(self, index: int) -> None:
        """Fills the cache for one item.

        Raises:
            PneumoniaError: its picture cannot be used.
        """
        self._cachecheck({key: value for key, value in self.data[index].items() if key in _INPUT_KEYS})


def augmented(augmentation: Compose, item: dict[str, Any], seed: int) -> dict[str, Any]:
    """Applies random steps whose draws depend on the seed alone.

    All steps draw from one generator, and keep no record of what they did: seeding seventeen of them and tracking
    metadata that nobody asks for would take most of a training's time on small pictures.

    Args:
        augmentation: random steps.
        item: pictures and outlines [1, S, S] as plain tensors, and values that the steps leave alone.
        seed: of this item in this epoch.
    """
    state = np.random.RandomState(seed)
    for step in augmentation.transforms:
        if isinstance(step, Randomizable):
            step.set_random_state(state=state)
    tracked = get_track_meta()
    set_track_meta(False)
    try:
        drawn: dict[str, Any] = augmentation(item)
    finally:
        set_track_meta(tracked)
    return drawn
