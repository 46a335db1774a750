"""Too little memory and a device that fails are told from damaged pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch

from monai_pneumonia.errors import DeviceFaultError, ExitCode, NotEnoughMemoryError
from monai_pneumonia.inference import LesionRecognizer
from monai_pneumonia.inference.faults import named_faults
from monai_pneumonia.inference.recognizer import prepare_or_error

CUDA_ERRORS = [
    torch.AcceleratorError("CUDA error: unspecified launch failure"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    RuntimeError("CUDA error: device-side assert triggered"),
]


def failing(error: Exception) -> Any:
    def fail(*arguments: Any, **options: Any) -> NoReturn:
        raise error

    return fail


def asked_for_too_much(*arguments: Any) -> torch.Tensor:
    return torch.empty(10**16)


def on_another_device(recognizer: LesionRecognizer, error: Exception, monkeypatch: pytest.MonkeyPatch) -> LesionRecognizer:
    """The recogniser on a device that is no CPU, where its network fails."""
    monkeypatch.setattr(recognizer, "device", torch.device("meta"))
    monkeypatch.setattr(recognizer.network, "explain", failing(error))
    return recognizer


@pytest.mark.parametrize("error", CUDA_ERRORS, ids=lambda error: type(error).__name__)
def test_a_device_that_fails_is_no_fault_of_a_picture(
    error: Exception, recognizer: LesionRecognizer, picture_files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_another_device(recognizer, error, monkeypatch)
    with pytest.raises(DeviceFaultError, match="the device 'meta' failed") as raised:
        recognizer(picture_files[0])
    assert raised.value.exit_code is ExitCode.MODEL_FAULT
    # Nor does a stream go on: it would blame every picture that is left.
    with pytest.raises(DeviceFaultError):
        list(recognizer.stream(picture_files))


def test_too_little_memory_on_the_device(recognizer: LesionRecognizer, picture_files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    on_another_device(recognizer, torch.OutOfMemoryError("CUDA out of memory"), monkeypatch)
    with pytest.raises(NotEnoughMemoryError):
        recognizer(picture_files[0])


@pytest.mark.parametrize("fault", [failing(MemoryError()), asked_for_too_much], ids=["NumPy", "torch"])
def test_too_little_memory_while_a_picture_is_prepared(
    fault: Any, recognizer: LesionRecognizer, picture_files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monai_pneumonia.transforms.reader.read_radiograph", fault)
    with pytest.raises(NotEnoughMemoryError):
        recognizer(picture_files[0])
    error = prepare_or_error(recognizer.preprocessing, picture_files[0])
    assert isinstance(error, NotEnoughMemoryError)
    assert str(picture_files[0]) in str(error)


def test_too_little_memory_for_the_map(recognizer: LesionRecognizer, picture_files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monai_pneumonia.inference.recognizer.to_original_grid", asked_for_too_much)
    with pytest.raises(NotEnoughMemoryError):
        recognizer(picture_files[0])


def test_a_device_that_does_not_take_the_network(recognizer: LesionRecognizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognizer.network, "to", failing(torch.OutOfMemoryError("CUDA out of memory")))
    with pytest.raises(DeviceFaultError, match="memory free"):
        LesionRecognizer(recognizer.network, recognizer.description, device="cpu")


def test_other_errors_pass() -> None:
    with pytest.raises(ValueError, match="x"), named_faults(torch.device("cuda")):
        raise ValueError("x")
    with pytest.raises(RuntimeError, match="x"), named_faults():
        raise RuntimeError("x")
