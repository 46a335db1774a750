"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real chest X-rays (cxr.csv, cxr-dicom/...); skips where it is absent."""
    folder = Path(os.environ.get("MONAI_PNEUMONIA_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not (folder / "cxr.csv").is_file():
        pytest.skip(f"no real chest X-rays in {folder}: set MONAI_PNEUMONIA_DATA to the folder that holds cxr.csv")
    return folder


@pytest.fixture(scope="session")
def phantom_datalist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """datalist.json of 48 synthetic chest X-rays of 64 px as PNG, datalist_flipped.json beside it: read, do not change."""
    from monai_pneumonia.data.phantoms import PhantomSettings, write_phantoms

    return write_phantoms(tmp_path_factory.mktemp("phantoms") / "png", PhantomSettings(count=48, size=64)).datalist


@pytest.fixture(scope="session")
def phantom_dicom_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of 32 synthetic CR and DX files of 64 px in every form and syntax (images/*.dcm), datalists beside: read only."""
    from monai_pneumonia.data.phantoms import PhantomSettings, write_phantoms

    return write_phantoms(tmp_path_factory.mktemp("phantoms") / "dicom", PhantomSettings(count=32, size=64, image_format="dicom")).folder
