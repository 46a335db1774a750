"""A tiny study from end to end: unbroken, killed and taken up again, with a failing arm, changed, and reported once more."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from monai_pneumonia import __version__

ROOT = Path(__file__).parents[2]
STUDY: dict[str, Any] = {
    "name": "tiny",
    "data": {"phantoms": {"count": 48, "size": 64, "seed": 1, "unlabelled_share": 0.0}},
    "splits": {"validation": {}, "testing": {}, "flipped": {"section": "testing", "datalist": "datalist_flipped.json"}},
    "n_folds": 2,
    "overrides": {"backbone": "efficientnet-b0", "input_size": 64, "max_epochs": 3, "batch_size": 8, "ema_decay": 0.5, "num_workers": 0},
    "arms": {
        "plain": {"overrides": {"attention#enabled": False}},
        "focal": {"from": "plain", "overrides": {"loss#name": "class_balanced_focal"}},
    },
    "questions": [{"ask": "Is focal better?", "arm": "focal", "split": "testing", "metric": "p_pneumonia_auc"}],
}

pytestmark = pytest.mark.slow


def command(folder: Path, *options: str, study: dict[str, Any] | None = None) -> list[str]:
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(study or STUDY, sort_keys=False))
    paths = ["--study", str(file), "--output", str(folder / "out"), "--bundle", str(ROOT / "bundle")]
    # The code has a name here, for somebody may be writing on it while the tests run.
    fixed = ["--workers", "2", "--resamples", "50", "--code", "tested"]
    return [sys.executable, "-W", "ignore", "-m", "monai_pneumonia.ablation", *paths, *fixed, *options]


def environment() -> dict[str, str]:
    return {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}


def run(folder: Path, *options: str, expect: int = 0, study: dict[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command(folder, *options, study=study), env=environment(), capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == expect, done.stdout[-2000:] + done.stderr[-4000:]
    return done


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def without_seconds(folder: Path) -> list[dict[str, str]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows_of(folder / "out" / "ablation.csv")]


def jobs_of(folder: Path) -> list[Path]:
    return sorted((folder / "out" / "jobs").iterdir())


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that ran without a break: read, do not change."""
    folder = tmp_path_factory.mktemp("unbroken")
    done = run(folder)
    assert "ablation.html" in done.stdout
    assert "Research use only" in done.stdout
    return folder


def test_every_training_is_in_the_tables(unbroken: Path) -> None:
    out = unbroken / "out"
    rows = rows_of(out / "ablation.csv")
    assert list(rows[0]) == [
        "arm",
        "seed",
        "fold",
        "label_fraction",
        "split",
        "source",
        "metric",
        "value",
        "n",
        "patients",
        "config_hash",
        "seconds",
    ]
    trainings = {(row["arm"], row["seed"], row["fold"], row["label_fraction"]) for row in rows}
    assert trainings == {(arm, "0", fold, "1") for arm in ("plain", "focal") for fold in ("0", "1")}
    assert {row["split"] for row in rows} == {"validation", "testing", "flipped"}
    assert "all" in {row["source"] for row in rows}
    metrics = {row["metric"] for row in rows}
    assert {"p_pneumonia_auc", "macro_auc", "balanced_accuracy", "sensitivity_covid19", "auc_viral"} <= metrics
    assert {"pointing_game_pixel", "gradcampp_8_dice_pixel", "mean_outline_pointing_game_pixel"} <= metrics
    assert all(float(row["seconds"]) > 0 and int(row["n"]) >= int(row["patients"]) > 0 for row in rows)
    differences = rows_of(out / "differences.csv")
    assert {(row["arm"], row["reference"]) for row in differences} >= {
        ("focal", "plain"),
        ("plain", "gradcampp"),
        ("plain", "mean_outline"),
    }


def test_every_picture_is_predicted_out_of_fold_once(unbroken: Path) -> None:
    out = unbroken / "out"
    datalist = json.loads(next(out.glob("phantoms-*/datalist.json")).read_text())
    cut = {item["id"] for section in ("training", "validation") for item in datalist[section]}
    for arm in ("plain", "focal"):
        predicted = [row["id"] for fold in (0, 1) for row in rows_of(out / "predictions" / arm / "0" / "1" / f"fold{fold}-validation.csv")]
        assert sorted(predicted) == sorted(cut)
        testing = [row["id"] for row in rows_of(out / "predictions" / arm / "0" / "1" / "fold0-testing.csv")]
        assert testing == [item["id"] for item in datalist["testing"]]


def test_what_is_needed_no_more_is_removed(unbroken: Path) -> None:
    out = unbroken / "out"
    assert not list(out.rglob("last.pt"))
    assert not list((out / "jobs").rglob("model.pt"))
    assert not list(out.rglob("*.unfinished"))


def test_the_page_is_whole_by_itself(unbroken: Path) -> None:
    page = (unbroken / "out" / "ablation.html").read_text(encoding="utf-8")
    assert "Research use only" in page
    assert "Is focal better?" in page
    assert "class_balanced_focal" in page
    assert page.count("data:image/svg+xml;base64,") >= 4
    for reference in ("src='http", 'src="http', "href=", "url(", "<script", "<link"):
        assert reference not in page


def test_done_is_not_done_again(unbroken: Path) -> None:
    before = {job.name: (job / "done.json").stat().st_mtime_ns for job in jobs_of(unbroken)}
    logs = {job.name: (job / "log.txt").read_bytes() for job in jobs_of(unbroken)}
    table = (unbroken / "out" / "ablation.csv").read_bytes()
    differences = (unbroken / "out" / "differences.csv").read_bytes()
    run(unbroken)
    assert {job.name: (job / "done.json").stat().st_mtime_ns for job in jobs_of(unbroken)} == before
    assert {job.name: (job / "log.txt").read_bytes() for job in jobs_of(unbroken)} == logs
    run(unbroken, "--report-only")
    assert (unbroken / "out" / "ablation.csv").read_bytes() == table
    assert (unbroken / "out" / "differences.csv").read_bytes() == differences
    assert "4 trainings, 4 of them done" in run(unbroken, "--dry-run").stdout


