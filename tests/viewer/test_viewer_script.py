"""The script's options, and what it says where something is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "viewer"


def run(*options: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **({} if path is None else {"PATH": path})}
    return subprocess.run([shutil.which("bash") or "bash", str(SCRIPT), *options], env=env, capture_output=True, text=True, check=False)


def test_help() -> None:
    result = run("--help")
    assert result.returncode == 0
    assert "Research use only" in result.stdout


@pytest.mark.parametrize("options", [("--wrong",), ("--model",)])
def test_wrong_options_are_refused(options: tuple[str, ...]) -> None:
    result = run(*options)
    assert result.returncode == 2
    assert f"error: {'unknown option --wrong' if options[0] == '--wrong' else '--model needs a value'}" in result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="the script runs on Linux only")
def test_missing_programs_are_named_and_nothing_is_installed(tmp_path: Path) -> None:
    for name in ("dirname", "uname", "id", "env", "cat"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    result = run("--output", str(tmp_path / "out"), path=str(tmp_path))
    assert result.returncode == 2
    for package in ("orthanc", "chromium", "dcmtk", "iproute2"):
        assert package in result.stderr
    assert "scripts/viewer --install" in result.stderr
    assert not (tmp_path / "out").exists()
