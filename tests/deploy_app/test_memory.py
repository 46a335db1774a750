"""Many images in one run in flat memory.

CI runs 120 images; ``MONAI_PNEUMONIA_IMAGES=500 pytest tests/deploy_app/test_memory.py -s`` runs 500 and prints the figures.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from application_server import ApplicationServer
from bad_files import write_chest
from endings import check_ending, check_report

pytestmark = pytest.mark.slow

IMAGES = int(os.environ.get("MONAI_PNEUMONIA_IMAGES", "120"))
# A large one now and then, as often in both halves.
LARGE_EVERY, LARGE_SIZE = 30, 2000
GROWTH = 1.03


def test_memory_stays_flat(application: ApplicationServer, tiny_model: Path, tmp_path: Path) -> None:
    for number in range(IMAGES):
        size = LARGE_SIZE if number % LARGE_EVERY == LARGE_EVERY // 2 else 96
        write_chest(tmp_path / "input" / f"{number:04d}.dcm", number + 1, study=number // 7, size=size)
    started = time.monotonic()
    running = application.start("-i", tmp_path / "input", "-o", tmp_path / "out", "-m", tiny_model)
    quarters = []
    for quarter in range(1, 4):
        while running.served() < IMAGES * quarter // 4:
            peak = running.peak_megabytes()
            assert peak, running.errors()[-2000:]
            time.sleep(0.02)
        quarters.append(running.peak_megabytes())
        running.forget_peak()
    ended, last = running.wait_with_peak()
    quarters.append(last)
    check_ending(ended, 0)
    assert check_report(tmp_path / "out", IMAGES)["0000.dcm"]["status"] == "served"
    stated = ", ".join(f"{peak:.0f}" for peak in quarters)
    print(f"\n{IMAGES} images in {time.monotonic() - started:.0f} s; greatest resident memory of each quarter: {stated} MB")
    # What is loaded with the first image counts for the first half.
    assert max(quarters[2:]) <= GROWTH * max(quarters[:2]), f"grows: {stated} MB"
