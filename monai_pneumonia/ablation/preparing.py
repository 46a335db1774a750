"""What a study needs before its first job: data, a bundle to copy, and a plan that tells what all of it was."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from monai_pneumonia.ablation.expressions import evaluated_overrides
from monai_pneumonia.ablation.plan import TRAINING, Job, config_hash, hash_code, hash_data, hash_phantom_code, plan_jobs
from monai_pneumonia.ablation.queue import JobFolder, read_json, write_json
from monai_pneumonia.ablation.study import Arm, Question, Split, Study, chosen_arms
from monai_pneumonia.ablation.work import PREDICTIONS_FOLDER, Place, check_bundle, copy_bundle
from monai_pneumonia.data.phantoms import PhantomSettings, write_phantoms
from monai_pneumonia.errors import BadInputError, OutputNotWritableError, UsageError

PLAN_FILE = "plan.json"
NOT_DRAWN = "phantoms that are not drawn yet"


@dataclass(frozen=True)
class Choice:
    """What the command line picks of a study.

    Attributes:
        arms: names; none takes all.
        folds: numbers; none takes all.
        label_fractions: none takes those of each arm.
        epochs: of every training; None leaves them to the study.
        datalist: other data than the study's.
        code: name of the code's state in the jobs' hashes; None works it out.
    """

    arms: tuple[str, ...] = ()
    folds: tuple[int, ...] = ()
    label_fractions: tuple[float, ...] = ()
    epochs: int | None = None
    datalist: Path | None = None
    code: str | None = None


@dataclass(frozen=True)
class Prepared:
    """A study that is ready to run, or was run.

    Attributes:
        name: of the study.
        place: where the jobs find what they share.
        jobs: all of them, in order.
        arms: by name.
        questions: that it is to answer.
        data: what it is trained on: name and hash.
        code: the code's state.
    """

    name: str
    place: Place
    jobs: tuple[Job, ...]
    arms: Mapping[str, Arm]
    questions: tuple[Question, ...]
    data: Mapping[str, str]
    code: str


def prepare_study(
    study: Study, output: Path, bundle: Path, choice: Choice, workers: int = 1, keep_weights: bool = False, dry: bool = False
) -> Prepared:
    """Makes phantoms where the study asks for them, copies the bundle, and plans the jobs.

    Args:
        study: the study.
        output: its folder.
        bundle: what every job trains.
        choice: what to run of it.
        workers: processes that draw phantoms.
        keep_weights: whether finished trainings keep their weights.
        dry: plans alone and writes nothing; where phantoms are not drawn yet, the data's hash is :data:`NOT_DRAWN`.

    Raises:
        PneumoniaError: data or bundle cannot be used, the choice does not fit the study, or the folder cannot be written.
    """
    check_bundle(bundle)
    arms = chosen_arms(study, choice.arms)
    wrong = [fold for fold in choice.folds if not 0 <= fold < study.n_folds]
    if wrong:
        raise UsageError(f"--folds: the study '{study.name}' has the folds 0 to {study.n_folds - 1}, not {', '.join(map(str, wrong))}")
    shares = sorted({share for arm in arms.values() for share in arm.label_fractions})
    if not set(choice.label_fractions) <= set(shares):
        raise UsageError(f"--label-fractions: the arms are trained at {', '.join(f'{share:g}' for share in shares)}; choose among these")
    code = choice.code or hash_code(bundle)
    try:
        datalist, undrawn = _data(study, output, choice)
        if not dry:
            output.mkdir(parents=True, exist_ok=True)
            if undrawn is not None:
                write_phantoms(datalist.parent, undrawn, overwrite=True, workers=workers)
            bundle, undrawn = _bundle(bundle, output, code), None
    except OSError as error:
        raise OutputNotWritableError(f"cannot write the study to {output} ({error.strerror}): give another --output") from error
    arms = {name: _evaluated(arm, bundle) for name, arm in arms.items()}
    splits = study.splits if undrawn is not None else _present_splits(study, datalist)
    place = Place(output, bundle, datalist, splits, keep_weights)
    sha256 = NOT_DRAWN if undrawn is not None else _hash_data(study, choice, place)
    planned = replace(study, splits=place.splits)
    jobs = plan_jobs(planned, arms, sha256, code, choice.folds or None, choice.label_fractions or None, choice.epochs)
    return Prepared(study.name, place, tuple(jobs), arms, study.questions, {"datalist": str(datalist), "sha256": sha256}, code)


def _evaluated(arm: Arm, bundle: Path) -> Arm:
    """An arm as this machine trains it."""
    overrides = evaluated_overrides(arm.overrides, bundle / "configs" / "train.yaml")
    pretraining = None if arm.pretraining is None else evaluated_overrides(arm.pretraining, bundle / "configs" / "pretrain.yaml")
    return replace(arm, overrides=overrides, pretraining=pretraining)


def _data(study: Study, output: Path, choice: Choice) -> tuple[Path, PhantomSettings | None]:
    """The datalist, and of what its phantoms are still to be drawn; None where all is there.

    Phantoms of other code are others, so their folder is named by it as well.
    """
    if choice.datalist is not None:
        return choice.datalist.absolute(), None
    if study.phantoms is None:
        return Path(str(study.datalist)), None
    try:
        settings = PhantomSettings(**study.phantoms)
    except TypeError as error:
        raise BadInputError(f"`data: phantoms` of the study: {str(error).partition('() ')[2] or error}") from error
    named = config_hash({"settings": dict(study.phantoms), "code": choice.code or hash_phantom_code()})
    folder = output / f"phantoms-{named}"
    return folder / "datalist.json", None if (folder / "phantoms.json").is_file() else settings


def _hash_data(study: Study, choice: Choice, place: Place) -> str:
    sha256 = hash_data(place.datalist, *(place.datalist_of(split) for split in place.splits if split.datalist is not None))
    if study.phantoms is not None and choice.datalist is None:
        return config_hash({"files": sha256, "settings": dict(study.phantoms)})
    return sha256


def _bundle(bundle: Path, output: Path, code: str) -> Path:
    """A copy that stays as it is while the checkout is worked on."""
    copied = output / "bundles" / config_hash({"code": code})
    if not copied.is_dir():
        copied.parent.mkdir(exist_ok=True)
        copy_bundle(bundle, copied)
    return copied


def _present_splits(study: Study, datalist: Path) -> tuple[Split, ...]:
    """Other data may have no flipped split: a split is there where its datalist is."""
    return tuple(split for split in study.splits if split.datalist is None or (datalist.parent / split.datalist).is_file())


def save_plan(prepared: Prepared) -> None:
    """Writes what was planned, for a later report."""
    place = prepared.place
    write_json(
        place.output / PLAN_FILE,
        {
            "name": prepared.name,
            "bundle": str(place.bundle),
            "datalist": str(place.datalist),
            "splits": [vars(split) for split in place.splits],
            "jobs": [job.to_dict() for job in prepared.jobs],
            "arms": {name: {**vars(arm), "label_fractions": list(arm.label_fractions)} for name, arm in prepared.arms.items()},
            "questions": [vars(question) for question in prepared.questions],
            "data": dict(prepared.data),
            "code": prepared.code,
        },
    )


def load_plan(output: Path) -> Prepared:
    """Reads the plan of a study that was run.

    Raises:
        BadInputError: there is none, or it is damaged.
    """
    file = output / PLAN_FILE
    if not file.is_file():
        raise BadInputError(f"{output} holds no study: it has no {PLAN_FILE}; run the study first, or give its folder with --output")
    content: dict[str, Any] = read_json(file)
    try:
        place = Place(output, Path(content["bundle"]), Path(content["datalist"]), tuple(Split(**split) for split in content["splits"]))
        arms = {name: Arm(**{**arm, "label_fractions": tuple(arm["label_fractions"])}) for name, arm in content["arms"].items()}
        jobs = tuple(Job(**job) for job in content["jobs"])
        questions = tuple(Question(**question) for question in content["questions"])
        return Prepared(content["name"], place, jobs, arms, questions, content["data"], content["code"])
    except (KeyError, TypeError) as error:
        raise BadInputError(f"{file} is damaged ({error}): run the study again, nothing that is done is repeated") from error


def collect_predictions(prepared: Prepared) -> None:
    """Lays out the predictions of all finished trainings as predictions/<arm>/<seed>/<label_fraction>/fold<k>-<split>.csv."""
    place = prepared.place
    unfinished, target = place.output / ".unfinished-predictions", place.output / PREDICTIONS_FOLDER
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    for job in prepared.jobs:
        folder = JobFolder(place.jobs / job.id)
        if job.kind == TRAINING and folder.is_done():
            into = unfinished / job.arm / str(job.seed) / f"{job.label_fraction:g}"
            into.mkdir(parents=True, exist_ok=True)
            for file in (folder.path / PREDICTIONS_FOLDER).glob("*.csv"):
                shutil.copyfile(file, into / f"fold{job.fold}-{file.name}")
    shutil.rmtree(target, ignore_errors=True)
    unfinished.replace(target)
