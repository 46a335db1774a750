"""The command as hospitals give it, in a process of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from serving_runs import ROOT, CommandRun, command_line, report_of, run_command, tree
from typer.testing import CliRunner

from deploy_app.command import app
from deploy_app.request import Request, check_request, find_bundle
from monai_pneumonia.errors import BadInputError, ExitCode, ModelFaultError, UsageError

# Everything is imported before: the interpreter's folders need not be that user's to read.
AS_USER_1000 = "import os, encodings.idna, deploy_app.command, deploy_app.run; os.setgid(1000); os.setuid(1000)"
Study = Callable[..., Path]
Launch = Callable[..., CommandRun]


def test_help_is_quick_and_tells_the_exit_codes() -> None:
    code = "import sys; import deploy_app.command; print([m for m in ('torch', 'monai', 'pydicom', 'holoscan') if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert loaded.stdout.strip() == "[]"
    run = run_command([sys.executable, str(ROOT / "deploy_app"), "--help"], COLUMNS="200")
    assert run.code == 0
    for part in ("--input", "--output", "--model", "HOLOSCAN_INPUT_PATH", "Research use only", "5 some images served", "143", "1 a fault"):
        assert part in run.output


def test_version() -> None:
    run = run_command([sys.executable, "-m", "deploy_app", "--version"], PYTHONPATH=str(ROOT))
    assert run.code == 0
    assert "Research use only" in run.output


@pytest.mark.parametrize(
    "arguments", [[], ["-i", "x", "-o", "y"], ["-i", "x", "-o", "y", "-m", "z", "--unknown"], ["-i", "", "-o", "y", "-m", "z"]]
)
def test_wrong_usage(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("INPUT", "OUTPUT", "MODEL"):
        monkeypatch.delenv(f"HOLOSCAN_{name}_PATH", raising=False)
    assert CliRunner().invoke(app, arguments).exit_code == 2


# Wrong paths are told before anything heavy is loaded


def wrong(tmp_path: Path, **paths: Path) -> CommandRun:
    given = {"source": tmp_path, "output": tmp_path / "output", "model": ROOT / "bundle", **paths}
    return run_command(command_line(**given))


@pytest.mark.parametrize(
    ("name", "place", "code", "word"),
    [
        ("source", "missing", 4, "does not exist"),
        ("model", "missing", 6, "no model"),
        ("model", ".", 6, "no bundle"),
        ("output", ".", 2, "own"),
    ],
)
def test_wrong_paths(tmp_path: Path, name: str, place: str, code: int, word: str) -> None:
    run = wrong(tmp_path, **{name: tmp_path / place})
    assert run.code == code
    (line,) = run.lines_for_people
    assert line.startswith("error: ")
    assert word in line
    assert run.log[-1]["exit_code"] == code
    assert not run.output
    assert list(tmp_path.iterdir()) == []


CLOSED = ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]


def with_closed_streams(closed: str, *command: str) -> CommandRun:
    """Runs a command whose caller closed some of its standard streams."""
    return run_command(["sh", "-c", f'exec "$@" {closed}', "sh", *command])


@pytest.mark.parametrize("closed", CLOSED)
def test_a_fault_is_told_by_the_exit_code_even_where_streams_are_closed(closed: str, tmp_path: Path) -> None:
    run = with_closed_streams(closed, *command_line(tmp_path, tmp_path / "output", tmp_path / "missing"))
    assert run.code == 6
    assert len(run.lines_for_people) == ("2>&-" not in closed)
    assert not run.output


def test_a_reader_that_went_away_changes_no_exit_code(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = command_line(tmp_path, tmp_path / "output", tmp_path / "missing")
    assert subprocess.run(command, stdout=writing, stderr=writing, check=False, timeout=300).returncode == 6
    os.close(writing)


def test_the_bundle_is_found(tmp_path: Path, tiny_model: Path) -> None:
    assert find_bundle(tiny_model) == tiny_model
    assert find_bundle(tiny_model.parent) == tiny_model
    for name in ("one", "two"):
        (tmp_path / name).symlink_to(tiny_model)
    with pytest.raises(ModelFaultError, match="2 bundles"):
        find_bundle(tmp_path)
    with pytest.raises(ModelFaultError, match="no model"):
        find_bundle(tiny_model / "models" / "model.pt")


def test_requests_that_cannot_be(tmp_path: Path, tiny_model: Path) -> None:
    with pytest.raises(BadInputError):
        check_request(Request(tmp_path / "none", tmp_path / "out", tiny_model))
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(UsageError):
        check_request(Request(tmp_path, tmp_path / "link", tiny_model))


@pytest.mark.parametrize(("name", "code"), [("input", 4), ("output", 7), ("model", 6)])
def test_folders_that_the_user_may_not_read(tmp_path: Path, tiny_model: Path, name: str, code: int) -> None:
    """As user 1000, as in the container: root may read everything."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    public = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        public.chmod(0o755)
        paths = {"input": public / "input", "output": public / "output", "model": public / "model"}
        for place in paths.values():
            place.mkdir()
        shutil.copytree(tiny_model, paths["model"], dirs_exist_ok=True)
        paths["output"].chmod(0o777)
        paths[name].chmod(0o700)
        script = f"{AS_USER_1000}; from deploy_app.command import main; main()"
        command = [sys.executable, "-c", script, *(part for option, path in paths.items() for part in (f"--{option}", str(path)))]
        run = run_command(command, PYTHONPATH=str(ROOT))
    finally:
        shutil.rmtree(public)
    assert run.code == code, run.errors
    assert len(run.lines_for_people) == 1
    assert "Permission denied" in run.lines_for_people[0]


