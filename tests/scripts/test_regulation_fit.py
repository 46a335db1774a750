"""scripts/lib/regulation_fit.py, run as a command."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tiny_bundle import tiny_description, write_tiny_bundle

SCRIPT = Path(__file__).parents[2] / "scripts" / "lib" / "regulation_fit.py"


def fit(*arguments: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "ignore", SCRIPT, *arguments], capture_output=True, text=True, check=False)


def test_the_true_outline_fits_best_and_an_even_map_is_chance(phantom_datalist: Path, tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "some_bundle")
    done = fit(phantom_datalist, bundle)
    assert done.returncode == 0, done.stderr
    row = next(line for line in done.stdout.splitlines() if "some_bundle" in line)
    own, even, outlined, inside, area = map(float, re.findall(r"\d+\.\d+", row))
    assert outlined < min(own, even)
    assert 0 < inside < 1
    assert 0 < area < 0.5


def test_without_attention_there_is_nothing_to_measure(phantom_datalist: Path, tmp_path: Path) -> None:
    done = fit(phantom_datalist, write_tiny_bundle(tmp_path / "bundle", tiny_description({"attention": False})))
    assert done.returncode == 1
    assert "without attention" in done.stderr
