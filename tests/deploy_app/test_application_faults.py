"""Killed at any moment, a run leaves whole studies, and the next run makes the rest: the same bytes as a run that nobody disturbed."""

from __future__ import annotations

import random
import shutil
import signal
import time
from pathlib import Path

import pytest
from application_server import ApplicationServer, Running
from bad_files import write_chest
from endings import check_ending, check_output, check_report
from serving_runs import tree

pytestmark = pytest.mark.slow

STUDIES, IMAGES = 4, 2
KILLS = 20
EVERY = 3


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Several studies of two images, and two files that are rejected."""
    folder = tmp_path_factory.mktemp("faults") / "input"
    for study in range(1, STUDIES + 1):
        for image in range(IMAGES):
            write_chest(folder / f"{study}" / f"{image}.dcm", 10 * study + image, study=study, size=72)
    write_chest(folder / "2" / "lateral.dcm", 99, study=2, ViewPosition="LL")
    (folder / "text.dcm").write_text("no DICOM")
    return folder


@pytest.fixture(scope="module")
def undisturbed(application: ApplicationServer, source: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run that nobody disturbed."""
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    check_ending(application.run("-i", source, "-o", output, "-m", tiny_model), 5)
    assert set(check_output(output)) == {path.name for path in output.iterdir() if path.is_dir()}
    check_report(output, STUDIES * IMAGES + 2)
    return output


def _two_studies(source: Path, folder: Path, images: int) -> Path:
    """An input with the first images of two studies."""
    for study in ("1", "2"):
        (folder / study).mkdir(parents=True)
        for image in range(images):
            shutil.copy(source / study / f"{image}.dcm", folder / study)
    return folder


def _check_visible(output: Path, states: list[dict[str, bytes]]) -> None:
    """Of each study that can be seen, all files are those of one state: earlier or final."""
    for place in output.iterdir() if output.exists() else ():
        if place.name.startswith(".") or place.name == "report.json":
            continue
        seen = tree(place)
        possible = [{name.split("/", 1)[1]: data for name, data in state.items() if name.startswith(f"{place.name}/")} for state in states]
        assert seen in possible, f"{place.name} is none of its states: {sorted(seen)}"
    assert not (output / "report.json").exists() or (output / "report.json").read_bytes() in [state["report.json"] for state in states]


def _kill_within(running: Running, seconds: float) -> bool:
    """Kills a run so many seconds after its first log line; whether it was still running."""
    running.wait_for('"started"')
    time.sleep(seconds)
    try:
        running.kill()
    except ProcessLookupError:
        running.wait()
        return False
    return running.wait().code == -signal.SIGKILL


def _seconds_of(application: ApplicationServer, source: Path, model: Path, output: Path) -> float:
    running = application.start("-i", source, "-o", output, "-m", model)
    running.wait_for('"started"')
    started = time.monotonic()
    check_ending(running.wait(), 5)
    return time.monotonic() - started


def test_killed_at_random_moments_and_run_again(
    application: ApplicationServer, source: Path, undisturbed: Path, tiny_model: Path, tmp_path: Path
) -> None:
    whole = tree(undisturbed)
    seconds = _seconds_of(application, source, tiny_model, tmp_path / "timed")
    chance = random.Random(5)
    killed, met = 0, []
    for number in range(KILLS):
        # Every second time over results that are there already.
        output = tmp_path / f"out-{number}" if number % 2 == 0 else tmp_path / "timed"
        killed += _kill_within(application.start("-i", source, "-o", output, "-m", tiny_model), chance.uniform(0, seconds))
        met.append(len(list(output.glob("[0-9]*"))))
        _check_visible(output, [whole])
        check_ending(application.run("-i", source, "-o", output, "-m", tiny_model), 5)
        assert tree(output) == whole, f"kill {number}"
        assert sorted(path.name for path in output.iterdir()) == sorted(path.name for path in undisturbed.iterdir())
    assert killed >= KILLS // 2, "most runs had ended before they were killed"
    assert len(set(met[::2])) > 1, f"all kills met the same number of studies: {met}"


def test_killed_before_every_third_change_of_the_file_system(
    application: ApplicationServer, source: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """The second run adds an image to each study: it replaces folders, where a kill between two renames does the worst.

    Every third change, for the time that it takes; test_result_writer.py has each rename.
    """
    half, source = _two_studies(source, tmp_path / "half", 1), _two_studies(source, tmp_path / "both", 2)
    check_ending(application.run("-i", half, "-o", tmp_path / "earlier", "-m", tiny_model), 0)
    earlier = tree(tmp_path / "earlier")
    check_ending(application.run("-i", source, "-o", tmp_path / "undisturbed", "-m", tiny_model), 0)
    whole = tree(tmp_path / "undisturbed")
    output = tmp_path / "out"
    change, killed = 1, 0
    while True:
        if not output.exists():
            check_ending(application.run("-i", half, "-o", output, "-m", tiny_model), 0)
        ended = application.run("-i", source, "-o", output, "-m", tiny_model, kill_before=change)
        if ended.code != -signal.SIGKILL:
            break
        killed += 1
        _check_visible(output, [earlier, whole])
        # The next run goes over what was left, and is killed later; each eighth time one is let through.
        if killed % 8 == 0:
            check_ending(application.run("-i", source, "-o", output, "-m", tiny_model), 0)
            assert tree(output) == whole, f"killed before change {change}"
            output.rename(tmp_path / f"done-{change}")
        change += EVERY
    assert killed > 12
    check_ending(ended, 0)
    assert tree(output) == whole


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_cleanly(
    number: signal.Signals, application: ApplicationServer, source: Path, undisturbed: Path, tiny_model: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    running = application.start("-i", source, "-o", output, "-m", tiny_model)
    running.wait_for('"study_published"')
    running.kill(number)
    ended = running.wait()
    check_ending(ended, 128 + number)
    assert not (output / "report.json").exists()
    studies = check_output(output)
    assert 1 <= len(studies) < STUDIES
    _check_visible(output, [tree(undisturbed)])
    check_ending(application.run("-i", source, "-o", output, "-m", tiny_model), 5)
    assert tree(output) == tree(undisturbed)


def test_a_signal_before_the_first_image(application: ApplicationServer, source: Path, tiny_model: Path, tmp_path: Path) -> None:
    running = application.start("-i", source, "-o", tmp_path / "out", "-m", tiny_model)
    running.wait_for('"started"')
    running.kill(signal.SIGTERM)
    check_ending(running.wait(), 143)
    assert check_output(tmp_path / "out") == {}
