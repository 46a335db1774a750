"""Running the bundle as a user runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

BUNDLE = Path(__file__).parents[2] / "bundle"
# The fast settings of every run here; a later option of the same name wins.
SMALL = ("--input_size", "64", "--batch_size", "8", "--num_workers", "0", "--ema_decay", "0.5")


def bundle_command(config: str, *options: str, launcher: tuple[str, ...] = (sys.executable, "-m")) -> list[str]:
    """The command line of a bundle run."""
    return [*launcher, "monai.bundle", "run", "--config_file", config, *options]


def quiet_environment() -> dict[str, str]:
    """One thread a process, so that a repeated run gives the same bits."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def run_in(bundle: Path, command: list[str], expect: int = 0) -> subprocess.CompletedProcess[str]:
    """Runs a command in a bundle's folder and checks its exit code."""
    done = subprocess.run(command, cwd=bundle, env=quiet_environment(), capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == expect, done.stdout[-2000:] + done.stderr[-4000:]
    return done


def copy_bundle(folder: Path) -> Path:
    """The bundle as it is committed, without weights."""
    return Path(shutil.copytree(BUNDLE, folder / "bundle", ignore=shutil.ignore_patterns("*.pt", "calibration.json")))
