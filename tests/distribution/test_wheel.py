"""What `pip install .` gives: every module of the package, its data files, and nothing else."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import monai_pneumonia

ROOT = Path(__file__).parents[2]
DEVELOPMENT_ONLY = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "mlruns", "*.pt")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel built from a copy of the checkout: setuptools would leave a build folder in the original."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "source", ignore=DEVELOPMENT_ONLY)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([*build, str(folder / "source")], check=True, capture_output=True, text=True, timeout=300)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def described_by(wheel: zipfile.ZipFile, name: str) -> str:
    (path,) = (entry for entry in wheel.namelist() if entry.endswith(f".dist-info/{name}"))
    return wheel.read(path).decode()


def test_wheel_holds_the_whole_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    package = ROOT / "monai_pneumonia"
    expected = {
        path.relative_to(ROOT).as_posix() for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc" and not hidden(path)
    }
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert "monai_pneumonia/py.typed" in held
    assert held == expected


def hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(ROOT).parts)


def test_every_folder_of_modules_is_a_package() -> None:
    package = ROOT / "monai_pneumonia"
    folders = {path.parent for path in package.rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_wheel_carries_version_licence_and_command(wheel: zipfile.ZipFile) -> None:
    metadata = Parser().parsestr(described_by(wheel, "METADATA"))
    assert metadata["Version"] == monai_pneumonia.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert described_by(wheel, "licenses/LICENSE") == (ROOT / "LICENSE").read_text(encoding="utf-8")
    commands = configparser.ConfigParser()
    commands.read_string(described_by(wheel, "entry_points.txt"))
    assert dict(commands["console_scripts"]) == {"monai-pneumonia": "monai_pneumonia.cli:main"}


def test_wheel_works_without_the_checkout(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path / "installed")
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r}); sys.argv = ['monai-pneumonia', '--version'];"
        "import monai_pneumonia.cli; print(monai_pneumonia.__file__); monai_pneumonia.cli.main()"
    )
    # -I keeps the current folder and PYTHONPATH out; the editable install's finder comes after sys.path.
    run = subprocess.run([sys.executable, "-I", "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    origin, version = run.stdout.strip().splitlines()
    assert Path(origin).is_relative_to(tmp_path)
    assert monai_pneumonia.__version__ in version
    assert monai_pneumonia.RESEARCH_USE_ONLY in version
