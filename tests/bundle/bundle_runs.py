"""Running the bundle as a user runs it, in a process of its own or in this one."""

from __future__ import annotations

import io
import logging
import os
import random
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.utils import set_determinism

BUNDLE = Path(__file__).parents[2] / "bundle"
# The fast settings of every run here; a later option of the same name wins.
SMALL = ("--input_size", "64", "--batch_size", "8", "--num_workers", "0", "--ema_decay", "0.5", "--backbone", "efficientnet-b0")


@dataclass(frozen=True)
class Finished:
    """What a run left on the terminal."""

    code: int
    stdout: str
    stderr: str

    def expect(self, code: int) -> Finished:
        """Checks the exit code; every fault of the user's is one line on standard error."""
        assert self.code == code, f"ended with {self.code}\n{self.stdout[-2000:]}{self.stderr[-4000:]}"
        assert "Traceback" not in self.stderr
        if code not in (0, 5):
            assert len(self.errors) == 1, self.stderr[-4000:]
        return self

    @property
    def errors(self) -> list[str]:
        """The lines that tell an error."""
        return [line for line in self.stderr.splitlines() if line.startswith("error: ")]


def bundle_command(config: str, *options: str) -> list[str]:
    """The words behind ``python -m`` of a bundle run."""
    return ["monai.bundle", "run", "--config_file", config, *options]


def quiet_environment() -> dict[str, str]:
    """One thread a process and no GPU, so that a repeated run gives the same bits."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def run_process(folder: Path, command: Sequence[str], expect: int = 0, gpu: bool = False) -> Finished:
    """Runs ``python -m command`` in a folder."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env=dict(os.environ) if gpu else quiet_environment(),
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr).expect(expect)


def run_here(folder: Path, command: Sequence[str], expect: int = 0) -> Finished:
    """Runs ``python -m command`` in a folder, in this process: another start of Python would cost seconds.

    The module's own ``__main__`` runs, with the command line, and what it changes in the process is put back.
    """
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with bundle_process(folder, command), redirect_stdout(out), redirect_stderr(err):
        try:
            runpy.run_module(command[0], run_name="__main__")
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return Finished(code, out.getvalue(), err.getvalue()).expect(expect)


@contextmanager
def bundle_process(folder: Path, command: Sequence[str] = ("monai.bundle",)) -> Iterator[None]:
    """This process as a fresh one in a folder, with a command line and one thread; afterwards all is as it was before."""
    root = logging.getLogger()
    handlers, level, threads = root.handlers[:], root.level, torch.get_num_threads()
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", list(command))
        patch.setattr(sys, "path", list(sys.path))
        patch.setattr(torch.cuda, "is_available", lambda: False)
        torch.set_num_threads(1)
        try:
            yield
        finally:
            set_determinism(None)
            random.setstate(states[0])
            np.random.set_state(states[1])
            torch.set_rng_state(states[2])
            torch.set_num_threads(threads)
            root.handlers[:] = handlers
            root.setLevel(level)


def copy_bundle(folder: Path) -> Path:
    """The bundle as it is committed, without weights."""
    made = ("*.pt", "*.ts", "calibration.json", "output", "predictions", "evaluation")
    return Path(shutil.copytree(BUNDLE, folder / "bundle", ignore=shutil.ignore_patterns(*made)))
