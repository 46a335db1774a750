"""The study file: which arms are trained on what, and which questions they are to answer."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from monai_pneumonia.data.datalist import SECTIONS
from monai_pneumonia.errors import BadInputError, UsageError

REFERENCE_ARM = "plain"
OUT_OF_FOLD = "validation"
EXPECTATIONS = ("above", "not_above")
# What the runner itself sets for every job.
RESERVED_OVERRIDES = frozenset(
    {"bundle_root", "datalist_path", "dataset_dir", "output_dir", "cache_dir", "fold", "n_folds", "seed", "label_fraction"}
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*")
_STUDY_KEYS = ("name", "data", "splits", "n_folds", "seeds", "label_fractions", "overrides", "pretraining", "arms", "questions")
_ARM_KEYS = ("title", "from", "overrides", "pretraining", "label_fractions")
_QUESTION_KEYS = ("ask", "arm", "reference", "split", "metric", "label_fraction", "expect")
_SPLIT_KEYS = ("section", "datalist")

Overrides = Mapping[str, Any]


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Attributes:
        name: in tables and folders.
        title: in figures.
        overrides: of train.yaml, those of the study and of the arms it builds on included.
        pretraining: overrides of pretrain.yaml; None trains without.
        label_fractions: shares of the training patients whose labels are used, one training each.
    """

    name: str
    title: str
    overrides: Overrides
    pretraining: Overrides | None
    label_fractions: tuple[float, ...]

    @property
    def uses_outlines(self) -> bool:
        """Whether outlines shape its loss or its gate; the sampler alone only looks whether a picture has one."""
        used = self.overrides.get("attention#guided") or self.overrides.get("attention#weight") or self.overrides.get("regulation#enabled")
        return bool(self.overrides.get("attention#enabled", True) and used)


@dataclass(frozen=True)
class Split:
    """What the trained arms predict.

    Attributes:
        name: in tables.
        section: of a datalist.
        datalist: file beside the study's datalist that has the section; None is that datalist itself, after its fold.
    """

    name: str
    section: str
    datalist: str | None = None


@dataclass(frozen=True)
class Question:
    """What a study is to decide: whether an arm's metric lies above a reference's.

    Attributes:
        ask: the question, as a reader would put it.
        arm: whose value.
        reference: an arm, or a map that the plain network gives (``gradcampp``, ``mean_outline``).
        split: where.
        metric: which.
        label_fraction: at which share of labels.
        expect: ``above``, or ``not_above`` for a control.
    """

    ask: str
    arm: str
    split: str
    metric: str
    reference: str = REFERENCE_ARM
    label_fraction: float = 1.0
    expect: str = "above"


@dataclass(frozen=True)
class Study:
    """A whole study.

    Attributes:
        name: of the study.
        datalist: path of the data; None where phantoms are made.
        phantoms: settings of the phantoms; None where there is a datalist.
        splits: what every training predicts.
        n_folds: patient-wise folds.
        seeds: of folds, weights and order; every arm is trained with each.
        arms: by name, in the file's order.
        questions: in the file's order.
    """

    name: str
    datalist: str | None
    phantoms: Mapping[str, Any] | None
    splits: tuple[Split, ...]
    n_folds: int
    seeds: tuple[int, ...]
    arms: Mapping[str, Arm]
    questions: tuple[Question, ...] = field(default=())


