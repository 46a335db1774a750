"""What a bundle run checks before its first minute of work: overrides, settings, data, device, output."""

from __future__ import annotations

import difflib
import logging
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from monai.bundle import ConfigParser
from monai.bundle.utils import DEFAULT_EXP_MGMT_SETTINGS

from monai_pneumonia.data.datalist import Datalist, load_datalist
from monai_pneumonia.data.labels import NEGATIVE_CLASS
from monai_pneumonia.data.records import class_counts, section_records
from monai_pneumonia.engines.distributed import launched_processes
from monai_pneumonia.engines.encoder_data import check_encoder_data
from monai_pneumonia.engines.faults import one_line_errors
from monai_pneumonia.engines.outlines import uses_outlines
from monai_pneumonia.engines.regulation import REGULATION_SPACES
from monai_pneumonia.engines.run_data import load_run_datalist
from monai_pneumonia.engines.training import build_training_network
from monai_pneumonia.errors import BadInputError, ExitCode, NothingToAnalyseError, UsageError
from monai_pneumonia.inference import check_output, find_pictures
from monai_pneumonia.inference.bundle import read_bundle
from monai_pneumonia.inference.weights import file_sha256
from monai_pneumonia.losses import LOSS_NAMES
from monai_pneumonia.metrics.registry import METRICS, metric_names
from monai_pneumonia.networks import backbone_names
from monai_pneumonia.networks.lesion_attention_net import NORMALIZATIONS
from monai_pneumonia.transforms.geometry import RESIZE_MODES

_LOGGER = logging.getLogger(__name__)
# Parameters of `monai.bundle run` itself; everything else on its command line overrides a key of the configuration.
_RUN_PARAMETERS = frozenset(
    {"run_id", "init_id", "final_id", "meta_file", "config_file", "logging_file", "tracking", "args_file", "workflow_name", "workflow_type"}
)


def preflight(
    settings: Mapping[str, Any],
    bundle_root: str,
    datalist_path: str,
    sections: Sequence[str],
    output_dir: str,
    device: Any,
    arguments: Sequence[str] | None = None,
) -> None:
    """Checks a run before it starts; a fault ends the process with one line.

    Overrides, settings, device and data end with exit code 2. An output that cannot be written has its own code, 7, as
    everywhere.

    Args:
        settings: the configuration's plain values, nested as in the configuration.
        bundle_root: the bundle's folder, where the weights will go.
        datalist_path: the datalist.
        sections: sections of it that this run reads; none of them may be empty.
        output_dir: where results go.
        device: where the network runs.
        arguments: the command line; that of this process by default.

    Raises:
        SystemExit: something does not fit.
    """
    with one_line_errors(ExitCode.USAGE):
        check_overrides(sys.argv[1:] if arguments is None else arguments)
        check_settings(flatten_settings(settings), launched_processes())
        check_device(device)
        check_bundle_folder(bundle_root)
        datalist = run_datalist(settings, datalist_path)
        outlines = uses_outlines(settings["attention"], settings["regulation"])
        check_data(datalist, datalist_path, sections, launched_processes(), outlines)
        check_training(settings, datalist, datalist_path)
    with one_line_errors():
        for folder in (output_dir, str(Path(bundle_root) / "models")):
            check_output(folder, overwrite=True)


def preflight_recognition(
    bundle_root: str,
    input_path: str,
    section: str,
    output_dir: str,
    device: Any,
    overwrite: bool = True,
    settings: Mapping[str, Any] | None = None,
    arguments: Sequence[str] | None = None,
) -> None:
    """Checks a recognition before it starts; a fault ends the process with one line.

    Overrides and device end with exit code 2. What is given to analyse, the model and the output keep the exit codes that
    they have everywhere: 3 nothing there, 4 bad input, 6 model fault, 7 output not writable.

    Args:
        bundle_root: the bundle's folder.
        input_path: a picture, a folder or a datalist.
        section: of a datalist.
        output_dir: where results go.
        device: where the network runs.
        overwrite: whether earlier predictions there may be replaced.
        settings: the configuration's plain values.
        arguments: the command line; that of this process by default.

    Raises:
        SystemExit: something does not fit.
    """
    with one_line_errors(ExitCode.USAGE):
        check_overrides(sys.argv[1:] if arguments is None else arguments)
        check_settings(settings or {})
        check_device(device)
    with one_line_errors():
        check_output(output_dir, overwrite)
        find_pictures(input_path, section, aside=output_dir)
        read_bundle(bundle_root)


