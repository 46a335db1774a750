"""Studies, a small bundle and runs over them. Whatever needs Holoscan skips where it is not installed: scripts/setup --deploy brings it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

# The application is no installed package; and it must come before MONAI, as in its command.
sys.path.append(str(Path(__file__).parents[2]))
import deploy_app  # noqa: F401, I001

from application_server import ApplicationServer
from lesion_reports import write_chest
from radiograph_files import marker
from serving_runs import CommandRun, command_line, run_command
from tiny_bundle import write_tiny_bundle


@pytest.fixture(scope="session")
def holoscan() -> None:
    """Skips where Holoscan is not installed."""
    if find_spec("holoscan") is None:
        pytest.skip("Holoscan is not installed: scripts/setup --deploy makes .venv-deploy, which has it")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose operating point and threshold lie so low that pictures have regions: read only."""
    root = tmp_path_factory.mktemp("model") / "bundle"
    return write_tiny_bundle(root, operating_point=0.001, lesion_threshold=0.3, temperature=1.0)


@pytest.fixture(scope="module")
def application(holoscan: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApplicationServer]:
    """Runs the command many times, and imports what it needs once."""
    server = ApplicationServer(tmp_path_factory.mktemp("streams"))
    yield server
    server.close()


@pytest.fixture
def study(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes an image of a study: ``study("1", "2")`` is image 2 of study 1, in ``tmp_path / "input"``."""

    def write(study: str, image: str, name: str = "", values: np.ndarray | None = None, syntax: str = "", **tags: Any) -> Path:
        path = tmp_path / "input" / (name or f"{study}-{image}.dcm")
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = np.roll(marker(), int(image) * 3, axis=1) if values is None else values
        uids = {"StudyInstanceUID": f"1.2.3.{study}", "SeriesInstanceUID": f"1.2.3.{study}.0", "SOPInstanceUID": f"1.2.3.{study}.{image}"}
        return write_chest(path, picture, syntax, **{**uids, **tags})

    return write


@pytest.fixture
def serving(tiny_model: Path, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """A function that makes a ServingRun over ``tmp_path / "input"``, with its output folder open until the test's end."""
    from contextlib import ExitStack

    from deploy_app.publishing import OutputFolder
    from deploy_app.serving import ServingRun
    from deploy_app.studies import scan_input
    from monai_pneumonia.inference import LesionRecognizer

    with ExitStack() as opened:

        def make(stop: threading.Event | None = None) -> ServingRun:
            output = opened.enter_context(OutputFolder(tmp_path / "output"))
            scan = scan_input(tmp_path / "input", tmp_path / "output")
            return ServingRun(scan, LesionRecognizer.from_bundle(tiny_model, "cpu"), output, stop or threading.Event())

        yield make


@pytest.fixture
def launch(holoscan: None, tiny_model: Path, tmp_path: Path) -> Callable[..., CommandRun]:
    """A function that runs ``python deploy_app`` over ``tmp_path / "input"``; arguments replace the three paths."""

    def run(
        *options: str, source: Path | None = None, output: Path | None = None, model: Path | None = None, **variables: str
    ) -> CommandRun:
        command = command_line(source or tmp_path / "input", output or tmp_path / "output", model or tiny_model)
        return run_command([*command, *options], **variables)

    return run
