"""Errors that a user can mend, and the exit codes that commands and containers share."""

from __future__ import annotations

from enum import IntEnum

TRACEBACK_VARIABLE = "MONAI_PNEUMONIA_TRACEBACK"
"""Environment variable that asks for the traceback of an error, beside its line."""


class ExitCode(IntEnum):
    """Exit codes of the command line and of the hospital container: one meaning each, everywhere."""

    OK = 0
    USAGE = 2
    NOTHING_TO_ANALYSE = 3
    BAD_INPUT = 4
    PARTLY_SERVED = 5
    MODEL_FAULT = 6
    OUTPUT_NOT_WRITABLE = 7


class PneumoniaError(Exception):
    """An error whose message says what is wrong, in which file or key, and what to do about it.

    Messages name files and keys, never a patient: they end up in logs.
    """

    exit_code: ExitCode = ExitCode.BAD_INPUT


class UsageError(PneumoniaError):
    """A command or configuration asks for something that does not exist or does not fit together."""

    exit_code = ExitCode.USAGE


class NothingToAnalyseError(PneumoniaError):
    """The input holds no picture at all."""

    exit_code = ExitCode.NOTHING_TO_ANALYSE


class BadInputError(PneumoniaError):
    """An input file cannot be used."""

    exit_code = ExitCode.BAD_INPUT


class UnreadableImageError(BadInputError):
    """A file is missing, damaged, or in a form that no decoder here understands."""


class NotEnoughMemoryError(BadInputError):
    """A picture needs more memory than there is; nothing need be wrong with its file."""

    @classmethod
    def of(cls, name: object) -> NotEnoughMemoryError:
        """The error over a picture."""
        return cls(f"{name}: needs more memory than there is: make more available, or give the picture at a lower resolution")


class RejectedImageError(BadInputError):
    """A file was read, but is not a picture that we may analyse: a CT slice, a cine run, a multi-frame object."""


class ModelFaultError(PneumoniaError):
    """Weights or bundle are missing, damaged or made for something else."""

    exit_code = ExitCode.MODEL_FAULT


class DeviceFaultError(ModelFaultError):
    """The device that the model computes on failed, or cannot hold the model."""


class OutputNotWritableError(PneumoniaError):
    """Results cannot be written where they were asked for."""

    exit_code = ExitCode.OUTPUT_NOT_WRITABLE


def pneumonia_error_of(error: BaseException | None) -> PneumoniaError | None:
    """The error of ours that lies under the RuntimeErrors that MONAI's Compose and data sets wrap around it; None where there is none."""
    while error is not None:
        if isinstance(error, PneumoniaError):
            return error
        error = error.__cause__
    return None
