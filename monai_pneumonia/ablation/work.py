"""One job in one process: a bundle run in a copy of the bundle, then predictions by the one inference path."""

from __future__ import annotations

import os
import runpy
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_pneumonia.ablation.plan import PRETRAINING, Job
from monai_pneumonia.ablation.queue import JobFolder, read_json, write_json
from monai_pneumonia.ablation.study import OUT_OF_FOLD, REFERENCE_ARM, Split
from monai_pneumonia.errors import TRACEBACK_VARIABLE, ModelFaultError, PneumoniaError
from monai_pneumonia.handlers.run_state import CHECKPOINT_NAME

TAKEN = 75
"""Exit code of a process that found its job claimed by another (EX_TEMPFAIL)."""

ENCODER_FILE = "models/pretrained_encoder.pt"
PREDICTIONS_FOLDER = "predictions"
TRAINED_FILE = "trained.json"
ATTEMPT_FILE = "attempt.json"
_NOT_COPIED = ("*.pt", "*.ts", "calibration.json", "DATA.md", "output", "predictions", "evaluation", "__pycache__")


@dataclass(frozen=True)
class Place:
    """Where a study's jobs find what they share.

    Attributes:
        output: the study's folder.
        bundle: the bundle that every job copies.
        datalist: the study's data.
        splits: what every training predicts.
        keep_weights: whether a finished training keeps its weights.
    """

    output: Path
    bundle: Path
    datalist: Path
    splits: tuple[Split, ...]
    keep_weights: bool = False

    @property
    def jobs(self) -> Path:
        """The queue's folder."""
        return self.output / "jobs"

    @property
    def cache(self) -> Path:
        """The picture cache that all jobs share."""
        return self.output / "cache"

    def datalist_of(self, split: Split) -> Path:
        """The datalist that holds a split."""
        return self.datalist if split.datalist is None else self.datalist.parent / split.datalist


def check_bundle(source: Path) -> None:
    """Checks that a folder is a bundle that can be trained.

    Raises:
        ModelFaultError: it is none.
    """
    if not (source / "configs" / "train.yaml").is_file():
        raise ModelFaultError(f"{source} is no bundle to train: it lacks configs/train.yaml; give its folder with --bundle")


def copy_bundle(source: Path, target: Path) -> None:
    """Copies a bundle without weights and results; whole or not at all.

    Raises:
        ModelFaultError: there is no bundle.
    """
    check_bundle(source)
    unfinished = target.with_name(f".unfinished-{target.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(source, unfinished, ignore=shutil.ignore_patterns(*_NOT_COPIED))
    unfinished.replace(target)


def run_job(place: Place, job_id: str) -> None:
    """Runs one job to its end, in a process of its own; its standard output and error go to the job's log.

    Ends the process: code 0 where the job is done, :data:`TAKEN` where another process has it, 1 where it failed.
    """
    # A terminal sends it to the whole group; the runner alone decides what then happens.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    folder = JobFolder(place.jobs / job_id)
    with folder.claimed() as mine:
        if not mine:
            sys.exit(TAKEN)
        if folder.is_done():
            sys.exit(0)
        _print_to(folder.log)
        try:
            _run_stages(place, folder, folder.job())
        except PneumoniaError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            if os.environ.get(TRACEBACK_VARIABLE):
                traceback.print_exc()
            folder.fail(str(error))
            sys.exit(1)
        except Exception as error:
            traceback.print_exc()
            folder.fail(f"{type(error).__name__}: {error}")
            sys.exit(1)


def _print_to(log: Path) -> None:
    """Standard output and error of this process go to the end of a file, those of libraries written in C too."""
    sys.stdout.flush()
    sys.stderr.flush()
    with log.open("ab") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)


def _run_stages(place: Place, folder: JobFolder, job: Job) -> None:
    trained = folder.path / TRAINED_FILE
    if not trained.is_file():
        _train(place, folder, job)
        write_json(trained, {"seconds": _seconds(folder)})
    result: dict[str, Any] = {"training_seconds": read_json(trained)["seconds"]}
    if job.kind != PRETRAINING:
        start = time.monotonic()
        predict_splits(place, folder, job)
        result["prediction_seconds"] = round(time.monotonic() - start, 1)
    # In this order: killed in between, a job that was cleared first would be trained and could never be predicted.
    folder.finish(result)
    _clear(place, folder, job)


