from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from serving_runs import serve_all

from deploy_app import serving as serving_module
from monai_pneumonia.errors import DeviceFaultError, ModelFaultError
from monai_pneumonia.inference import LesionRecognizer

Study = Callable[..., Path]


def test_what_is_said_is_what_the_recogniser_says_of_the_file(study: Study, serving: Callable[..., Any], tiny_model: Path) -> None:
    path = study("1", "1")
    run = serving()
    (task,) = run.tasks()
    run.recognize(task)
    expected = LesionRecognizer.from_bundle(tiny_model, "cpu")(path)
    assert task.report.to_dict() == expected.to_dict()
    assert np.array_equal(task.report.attention_map, expected.attention_map)
    assert np.array_equal(task.report.lesion_labels, expected.lesion_labels)
    assert task.report.lesions[0].area_mm2 == pytest.approx(task.report.lesions[0].area_pixels * 0.08)


def test_pixels_are_read_once(study: Study, serving: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    study("1", "1")
    reads: list[Path] = []
    read = serving_module.read_radiograph
    for module in ("deploy_app.serving", "monai_pneumonia.transforms.reader", "monai_pneumonia.dicom.writing"):
        monkeypatch.setattr(f"{module}.read_radiograph", lambda path: reads.append(path) or read(path))
    run = serve_all(serving())
    assert run.account.counts["served"] == 1
    assert len(reads) == 1


@pytest.mark.parametrize(
    ("tags", "reason", "word"),
    [({"Rows": 20000, "Columns": 20000}, "unsupported", "20000 x 20000"), ({"PhotometricInterpretation": "HSV"}, "damaged", "MONOCHROME2")],
)
def test_what_cannot_be_read_is_rejected(study: Study, serving: Callable[..., Any], tags: dict[str, Any], reason: str, word: str) -> None:
    study("1", "1", **tags)
    run = serving()
    (task,) = run.tasks()
    run.recognize(task)
    assert task.rejection[0] == reason
    assert word in task.rejection[1]
    assert task.radiograph is None


def test_pixels_that_were_cut_short(study: Study, serving: Callable[..., Any]) -> None:
    path = study("1", "1")
    path.write_bytes(path.read_bytes()[:-500])
    run = serve_all(serving())
    (record,) = run.account.records
    assert (record.status.value, record.reason) == ("rejected", "damaged")
    assert "the file was cut short" in record.sentence


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (MemoryError(), "more memory"),
        (torch.OutOfMemoryError("CUDA out of memory"), "more memory"),
        (ValueError("Doe^John"), "ValueError"),
        (OSError(5, "I/O"), "OSError"),
    ],
)
def test_a_fault_over_one_image_takes_no_other_down(
    study: Study, serving: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, error: Exception, word: str
) -> None:
    for image in "123":
        study("1", image)
    run = serving()
    explain = run.recognizer.network.explain
    calls: list[int] = []

    def fail_once(inputs: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise error
        return explain(inputs)

    monkeypatch.setattr(run.recognizer.network, "explain", fail_once)
    serve_all(run)
    assert run.fault is None
    assert [record.status.value for record in run.account.records] == ["served", "rejected", "served"]
    assert run.account.records[1].reason == "failed"
    assert word in run.account.records[1].sentence
    assert "Doe" not in run.account.records[1].sentence


@pytest.mark.parametrize(
    ("error", "kind"), [(ModelFaultError("not finite"), ModelFaultError), (torch.AcceleratorError("CUDA error"), DeviceFaultError)]
)
def test_a_fault_of_model_or_device_ends_the_run(
    study: Study, serving: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception, kind: type
) -> None:
    study("1", "1")
    study("2", "1")
    run = serving()

    def break_down(inputs: Any) -> Any:
        raise error

    # Any device but the CPU will do: the network's answer is all that is wanted of it.
    monkeypatch.setattr(run.recognizer, "device", torch.device("meta"))
    monkeypatch.setattr(run.recognizer.network, "explain", break_down)
    serve_all(run)
    assert type(run.fault) is kind
    assert not run.account.records
    assert not (tmp_path / "output" / "1.2.3.1").exists()


def test_a_stopped_run_finishes_the_image_in_hand_and_takes_no_more(study: Study, serving: Callable[..., Any], tmp_path: Path) -> None:
    for number in "123":
        study(number, "1")
    stop = threading.Event()
    run = serving(stop)
    for task in run.tasks():
        run.check(task)
        run.recognize(task)
        if task.image.study_uid == "1.2.3.2":
            stop.set()
        run.write(task)
    assert sorted(folder.name for folder in (tmp_path / "output").iterdir() if not folder.name.startswith(".")) == [
        "1.2.3.1",
        "1.2.3.2",
    ]


def test_one_picture_in_memory_at_a_time(study: Study, serving: Callable[..., Any]) -> None:
    study("1", "1")
    study("1", "2")
    run = serving()
    tasks = []
    for task in run.tasks():
        run.check(task)
        run.recognize(task)
        run.write(task)
        tasks.append(task)
    assert all(task.radiograph is None and task.report is None for task in tasks)
