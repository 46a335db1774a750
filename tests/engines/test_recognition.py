"""Recognition as an Ignite engine gives what the recogniser gives, and its files."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monai.data import MetaTensor
from monai.inferers import SimpleInferer
from PIL import Image
from tiny_bundle import write_tiny_bundle
from torch.utils.data import DataLoader

from monai_pneumonia.engines import (
    PictureDataset,
    PredictionFiles,
    RecognitionEvaluator,
    end_recognition,
    picture_records,
    report_recognition,
    run_engine,
)
from monai_pneumonia.errors import UnreadableImageError
from monai_pneumonia.inference import LesionRecognizer, PredictionWriter, find_pictures


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory: pytest.TempPathFactory) -> LesionRecognizer:
    return LesionRecognizer.from_bundle(write_tiny_bundle(tmp_path_factory.mktemp("bundle")), device="cpu")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures of different sizes, and two files that are none."""
    folder = tmp_path_factory.mktemp("pictures")
    for seed, name in enumerate(("a", "c", "e")):
        pixels = np.random.default_rng(seed).integers(0, 255, (70 + 9 * seed, 80), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    (folder / "b.png").write_text("no picture")
    (folder / "d.dcm").write_text("no picture")
    return folder


def _evaluator(recognizer: LesionRecognizer, folder: Path, output: Path, batch_size: int = 2) -> tuple[RecognitionEvaluator, Any]:
    dataset = PictureDataset(picture_records(find_pictures(folder)), recognizer.preprocessing)
    writer = PredictionWriter(output, recognizer, maps=False)
    evaluator = RecognitionEvaluator(
        recognizer=recognizer,
        val_data_loader=DataLoader(dataset, batch_size=batch_size, collate_fn=list),
        inferer=SimpleInferer(),
        val_handlers=[PredictionFiles(writer)],
    )
    return evaluator, writer


def test_a_bad_picture_is_an_item_like_the_others(recognizer: LesionRecognizer, pictures: Path) -> None:
    dataset = PictureDataset(picture_records(find_pictures(pictures)), recognizer.preprocessing)
    kinds = [type(item["image"]) for item in dataset]
    assert kinds == [MetaTensor, UnreadableImageError, MetaTensor, UnreadableImageError, MetaTensor]
    assert [item["picture"].listed_as for item in dataset] == ["a.png", "b.png", "c.png", "d.dcm", "e.png"]


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_every_file_gets_the_row_that_the_recogniser_gives_it(
    recognizer: LesionRecognizer, pictures: Path, batch_size: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluator, writer = _evaluator(recognizer, pictures, tmp_path / "output", batch_size)
    run_engine(evaluator)
    with (tmp_path / "output" / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["image"] for row in rows] == ["a.png", "b.png", "c.png", "d.dcm", "e.png"]
    assert [row["status"] for row in rows] == ["ok", "error", "ok", "error", "ok"]
    for row in rows:
        if row["status"] == "ok":
            assert float(row["p_pneumonia"]) == pytest.approx(recognizer(pictures / row["image"]).p_pneumonia, abs=1e-6)
    report_recognition(writer)
    assert "5 pictures: 3 ok, 0 rejected, 2 error" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        end_recognition(writer)
    assert ended.value.code == 5


def test_all_served_ends_well(recognizer: LesionRecognizer, pictures: Path, tmp_path: Path) -> None:
    evaluator, writer = _evaluator(recognizer, pictures / "a.png", tmp_path / "output")
    run_engine(evaluator)
    report_recognition(writer)
    end_recognition(writer)


def test_nothing_served_ends_with_code_4(
    recognizer: LesionRecognizer, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad").mkdir()
    for name in ("b.png", "d.dcm"):
        (tmp_path / "bad" / name).write_bytes((pictures / name).read_bytes())
    evaluator, writer = _evaluator(recognizer, tmp_path / "bad", tmp_path / "output")
    run_engine(evaluator)
    with pytest.raises(SystemExit) as ended:
        report_recognition(writer)
    assert ended.value.code == 4
    assert "no picture could be analysed" in capsys.readouterr().err
    assert (tmp_path / "output" / "predictions.csv").read_text().count("\n") == 3


def test_a_run_that_breaks_leaves_no_file(recognizer: LesionRecognizer, pictures: Path, tmp_path: Path) -> None:
    evaluator, _ = _evaluator(recognizer, pictures, tmp_path / "output", batch_size=1)

    def fail(*_: Any) -> list[Any]:
        raise ZeroDivisionError

    evaluator.inferer = fail
    with pytest.raises(ZeroDivisionError):
        run_engine(evaluator)
    assert not list(tmp_path.iterdir())