def test_an_output_that_is_a_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    (tmp_path / "output").symlink_to("output")
    run = wrong(tmp_path, source=tmp_path / "input")
    assert run.code == 7
    (line,) = run.lines_for_people
    assert f"cannot write results to {tmp_path / 'output'}" in line


def hears(process: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal (signal(7): a bit for each, from 1)."""
    status = Path(f"/proc/{process}/status").read_text()
    caught = int(next(line for line in status.splitlines() if line.startswith("SigCgt")).split()[1], 16)
    return bool(caught >> (number - 1) & 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_the_run_has_begun_ends_it_at_once(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "input").mkdir()
    command = command_line(tmp_path / "input", tmp_path / "output", ROOT / "bundle")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        # Of SIGTERM Python itself takes no notice.
        while not hears(process.pid, signal.SIGTERM):
            assert process.poll() is None, "it ended by itself"
            time.sleep(0.001)
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
    assert (process.returncode, said) == (128 + number, b"")
    assert not (tmp_path / "output").exists()


# Whole runs


@pytest.mark.slow
def test_a_standard_output_that_takes_nothing_changes_no_exit_code(holoscan: None, study: Study, tmp_path: Path, tiny_model: Path) -> None:
    study("1", "1")
    command = command_line(tmp_path / "input", tmp_path / "output", tiny_model)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert report_of(tmp_path / "output")["exit_code"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("closed", [">&- 2>&-", CLOSED[-1]])
def test_a_run_without_standard_streams(closed: str, holoscan: None, study: Study, tmp_path: Path, tiny_model: Path) -> None:
    # A decoder in a process of its own, for its streams are inherited.
    study("1", "1", syntax="jpeg_lossless")
    run = with_closed_streams(closed, *command_line(tmp_path / "input", tmp_path / "output", tiny_model))
    assert (run.code, run.output, run.errors) == (0, "", "")
    assert report_of(tmp_path / "output")["exit_code"] == 0


def test_the_current_folder_is_an_input_and_an_empty_text_is_none(tmp_path: Path) -> None:
    given = command_line(Path(), tmp_path / "output", tmp_path / "missing")
    assert run_command(given, cwd=tmp_path).code == 6
    assert run_command([word if word != "." else "" for word in given], cwd=tmp_path).code == 2


@pytest.mark.slow
def test_a_run(study: Study, launch: Launch, tmp_path: Path) -> None:
    study("1", "1", name="Doe^John.dcm")
    study("1", "2", name="Doe^John lateral.dcm", ViewPosition="LL")
    run = launch(LD_LIBRARY_PATH="")
    assert run.code == 5
    assert run.output.startswith("1 of 2 files served, 0 skipped, 1 rejected: ")
    assert str(tmp_path / "output" / "report.json") in run.output
    (line,) = run.lines_for_people
    assert line.startswith("error: 1 of 2 files rejected")
    events = [entry["event"] for entry in run.log]
    assert events == ["started", "input_scanned", "model_loaded", "image_rejected", "image_served", "study_published", "finished"]
    assert run.log[-1] | {"files": 2, "served": 1, "skipped": 0, "rejected": 1, "exit_code": 5} == run.log[-1]
    assert all({"time", "level", "event"} <= entry.keys() for entry in run.log)
    for secret in ("Doe", "secret", "1.2.3", "19500607", "2020010"):
        assert secret not in run.errors.replace(str(tmp_path), "")


@pytest.mark.slow
def test_paths_from_the_environment(study: Study, holoscan: None, tmp_path: Path, tiny_model: Path) -> None:
    study("1", "1")
    paths = {"INPUT": tmp_path / "input", "OUTPUT": tmp_path / "out", "MODEL": tiny_model.parent}
    run = run_command([sys.executable, str(ROOT / "deploy_app")], **{f"HOLOSCAN_{name}_PATH": str(path) for name, path in paths.items()})
    assert run.code == 0, run.errors
    assert report_of(tmp_path / "out")["counts"]["served"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_cleanly(study: Study, holoscan: None, tmp_path: Path, tiny_model: Path, number: signal.Signals) -> None:
    for image in range(1, 41):
        study(str(image), "1", values=np.roll(np.arange(64 * 64, dtype=np.uint16).reshape(64, 64), image * 7, axis=1))
    process = subprocess.Popen(
        command_line(tmp_path / "input", tmp_path / "output", tiny_model),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "study_published" in line:
            process.send_signal(number)
            asked = time.monotonic()
            break
    lines += process.stderr.readlines()
    assert process.wait(60) == 128 + number
    assert time.monotonic() - asked < 30
    assert "Traceback" not in "".join(lines)
    assert lines[-1].startswith("error: the run was stopped")
    names = sorted(item.name for item in (tmp_path / "output").iterdir())
    assert 1 <= len(names) < 40
    assert all(name.startswith("1.2.3.") for name in names)
    assert all((tmp_path / "output" / name / "report.json").is_file() for name in names)


def test_results_do_not_depend_on_the_number_of_threads(holoscan: None, study: Study, tmp_path: Path) -> None:
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 4096, (640, 512))
        study("1", str(number), values=np.kron(noise[::8, ::8], np.ones((8, 8))).astype(np.uint16) + (noise // 8).astype(np.uint16))
    trees = []
    for threads in ("1", "2"):
        ran = run_command(command_line(tmp_path / "input", tmp_path / threads, ROOT / "bundle"), OMP_NUM_THREADS=threads)
        assert ran.code == ExitCode.OK, ran.errors
        trees.append(tree(tmp_path / threads))
    assert trees[0] == trees[1]
