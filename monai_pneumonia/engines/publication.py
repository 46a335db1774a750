"""The end of a training: its best weights become the bundle's."""

from __future__ import annotations

import json
import logging
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from monai_pneumonia import RESEARCH_USE_ONLY
from monai_pneumonia.data.datalist import Datalist
from monai_pneumonia.data.records import class_counts
from monai_pneumonia.engines.calibration import fit_operating_point, fit_temperature
from monai_pneumonia.engines.faults import one_line_errors
from monai_pneumonia.engines.lesion_threshold import fit_lesion_threshold
from monai_pneumonia.engines.lesion_trainer import IMAGE_KEY, TARGET_KEY
from monai_pneumonia.engines.logit_adjustment import adjusted_parameters
from monai_pneumonia.engines.preflight import flatten_settings
from monai_pneumonia.errors import UsageError
from monai_pneumonia.handlers.best_weights import BestWeights
from monai_pneumonia.inference.calibration import Calibration, save_calibration
from monai_pneumonia.inference.weights import WeightsDescription, file_sha256, load_weights, save_weights
from monai_pneumonia.losses import output_activation
from monai_pneumonia.networks import LesionAttentionNet
from monai_pneumonia.networks.probabilities import class_probabilities
from monai_pneumonia.whole_files import whole_file

_LOGGER = logging.getLogger(__name__)
NON_COMMERCIAL_MARKERS = ("non-commercial", "noncommercial", "by-nc", "-nc-", " nc ")
UNSTATED_MARKERS = ("unknown", "unspecified", "unstated", "not stated")


