"""One line and an exit code for errors that reach the end of a bundle's expression."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from monai_pneumonia.errors import TRACEBACK_VARIABLE, ExitCode, pneumonia_error_of


@contextmanager
def one_line_errors(exit_code: ExitCode | None = None) -> Iterator[None]:
    """Ends the process with one line on standard error when one of our own errors passes; others pass untouched.

    MONAI wraps exceptions of configuration expressions in long tracebacks, but lets SystemExit through. Set the
    environment variable MONAI_PNEUMONIA_TRACEBACK to see the traceback instead.

    Args:
        exit_code: stands in for the error's own.

    Raises:
        SystemExit: in the place of a PneumoniaError.
    """
    try:
        yield
    except Exception as error:
        cause = pneumonia_error_of(error)
        if cause is None or os.environ.get(TRACEBACK_VARIABLE):
            raise
        rank = os.environ.get("RANK", "0")
        print(f"error: {cause}" if rank == "0" else f"error on rank {rank}: {cause}", file=sys.stderr, flush=True)
        raise SystemExit(int(cause.exit_code if exit_code is None else exit_code)) from None


def guarded(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Calls a function for a configuration's expression; one of our own errors ends the process with one line and its exit code."""
    with one_line_errors():
        return function(*args, **kwargs)
