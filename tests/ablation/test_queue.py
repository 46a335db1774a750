"""The queue on disk: claims of two processes, and what is done, failed or killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from monai_pneumonia.ablation.plan import Job
from monai_pneumonia.ablation.queue import JobFolder, Queue, read_json, write_json
from monai_pneumonia.errors import BadInputError, OutputNotWritableError

JOB = Job("training", "plain", 0, 1, 5, 0.1, {"loss#name": "cross_entropy"}, "abc")
CLAIM = """
import sys, time
from pathlib import Path
from monai_pneumonia.ablation.queue import JobFolder
with JobFolder(Path(sys.argv[1])).claimed() as mine:
    print("mine" if mine else "taken", flush=True)
    time.sleep(60 if mine else 0)
"""


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    return Queue(tmp_path / "jobs").add(JOB)


def claim_elsewhere(folder: JobFolder) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", CLAIM, str(folder.path)], stdout=subprocess.PIPE, text=True)


def word_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_job_comes_back_as_it_was(folder: JobFolder) -> None:
    assert folder.path.name == "plain-seed0-fold1-0.1-abc"
    assert folder.job() == JOB
    assert not folder.is_done()
    assert not folder.has_failed()


def test_of_two_processes_one_has_the_job(folder: JobFolder) -> None:
    first = claim_elsewhere(folder)
    try:
        assert word_of(first) == "mine"
        second = claim_elsewhere(folder)
        assert word_of(second) == "taken"
        assert second.wait(10) == 0
        with folder.claimed() as mine:
            assert not mine
    finally:
        first.kill()
        first.wait()


def test_a_claim_ends_with_its_process_however_that_ends(folder: JobFolder) -> None:
    first = claim_elsewhere(folder)
    assert word_of(first) == "mine"
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    with folder.claimed() as mine:
        assert mine


def _claim_and_count(path: Path, barrier: multiprocessing.synchronize.Barrier) -> None:
    barrier.wait()
    with JobFolder(path).claimed() as mine:
        if mine:
            (path / f"mine-{os.getpid()}").touch()
            time.sleep(0.5)


def test_many_at_once(folder: JobFolder) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(6)
    processes = [context.Process(target=_claim_and_count, args=(folder.path, barrier)) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(20)
    assert len(list(folder.path.glob("mine-*"))) == 1


def test_done_stays_done_and_a_failure_is_forgotten_by_the_next_run(folder: JobFolder, tmp_path: Path) -> None:
    queue = Queue(tmp_path / "jobs")
    folder.log.write_text("line\n" * 20 + "bar 1\rbar 2\rlast words\n")
    folder.fail("out of memory")
    assert folder.has_failed()
    told = folder.failure().split("\n")
    assert told[0] == "out of memory"
    assert told[-1].strip() == "last words"
    assert len(told) == 9
    assert not queue.add(JOB).has_failed()
    folder.finish({"training_seconds": 3.0})
    assert queue.add(JOB).is_done()
    assert folder.result() == {"training_seconds": 3.0}


def test_damage_is_told(folder: JobFolder, tmp_path: Path) -> None:
    (folder.path / "done.json").write_text("{")
    with pytest.raises(BadInputError, match="delete its folder"):
        folder.result()
    with pytest.raises(BadInputError, match="cannot read"):
        read_json(tmp_path / "none.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(BadInputError, match="no JSON object"):
        read_json(tmp_path / "list.json")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "jobs").write_text("a file")
    with pytest.raises(OutputNotWritableError, match="--output"):
        Queue(tmp_path / "jobs").add(JOB)


def test_json_is_written_whole(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": 1})
    write_json(tmp_path / "a.json", {"a": 2})
    assert read_json(tmp_path / "a.json") == {"a": 2}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]
