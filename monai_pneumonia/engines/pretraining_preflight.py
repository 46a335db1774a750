"""What a contrastive pre-training checks before its first minute of work."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_pneumonia.data.datalist import Datalist
from monai_pneumonia.engines.distributed import launched_processes
from monai_pneumonia.engines.encoder_data import check_training_only
from monai_pneumonia.engines.faults import one_line_errors
from monai_pneumonia.engines.preflight import (
    _number,
    _one_of,
    check_bundle_folder,
    check_data,
    check_device,
    check_overrides,
    check_settings,
    flatten_settings,
    run_datalist,
)
from monai_pneumonia.errors import BadInputError, ExitCode, UsageError
from monai_pneumonia.inference import check_output
from monai_pneumonia.networks.contrastive import METHODS

SECTIONS = ("training",)
_CHECKS: Mapping[str, Callable[[Any], str | None]] = {
    "method": _one_of(METHODS),
    "temperature": _number(0, above=True),
    "momentum": _number(0, 0.999999),
    "queue_size": lambda value: None if value is None else _number(1, whole=True)(value),
    "projection_channels": _number(2, whole=True),
}


def preflight_pretraining(
    settings: Mapping[str, Any],
    bundle_root: str,
    datalist_path: str,
    output_dir: str,
    device: Any,
    arguments: Sequence[str] | None = None,
) -> None:
    """Checks a pre-training before it starts; a fault ends the process with one line.

    Overrides, settings, device and data end with exit code 2. An output that cannot be written has its own code, 7, as
    everywhere.

    Args:
        settings: the configuration's plain values.
        bundle_root: the bundle's folder, where the encoder will go.
        datalist_path: the datalist, of which the training section alone is read.
        output_dir: where results go.
        device: where the network runs.
        arguments: the command line; that of this process by default.

    Raises:
        SystemExit: something does not fit.
    """
    with one_line_errors(ExitCode.USAGE):
        check_overrides(sys.argv[1:] if arguments is None else arguments)
        check_pretraining_settings(flatten_settings(settings), launched_processes())
        check_device(device)
        check_bundle_folder(bundle_root)
        datalist = run_datalist({**settings, "label_fraction": 1.0}, datalist_path)
        check_data(datalist, datalist_path, SECTIONS, launched_processes(), outlines=False)
        check_pretraining_data(datalist, datalist_path, launched_processes())
    with one_line_errors():
        for folder in (output_dir, str(Path(bundle_root) / "models")):
            check_output(folder, overwrite=True)


def check_pretraining_settings(settings: Mapping[str, Any], processes: int = 1) -> None:
    """Checks plain values of a configuration, those of pre-training among them.

    Args:
        settings: key to value, keyed as on the command line.
        processes: that train together; each takes an equal share of a batch.

    Raises:
        UsageError: values are out of range; all are named, with their keys and what they should be.
    """
    complaints = {key: check(settings[key]) for key, check in _CHECKS.items() if key in settings}
    faults = [f"`{key}` {complaint}, got {settings[key]!r}" for key, complaint in complaints.items() if complaint is not None]
    batch_size = settings.get("batch_size")
    if isinstance(batch_size, int) and 1 <= batch_size < 2 * processes:
        faults.append(f"`batch_size` must be at least 2 for each process, got {batch_size}: a picture is told from others")
    try:
        check_settings(settings, processes)
    except UsageError as error:
        faults.append(str(error))
    if faults:
        raise UsageError("; ".join(faults))


def check_pretraining_data(datalist: Datalist, datalist_path: str, processes: int = 1) -> None:
    """Checks that the training section can be contrasted, and shares nothing with the sections that are held out.

    Raises:
        BadInputError: it is too small, of one patient alone, or overlaps with validation or testing.
    """
    check_training_only(datalist)
    pictures, patients = len(datalist.training), len({item.patient for item in datalist.training})
    if pictures < 2 * processes or patients < 2:
        raise BadInputError(
            f"the training section of {datalist_path} holds {pictures} picture(s) of {patients} patient(s): contrastive pre-training "
            f"needs two patients, and two pictures for each of {processes} process(es)"
        )
