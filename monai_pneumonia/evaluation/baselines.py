"""Baseline maps of a bundle as prediction folders, to be measured as its own maps are. Needs the network."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from monai_pneumonia import RESEARCH_USE_ONLY
from monai_pneumonia.data.datalist import Datalist, DatalistItem, load_datalist
from monai_pneumonia.data.progress import track
from monai_pneumonia.errors import OutputNotWritableError, PneumoniaError, UsageError
from monai_pneumonia.evaluation.localizing import best_thresholds
from monai_pneumonia.evaluation.map_folder import ATTENTION_FOLDER, THRESHOLD_FROM_KEY, THRESHOLD_KEY
from monai_pneumonia.inference import LesionRecognizer, PredictionWriter, file_name_of
from monai_pneumonia.inference.baseline_maps import MapSource, baseline_sources, maps_of, mean_outline, original_map
from monai_pneumonia.inference.predictions import LESIONS_FILE, UNFINISHED_PREFIX
from monai_pneumonia.inference.recognizer import prepare_or_error
from monai_pneumonia.metrics import LOCALIZATION_KINDS


def write_baseline_maps(
    bundle: str | os.PathLike[str],
    datalist: str | os.PathLike[str],
    output: str | os.PathLike[str],
    section: str = "testing",
    threshold_section: str = "validation",
    outline_section: str = "training",
    methods: Sequence[str] = ("grad_cam_pp",),
    device: str | None = None,
) -> dict[str, Path]:
    """Writes a folder for each baseline: ``grad_cam_pp_8``, ``grad_cam_pp_16``, ``grad_cam_pp_32`` and ``mean_outline``.

    Each is what ``monai-pneumonia evaluate --predictions`` takes: predictions.csv with the bundle's own probabilities,
    ``attention/<id>.npy`` of every picture whose outline is known, and lesions.json with the kind of map and the lesion threshold. The
    threshold is chosen in the baseline's favour: the best mean Dice on ``threshold_section``.

    Args:
        bundle: the bundle's folder.
        datalist: the datalist's file.
        output: the folder for the folders; none of these names may be in it.
        section: whose pictures are measured.
        threshold_section: whose outlines choose the thresholds.
        outline_section: whose outlines make the mean outline.
        methods: of :data:`monai_pneumonia.inference.baseline_maps.GRAD_CAM_METHODS`.
        device: where to compute; None takes a GPU where there is one.

    Returns:
        Name of each baseline to its folder.

    Raises:
        UsageError: the section measured is one of the two others, a folder is there already, or there is no such method or device.
        NothingToAnalyseError: a section holds no outline to learn from.
        ModelFaultError: the bundle cannot be used.
        BadInputError: the datalist, or a picture or outline of the two other sections, cannot be used.
        OutputNotWritableError: the folder cannot be written.
    """
    if section in (threshold_section, outline_section):
        raise UsageError(f"'{section}' is measured: choose thresholds and the mean outline on other sections of the datalist")
    listed = load_datalist(datalist)
    recognizer = LesionRecognizer.from_bundle(bundle, device)
    description = recognizer.description
    constant = mean_outline(listed, description.input_size, description.resize_mode, outline_section)
    sources = baseline_sources(recognizer, constant, methods)
    targets = {name: Path(os.path.abspath(output)) / name for name in sources}
    present = [name for name, target in targets.items() if os.path.lexists(target)]
    if present:
        raise UsageError(f"{targets[present[0]]} is there already: give another folder, or move it away")
    outlined = [item for item in listed.section(threshold_section) if item.mask_kind in LOCALIZATION_KINDS]
    thresholds = {
        name: best_thresholds(maps_of(recognizer, source, listed, track(outlined, f"threshold of {name}")), listed)
        for name, source in sources.items()
    }
    origin = f"chosen in favour of this baseline: best mean Dice on the section '{threshold_section}'"
    _write(recognizer, listed, listed.section(section), sources, thresholds, origin, targets)
    return targets


def _write(
    recognizer: LesionRecognizer,
    datalist: Datalist,
    items: Sequence[DatalistItem],
    sources: Mapping[str, MapSource],
    thresholds: Mapping[str, Mapping[str, float]],
    origin: str,
    targets: Mapping[str, Path],
) -> None:
    """Writes all folders under temporary names, and renames them at the end."""
    unfinished = {name: target.with_name(f"{UNFINISHED_PREFIX}{name}-{secrets.token_hex(4)}") for name, target in targets.items()}
    pictures: dict[str, dict[str, Any]] = {name: {} for name in sources}
    maps = {name: folder.with_name(f"{folder.name}-maps") for name, folder in unfinished.items()}
    try:
        for folder in maps.values():
            folder.mkdir(parents=True)
        with ExitStack() as stack:
            writers = [stack.enter_context(PredictionWriter(folder, recognizer, maps=False)) for folder in unfinished.values()]
            for item in track(items, "baseline maps"):
                picture = datalist.resolve(item.image)
                prepared = prepare_or_error(recognizer.preprocessing, picture)
                failed = isinstance(prepared, PneumoniaError)
                outcome = prepared if isinstance(prepared, PneumoniaError) else recognizer.recognize_inputs([prepared])[0]
                for writer in writers:
                    writer.add(item.id, picture, outcome, item.image)
                if failed or item.mask_kind not in LOCALIZATION_KINDS:
                    continue
                for name, source in sources.items():
                    found = original_map(source(prepared), prepared)
                    np.save(maps[name] / f"{file_name_of(item.id)}.npy", found)
                    pictures[name][item.id] = {"image": item.image, "size": list(found.shape), "map_kind": name}
        for name, folder in unfinished.items():
            maps[name].replace(folder / ATTENTION_FOLDER)
            content = {
                "notice": RESEARCH_USE_ONLY,
                "model": {"version": recognizer.model_version, "weights_sha256": recognizer.weights_sha256},
                THRESHOLD_KEY: thresholds[name],
                THRESHOLD_FROM_KEY: origin,
                "pictures": pictures[name],
            }
            (folder / LESIONS_FILE).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        for name, target in targets.items():
            unfinished[name].replace(target)
    except OSError as error:
        raise OutputNotWritableError(
            f"cannot write baseline maps beside {next(iter(targets.values()))} ({error.strerror or error}): give a folder that can be "
            "written, with enough space"
        ) from error
    finally:
        for folder in (*unfinished.values(), *maps.values()):
            shutil.rmtree(folder, ignore_errors=True)
