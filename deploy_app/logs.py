"""Logs for machines: one JSON object a line, with counts and timings, and nothing of a patient.

Images and studies appear as hashes of their UIDs (those that name the result files) and as running numbers: file names may hold
patients' names, so no path is logged either.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from enum import Enum
from time import perf_counter
from typing import IO, Any, NamedTuple

from monai_pneumonia.errors import TRACEBACK_VARIABLE

_NAME = "deploy_app"
_FIELDS = "fields"


class LogLevel(str, Enum):
    """Levels of the log lines."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class JsonLines(logging.Formatter):
    """A log record as one JSON object on one line: time (UTC), level, event, and the event's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        time = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        values = {"time": time, "level": record.levelname.lower(), "event": record.getMessage(), **getattr(record, _FIELDS, {})}
        return json.dumps(values)


def start_logging(stream: IO[str], level: str = "info") -> None:
    """Sends the application's events to a stream, and nobody else's: libraries quote what they read.

    Args:
        stream: where the lines go.
        level: the least that is written, a :class:`LogLevel`.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger(_NAME)
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False


def log(event: str, level: str = "info", **fields: Any) -> None:
    """Writes one line.

    Args:
        event: what happened, in one word.
        level: a :class:`LogLevel`.
        fields: numbers, hashes, and words of our own; never a value of a file, nor a name of one.
    """
    logging.getLogger(_NAME).log(getattr(logging, level.upper()), event, extra={_FIELDS: fields})


class Stopwatch:
    """Milliseconds since it was made, or since the last lap."""

    def __init__(self) -> None:
        self._start = self._lap = perf_counter()

    @property
    def milliseconds(self) -> float:
        """Since it was made."""
        return round((perf_counter() - self._start) * 1000, 1)

    def lap(self) -> float:
        """Since the last lap."""
        now = perf_counter()
        elapsed, self._lap = now - self._lap, now
        return round(elapsed * 1000, 1)


class Streams(NamedTuple):
    """The two streams that the application itself writes to: people read ``output``, machines and people ``errors``."""

    output: IO[str]
    errors: IO[str]


@contextmanager
def quiet_streams() -> Iterator[Streams]:
    """Keeps standard output and error for the application: what libraries print there, in Python or C, is lost.

    Decoders and the SDK print what they read, which no filter of ours could hold back, and would break up the lines. With the variable
    MONAI_PNEUMONIA_TRACEBACK they may speak.
    """
    if os.environ.get(TRACEBACK_VARIABLE):
        yield Streams(sys.stdout, sys.stderr)
        return
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(descriptor) for descriptor in (1, 2)]
    streams = Streams(*(os.fdopen(os.dup(descriptor), "w", buffering=1, errors="backslashreplace") for descriptor in kept))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    warnings.simplefilter("ignore")
    try:
        yield streams
    finally:
        # A stream that nobody takes, such as a full disk's, changes nothing of how a run ended.
        for stream in (sys.stdout, sys.stderr, *streams):
            with suppress(OSError):
                stream.flush()
        for descriptor, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, descriptor)
            os.close(copy)
        for stream in streams:
            with suppress(OSError):
                stream.close()
