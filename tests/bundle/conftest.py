"""A copy of the bundle to run, and one trained on phantoms."""

from __future__ import annotations

from pathlib import Path

import pytest
from bundle_runs import SMALL, bundle_command, copy_bundle, run_in


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A fresh copy of the bundle, without weights."""
    return copy_bundle(tmp_path)


@pytest.fixture(scope="session")
def trained_bundle(tmp_path_factory: pytest.TempPathFactory, phantom_datalist: Path) -> Path:
    """A bundle trained for three epochs on phantoms; its run's output lies beside it. Read, do not change."""
    folder = tmp_path_factory.mktemp("trained")
    bundle = copy_bundle(folder)
    options = ("--datalist_path", str(phantom_datalist), "--output_dir", "../output", "--max_epochs", "3", *SMALL)
    run_in(bundle, bundle_command("configs/train.yaml", *options))
    return bundle
