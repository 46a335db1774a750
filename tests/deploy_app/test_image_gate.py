from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

Study = Callable[..., Path]
CT = "1.2.840.10008.5.1.4.1.1.2"


def checked(serving: Callable[..., Any]) -> Any:
    run = serving()
    (task,) = run.tasks()
    run.check(task)
    return task


def test_a_frontal_chest_x_ray_passes(study: Study, serving: Callable[..., Any]) -> None:
    study("1", "1")
    task = checked(serving)
    assert task.rejection is None
    assert task.last
    assert task.milliseconds["gate_milliseconds"] > 0


@pytest.mark.parametrize(
    ("tags", "reason", "word"),
    [
        ({"Modality": "CT", "SOPClassUID": CT}, "modality", "CT"),
        ({"ViewPosition": "LL"}, "view", "frontal"),
        ({"BodyPartExamined": "HAND"}, "body_part", "chest"),
        ({"NumberOfFrames": 12}, "frames", "12 frames"),
        ({"SeriesInstanceUID": None}, "damaged", "SeriesInstanceUID"),
        ({"SOPClassUID": "1.2.3.4"}, "damaged", "SOP class"),
    ],
)
def test_what_is_refused(study: Study, serving: Callable[..., Any], tags: dict[str, Any], reason: str, word: str) -> None:
    path = study("1", "1", **tags)
    task = checked(serving)
    assert task.rejection[0] == reason
    assert word in task.rejection[1]
    assert str(path) not in task.rejection[1]


def test_no_pixel_is_read(study: Study, serving: Callable[..., Any]) -> None:
    dataset = pydicom.dcmread(study("1", "1"))
    dataset.PixelData = b"\1\2"
    dataset.save_as(dataset.filename)
    assert checked(serving).rejection is None


def test_a_file_that_went_away_is_rejected(study: Study, serving: Callable[..., Any]) -> None:
    path = study("1", "1", values=np.zeros((8, 8), np.uint8))
    run = serving()
    (task,) = run.tasks()
    path.unlink()
    run.check(task)
    assert task.rejection[0] == "damaged"
    assert str(path) not in task.rejection[1]
