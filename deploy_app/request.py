"""What a run is asked for, and whether it can be done: checked before anything heavy is loaded, so that a wrong path is told at once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from monai_pneumonia.errors import BadInputError, ModelFaultError, UsageError

METADATA_FILE = Path("configs") / "metadata.json"


@dataclass(frozen=True)
class Request:
    """What a run is asked for.

    Attributes:
        source: file or folder of DICOM files.
        output: folder of the results.
        model: a bundle's folder, or one with exactly one bundle below it.
        device: where to compute; None takes a GPU where there is one.
    """

    source: Path
    output: Path
    model: Path
    device: str | None = None


def check_request(request: Request) -> Path:
    """Looks at the three paths.

    Returns:
        the bundle's folder.

    Raises:
        UsageError: input and output are the same folder.
        BadInputError: there is no input, or it cannot be read.
        ModelFaultError: there is no folder, no bundle in it, or more than one.
    """
    try:
        if not request.source.exists():
            raise BadInputError(f"the input {request.source} does not exist: give a DICOM file, or a folder of them")
        if request.source.is_dir():
            with os.scandir(request.source):
                pass
    except OSError as error:
        raise BadInputError(f"the input {request.source} cannot be read ({error.strerror}): grant permission to read it") from error
    # Not Path.resolve, which raises over a link to itself.
    if os.path.realpath(request.source) == os.path.realpath(request.output):
        raise UsageError(f"{request.source} is both the input and the output folder: give the results a folder of their own")
    return find_bundle(request.model)


def find_bundle(model: Path) -> Path:
    """The bundle's folder: the one given, or the only one below it, as containers have it.

    Raises:
        ModelFaultError: there is no folder, no bundle in it, or more than one.
    """
    try:
        if not model.is_dir():
            raise ModelFaultError(
                f"no model at {model}: give the folder of a bundle (it holds {METADATA_FILE}), or a folder with one bundle in it"
            )
        if (model / METADATA_FILE).is_file():
            return model
        found = sorted(folder for folder in model.iterdir() if (folder / METADATA_FILE).is_file())
    except OSError as error:
        raise ModelFaultError(f"the model folder {model} cannot be read ({error.strerror}): grant permission to read it") from error
    if not found:
        raise ModelFaultError(f"no bundle in {model}: neither it nor a folder in it holds {METADATA_FILE}; give a bundle's folder")
    if len(found) > 1:
        raise ModelFaultError(f"{len(found)} bundles in {model} ({', '.join(folder.name for folder in found)}): give the folder of one")
    return found[0]
