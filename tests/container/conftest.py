"""The hospital container: these tests need its image, which `scripts/test --map` builds and names in MONAI_PNEUMONIA_MAP_IMAGE."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest
from sealed_runs import ROOT, SEALED, Ran, run


@pytest.fixture(scope="session")
def image() -> str:
    """The image's name."""
    name = os.environ.get("MONAI_PNEUMONIA_MAP_IMAGE", "")
    if not name:
        pytest.skip("no image to test: scripts/test --map builds one and names it in MONAI_PNEUMONIA_MAP_IMAGE")
    return name


@pytest.fixture(scope="session")
def in_container(image: str) -> Callable[..., Ran]:
    """A function that runs the sealed container: arguments, the entry point to use instead, and folders to mount, by their place there."""

    def start(*arguments: str, entrypoint: str = "", options: tuple[str, ...] = (), **mounts: Path) -> Ran:
        places = {"source": "/var/holoscan/input:ro", "output": "/var/holoscan/output", "export": "/var/run/holoscan/export"}
        command = ["docker", "run", "--rm", *SEALED, *options]
        command += [word for name, folder in mounts.items() for word in ("-v", f"{folder}:{places[name]}")]
        return run([*command, *(["--entrypoint", entrypoint] if entrypoint else []), image, *arguments])

    return start


@pytest.fixture
def shared_folder() -> Iterator[Callable[[str], Path]]:
    """A function that makes folders into which the container's user may write. pytest's own are closed to other users."""
    with tempfile.TemporaryDirectory(prefix="container-test-") as place:
        Path(place).chmod(0o755)

        def make(name: str) -> Path:
            folder = Path(place) / name
            folder.mkdir(mode=0o777)
            folder.chmod(0o777)
            return folder

        yield make


@pytest.fixture(scope="session")
def pictures(request: pytest.FixtureRequest) -> Iterator[list[Path]]:
    """Folders of radiographs: the real ones where they are, else phantoms. No folder holds two files with one SOP Instance UID."""
    data = Path(os.environ.get("MONAI_PNEUMONIA_DATA") or ROOT.parent / "shared" / "data") / "cxr-dicom"
    files = sorted(data.glob("*.dcm")) or sorted((request.getfixturevalue("phantom_dicom_folder") / "images").glob("*.dcm"))
    with tempfile.TemporaryDirectory(prefix="container-test-") as place:
        Path(place).chmod(0o755)
        folders: list[tuple[Path, set[str]]] = []
        for file in files:
            uid = pydicom.dcmread(file, specific_tags=["SOPInstanceUID"], stop_before_pixels=True).SOPInstanceUID
            fitting = next((entry for entry in folders if uid not in entry[1]), None)
            if fitting is None:
                fitting = (Path(place) / str(len(folders)), set())
                fitting[0].mkdir()
                folders.append(fitting)
            shutil.copyfile(file, fitting[0] / file.name)
            fitting[1].add(uid)
        yield [folder for folder, _ in folders]
