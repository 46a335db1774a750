"""scripts/demo, small: it ends with numbers and pages, and a second run takes up what is there."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "scripts" / "demo"

pytestmark = pytest.mark.slow


def _demo(output: Path, *options: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MONAI_PNEUMONIA_PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": ""}
    command = [str(DEMO), "--output", str(output), *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == expect, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def test_it_ends_with_numbers_and_pages(tmp_path: Path) -> None:
    small = ("--count", "48", "--epochs", "1", "--size", "64")
    done = _demo(tmp_path / "demo", *small)
    for part in ("evaluation", "evaluation_flipped"):
        report = tmp_path / "demo" / part / "report.html"
        assert str(report) in done.stdout.replace("\n", "")
        assert "Research use only" in report.read_text()
        overall = json.loads((tmp_path / "demo" / part / "metrics.json").read_text())["overall"]
        assert 0 <= overall["p_pneumonia_auc"]["value"] <= 1
    with (tmp_path / "demo" / "predictions" / "predictions.csv").open() as table:
        assert {row["status"] for row in csv.DictReader(table)} == {"ok"}
    again = _demo(tmp_path / "demo", *small)
    assert "resumed after epoch 1 of 1" in again.stdout


def test_a_wrong_option_is_told(tmp_path: Path) -> None:
    assert "unknown option --cuont" in _demo(tmp_path, "--cuont", "4", expect=2).stderr
    assert "whole numbers" in _demo(tmp_path, "--count", "many", expect=2).stderr