def kill_in_the_middle(folder: Path) -> tuple[list[Path], list[Path]]:
    """Runs the study, kills its whole process group within a training once another is done; gives the jobs done, and those begun."""
    process = subprocess.Popen(
        command(folder), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 300
    done: list[Path] = []
    begun: list[Path] = []
    while time.monotonic() < deadline and process.poll() is None:
        jobs = jobs_of(folder) if (folder / "out" / "jobs").is_dir() else []
        done = [job for job in jobs if (job / "done.json").is_file()]
        begun = [job for job in jobs if (job / "training/checkpoints/last.pt").is_file() and not (job / "trained.json").is_file()]
        if done and begun:
            break
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert done, "nothing was done before the end"
    assert begun, "no training was under way"
    return [job for job in jobs_of(folder) if (job / "done.json").is_file()], begun


def test_killed_and_taken_up_again_it_ends_as_an_unbroken_run(unbroken: Path, tmp_path: Path) -> None:
    done, begun = kill_in_the_middle(tmp_path)
    logs = {job: (job / "log.txt").read_bytes() for job in done}
    times = {job: (job / "done.json").stat().st_mtime_ns for job in done}
    run(tmp_path)
    assert {job: (job / "log.txt").read_bytes() for job in done} == logs
    assert {job: (job / "done.json").stat().st_mtime_ns for job in done} == times
    assert any("resumed after epoch" in (job / "log.txt").read_text() for job in begun)
    assert [job.name for job in jobs_of(tmp_path)] == [job.name for job in jobs_of(unbroken)]
    assert without_seconds(tmp_path) == without_seconds(unbroken)
    assert rows_of(tmp_path / "out" / "differences.csv") == rows_of(unbroken / "out" / "differences.csv")


@pytest.fixture(scope="module")
def changed(unbroken: Path) -> tuple[Path, set[str], str]:
    """The study with other arms in the same folder, one fold of it: one fails, one has all that an arm can have.

    Gives the folder, the names of the jobs that came along, and what was told of the failure.
    """
    former = {job.name for job in jobs_of(unbroken)}
    full = {"attention#enabled": True, "attention#guided": True, "attention#weight": 1.0, "attention#outlined_share": 0.2}
    arms = {
        "plain": STUDY["arms"]["plain"],
        "focal": {"from": "plain", "overrides": {"loss#name": "no_such_loss"}},
        "full": {"from": "plain", "overrides": {**full, "regulation#enabled": True, "max_epochs": 1}, "pretraining": True},
    }
    pretraining = {"backbone": "efficientnet-b0", "input_size": 64, "max_epochs": 1, "batch_size": 8, "num_workers": 0}
    study = {**STUDY, "arms": arms, "pretraining": pretraining, "questions": []}
    told = run(unbroken, "--folds", "0", expect=1, study=study).stderr
    return unbroken, {job.name for job in jobs_of(unbroken)} - former, told


def test_a_failed_training_stops_no_other_and_a_changed_study_is_another(changed: tuple[Path, set[str], str]) -> None:
    folder, new, told = changed
    out = folder / "out"
    assert "no_such_loss" in told
    assert "1 trainings failed (focal-seed0-fold0-1-" in told
    assert {row["arm"] for row in rows_of(out / "ablation.csv")} == {"plain", "full"}
    assert not (out / "predictions" / "focal").exists()
    # The pre-training counts as one.
    assert "1 of 4 trainings are not done" in (out / "ablation.html").read_text()
    assert sorted(name.rsplit("-", 1)[0] for name in new) == ["focal-seed0-fold0-1", "full-seed0-fold0-1", "pretraining-seed0-fold0"]


def test_an_arm_starts_from_its_pretraining_and_learns_from_outlines(changed: tuple[Path, set[str], str]) -> None:
    folder, new, _ = changed
    out = folder / "out"
    jobs = {name.split("-")[0]: out / "jobs" / name for name in new}
    datalist = json.loads(next(out.glob("phantoms-*/datalist.json")).read_text())
    held_out = {row["id"] for row in rows_of(out / "predictions" / "full" / "0" / "1" / "fold0-validation.csv")}
    cut = len(datalist["training"]) + len(datalist["validation"])
    # Pre-trained on what this fold does not hold out, and on nothing else.
    assert f"pre-training on {cut - len(held_out)} pictures of" in (jobs["pretraining"] / "log.txt").read_text()
    encoder = jobs["pretraining"] / "bundle" / "models" / "pretrained_encoder.pt"
    assert f"--pretrained_encoder {encoder}" in (jobs["full"] / "log.txt").read_text()
    assert json.loads((jobs["full"] / "job.json").read_text())["needs"] == jobs["pretraining"].name
    # Both were read: with the outlines by this arm, without them by all others.
    assert {name.name.removeprefix(f"{__version__}-") for name in (out / "cache").iterdir()} == {"64-stretch", "64-stretch-outlined"}
    pointing = [row for row in rows_of(out / "ablation.csv") if row["arm"] == "full" and row["metric"] == "pointing_game_pixel"]
    assert {row["split"] for row in pointing} == {"validation", "testing", "flipped"}
    assert ("full", "plain") in {(row["arm"], row["reference"]) for row in rows_of(out / "differences.csv")}
