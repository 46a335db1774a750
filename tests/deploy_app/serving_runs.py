"""Runs of the application for tests: in this process, step by step, or as the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class CommandRun:
    """What a process of the application left.

    Attributes:
        code: exit code; minus the signal's number where one ended it.
        output: what it wrote to standard output.
        errors: what it wrote to standard error.
    """

    code: int
    output: str
    errors: str

    @property
    def log(self) -> list[dict[str, Any]]:
        """The JSON lines on standard error."""
        return [json.loads(line) for line in self.errors.splitlines() if line.startswith("{")]

    @property
    def lines_for_people(self) -> list[str]:
        """What else stands there."""
        return [line for line in self.errors.splitlines() if not line.startswith("{")]


def command_line(source: Path, output: Path, model: Path) -> list[str]:
    """The command that hospitals give."""
    return [sys.executable, str(ROOT / "deploy_app"), "-i", str(source), "-o", str(output), "-m", str(model)]


def run_command(command: list[str], cwd: Path | None = None, **variables: str) -> CommandRun:
    """Runs a command of the application to its end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HOLOSCAN", "MONAI_PNEUMONIA_TRACEBACK"))}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=300,
        cwd=cwd,
        env={**environment, "OMP_NUM_THREADS": "1", **variables},
        start_new_session=True,
    )
    return CommandRun(done.returncode, done.stdout, done.stderr)


def serve_all(run: Any) -> Any:
    """Takes all images through the steps of a run, as the operators do."""
    for task in run.tasks():
        run.check(task)
        run.recognize(task)
        run.write(task)
    return run


def report_of(folder: Path) -> dict[str, Any]:
    """report.json of a folder."""
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return report


def tree(folder: Path) -> dict[str, bytes]:
    """All files below a folder with their content."""
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
