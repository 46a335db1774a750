"""A bundle of small seeded weights, its recogniser, and pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_bundle import write_tiny_bundle

from monai_pneumonia.inference import LesionRecognizer


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle"), temperature=1.5, operating_point=0.5, lesion_threshold=0.6)


@pytest.fixture(scope="session")
def recognizer(tiny_bundle: Path) -> LesionRecognizer:
    return LesionRecognizer.from_bundle(tiny_bundle, device="cpu")


@pytest.fixture(scope="session")
def picture_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Eleven smooth random pictures of different sizes."""
    folder = tmp_path_factory.mktemp("pictures")
    return [random_picture(folder / f"picture_{seed:02d}.png", 70 + 7 * seed, 150 - 5 * seed, seed) for seed in range(11)]


def random_picture(file: Path, height: int, width: int, seed: int) -> Path:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6), dtype=np.uint8)
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(file)
    return file
