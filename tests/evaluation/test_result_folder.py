"""Results are there whole, or not at all, and never in the place of another's files."""

from __future__ import annotations

import json

import pytest

from monai_pneumonia.errors import OutputNotWritableError
from monai_pneumonia.evaluation.writing import finished_folder

OURS = ("metrics.json", "report.html", "figures/roc.svg", "figures/old.svg")


def evaluation(text="{}"):
    return json.dumps({"research_use_only": "", "accounting": {}, "overall": {}, "text": text})


def write(target, text="new", names=("metrics.json", "report.html", "figures/roc.svg")):
    with finished_folder(target, OURS) as folder:
        (folder / "figures").mkdir()
        for name in names:
            (folder / name).write_text(evaluation(text) if name == "metrics.json" else text)


def files(folder):
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def test_a_new_folder(tmp_path):
    write(tmp_path / "a" / "b" / "out")
    assert files(tmp_path) == {"a/b/out/metrics.json", "a/b/out/report.html", "a/b/out/figures/roc.svg"}


def test_others_may_enter_the_folder_as_the_umask_allows(tmp_path):
    write(tmp_path / "out")
    (tmp_path / "plain").mkdir()
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_an_earlier_evaluation_is_replaced_and_nothing_else(tmp_path):
    write(tmp_path, "old", ("metrics.json", "report.html", "figures/old.svg"))
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "figures" / "mine.svg").write_text("mine")
    write(tmp_path)
    assert files(tmp_path) == {"metrics.json", "report.html", "figures/roc.svg", "figures/mine.svg", "notes.txt"}
    assert (tmp_path / "report.html").read_text() == "new"
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["metrics.json", "report.html", "figures/roc.svg"])
def test_a_file_of_our_name_that_is_not_ours_is_left_alone(tmp_path, name):
    (tmp_path / "figures").mkdir()
    (tmp_path / name).write_text('{"loss": 0.1}')
    with pytest.raises(OutputNotWritableError, match="that no evaluation wrote"):
        write(tmp_path)
    assert files(tmp_path) == {name}
    assert (tmp_path / name).read_text() == '{"loss": 0.1}'


def test_an_error_leaves_everything_as_it_was(tmp_path):
    write(tmp_path, "old")
    before = files(tmp_path)

    def fail():
        with finished_folder(tmp_path, OURS) as folder:
            (folder / "metrics.json").write_text("half")
            raise KeyError("broken")

    with pytest.raises(KeyError):
        fail()
    assert files(tmp_path) == before
    assert json.loads((tmp_path / "metrics.json").read_text())["text"] == "old"


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputNotWritableError, match="it is a file"):
        write(tmp_path / "out")
    with pytest.raises(OutputNotWritableError, match="cannot write the results"):
        write(tmp_path / "out" / "deeper")
    assert (tmp_path / "out").read_text() == "a file"


def test_a_file_in_the_place_of_the_figures(tmp_path):
    (tmp_path / "figures").write_text("a file")
    with pytest.raises(OutputNotWritableError, match="cannot write the results"):
        write(tmp_path)
    assert (tmp_path / "figures").read_text() == "a file"
