"""On a GPU a report is that of the CPU, and does not depend on its batch; too little memory is told as such."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from monai_pneumonia.errors import NotEnoughMemoryError
from monai_pneumonia.inference import LesionRecognizer

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


def test_a_gpu_says_what_a_cpu_says(tiny_bundle: Path, recognizer: LesionRecognizer, picture_files: list[Path]) -> None:
    on_gpu = LesionRecognizer.from_bundle(tiny_bundle)
    assert on_gpu.device.type == "cuda"
    expected = recognizer.recognize_batch(picture_files)
    for batch_size in (1, 4, 11):
        for (_, report), reference in zip(on_gpu.stream(picture_files, batch_size), expected, strict=True):
            # The tiny network's head enlarges differences in its features a hundredfold.
            assert report.p_pneumonia == pytest.approx(reference.p_pneumonia, abs=2e-5)
            np.testing.assert_allclose(report.attention_map, reference.attention_map, atol=2e-4)


def test_a_gpu_that_lacks_memory_serves_the_next_picture(
    tiny_bundle: Path, picture_files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    on_gpu = LesionRecognizer.from_bundle(tiny_bundle)
    with monkeypatch.context() as patch:
        patch.setattr(on_gpu.network, "explain", lambda inputs: torch.empty(10**15, device="cuda"))
        with pytest.raises(NotEnoughMemoryError):
            on_gpu(picture_files[0])
    assert np.isfinite(on_gpu(picture_files[0]).p_pneumonia)