def load_study(path: str | os.PathLike[str]) -> Study:
    """Reads a study file.

    Args:
        path: the YAML file; a datalist in it is relative to the file's folder.

    Raises:
        BadInputError: the file cannot be read, or something in it does not fit; the key is named.
    """
    file = Path(path)
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInputError(f"cannot read the study {file}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInputError(f"the study {file} is no YAML: {' '.join(str(error).split())}") from error
    try:
        return parse_study(content, file.parent)
    except BadInputError as error:
        raise BadInputError(f"the study {file}: {error}") from error


def parse_study(content: Any, folder: Path) -> Study:
    """Builds a study from the plain values of its file.

    Args:
        content: the values.
        folder: that a relative datalist starts from.

    Raises:
        BadInputError: something does not fit; the key is named.
    """
    values = _mapping(content, "the file", _STUDY_KEYS)
    datalist, phantoms = _data(values.get("data"), folder)
    splits = tuple(_split(name, entry) for name, entry in _mapping(values.get("splits"), "`splits`").items())
    n_folds = values.get("n_folds", 5)
    _require(_is_whole(n_folds) and n_folds >= 2, f"`n_folds` must be a whole number of 2 or more, got {n_folds!r}")
    seeds = _list(values.get("seeds", [0]), "`seeds`", lambda seed: _is_whole(seed) and seed >= 0, "whole numbers, not negative")
    fractions = _fractions(values.get("label_fractions", [1.0]), "`label_fractions`")
    arms = _arms(values, fractions)
    _require(bool(splits), "`splits` names nothing to predict")
    questions = tuple(_question(entry, arms, splits) for entry in values.get("questions") or ())
    name = values.get("name")
    _require(isinstance(name, str) and bool(_NAME.fullmatch(name)), f"`name` must be letters, digits and _, got {name!r}")
    return Study(str(name), datalist, phantoms, splits, int(n_folds), tuple(seeds), arms, questions)


def _data(value: Any, folder: Path) -> tuple[str | None, Mapping[str, Any] | None]:
    data = _mapping(value, "`data`", ("datalist", "phantoms"))
    _require(len(data) == 1, "`data` must have either `datalist` (a path) or `phantoms` (their settings)")
    if "phantoms" in data:
        return None, dict(_mapping(data["phantoms"], "`data: phantoms`"))
    _require(isinstance(data["datalist"], str), "`data: datalist` must be a path")
    return os.path.abspath(folder / data["datalist"]), None


def _split(name: str, value: Any) -> Split:
    entry = _mapping(value, f"`splits: {name}`", _SPLIT_KEYS)
    section = entry.get("section", name)
    _require(bool(_NAME.fullmatch(name)), f"`splits`: a name must be letters, digits and _, got '{name}'")
    _require(section in SECTIONS, f"`splits: {name}: section` must be one of {', '.join(SECTIONS)}, got {section!r}")
    _require(
        (name == OUT_OF_FOLD) == (section == OUT_OF_FOLD), f"`splits`: '{OUT_OF_FOLD}' is the part that a fold holds out, and no other"
    )
    _require(section != "training", f"`splits: {name}`: what was trained on proves nothing; predict another section")
    return Split(name, section, entry.get("datalist"))


def _arms(values: Mapping[str, Any], fractions: tuple[float, ...]) -> dict[str, Arm]:
    written = _mapping(values.get("arms"), "`arms`")
    _require(REFERENCE_ARM in written, f"`arms` lacks '{REFERENCE_ARM}', which all others are compared with")
    common = _overrides(values.get("overrides"), "`overrides`")
    pretraining = _overrides(values.get("pretraining"), "`pretraining`")
    arms: dict[str, Arm] = {}
    for name in written:
        _require(isinstance(name, str) and bool(_NAME.fullmatch(name)), f"`arms`: a name must be letters, digits and _, got {name!r}")
        entry = _mapping(written[name], f"`arms: {name}`", _ARM_KEYS)
        own, asked = _resolved(name, written)
        arms[name] = Arm(
            name=name,
            title=str(entry.get("title", name.replace("_", " "))),
            overrides={**common, **own},
            pretraining=None if asked is None else {**pretraining, **asked},
            label_fractions=_fractions(entry["label_fractions"], f"`arms: {name}`") if "label_fractions" in entry else fractions,
        )
    return arms


def _resolved(name: str, written: Mapping[str, Any], below: tuple[str, ...] = ()) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Overrides and pre-training of an arm, on top of those of the arm it builds on."""
    _require(name not in below, f"`arms: {name}` builds on itself: {' -> '.join([*below, name])}")
    _require(name in written, f"`arms: {below[-1] if below else name}: from` names the unknown arm '{name}'")
    entry = _mapping(written[name], f"`arms: {name}`", _ARM_KEYS)
    base = entry.get("from")
    overrides, pretraining = ({}, None) if base is None else _resolved(str(base), written, (*below, name))
    if "pretraining" in entry:
        asked = entry["pretraining"]
        if asked is False:
            pretraining = None
        else:
            extra = {} if asked is True else _overrides(asked, f"`arms: {name}: pretraining`")
            pretraining = {**(pretraining or {}), **extra}
    return {**overrides, **_overrides(entry.get("overrides"), f"`arms: {name}: overrides`")}, pretraining


def _overrides(value: Any, place: str) -> dict[str, Any]:
    overrides = dict(_mapping(value, place)) if value is not None else {}
    for key, entry in overrides.items():
        _require(key not in RESERVED_OVERRIDES, f"{place}: `{key}` is set by the study itself; leave it out")
        _require(not isinstance(entry, Mapping), f"{place}: `{key}` is nested; write `{key}#...: value`")
    return overrides


def _question(value: Any, arms: Mapping[str, Arm], splits: Sequence[Split]) -> Question:
    entry = _mapping(value, "`questions`", _QUESTION_KEYS)
    missing = [key for key in ("ask", "arm", "split", "metric") if key not in entry]
    _require(not missing, f"`questions`: one lacks {', '.join(missing)}")
    question = Question(**{key: entry[key] for key in _QUESTION_KEYS if key in entry})
    place = f"the question '{question.ask}'"
    _require(question.arm in arms, f"{place} names the unknown arm '{question.arm}'")
    _require(question.split in {split.name for split in splits}, f"{place} names the unknown split '{question.split}'")
    _require(question.expect in EXPECTATIONS, f"{place}: `expect` must be one of {', '.join(EXPECTATIONS)}, got '{question.expect}'")
    return question


def _fractions(value: Any, place: str) -> tuple[float, ...]:
    numbers = _list(
        value, place, lambda share: isinstance(share, (int, float)) and not isinstance(share, bool) and 0 < share <= 1, "shares"
    )
    return tuple(float(number) for number in numbers)


def _list(value: Any, place: str, fits: Any, wanted: str) -> list[Any]:
    good = isinstance(value, list) and bool(value) and all(fits(entry) for entry in value) and len(set(value)) == len(value)
    _require(good, f"{place} must be a list of distinct {wanted}, got {value!r}")
    return list(value)


def _mapping(value: Any, place: str, known: Sequence[str] | None = None) -> Mapping[str, Any]:
    _require(isinstance(value, Mapping), f"{place} must hold `key: value` entries, got {type(value).__name__}")
    for key in value if known is not None else ():
        near = difflib.get_close_matches(str(key), known or (), n=1)
        _require(key in (known or ()), f"{place} knows {', '.join(known or ())}, not '{key}'" + (f" ('{near[0]}'?)" if near else ""))
    return dict(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise BadInputError(otherwise)


def chosen_arms(study: Study, names: Sequence[str]) -> dict[str, Arm]:
    """Some of a study's arms; the plain one always comes along, for the others are compared with it.

    Raises:
        UsageError: there is no such arm.
    """
    unknown = [name for name in names if name not in study.arms]
    if unknown:
        raise UsageError(f"--arms: the study '{study.name}' has the arms {', '.join(study.arms)}, not {', '.join(unknown)}")
    return {name: arm for name, arm in study.arms.items() if not names or name in names or name == REFERENCE_ARM}
