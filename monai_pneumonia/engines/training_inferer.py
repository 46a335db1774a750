"""The forward pass of a training, in bfloat16 on a CPU that has it."""

from __future__ import annotations

from typing import Any

import torch
from monai.inferers import SimpleInferer
from torch import Tensor, nn

from monai_pneumonia.networks import LesionOutput


def cpu_has_bfloat16() -> bool:
    """Whether this CPU computes in bfloat16, and does not only store it."""
    # Neither torch 2.8 nor 2.13 has a public question for it.
    questions = (getattr(torch.cpu, f"_is_{name}_supported", None) for name in ("avx512_bf16", "amx_tile"))
    return any(bool(ask()) for ask in questions if ask is not None)


class TrainingInferer(SimpleInferer):
    """MONAI's SimpleInferer, in mixed precision on a CPU if asked to: MONAI's own ``amp`` is for CUDA.

    Worth it on a CPU with bfloat16 instructions (AVX-512 BF16, AMX), many times slower on any other. Losses are computed in
    single precision, and validation and inference always are.

    Args:
        cpu_amp: whether to compute in bfloat16.
    """

    def __init__(self, cpu_amp: bool = False) -> None:
        self.cpu_amp = cpu_amp

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Any:
        """The network's output, in single precision.

        Args:
            inputs: images [B, 1, S, S].
            network: gives a :class:`LesionOutput` in training.
            *args: of the network.
            **kwargs: of the network.
        """
        if not self.cpu_amp or inputs.device.type != "cpu":
            return super().__call__(inputs, network, *args, **kwargs)
        with torch.autocast("cpu", torch.bfloat16):
            output = super().__call__(inputs, network, *args, **kwargs)
        values: list[Any] = [None if value is None else value.float() for value in output]
        return LesionOutput(*values)