def describe_run(datalist: Datalist, datalist_path: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a weights file tells of its training: data, licences, settings; no patient."""
    training = datalist.training
    return {
        "datalist": datalist.name,
        "datalist_sha256": file_sha256(datalist_path),
        "items": {section: len(datalist.section(section)) for section in ("training", "validation")},
        "sources": dict(Counter(item.source or "unknown" for item in training)),
        "licenses": dict(Counter(item.license or "unknown" for item in training)),
        "outlines": dict(Counter(item.mask_kind for item in training)),
        "settings": flatten_settings(settings),
    }


def publish_weights(
    bundle_root: str,
    best: BestWeights,
    network: Mapping[str, Any],
    settings: Mapping[str, Any],
    datalist: Datalist,
    datalist_path: str,
    validation_loader: DataLoader[Any],
    device: torch.device | str,
) -> None:
    """Writes models/model.pt, models/calibration.json, models/DATA.md and the classes in configs/metadata.json.

    Earlier weights are kept as models/model.previous.pt. Temperature, operating point and lesion threshold are
    fitted on the validation section with the weights as they were stored.

    Args:
        bundle_root: the bundle's folder.
        best: weights of the best epoch.
        network: arguments of :class:`LesionAttentionNet`.
        settings: the run's plain settings.
        datalist: what was trained on.
        datalist_path: its file.
        validation_loader: over the validation section.
        device: where to run the network.
    """
    if idist.get_rank() == 0:
        with one_line_errors():
            if not best.parameters:
                raise UsageError("no epoch was validated, so there are no best weights: let `val_interval` be at most `max_epochs`")
            metadata_file = Path(bundle_root) / "configs" / "metadata.json"
            metadata = json.loads(metadata_file.read_text(encoding="utf-8"))
            training = {**describe_run(datalist, datalist_path, settings), "best_epoch": best.epoch, "validation": best.metrics}
            description = WeightsDescription(
                model_version=metadata["version"],
                network=dict(network),
                input_size=settings["input_size"],
                resize_mode=settings["resize_mode"],
                classes=datalist.labels.classes,
                groups=dict(datalist.labels.groups),
                output_activation=output_activation(settings["loss"]["name"]),
                training=training,
            )
            tau = settings["loss"]["logit_adjustment"]
            parameters = adjusted_parameters(best.parameters, class_counts(datalist), tau)
            weights = install_weights(Path(bundle_root) / "models", parameters, description, validation_loader, device)
            update_metadata(metadata_file, metadata, description)
            _LOGGER.info("best epoch %d (%s %.4f); weights in %s", best.epoch, best.key_metric, best.metric, weights)
    idist.barrier()


def install_weights(
    models: Path,
    parameters: Mapping[str, Tensor],
    description: WeightsDescription,
    validation_loader: DataLoader[Any],
    device: torch.device | str,
) -> Path:
    """Replaces the weights of a bundle's models folder and fits their calibration; returns the weights' file.

    At every moment the folder holds weights that can be served: a calibration of other weights would be refused, so the old
    one goes before the new weights come, and a kill in between leaves them uncalibrated.
    """
    models.mkdir(exist_ok=True)
    weights, fresh, calibration_file = models / "model.pt", models / "model.new.pt", models / "calibration.json"
    save_weights(fresh, parameters, description)
    calibration = calibrate(fresh, validation_loader, device)
    calibration_file.unlink(missing_ok=True)
    if weights.is_file() and file_sha256(weights) != file_sha256(fresh):
        shutil.copyfile(weights, models / "model.previous.pt")
    fresh.replace(weights)
    save_calibration(calibration_file, calibration)
    (models / "DATA.md").write_text(data_notice(description), encoding="utf-8")
    return weights


def calibrate(weights: Path, validation_loader: DataLoader[Any], device: torch.device | str) -> Calibration:
    """Fits temperature, operating point and, for a supervised attention map, the lesion threshold to stored weights on validation items."""
    network, description = load_weights(weights)
    logits, candidates = predict_logits(network.to(device), validation_loader, device)
    temperature = fit_temperature(logits, candidates, description.output_activation)
    probabilities = class_probabilities(logits, description.output_activation, temperature).numpy()
    labels = description.labels
    operating_point = fit_operating_point(1.0 - probabilities[:, labels.negative_index], candidates.numpy(), labels)
    fitted_on = {
        "datalist": description.training.get("datalist"),
        "section": "validation",
        "items": len(logits),
        "temperature": "largest likelihood of the candidate sets",
        "operating_point": "largest sensitivity + specificity",
        "notice": RESEARCH_USE_ONLY,
    }
    threshold = fit_lesion_threshold(network, validation_loader, device) if description.attention_supervised else None
    if threshold is None:
        return Calibration(temperature, operating_point, weights_sha256=file_sha256(weights), fitted_on=fitted_on)
    return Calibration(temperature, operating_point, threshold[0], file_sha256(weights), {**fitted_on, "lesion_threshold": threshold[1]})


@torch.no_grad()
def predict_logits(network: LesionAttentionNet, loader: DataLoader[Any], device: torch.device | str) -> tuple[Tensor, Tensor]:
    """Logits [N, C] and candidate sets [N, C] of all items of a loader, on the CPU."""
    network.eval()
    pairs = [(network(batch[IMAGE_KEY].to(device)).cpu(), batch[TARGET_KEY]) for batch in loader]
    return torch.cat([logits for logits, _ in pairs]).float(), torch.cat([target for _, target in pairs]).float()


def data_notice(description: WeightsDescription) -> str:
    """A page beside the weights: what they were trained on and under which licences."""
    training = description.training
    lines = [
        "# Data behind these weights",
        "",
        f"{RESEARCH_USE_ONLY} Version {description.model_version}; classes {', '.join(description.classes)}.",
        "",
        f"Trained on the training section of '{training['datalist']}' ({training['items']['training']} pictures).",
        *provenance_lines(training),
    ]
    return "\n".join(lines) + "\n"


def provenance_lines(provenance: Mapping[str, Any]) -> list[str]:
    """What the licences of training pictures mean, and tables of where these come from, as Markdown.

    Args:
        provenance: ``sources`` and ``licenses``, each name to number of pictures.
    """
    return [
        licence_note(provenance["licenses"]),
        "",
        "| source | pictures |",
        "|---|---|",
        *(f"| {source} | {count} |" for source, count in sorted(provenance["sources"].items())),
        "",
        "| licence | pictures |",
        "|---|---|",
        *(f"| {license_name} | {count} |" for license_name, count in sorted(provenance["licenses"].items())),
    ]


def licence_note(licenses: Mapping[str, int]) -> str:
    """What the licences of training pictures mean for the weights, in a sentence or two."""
    note = "The weights are under the terms of all licences below together."
    if any(marker in name.lower() for name in licenses for marker in NON_COMMERCIAL_MARKERS):
        note += " At least one allows non-commercial use alone: **so are these weights for non-commercial use.**"
    if any(marker in name.lower() for name in licenses for marker in UNSTATED_MARKERS):
        note += " Of some pictures no licence is known: ask their publisher before you pass the weights on."
    return note


def update_metadata(file: Path, metadata: dict[str, Any], description: WeightsDescription) -> None:
    """Makes the bundle's metadata say what its weights take and give; the file is left alone where it does already."""
    image = metadata["network_data_format"]["inputs"]["image"]
    prediction = metadata["network_data_format"]["outputs"]["pred"]
    side = description.input_size
    shape = [side, side]
    channels = {str(channel): name for channel, name in enumerate(description.classes)}
    if image["spatial_shape"] == shape and prediction["channel_def"] == channels and prediction["num_channels"] == len(channels):
        return
    image["spatial_shape"] = shape
    prediction |= {"channel_def": channels, "num_channels": len(channels)}
    with whole_file(file) as unfinished:
        unfinished.write_text(json.dumps(metadata, indent=4) + "\n", encoding="utf-8")