def check_overrides(arguments: Sequence[str]) -> None:
    """Checks that every override on a ``monai.bundle run`` command line names a key of its configuration.

    MONAI takes an unknown top-level key without a word, and the run goes on without it.

    Raises:
        UsageError: a key is unknown; the nearest known one is suggested.
    """
    if "run" not in arguments:
        return
    options = _options(arguments[list(arguments).index("run") + 1 :])
    if "args_file" in options:
        options = {**ConfigParser.load_config_files(options["args_file"]), **options}
    if not options.get("config_file"):
        return
    parser = ConfigParser(ConfigParser.load_config_files(options["config_file"]))
    known = [*parser.get(), *_tracking_keys(options.get("tracking"))]
    for key in options:
        if key in _RUN_PARAMETERS or parser.config is None:
            continue
        plain = key.replace("::", "#")
        if plain.split("#")[0] == "settings":
            raise UsageError(f"the override `--{key}` would change the record alone: override the key itself")
        if plain.split("#")[0].startswith("_meta_") or plain in parser or plain in known:
            continue
        near = difflib.get_close_matches(plain, [*known, *_nested(parser.get())], n=1)
        hint = f"; did you mean `{near[0]}`?" if near else f"; keys are {', '.join(known)}"
        raise UsageError(f"the override `--{key}` names no key of {options['config_file']}{hint}")


def _tracking_keys(tracking: str | None) -> list[str]:
    """The keys that ``--tracking`` lays over the configuration, such as ``run_name``."""
    if tracking is None:
        return []
    settings = DEFAULT_EXP_MGMT_SETTINGS.get(tracking) or ConfigParser.load_config_files(tracking)
    return list(settings["configs"])


def _options(arguments: Sequence[str]) -> dict[str, Any]:
    """The options of a command line in Fire's two forms, --key value and --key=value."""
    options: dict[str, Any] = {}
    for position, argument in enumerate(arguments):
        # Fire takes one dash for two; what looks like a negative number is a value.
        if not argument.startswith("-") or argument.lstrip("-")[:1].isdigit():
            continue
        key, equals, value = argument.lstrip("-").partition("=")
        following = arguments[position + 1] if position + 1 < len(arguments) else ""
        text = value if equals else following
        options[key] = yaml.safe_load(text) if text.startswith("[") else text
    return options


def _nested(content: Any, prefix: str = "") -> list[str]:
    if not isinstance(content, Mapping):
        return []
    names = []
    for key, value in content.items():
        names += [f"{prefix}{key}", *_nested(value, f"{prefix}{key}#")]
    return names


