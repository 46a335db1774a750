"""PredictionWriter: all files of a run, or none."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_overlay_drawing import report_of

from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.errors import BadInputError, OutputNotWritableError, RejectedImageError, UnreadableImageError, UsageError
from monai_pneumonia.inference import Calibration, PredictionWriter, check_output, file_name_of, prediction_columns

COLUMNS = [
    *("id", "image", "status", "reason", "prob_normal", "prob_ill"),
    *("p_pneumonia", "decision", "uncertainty", "n_lesions", "model_version", "weights_sha256"),
]


@dataclass
class Model:
    labels: LabelSpace = field(default_factory=lambda: LabelSpace.of(["normal", "ill"]))
    model_version: str = "0.1.0"
    weights_sha256: str = "ab" * 32
    calibration: Calibration = field(default_factory=lambda: Calibration(lesion_threshold=0.7))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80), dtype=np.uint8)).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


@pytest.fixture
def attention() -> np.ndarray:
    attention = np.zeros((60, 80), dtype=np.float32)
    attention[10:30, 40:70] = 0.75
    return attention


def rows_of(output: Path) -> list[dict[str, str]]:
    with (output / "predictions.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def files_below(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def test_columns_of_the_contract() -> None:
    assert prediction_columns(["normal", "ill"]) == COLUMNS


def test_files_of_the_contract(tmp_path: Path, picture: Path, attention: np.ndarray) -> None:
    report = report_of(attention, warnings=("odd",))
    with PredictionWriter(tmp_path / "out", Model()) as writer:
        writer.add("first", picture, report, "in/picture.png")
        writer.add("second", "b.dcm", RejectedImageError("b.dcm: a CT slice:\n give a radiograph"))
        writer.add("third", "c.dcm", UnreadableImageError("c.dcm: cut, short"))
    output = tmp_path / "out"
    assert files_below(output) == ["attention/first.npy", "lesions.json", "lesions/first.png", "overlays/first.png", "predictions.csv"]
    first, second, third = rows_of(output)
    assert list(first) == COLUMNS
    model = {"model_version": "0.1.0", "weights_sha256": "ab" * 32}
    numbers = {"prob_normal": "0.2", "prob_ill": "0.8", "p_pneumonia": "0.8", "uncertainty": "0.7", "n_lesions": "1"}
    assert first == {"id": "first", "image": "in/picture.png", "status": "ok", "reason": "", "decision": "pneumonia", **numbers, **model}
    empty = dict.fromkeys(["decision", *numbers], "")
    assert second == {
        **{"id": "second", "image": "b.dcm", "status": "rejected", "reason": "b.dcm: a CT slice: give a radiograph"},
        **empty,
        **model,
    }
    assert third == {"id": "third", "image": "c.dcm", "status": "error", "reason": "c.dcm: cut, short", **empty, **model}
    stored = np.load(output / "attention" / "first.npy")
    assert stored.dtype == np.float32
    assert np.array_equal(stored, attention)
    lesions = Image.open(output / "lesions" / "first.png")
    assert np.array_equal(np.asarray(lesions), np.where(attention >= 0.5, 255, 0))
    assert lesions.text["Comment"] == "Research use only, not for diagnosis."
    overlay = Image.open(output / "overlays" / "first.png")
    assert overlay.mode == "RGB"
    assert overlay.text["Comment"] == "Research use only, not for diagnosis."
    content = json.loads((output / "lesions.json").read_text())
    assert content["notice"] == "Research use only, not for diagnosis."
    assert content["model"] == {"version": "0.1.0", "weights_sha256": "ab" * 32}
    assert content["lesion_threshold"] == 0.7
    assert list(content["pictures"]) == ["first"]
    entry = content["pictures"]["first"]
    assert (entry["image"], entry["size"], entry["warnings"]) == ("in/picture.png", [60, 80], ["odd"])
    assert entry["lesions"] == [
        {"number": 1, "box": [40, 10, 30, 20], "area_pixels": 600, "area_mm2": None, "mean_attention": 0.75, "peak_attention": 0.75}
    ]
    assert writer.counts == {"ok": 1, "rejected": 1, "error": 1}
    assert writer.warnings == {"odd": 1}
    assert isinstance(writer.first_error, RejectedImageError)


def test_without_maps_there_is_the_table_alone(tmp_path: Path, attention: np.ndarray) -> None:
    with PredictionWriter(tmp_path / "out", Model(), maps=False) as writer:
        writer.add("first", "not read.png", report_of(attention))
    assert files_below(tmp_path / "out") == ["predictions.csv"]
    assert rows_of(tmp_path / "out")[0]["status"] == "ok"


def test_a_run_without_a_report_is_whole_too(tmp_path: Path) -> None:
    with PredictionWriter(tmp_path / "out", Model()) as writer:
        writer.add("a", "a.png", UnreadableImageError("a.png does not exist"))
    assert json.loads((tmp_path / "out" / "lesions.json").read_text())["pictures"] == {}
    assert [row["status"] for row in rows_of(tmp_path / "out")] == ["error"]


def test_small_probabilities_keep_their_order(tmp_path: Path, attention: np.ndarray) -> None:
    values = [1e-12, 1.1e-12, 0.5, 1 - 2e-12, 1 - 1e-12]
    with PredictionWriter(tmp_path / "out", Model(), maps=False) as writer:
        for position, value in enumerate(values):
            writer.add(str(position), "x.png", report_of(attention, p_pneumonia=value))
    read = [float(row["p_pneumonia"]) for row in rows_of(tmp_path / "out")]
    assert read == sorted(set(read))


def test_ids_name_files_safely(tmp_path: Path, picture: Path, attention: np.ndarray) -> None:
    with PredictionWriter(tmp_path / "out", Model()) as writer:
        for identifier in ("../../escape", "a/b", "a_b"):
            writer.add(identifier, picture, report_of(attention))
    assert [row["id"] for row in rows_of(tmp_path / "out")] == ["../../escape", "a/b", "a_b"]
    names = sorted(file.name for file in (tmp_path / "out" / "attention").iterdir())
    assert len(names) == 3
    assert "a_b.npy" in names
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "picture.png"]


def test_an_id_may_come_once(tmp_path: Path) -> None:
    with PredictionWriter(tmp_path / "out", Model()) as writer:
        writer.add("a", "a.png", UnreadableImageError("one"))
        with pytest.raises(BadInputError, match="'a' was written already"):
            writer.add("a", "a.png", UnreadableImageError("two"))
    assert [row["reason"] for row in rows_of(tmp_path / "out")] == ["one"]


def test_file_names_that_are_no_text_can_be_listed(tmp_path: Path, picture: Path, attention: np.ndarray) -> None:
    name = os.fsdecode(b"r\xf6ntgen.png")
    with PredictionWriter(tmp_path / "out", Model()) as writer:
        writer.add(file_name_of(name), picture, report_of(attention), name)
    assert rows_of(tmp_path / "out")[0]["image"] == r"r\udcf6ntgen.png"
    assert [entry["image"] for entry in json.loads((tmp_path / "out" / "lesions.json").read_text())["pictures"].values()] == [name]


def interrupted_run(output: Path, picture: Path, attention: np.ndarray, **arguments: bool) -> None:
    with PredictionWriter(output, Model(), **arguments) as writer:
        writer.add("new", picture, report_of(attention))
        raise KeyboardInterrupt


def test_a_picture_that_vanished_meanwhile_becomes_an_error(tmp_path: Path, picture: Path, attention: np.ndarray) -> None:
    picture.unlink()
    with PredictionWriter(tmp_path / "out", Model()) as writer:
        writer.add("gone", picture, report_of(attention))
    (row,) = rows_of(tmp_path / "out")
    assert (row["status"], row["p_pneumonia"]) == ("error", "")
    assert files_below(tmp_path / "out") == ["lesions.json", "predictions.csv"]
    assert isinstance(writer.first_error, UnreadableImageError)


@pytest.mark.parametrize("existing", [False, True])
def test_an_error_inside_leaves_nothing(tmp_path: Path, picture: Path, attention: np.ndarray, existing: bool) -> None:
    output = tmp_path / "made" / "out"
    if existing:
        output.mkdir(parents=True)
        (output / "notes.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(KeyboardInterrupt):
        interrupted_run(output, picture, attention)
    assert sorted(tmp_path.rglob("*")) == before


def test_nothing_is_in_its_place_before_the_end(tmp_path: Path, picture: Path, attention: np.ndarray) -> None:
    (tmp_path / "out").mkdir()
    with PredictionWriter(tmp_path / "out", Model()) as writer:
        writer.add("first", picture, report_of(attention))
        assert all(path.name.startswith(".unfinished-") for path in (tmp_path / "out").iterdir())
    assert "predictions.csv" in files_below(tmp_path / "out")


def test_earlier_predictions_are_kept_unless_told_otherwise(tmp_path: Path, picture: Path, attention: np.ndarray) -> None:
    output = tmp_path / "out"
    with PredictionWriter(output, Model()) as writer:
        writer.add("old", picture, report_of(attention))
    (output / "attention" / "mine.npy").write_text("mine")
    (output / "notes.txt").write_text("mine")
    before = (output / "predictions.csv").read_text()
    with pytest.raises(UsageError, match=r"predictions\.csv already.*--overwrite"), PredictionWriter(output, Model()):
        pass
    assert (output / "predictions.csv").read_text() == before
    with PredictionWriter(output, Model(), overwrite=True) as writer:
        writer.add("new", picture, report_of(attention))
    assert files_below(output) == [
        *("attention/mine.npy", "attention/new.npy", "lesions.json", "lesions/new.png", "notes.txt", "overlays/new.png", "predictions.csv"),
    ]
    with PredictionWriter(output, Model(), maps=False, overwrite=True) as writer:
        writer.add("newest", picture, report_of(attention))
    assert files_below(output) == ["attention/mine.npy", "notes.txt", "predictions.csv"]


def test_a_failed_run_keeps_what_it_was_to_replace(tmp_path: Path, picture: Path, attention: np.ndarray) -> None:
    output = tmp_path / "out"
    with PredictionWriter(output, Model()) as writer:
        writer.add("old", picture, report_of(attention))
    before = {name: (output / name).read_bytes() for name in files_below(output)}
    with pytest.raises(KeyboardInterrupt):
        interrupted_run(output, picture, attention, overwrite=True)
    assert {name: (output / name).read_bytes() for name in files_below(output)} == before


def test_where_nothing_can_be_written_is_said_before_anything_is_computed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for output in (tmp_path / "file", tmp_path / "file" / "out", tmp_path / "file" / "deep" / "out"):
        with pytest.raises(OutputNotWritableError, match="cannot write results to"):
            check_output(output)
        with pytest.raises(OutputNotWritableError), PredictionWriter(output, Model()):
            pass
    assert files_below(tmp_path) == ["file"]


def test_a_check_leaves_no_trace(tmp_path: Path) -> None:
    check_output(tmp_path / "a" / "b")
    check_output(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_is_named_and_leaves_nothing(tmp_path: Path, picture: Path, attention: np.ndarray, monkeypatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OutputNotWritableError, match="No space left"), PredictionWriter(tmp_path / "out", Model()) as writer:
        writer.add("first", picture, report_of(attention))
    assert not (tmp_path / "out").exists()


def test_an_overlay_that_needs_too_much_memory_is_an_error_of_its_picture(
    tmp_path: Path, picture: Path, attention: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("monai_pneumonia.inference.overlay.draw_overlay", too_large)
    with PredictionWriter(tmp_path / "out", Model()) as writer:
        writer.add("first", picture, report_of(attention))
    (row,) = rows_of(tmp_path / "out")
    assert row["status"] == "error"
    assert "needs more memory than there is" in row["reason"]


def test_writing_outside_the_block_is_a_mistake(tmp_path: Path, picture: Path, attention: np.ndarray) -> None:
    with pytest.raises(RuntimeError, match="with block"):
        PredictionWriter(tmp_path / "out", Model()).add("first", picture, report_of(attention))
