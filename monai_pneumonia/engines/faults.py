"""One line and an exit code for errors that reach the end of a bundle's expression."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from monai_pneumonia.errors import ExitCode, PneumoniaError

TRACEBACK_VARIABLE = "MONAI_PNEUMONIA_TRACEBACK"


def find_cause(error: BaseException) -> PneumoniaError | None:
    """Looks for one of our own errors in an exception's chain: MONAI and data loaders wrap what they meet."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, PneumoniaError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


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
        cause = find_cause(error)
        if cause is None or os.environ.get(TRACEBACK_VARIABLE):
            raise
        if os.environ.get("RANK", "0") == "0":
            print(f"error: {cause}", file=sys.stderr, flush=True)
        raise SystemExit(int(cause.exit_code if exit_code is None else exit_code)) from None


def guarded(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Calls a function for a configuration's expression; one of our own errors ends the process with one line and its exit code."""
    with one_line_errors():
        return function(*args, **kwargs)
