"""What a run reads: the datalist after fold and label fraction, and a cache that is full before the first epoch."""

from __future__ import annotations

import hashlib
import logging
import sys
from collections.abc import Sequence
from typing import Any

import ignite.distributed as idist
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from monai_pneumonia.data.datalist import Datalist, load_datalist
from monai_pneumonia.data.splits import keep_label_fraction, select_fold
from monai_pneumonia.engines.faults import one_line_errors
from monai_pneumonia.errors import BadInputError, pneumonia_error_of
from monai_pneumonia.transforms.cached_dataset import RadiographDataset

_LOGGER = logging.getLogger(__name__)


def load_run_datalist(path: str, fold: int | None = None, n_folds: int = 5, label_fraction: float = 1.0, seed: int = 0) -> Datalist:
    """Loads a datalist and applies what the configuration says of folds and labels.

    Args:
        path: the datalist.
        fold: which of ``n_folds`` patient-wise folds of training and validation validates; None keeps the datalist's own split.
        n_folds: number of folds.
        label_fraction: share of the training patients whose labels and outlines are kept.
        seed: of folds and fraction.

    Raises:
        PneumoniaError: the datalist is broken, or the numbers do not fit it.
    """
    datalist = select_fold(load_datalist(path), fold, n_folds, seed)
    if label_fraction < 1:
        datalist = datalist.with_sections(training=tuple(keep_label_fraction(datalist.training, label_fraction, seed)))
    return datalist


def data_fingerprint(datalist: Datalist) -> str:
    """A hash of what a training sees of its data: classes, items, labels and outlines of both sections, in order."""
    seen = [datalist.labels.classes, *((section, item) for section, item in datalist.items() if section != "testing")]
    return hashlib.sha256(repr(seen).encode()).hexdigest()


class _Preparation(Dataset[str]):
    """Fills caches, one item a look; the answer is the fault, or nothing."""

    def __init__(self, datasets: Sequence[RadiographDataset]) -> None:
        self.places = [(dataset, index) for dataset in datasets for index in range(len(dataset))]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, position: int) -> str:
        dataset, index = self.places[position]
        try:
            dataset.prepare(index)
        except Exception as error:
            cause = pneumonia_error_of(error)
            if cause is None:
                raise
            return f"item '{dataset.data[index]['id']}': {cause}"
        return ""


def prepare_datasets(*datasets: RadiographDataset, num_workers: int = 0) -> None:
    """Decodes every picture once, into the cache; all bad pictures are named together.

    A fault ends the process with one line and exit code 4: a training on part of the data would be another training.

    Args:
        datasets: whose caches to fill.
        num_workers: processes beside this one.

    Raises:
        SystemExit: pictures cannot be used.
    """
    with one_line_errors():
        if idist.get_rank() == 0:
            _fill(_Preparation(datasets), num_workers)
        idist.barrier()


def _fill(preparation: _Preparation, num_workers: int) -> None:
    loader: Any = DataLoader(preparation, batch_size=8, num_workers=num_workers, collate_fn=list)
    faults: list[str] = []
    with tqdm(total=len(preparation), desc="reading pictures", unit="picture", disable=not sys.stderr.isatty(), leave=False) as bar:
        for answers in loader:
            faults += [answer for answer in answers if answer]
            bar.update(len(answers))
    if faults:
        raise BadInputError(f"{len(faults)} of {len(preparation)} pictures cannot be used:\n  " + "\n  ".join(faults))
    _LOGGER.info("%d pictures read and cached", len(preparation))
