"""Faults that are none of the picture's: too little memory, a device that fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from monai_pneumonia.errors import DeviceFaultError, NotEnoughMemoryError, PneumoniaError

_CPU = torch.device("cpu")
# torch has no class of its own for it.
_CPU_OUT_OF_MEMORY = "DefaultCPUAllocator: can't allocate memory"


@contextmanager
def named_faults(device: torch.device = _CPU, picture: object = "the picture") -> Iterator[None]:
    """Gives memory's and device's faults their names, whatever MONAI and torch wrapped around them; other errors pass as they are.

    Args:
        device: what computes inside.
        picture: what it computes on, as the error's text calls it.

    Raises:
        NotEnoughMemoryError: the machine's or the device's memory does not suffice; it may do for the next picture.
        DeviceFaultError: the device failed: after an error of CUDA no further picture can be computed in this process.
    """
    try:
        yield
    except PneumoniaError:
        raise
    except Exception as error:
        if _lacks_memory(error):
            raise NotEnoughMemoryError.of(picture) from error
        if device.type != "cpu" and isinstance(error, RuntimeError):
            raise DeviceFaultError(
                f"the device '{device}' failed while it computed ({type(error).__name__}): no picture is at fault; "
                "see that the device works and run again, or compute on the device cpu"
            ) from error
        raise


def _lacks_memory(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or _CPU_OUT_OF_MEMORY in str(error):
            return True
        error = error.__cause__
    return False
