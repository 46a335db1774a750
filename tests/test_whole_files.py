"""Files that are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_pneumonia.whole_files import whole_file


def test_what_was_written_takes_the_place(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text("earlier")
    with whole_file(file) as unfinished:
        unfinished.write_text("new")
        assert file.read_text() == "earlier"
    assert file.read_text() == "new"
    assert list(tmp_path.iterdir()) == [file]


def write_half(file: Path) -> None:
    with whole_file(file) as unfinished:
        unfinished.write_text("ne")
        raise RuntimeError("half")


def test_an_error_leaves_the_earlier_file_alone(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text("earlier")
    with pytest.raises(RuntimeError, match="half"):
        write_half(file)
    assert file.read_text() == "earlier"
    assert list(tmp_path.iterdir()) == [file]


def test_what_a_killed_process_left_is_written_over(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    with whole_file(file) as unfinished:
        unfinished.write_text("new")
    unfinished.write_text("half")
    with whole_file(file) as unfinished:
        unfinished.write_text("newer")
    assert file.read_text() == "newer"
    assert list(tmp_path.iterdir()) == [file]
