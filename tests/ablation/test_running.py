"""The runner: order, dependencies, failures, claims of others; and what a job is started with."""

from __future__ import annotations

import math
import multiprocessing
import os
import sys
import time
from pathlib import Path

import pytest

from monai_pneumonia.ablation import running
from monai_pneumonia.ablation.plan import Job
from monai_pneumonia.ablation.queue import JobFolder, Queue, read_json, write_json
from monai_pneumonia.ablation.running import ProgressBar, Runner, duration
from monai_pneumonia.ablation.study import Split
from monai_pneumonia.ablation.work import TAKEN, Place, _begin_attempt, _seconds, bundle_arguments, copy_bundle, run_module
from monai_pneumonia.errors import ModelFaultError

BUNDLE = Path(__file__).parents[2] / "bundle"


def job(name: str, needs: str | None = None, kind: str = "training") -> Job:
    return Job(kind, name, 0, 0, 2, 1.0, {"loss#name": "cross_entropy", "attention#enabled": False}, "h", needs)


def pretend(place: Place, job_id: str) -> None:
    """Stands in for a training: says what it did, and fails, dies or finds the job taken where its name asks for it."""
    folder = JobFolder(place.jobs / job_id)
    with (place.output / "order.txt").open("a") as stream:
        stream.write(f"{folder.job().arm}\n")
    if "fails" in job_id:
        folder.fail("it was asked to")
        sys.exit(1)
    if "dies" in job_id:
        os._exit(9)
    if "taken" in job_id and not (folder.path / "seen").exists():
        (folder.path / "seen").touch()
        sys.exit(TAKEN)
    time.sleep(0.05)
    folder.finish({"training_seconds": 2.0})


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(running, "run_job", pretend)
    monkeypatch.setattr(running, "_forkserver", lambda: multiprocessing.get_context("fork"))
    monkeypatch.setattr(running, "_PATIENCE_SECONDS", 0.1)
    return Place(tmp_path, BUNDLE, tmp_path / "datalist.json", (Split("testing", "testing"),))


def order(place: Place) -> list[str]:
    return (place.output / "order.txt").read_text().split()


def test_a_job_waits_for_what_it_needs(place: Place) -> None:
    first = job("encoder", kind="pretraining")
    outcome = Runner(place, [job("user", needs=first.id), first, job("other")], 1).run()
    assert sorted(outcome.done) == sorted([first.id, job("user").id, job("other").id])
    assert not outcome.failed
    assert order(place).index("encoder") < order(place).index("user")


def test_a_failure_stops_those_that_need_it_alone(place: Place) -> None:
    first = job("fails", kind="pretraining")
    outcome = Runner(place, [first, job("user", needs=first.id), job("dies"), job("other")], 2).run()
    assert outcome.done == [job("other").id]
    assert set(outcome.failed) == {first.id, job("user").id, job("dies").id}
    assert "it was asked to" in outcome.failed[first.id]
    assert first.id in outcome.failed[job("user").id]
    assert "code 9" in outcome.failed[job("dies").id]
    assert "user" not in order(place)


def test_a_failed_job_is_tried_again_and_a_done_one_is_not(place: Place) -> None:
    Runner(place, [job("fails"), job("good")], 2).run()
    outcome = Runner(place, [job("fails"), job("good")], 2).run()
    assert order(place).count("fails") == 2
    assert order(place).count("good") == 1
    assert outcome.done == [job("good").id]


def test_a_job_of_another_run_is_looked_at_again(place: Place) -> None:
    outcome = Runner(place, [job("taken")], 1).run()
    assert outcome.done == [job("taken").id]
    assert order(place) == ["taken", "taken"]


