"""The pieces of a contrastive pre-training that a configuration cannot say in one expression."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from torch import nn

from monai_pneumonia import RESEARCH_USE_ONLY
from monai_pneumonia.data.datalist import Datalist
from monai_pneumonia.data.records import section_records
from monai_pneumonia.engines.contrastive_pretrainer import PATIENT_KEY
from monai_pneumonia.engines.encoder_data import check_training_only, training_sha256
from monai_pneumonia.engines.faults import one_line_errors
from monai_pneumonia.engines.publication import describe_run, provenance_lines
from monai_pneumonia.engines.training import ENCODER_KEY
from monai_pneumonia.errors import UsageError
from monai_pneumonia.inference.weights import DESCRIPTION_KEY, compact_parameters
from monai_pneumonia.networks.contrastive import METHODS, MoCoNet, SimCLRNet
from monai_pneumonia.whole_files import whole_file

_LOGGER = logging.getLogger(__name__)
LARGEST_QUEUE = 4096
ENCODER_FILE = "pretrained_encoder.pt"
NOTICE_FILE = "PRETRAINING_DATA.md"
ENCODER_SETTINGS = ("method", "backbone", "normalization", "input_size", "resize_mode", "fold", "n_folds", "seed")


def pretraining_records(datalist: Datalist) -> list[dict[str, Any]]:
    """Records of the training section: files, and a whole number for each item's patient instead of its label.

    They name a picture as a training without outlines does, and so share its cache.

    Raises:
        BadInputError: a file does not exist, or validation or testing share items with training.
    """
    check_training_only(datalist)
    code = {patient: number for number, patient in enumerate(sorted({item.patient for item in datalist.training}))}
    records = section_records(datalist, "training", outlines=False)
    for record, item in zip(records, datalist.training, strict=True):
        del record["target"]
        record[PATIENT_KEY] = code[item.patient]
    return records


def announce_training_section(datalist: Datalist, fold: int | None = None, n_folds: int = 5) -> None:
    """Writes into the run's log what pre-training reads; a datalist whose sections overlap ends the process with one line.

    Raises:
        SystemExit: validation or testing share items with training.
    """
    with one_line_errors():
        check_training_only(datalist)
    if idist.get_rank() == 0:
        _LOGGER.info(
            "pre-training on %d pictures of %d patients of the training section (%s); validation and testing are not read",
            len(datalist.training),
            len({item.patient for item in datalist.training}),
            "the datalist's own split" if fold is None else f"fold {fold} of {n_folds}",
        )


def queue_slots(pictures: int, batch_size: int, queue_size: int | None = None) -> int:
    """The size of MoCo's queue: whole batches, at most half of the pictures and 4096, but two batches at least.

    With more than half of the pictures in it, most queries would meet their own picture's earlier key, which is left out.

    Args:
        pictures: of the training section.
        batch_size: pictures a step, over all processes.
        queue_size: stands in for the rule.
    """
    if queue_size is not None:
        return queue_size
    batch = min(batch_size, pictures)
    return max(min(pictures // 2, LARGEST_QUEUE) // batch, 2) * batch


def build_contrastive_network(
    method: str, arguments: Mapping[str, Any], queue_size: int = 1024, momentum: float = 0.99, seed: int = 0
) -> MoCoNet | SimCLRNet:
    """A network to pre-train, weights random by the seed.

    Args:
        method: ``moco`` or ``simclr``.
        arguments: of both networks: backbone, normalization, projection_channels.
        queue_size: of MoCo's queue.
        momentum: of MoCo's momentum network.
        seed: of the random weights.

    Raises:
        UsageError: there is no such method, or an argument is out of range.
    """
    if method not in METHODS:
        raise UsageError(f"unknown method '{method}': choose one of {', '.join(METHODS)} (key `method`)")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if method == "simclr":
            return SimCLRNet(**arguments)
        return MoCoNet(queue_size=queue_size, momentum=momentum, **arguments)


def publish_encoder(
    bundle_root: str,
    encoder: nn.Module,
    settings: Mapping[str, Any],
    datalist: Datalist,
    datalist_path: str,
    collapse: Mapping[str, float],
) -> None:
    """Writes models/pretrained_encoder.pt and models/PRETRAINING_DATA.md, on rank 0.

    Args:
        bundle_root: the bundle's folder.
        encoder: the pre-trained backbone.
        settings: the run's plain settings.
        datalist: after the fold.
        datalist_path: its file.
        collapse: spread and effective rank of the last epoch.
    """
    if idist.get_rank() == 0:
        with one_line_errors():
            description = describe_encoder(settings, datalist, datalist_path, collapse)
            file = Path(bundle_root) / "models" / ENCODER_FILE
            file.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(file) as unfinished:
                torch.save({ENCODER_KEY: compact_parameters(encoder.state_dict()), DESCRIPTION_KEY: description}, unfinished)
            file.with_name(NOTICE_FILE).write_text(encoder_notice(description), encoding="utf-8")
            _LOGGER.info("pre-trained encoder in %s; train on with `--pretrained_encoder %s`", file, file)
    idist.barrier()


def describe_encoder(settings: Mapping[str, Any], datalist: Datalist, datalist_path: str, collapse: Mapping[str, float]) -> dict[str, Any]:
    """What an encoder's file tells of its pre-training, in plain values; no patient."""
    run = describe_run(datalist, datalist_path, settings)
    described = {
        "notice": RESEARCH_USE_ONLY,
        **{key: settings[key] for key in ENCODER_SETTINGS},
        **run,
        "items": {"training": len(datalist.training)},
        "training_sha256": training_sha256(datalist),
        "epochs": settings["max_epochs"],
        "collapse": {name: round(float(value), 6) for name, value in collapse.items()},
    }
    plain: dict[str, Any] = json.loads(json.dumps(described))
    return plain


def encoder_notice(description: Mapping[str, Any]) -> str:
    """A page beside the encoder: what it was pre-trained on and under which licences."""
    lines = [
        "# Data behind the pre-trained encoder",
        "",
        f"{RESEARCH_USE_ONLY} {description['backbone']} by {description['method']}, {description['epochs']} epochs, no labels.",
        "",
        f"Pre-trained on the training section of '{description['datalist']}' ({description['items']['training']} pictures).",
        *provenance_lines(description),
    ]
    return "\n".join(lines) + "\n"
