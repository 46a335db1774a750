"""Runs of the container and of the same application without it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "scripts" / "lib"))
from benchmark import ROOT as ROOT
from benchmark import SEALED as SEALED


@dataclass(frozen=True)
class Ran:
    """What a process left."""

    code: int
    output: str
    errors: str


def run(command: list[str], **variables: str) -> Ran:
    """Runs a command to its end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOLOSCAN")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env={**environment, **variables})
    return Ran(done.returncode, done.stdout, done.stderr)


def run_in_process(source: Path, output: Path, bundle: Path = ROOT / "bundle") -> Ran:
    """The same application, without a container."""
    if find_spec("holoscan") is None:
        pytest.skip("Holoscan is not installed: scripts/setup --deploy makes .venv-deploy, which has it")
    command = [sys.executable, str(ROOT / "deploy_app"), "-i", str(source), "-o", str(output), "-m", str(bundle)]
    return run(command, OMP_NUM_THREADS="1")