def test_time_left_is_that_of_jobs_of_the_kind(place: Place) -> None:
    jobs = [job(f"a{number}") for number in range(4)]
    runner = Runner(place, jobs, 2)
    assert math.isnan(runner.seconds_left())
    for entry in jobs[:2]:
        Queue(place.jobs).add(entry).finish({"training_seconds": 25.0, "prediction_seconds": 5.0})
    runner.run()
    assert runner.seconds_left() == 0
    waiting = Runner(place, jobs, 2)
    waiting._seconds = {"training": [30.0, 30.0]}
    waiting._waiting = jobs
    assert waiting.seconds_left() == pytest.approx(60)


def test_one_thread_each_and_the_environment_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with running._one_thread():
        assert (os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"]) == ("1", "1")
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


def test_progress_tells_jobs_and_failures(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar(3, 1) as bar:
        bar.begun([job("plain").id])
        bar.ended(job("plain"), 61.0, None, 300.0)
        bar.ended(job("full"), 5.0, "out of memory", float("nan"))
    told = capsys.readouterr().err
    assert "2 of 3: training plain-seed0-fold0-1-h in 61 s; 5 min left" in told
    assert "failed: full-seed0-fold0-1-h: out of memory" in told


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (89.4, "89 s"), (600, "10 min"), (3900, "1 h 05 min")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_training_gets_its_overrides_and_what_jobs_share(place: Place) -> None:
    folder = JobFolder(place.jobs / "x")
    words = bundle_arguments(place, folder, job("user", needs="encoder-h"))
    assert words[:4] == ["monai.bundle", "run", "--config_file", "configs/train.yaml"]
    options = dict(zip(words[4::2], words[5::2], strict=True))
    assert options["--loss#name"] == "cross_entropy"
    assert options["--attention#enabled"] == "False"
    assert options["--pretrained_encoder"] == str(place.jobs / "encoder-h/bundle/models/pretrained_encoder.pt")
    assert options["--cache_dir"] == str(place.output / "cache")
    assert (options["--fold"], options["--n_folds"], options["--seed"], options["--label_fraction"]) == ("0", "2", "0", "1.0")
    alone = bundle_arguments(place, folder, job("encoder", kind="pretraining"))
    assert "configs/pretrain.yaml" in alone
    assert "--label_fraction" not in alone
    assert "--pretrained_encoder" not in alone


def test_a_bundle_is_copied_without_weights(tmp_path: Path) -> None:
    copy_bundle(BUNDLE, tmp_path / "copy")
    assert (tmp_path / "copy/configs/train.yaml").is_file()
    assert (tmp_path / "copy/configs/metadata.json").is_file()
    assert not list((tmp_path / "copy").rglob("*.pt"))
    assert not (tmp_path / "copy/models/calibration.json").exists()
    with pytest.raises(ModelFaultError, match="--bundle"):
        copy_bundle(tmp_path, tmp_path / "other")


def test_seconds_hold_what_a_killed_attempt_has_given(tmp_path: Path) -> None:
    folder = JobFolder(tmp_path)
    checkpoint = tmp_path / "training/checkpoints/last.pt"
    checkpoint.parent.mkdir(parents=True)
    now = time.time()
    # An attempt of 100 s, the last checkpoint of which was written after 40.
    write_json(tmp_path / "attempt.json", {"kept": 5.0, "started": now - 100})
    checkpoint.touch()
    os.utime(checkpoint, (now - 60, now - 60))
    _begin_attempt(folder)
    assert read_json(tmp_path / "attempt.json")["kept"] == pytest.approx(45, abs=0.1)
    assert _seconds(folder) == pytest.approx(45, abs=1)


def test_a_module_is_run_as_python_would(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work/says.py").write_text("import sys, os; open('said', 'w').write(repr(sys.argv[1:])); sys.exit(3)")
    context = multiprocessing.get_context("fork")
    process = context.Process(target=lambda: sys.exit(run_module(tmp_path / "work", ["says", "--a", "b"], tmp_path / "temporary")))
    process.start()
    process.join(20)
    assert process.exitcode == 3
    assert (tmp_path / "work/said").read_text() == "['--a', 'b']"