def flatten_settings(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level, keyed as on the command line: ``loss#name``."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= flatten_settings(value, f"{prefix}{key}#") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _one_of(choices: Sequence[str]) -> Callable[[Any], str | None]:
    return lambda value: None if value in choices else f"must be one of {', '.join(choices)}"


def _number(low: float, high: float = float("inf"), whole: bool = False, above: bool = False) -> Callable[[Any], str | None]:
    def complain(value: Any) -> str | None:
        kinds = (int,) if whole else (int, float)
        fits = isinstance(value, kinds) and not isinstance(value, bool) and (low < value if above else low <= value) and value <= high
        limit = f"{'above' if above else 'at least'} {low:g}" + ("" if high == float("inf") else f" and at most {high:g}")
        return None if fits else f"must be a {'whole ' if whole else ''}number {limit}"

    return complain


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


def _input_size(value: Any) -> str | None:
    return None if isinstance(value, int) and value >= 64 and value % 32 == 0 else "must be a multiple of 32, 64 or more"


def _known_metric(value: Any) -> str | None:
    # A metric of one class may be asked for, too; which classes there are stands in the datalist.
    names = [metric.name.split("<")[0] for metric in METRICS if metric.higher_is_better]
    return None if any(str(value).startswith(name) for name in names) else f"must be one of {', '.join(names)}"


_CHECKS: Mapping[str, Callable[[Any], str | None]] = {
    "backbone": lambda value: _one_of(backbone_names())(value),
    "normalization": _one_of(NORMALIZATIONS),
    "resize_mode": _one_of(RESIZE_MODES),
    "loss#name": _one_of(LOSS_NAMES),
    "loss#beta": _number(0, 0.9999999),
    "loss#gamma": _number(0),
    "input_size": _input_size,
    "max_epochs": _number(1, whole=True),
    "batch_size": _number(1, whole=True),
    "accumulation_steps": _number(1, whole=True),
    "num_workers": _number(0, whole=True),
    "learning_rate": _number(0, above=True),
    "weight_decay": _number(0),
    "dropout": _number(0, 0.99),
    "ema_decay": _number(0, 0.999999),
    "label_fraction": _number(0, 1, above=True),
    "horizontal_flip": _number(0, 1),
    "seed": _number(0, whole=True),
    "fold": lambda value: None if value is None else _number(0, whole=True)(value),
    "n_folds": _number(2, whole=True),
    "val_interval": _number(1, whole=True),
    "warmup_epochs": _number(0),
    "augmentation_strength": _number(0),
    "key_metric": _known_metric,
    "resamples": _number(0, whole=True),
    "amp": _flag,
    "cpu_amp": _flag,
    "compile": _flag,
    "maps": _flag,
    "overwrite": _flag,
    "attention#enabled": _flag,
    "attention#weight": _number(0),
    "attention#guided": _flag,
    "attention#hard": _flag,
    "attention#outlined_share": _number(0, 0.5),
    "attention#decoy_share": _number(0, 1),
    "attention#unoutlined_weight": _number(0),
    "attention#shuffled_outlines": _flag,
    "regulation#enabled": _flag,
    "regulation#weight": _number(0),
    "regulation#space": _one_of(REGULATION_SPACES),
    "regulation#temperature": _number(0, above=True),
    "regulation#bound": _number(0, above=True),
    "regulation#warmup": _number(0, 0.5),
    "loss#logit_adjustment": _number(0),
}


def check_settings(settings: Mapping[str, Any], processes: int = 1) -> None:
    """Checks plain values of a configuration, keyed as on the command line.

    Args:
        settings: key to value.
        processes: that train together; each takes an equal share of a batch.

    Raises:
        UsageError: values are out of range; all are named, with their keys and what they should be.
    """
    faults = []
    for key, value in settings.items():
        complaint = _CHECKS[key](value) if key in _CHECKS else None
        if complaint is not None:
            faults.append(f"`{key}` {complaint}, got {value!r}")
    if settings.get("pretrained_encoder") and not Path(settings["pretrained_encoder"]).is_file():
        faults.append(f"`pretrained_encoder`: there is no file {settings['pretrained_encoder']}")
    faults += _contradictions(settings)
    fold, n_folds = settings.get("fold"), settings.get("n_folds")
    if isinstance(fold, int) and isinstance(n_folds, int) and fold >= n_folds:
        faults.append(f"`fold` must be below `n_folds` ({n_folds}), got {fold}")
    interval, epochs = settings.get("val_interval"), settings.get("max_epochs")
    if isinstance(interval, int) and isinstance(epochs, int) and interval > epochs:
        faults.append(f"`val_interval` must be at most `max_epochs` ({epochs}), got {interval}: no epoch would be validated")
    batch_size = settings.get("batch_size")
    if isinstance(batch_size, int) and batch_size % processes:
        faults.append(f"`batch_size` is over all processes together and must be a multiple of {processes}, got {batch_size}")
    if faults:
        raise UsageError("; ".join(faults))


def _contradictions(settings: Mapping[str, Any]) -> list[str]:
    """Settings that make no sense together."""
    faults = []
    if settings.get("loss#logit_adjustment") and settings.get("loss#name") != "cross_entropy":
        faults.append("`loss#logit_adjustment` corrects plain training: use it with `loss#name` cross_entropy alone")
    if settings.get("regulation#enabled") and settings.get("attention#enabled") is False:
        faults.append("`regulation#enabled` teaches the attention map: switch `attention#enabled` on, or regulation off")
    if settings.get("cpu_amp") and settings.get("regulation#enabled") and settings.get("regulation#space") == "image":
        faults.append("`cpu_amp` would compare features of two precisions: switch it off with `regulation#space` image")
    return faults


def check_device(device: Any) -> None:
    """Checks that the device exists.

    Raises:
        UsageError: it does not.
    """
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise UsageError(f"`device` {device} is not there ({str(error).splitlines()[0]}): use `--device cpu`") from error


def check_bundle_folder(bundle_root: str) -> None:
    """Checks that a folder is a bundle.

    Raises:
        UsageError: it has no configs/metadata.json.
    """
    if not (Path(bundle_root) / "configs" / "metadata.json").is_file():
        raise UsageError(
            f"{Path(bundle_root).resolve()} is no bundle, it lacks configs/metadata.json: give `--bundle_root`, or run in the bundle"
        )


def run_datalist(settings: Mapping[str, Any], datalist_path: str) -> Datalist:
    """The datalist as the run will see it, after fold and label fraction.

    Raises:
        PneumoniaError: it is missing, broken or empty, or the settings do not fit it.
    """
    if not any(True for _ in load_datalist(datalist_path).items()):
        raise NothingToAnalyseError(f"the datalist {datalist_path} holds no picture (key `datalist_path`)")
    return load_run_datalist(datalist_path, *(settings[key] for key in ("fold", "n_folds", "label_fraction", "seed")))


def check_classes(datalist: Datalist, loss_name: str, logit_adjustment: float = 0.0) -> None:
    """Checks that every class can be learned: some training item is of it, or of a group that may mean it.

    Raises:
        BadInputError: nothing tells of a class, or a Class-Balanced loss or the logit adjustment has no count of it.
    """
    labels = {item.label for item in datalist.training}
    told = {name for label in labels if label is not None for name in (datalist.labels.groups.get(label) or (label,))}
    counted = [name for name, count in zip(datalist.labels.classes, class_counts(datalist), strict=True) if count]
    never = [name for name in datalist.labels.classes if name not in told]
    if never:
        raise BadInputError(
            f"no training item tells of class {', '.join(never)}: take it out of the datalist's `classes`, or add pictures of it"
        )
    uncounted = [name for name in datalist.labels.classes if name not in counted]
    if uncounted and loss_name.startswith("class_balanced"):
        raise BadInputError(
            f"no training item is of class {', '.join(uncounted)} alone, so it has no Class-Balanced weight: "
            "use `--loss#name cross_entropy`"
        )
    if uncounted and logit_adjustment:
        raise BadInputError(
            f"no training item is of class {', '.join(uncounted)} alone, so it has no prior to adjust by: use `--loss#logit_adjustment 0`"
        )
    if NEGATIVE_CLASS not in datalist.labels.classes:
        negative = datalist.labels.classes[datalist.labels.negative_index]
        _LOGGER.warning("no class is called '%s': '%s', the first, is taken to mean no pneumonia", NEGATIVE_CLASS, negative)
    if uncounted:
        _LOGGER.warning("no training item is of class %s alone: it is known through groups only", ", ".join(uncounted))


def warn_of_missing_outlines(attention: Mapping[str, Any], regulation: Mapping[str, Any], datalist: Datalist) -> None:
    """Warns where settings ask for outlines and no training picture has one: they do nothing then.

    Args:
        attention: the configuration's section.
        regulation: the configuration's section.
        datalist: after fold and label fraction.
    """
    kinds = Counter(item.mask_kind for item in datalist.training)
    idle = {
        "attention#guided": attention["enabled"] and attention["guided"],
        # Pictures that were read and found empty have their share of each batch, too.
        "attention#outlined_share": attention["outlined_share"] and not kinds["empty"],
        "regulation#enabled": regulation["enabled"],
    }
    told = [f"`{key}`" for key, asked in idle.items() if asked]
    if told and not kinds["pixel"] + kinds["box"]:
        _LOGGER.warning("0 of %d training pictures are outlined, so there is no effect of %s", kinds.total(), ", ".join(told))


def check_training(settings: Mapping[str, Any], datalist: Datalist, datalist_path: str) -> None:
    """Checks what settings and data must be together: classes that can be learned, a metric, an encoder that fits and saw nothing held out.

    Raises:
        PneumoniaError: they do not fit.
    """
    check_classes(datalist, settings["loss"]["name"], settings["loss"]["logit_adjustment"])
    names = metric_names(datalist.labels.classes)
    if settings["key_metric"] not in names:
        raise UsageError(f"`key_metric` must be one of {', '.join(names)}, got {settings['key_metric']!r}")
    warn_of_missing_outlines(settings["attention"], settings["regulation"], datalist)
    if settings["pretrained_encoder"]:
        build_training_network(
            {"backbone": settings["backbone"], "normalization": settings["normalization"]}, settings["pretrained_encoder"]
        )
        check_encoder_data(settings["pretrained_encoder"], datalist, file_sha256(datalist_path))


def check_data(datalist: Datalist, datalist_path: str, sections: Sequence[str], processes: int = 1, outlines: bool = True) -> None:
    """Checks that a datalist's files are there; their pixels are read later, once, for the cache.

    Args:
        datalist: after fold and label fraction.
        datalist_path: its file.
        sections: of it that must hold pictures.
        processes: that share each section; none may go without a picture.
        outlines: whether outlines will be read, and so must be there.

    Raises:
        BadInputError: it names files that do not exist, or labels that nobody declared, or a section is empty.
    """
    faults: list[str] = []
    for section in sections:
        pictures = len(datalist.section(section))
        if pictures < processes:
            told = f"has {pictures} picture(s) for {processes} processes" if pictures else "is empty"
            faults.append(f"the section '{section}' {told}")
        try:
            section_records(datalist, section, outlines)
        except BadInputError as error:
            faults.append(str(error))
    if faults:
        raise BadInputError(
            f"the datalist {datalist_path} cannot be used: {'; '.join(faults)}. `monai-pneumonia validate {datalist_path}` lists all faults"
        )
