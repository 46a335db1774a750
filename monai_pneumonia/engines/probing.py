"""Probes of a pre-trained encoder: what its frozen features tell, beside a random encoder's."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from monai_pneumonia import RESEARCH_USE_ONLY, __version__
from monai_pneumonia.data.datalist import Datalist
from monai_pneumonia.data.records import section_records
from monai_pneumonia.engines.encoder_data import check_encoder_data
from monai_pneumonia.engines.faults import one_line_errors
from monai_pneumonia.engines.probed_encoders import (
    PIXELS,
    PRETRAINED,
    RANDOM,
    CoarsePixels,
    extract_features,
    pictures_of,
    random_encoder,
    read_pretrained_encoder,
)
from monai_pneumonia.engines.run_data import load_run_datalist, prepare_datasets
from monai_pneumonia.errors import UsageError
from monai_pneumonia.evaluation.probe_report import write_probe_report
from monai_pneumonia.inference.weights import file_sha256
from monai_pneumonia.metrics.bootstrap import DEFAULT_CONFIDENCE, DEFAULT_RESAMPLES
from monai_pneumonia.metrics.probe_results import ProbeData, probe_results
from monai_pneumonia.transforms.cached_dataset import RadiographDataset
from monai_pneumonia.transforms.network_input import network_input_transforms

FITTED, SCORED = "training", "validation"
_LOGGER = logging.getLogger(__name__)


def probe_encoder(
    pretrained_encoder: str,
    datalist_path: str,
    cache_dir: str,
    fold: int | None = None,
    n_folds: int = 5,
    seed: int = 0,
    batch_size: int = 32,
    num_workers: int = 0,
    device: Any = "cpu",
    pixels: bool = True,
    resamples: int = DEFAULT_RESAMPLES,
) -> dict[str, Any]:
    """Fits probes on the training section's features and scores them on the validation section's.

    This reads the labels of both sections; pre-training reads none, and of the training section the pictures alone.

    Args:
        pretrained_encoder: file of pre-training; its description says how pictures are made its input.
        datalist_path: the datalist.
        cache_dir: of decoded pictures; may be shared with trainings.
        fold: which of ``n_folds`` folds validates; None keeps the datalist's own split. As in the pre-training.
        n_folds: number of folds.
        seed: of the folds, the random encoder and the resamples.
        batch_size: pictures at a time.
        num_workers: processes beside this one.
        device: where the networks run.
        pixels: whether to probe coarse pixels, too.
        resamples: of the patients, for the intervals; 0 gives none.

    Returns:
        The content of probes.json; :func:`probe_values` makes a small table of it.

    Raises:
        PneumoniaError: datalist or encoder cannot be used.
        SystemExit: pictures cannot be read; all are named.
    """
    encoder = read_pretrained_encoder(pretrained_encoder)
    datalist = load_run_datalist(datalist_path, fold, n_folds, seed=seed)
    datalist_sha256 = file_sha256(datalist_path)
    warn_of_another_section(pretrained_encoder, datalist, datalist_sha256)

    transform = network_input_transforms(encoder.input_size, encoder.resize_mode)
    datasets = {
        section: RadiographDataset(
            section_records(datalist, section, outlines=False),
            transform,
            cache_dir=cache_dir,
            cache_name=f"{encoder.input_size}-{encoder.resize_mode}",
        )
        for section in (FITTED, SCORED)
    }
    prepare_datasets(*datasets.values(), num_workers=num_workers)
    loaders: dict[str, DataLoader[Any]] = {
        section: DataLoader(dataset, batch_size, num_workers=num_workers) for section, dataset in datasets.items()
    }
    networks = {
        PRETRAINED: encoder.network.to(device),
        RANDOM: random_encoder(encoder.description, pictures_of(loaders[FITTED], "statistics"), device, seed),
        **({PIXELS: CoarsePixels()} if pixels else {}),
    }
    data = {
        section: probe_data(datalist, section, extract_features(networks, pictures_of(loader, f"features, {section}"), device))
        for section, loader in loaders.items()
    }
    _LOGGER.info("probes are fitted on %d pictures and scored on %d", len(data[FITTED]), len(data[SCORED]))
    results = probe_results(data[FITTED], data[SCORED], datalist.labels, resamples, seed)
    return {
        "research_use_only": RESEARCH_USE_ONLY,
        "software": f"monai-pneumonia {__version__}",
        "encoder": {"sha256": encoder.sha256, "description": dict(encoder.description)},
        "datalist": {"name": datalist.name, "sha256": datalist_sha256, "classes": list(datalist.labels.classes)},
        "settings": {
            **{"fold": fold, "n_folds": n_folds, "seed": seed, "pixels": pixels},
            **{"resamples": resamples, "confidence": DEFAULT_CONFIDENCE},
        },
        "fitted_on": _account(data[FITTED], FITTED),
        "scored_on": _account(data[SCORED], SCORED),
        "features": {name: int(values.shape[1]) for name, values in data[FITTED].features.items()},
        "results": [asdict(result) for result in results],
    }


def probe_data(datalist: Datalist, section: str, features: Mapping[str, Any]) -> ProbeData:
    """The items of a section with their features [N, D]."""
    items = datalist.section(section)
    candidates = np.array([datalist.labels.target(item.label) > 0 for item in items]).reshape(len(items), len(datalist.labels.classes))
    return ProbeData(features, candidates, tuple(item.source for item in items), tuple(item.patient for item in items))


def _account(data: ProbeData, section: str) -> dict[str, Any]:
    return {
        "section": section,
        "items": len(data),
        "patients": len(set(data.patients)),
        "sources": len({source for source in data.sources if source is not None}),
    }


def probe_values(content: Mapping[str, Any]) -> dict[str, float | None]:
    """The probes of whole sections as one flat table, such as ``pretrained/linear/pneumonia/all/p_pneumonia_auc``.

    Args:
        content: of :func:`probe_encoder`.
    """
    return {
        f"{encoder}/{row['probe']}/{row['question']}/{row['part']}/{row['metric']}".replace(" ", "_"): estimate["value"]
        for row in content["results"]
        if row["source"] is None
        for encoder, estimate in row["values"].items()
    }


def warn_of_another_section(pretrained_encoder: str, datalist: Datalist, datalist_sha256: str) -> bool:
    """Warns where an encoder was pre-trained on another training section of this datalist; says whether it did.

    Then it has seen, though without labels, pictures that the probes are scored on. A training refuses such an encoder;
    a probe of it may be wanted, and trains nothing.

    Args:
        pretrained_encoder: its file.
        datalist: after the fold.
        datalist_sha256: SHA-256 of the datalist's file.
    """
    try:
        check_encoder_data(pretrained_encoder, datalist, datalist_sha256)
    except UsageError as error:
        _LOGGER.warning("%s", error)
        return True
    return False


def run_probes(output_dir: str, **settings: Any) -> dict[str, Any]:
    """Probes an encoder and writes probes.json, probes.md and probes.svg and .png; the last expression of a run.

    Args:
        output_dir: folder of the results; earlier probes in it are replaced.
        **settings: of :func:`probe_encoder`.

    Raises:
        SystemExit: in the place of a PneumoniaError.
    """
    with one_line_errors():
        content = probe_encoder(**settings)
        write_probe_report(content, output_dir)
        print(f"probes written to {Path(output_dir).resolve()}. {RESEARCH_USE_ONLY}", flush=True)
    return content
