"""A copy of the bundle to run, and one trained on phantoms."""

from __future__ import annotations

from pathlib import Path

import pytest
from bundle_runs import SMALL, bundle_command, copy_bundle, run_process


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A fresh copy of the bundle, without weights."""
    return copy_bundle(tmp_path)


@pytest.fixture(scope="session")
def training_options(phantom_datalist: Path) -> tuple[str, ...]:
    """What :func:`trained_bundle` was trained with; the output lies beside the bundle."""
    return ("--datalist_path", str(phantom_datalist), "--output_dir", "../output", "--max_epochs", "3", *SMALL)


@pytest.fixture(scope="session")
def trained_bundle(tmp_path_factory: pytest.TempPathFactory, training_options: tuple[str, ...]) -> Path:
    """A bundle trained for three epochs on phantoms; its run's output lies beside it. Read, do not change."""
    bundle = copy_bundle(tmp_path_factory.mktemp("trained"))
    run_process(bundle, bundle_command("configs/train.yaml", *training_options))
    return bundle
