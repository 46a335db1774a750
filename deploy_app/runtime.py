"""Makes the process ready: its streams, and Holoscan and MONAI, before the first import of either."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

CUDA_RUNTIME = Path("cu13") / "lib" / "libcudart.so.13"
# What Holoscan asks for; it warns below.
STACK_BYTES = 32 << 20

# What MONAI imports when it is installed, and nothing here uses: two of five seconds that a start takes.
UNUSED = (
    *("ignite", "itk", "pandas", "sklearn", "scipy.signal", "scipy.stats", "matplotlib"),
    *("tensorboard", "tensorboardX", "mlflow", "cupy"),
)


def open_missing_streams() -> None:
    """Puts the null device in the place of standard streams that the caller closed.

    Else the next files to be opened would take their numbers, and what is meant for the streams would be written there.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode)  # noqa: SIM115 - gets the lowest free number, the stream's own, and keeps it
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


def leave_out_unused() -> None:
    """Lets MONAI find none of :data:`UNUSED`, as in the container, where most of them are not installed.

    For a process that does nothing but serve: whatever needs one of these afterwards fails.
    """
    for name in UNUSED:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]


def prepare_holoscan() -> None:
    """Finds Holoscan the CUDA runtime that was installed beside it, gives it its stack, and keeps it from logging."""
    os.environ.setdefault("HOLOSCAN_LOG_LEVEL", "OFF")
    _raise_stack_limit()
    library = packaged_cuda_runtime()
    if library is not None:
        # Holoscan links to it even where there is no GPU. Once loaded, it is found by its name, whatever LD_LIBRARY_PATH says.
        with suppress(OSError):
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)


def packaged_cuda_runtime() -> Path | None:
    """The CUDA runtime of the package nvidia-cuda-runtime; None where that is not installed."""
    package = find_spec("nvidia")
    places = package.submodule_search_locations if package is not None else None
    return next((file for file in (Path(place) / CUDA_RUNTIME for place in places or ()) if file.is_file()), None)


def _raise_stack_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    if soft == resource.RLIM_INFINITY or soft >= STACK_BYTES:
        return
    with suppress(ValueError, OSError):  # the hard limit is lower
        resource.setrlimit(resource.RLIMIT_STACK, (STACK_BYTES, hard))