def bundle_arguments(place: Place, folder: JobFolder, job: Job) -> list[str]:
    """What follows ``python -m`` to train a job's bundle, from the bundle's folder."""
    config = "configs/pretrain.yaml" if job.kind == PRETRAINING else "configs/train.yaml"
    options: dict[str, Any] = {
        **job.overrides,
        "datalist_path": place.datalist,
        "output_dir": folder.path / "training",
        "cache_dir": place.cache,
        "fold": job.fold,
        "n_folds": job.n_folds,
        "seed": job.seed,
    }
    if job.kind != PRETRAINING:
        options["label_fraction"] = job.label_fraction
        if job.needs is not None:
            options["pretrained_encoder"] = place.jobs / job.needs / "bundle" / ENCODER_FILE
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    return ["monai.bundle", "run", "--config_file", config, *words]


def _train(place: Place, folder: JobFolder, job: Job) -> None:
    bundle = folder.path / "bundle"
    if not bundle.is_dir():
        copy_bundle(place.bundle, bundle)
    _begin_attempt(folder)
    arguments = bundle_arguments(place, folder, job)
    print(f"$ cd {bundle} && python -m {' '.join(arguments)}", flush=True)
    code = run_module(bundle, arguments, place.output / "temporary")
    if code:
        raise ModelFaultError(f"`python -m monai.bundle run` ended with exit code {code}; its output is in {folder.log}")
    published = bundle / (ENCODER_FILE if job.kind == PRETRAINING else "models/model.pt")
    if not published.is_file():
        raise ModelFaultError(f"`python -m monai.bundle run` ended, but wrote no {published}; its output is in {folder.log}")


def run_module(folder: Path, arguments: Sequence[str], temporary: Path) -> int:
    """Runs ``python -m`` in this process, which has imported what the module needs: a start of its own would take as long as an epoch.

    Args:
        folder: where to run it.
        arguments: the module and its command line.
        temporary: folder for temporary files, on the file system of the caches: a move from there is atomic.

    Returns:
        Its exit code.
    """
    temporary.mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = str(temporary)
    os.chdir(folder)
    sys.argv = [arguments[0], *arguments[1:]]
    sys.path.insert(0, str(folder))
    try:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def _begin_attempt(folder: JobFolder) -> None:
    """Notes that a training starts, and what an attempt that was killed has given: the time up to its last checkpoint."""
    file, checkpoint = folder.path / ATTEMPT_FILE, folder.path / "training" / "checkpoints" / CHECKPOINT_NAME
    kept = 0.0
    if file.is_file():
        earlier = read_json(file)
        kept = earlier["kept"] + (max(0.0, checkpoint.stat().st_mtime - earlier["started"]) if checkpoint.is_file() else 0.0)
    write_json(file, {"kept": kept, "started": time.time()})


def _seconds(folder: JobFolder) -> float:
    """How long the training took, without what was lost where it was killed."""
    attempt = read_json(folder.path / ATTEMPT_FILE)
    return float(round(attempt["kept"] + time.time() - attempt["started"], 1))


def predict_splits(place: Place, folder: JobFolder, job: Job) -> None:
    """Predicts every split with a job's weights: a table of probabilities and one of localisation each."""
    from monai_pneumonia.ablation.localization import Localizer
    from monai_pneumonia.data.datalist import load_datalist
    from monai_pneumonia.engines import load_run_datalist
    from monai_pneumonia.inference import LesionRecognizer, PredictionWriter

    recognizer = LesionRecognizer.from_bundle(folder.path / "bundle")
    target = folder.path / PREDICTIONS_FOLDER
    fold = load_run_datalist(str(place.datalist), job.fold, job.n_folds, job.label_fraction, job.seed)
    localizer = Localizer(recognizer, fold, baselines=job.arm == REFERENCE_ARM)
    for split in place.splits:
        datalist = fold if split.name == OUT_OF_FOLD else load_datalist(place.datalist_of(split))
        unfinished = target / f".{split.name}"
        with PredictionWriter(unfinished, recognizer, maps=False, overwrite=True) as writer:
            for item in datalist.section(split.section):
                path = datalist.resolve(item.image)
                try:
                    report = recognizer(path)
                except PneumoniaError as error:
                    writer.add(item.id, path, error, item.image)
                    continue
                writer.add(item.id, path, report, item.image)
                localizer.add(datalist, item, report)
        localizer.write(target / f"{split.name}-localization.csv")
        (unfinished / "predictions.csv").replace(target / f"{split.name}.csv")
        shutil.rmtree(unfinished)


def _clear(place: Place, folder: JobFolder, job: Job) -> None:
    """Removes what a finished job needs no more: checkpoints are several times as large as weights."""
    shutil.rmtree(folder.path / "training" / "checkpoints", ignore_errors=True)
    if job.kind != PRETRAINING and not place.keep_weights:
        for file in (folder.path / "bundle" / "models").glob("*.pt"):
            file.unlink()
