"""The ``phantoms`` command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monai_pneumonia.cli import app
from monai_pneumonia.data.datalist import load_datalist
from monai_pneumonia.errors import OutputNotWritableError, UsageError


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, ["phantoms", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_writes_a_set_and_sums_it_up(tmp_path: Path) -> None:
    output = run("--output", tmp_path / "set", "--count", 24, "--size", 40, "--seed", 3)
    for word in ("training", "validation", "testing", "flipped", "bacterial", "hospital_d"):
        assert word in output
    for name in ("datalist.json", "datalist_flipped.json", "truth.csv"):
        assert str(tmp_path / "set" / name) in output
    assert "24 synthetic pictures. Research use only, not for diagnosis." in output
    assert len(list((tmp_path / "set" / "images").glob("*.png"))) == 24
    assert load_datalist(tmp_path / "set" / "datalist.json").training


def test_writes_dicom(tmp_path: Path) -> None:
    run("--output", tmp_path, "--count", 2, "--size", 40, "--format", "dicom", "--transfer-syntax", "rle")
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == ["phantom_00000.dcm", "phantom_00001.dcm"]


def test_options_reach_the_settings(tmp_path: Path) -> None:
    run("--output", tmp_path, "--count", 60, "--size", 40, "--outlined-share", 1, "--confounding", 0)
    kinds = {item.mask_kind for item in load_datalist(tmp_path / "datalist.json").training if item.label == "bacterial"}
    assert "unknown" not in kinds


def test_refuses_a_folder_in_use_unless_told(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(OutputNotWritableError, match="--overwrite"):
        run("--output", tmp_path, "--count", 1, "--size", 40)
    run("--output", tmp_path, "--count", 1, "--size", 40, "--overwrite")
    assert (tmp_path / "mine.txt").read_text() == "keep"


def test_names_all_settings_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"size.*image_format"):
        run("--output", tmp_path / "set", "--size", 4, "--format", "gif")
    assert not (tmp_path / "set").exists()


def test_ends_with_one_line_and_the_exit_code(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    command = [sys.executable, "-m", "monai_pneumonia", "phantoms", "--output", str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 7
    assert "Traceback" not in answer.stderr
    assert answer.stderr.strip().startswith("error:")
    assert len(answer.stderr.strip().splitlines()) == 1
