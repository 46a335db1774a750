"""What a run of probes checks before its first picture."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from monai_pneumonia.data.datalist import Datalist, load_datalist
from monai_pneumonia.engines.faults import one_line_errors
from monai_pneumonia.engines.preflight import check_data, check_device, check_overrides, check_settings
from monai_pneumonia.engines.probed_encoders import read_pretrained_encoder
from monai_pneumonia.engines.probing import FITTED, SCORED
from monai_pneumonia.engines.run_data import load_run_datalist
from monai_pneumonia.errors import BadInputError, ExitCode, NothingToAnalyseError, UsageError
from monai_pneumonia.evaluation.probe_report import check_probe_output
from monai_pneumonia.inference import check_output


def preflight_probes(
    settings: Mapping[str, Any], datalist_path: str, output_dir: str, cache_dir: str, device: Any, arguments: Sequence[str] | None = None
) -> None:
    """Checks a run of probes before it starts; a fault ends the process with one line.

    Overrides, settings, a missing encoder, device and fold end with exit code 2. Datalist, encoder and output keep the exit codes that they
    have everywhere: 3 nothing there, 4 bad input, 6 model fault, 7 output not writable.

    Args:
        settings: the configuration's plain values.
        datalist_path: the datalist.
        output_dir: where results go.
        cache_dir: where decoded pictures go.
        device: where the networks run.
        arguments: the command line; that of this process by default.

    Raises:
        SystemExit: something does not fit.
    """
    with one_line_errors(ExitCode.USAGE):
        check_overrides(sys.argv[1:] if arguments is None else arguments)
        check_settings(settings)
        check_flags(settings)
        check_device(device)
    with one_line_errors():
        for folder in (output_dir, cache_dir):
            check_output(folder, overwrite=True)
        check_probe_output(output_dir, settings["overwrite"])
        read_pretrained_encoder(settings["pretrained_encoder"])
        if not any(True for _ in load_datalist(datalist_path).items()):
            raise NothingToAnalyseError(f"the datalist {datalist_path} holds no picture (key `datalist_path`)")
        datalist = load_run_datalist(datalist_path, settings["fold"], settings["n_folds"], seed=settings["seed"])
        check_data(datalist, datalist_path, (FITTED, SCORED), outlines=False)
        check_patients(datalist, datalist_path)
        check_labels(datalist, datalist_path)


def check_flags(settings: Mapping[str, Any]) -> None:
    """Checks the settings that only probes have.

    Raises:
        UsageError: no encoder is named, or a flag is neither true nor false.
    """
    if not settings["pretrained_encoder"]:
        raise UsageError("`pretrained_encoder` must name the file that pretrain.yaml wrote, such as models/pretrained_encoder.pt")
    if not isinstance(settings["pixels"], bool):
        raise UsageError(f"`pixels` must be true or false, got {settings['pixels']!r}")


def check_patients(datalist: Datalist, datalist_path: str) -> None:
    """Checks that no patient is in both sections.

    Raises:
        BadInputError: some are; they are counted, never named.
    """
    shared = {item.patient for item in datalist.section(FITTED)} & {item.patient for item in datalist.section(SCORED)}
    if shared:
        raise BadInputError(
            f"{len(shared)} patient(s) of {datalist_path} are in the sections '{FITTED}' and '{SCORED}': a probe would find the same "
            f"patient's picture. Split by patient, or give `--fold 0`, which does; `monai-pneumonia validate {datalist_path}` tells more"
        )


def check_labels(datalist: Datalist, datalist_path: str) -> None:
    """Checks that there is something to fit and something to score: unlike pre-training, probes read labels.

    Raises:
        NothingToAnalyseError: the training section does not hold both kinds, or no label of the validation section decides.
    """
    told = {section: {datalist.labels.is_pneumonia(item.label) for item in datalist.section(section)} for section in (FITTED, SCORED)}
    if not {True, False} <= told[FITTED]:
        raise NothingToAnalyseError(
            f"the section '{FITTED}' of {datalist_path} has no labels of both kinds, pneumonia and no pneumonia: there is nothing to fit "
            "a probe on. Probes need labels, though pre-training does not"
        )
    if not {True, False} & told[SCORED]:
        raise NothingToAnalyseError(
            f"no label of the section '{SCORED}' of {datalist_path} decides whether it is pneumonia: there is nothing to score a probe on"
        )
