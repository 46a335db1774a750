"""The files of a prediction run: one table, and for each picture its map, its lesions and an overlay. All of them, or none."""

from __future__ import annotations

import csv
import json
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from monai_pneumonia import RESEARCH_USE_ONLY
from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.errors import (
    BadInputError,
    NotEnoughMemoryError,
    OutputNotWritableError,
    PneumoniaError,
    RejectedImageError,
    UsageError,
)
from monai_pneumonia.inference.calibration import Calibration
from monai_pneumonia.inference.pictures import file_name_of
from monai_pneumonia.inference.report import LesionReport
from monai_pneumonia.radiograph import read_radiograph

PREDICTIONS_FILE = "predictions.csv"
LESIONS_FILE = "lesions.json"
MAP_FOLDERS = {"attention": ".npy", "lesions": ".png", "overlays": ".png"}
UNFINISHED_PREFIX = ".unfinished-"
STATUSES = ("ok", "rejected", "error")

# Names of files need not be text; their odd bytes are escaped.
_TEXT: Mapping[str, Any] = {"encoding": "utf-8", "errors": "backslashreplace"}


class HasModel(Protocol):
    """What the writer needs of a recogniser."""

    labels: LabelSpace
    model_version: str
    weights_sha256: str
    calibration: Calibration


def prediction_columns(classes: Sequence[str]) -> list[str]:
    """The columns of predictions.csv, in order."""
    probabilities = [f"prob_{name}" for name in classes]
    before, after = ["id", "image", "status", "reason"], ["p_pneumonia", "decision", "uncertainty", "n_lesions"]
    return [*before, *probabilities, *after, "model_version", "weights_sha256"]


def check_output(output: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Checks, before anything is computed, that results can be written to a folder; leaves no trace.

    Raises:
        OutputNotWritableError: the folder cannot be made or written.
        UsageError: it holds predictions already, and they are not to be overwritten.
    """
    folder = Path(os.path.abspath(output))
    existing = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    with written_to(folder):
        if not existing.is_dir():
            raise NotADirectoryError(0, f"{existing} is no folder")
        probe = existing / f"{UNFINISHED_PREFIX}{secrets.token_hex(4)}"
        probe.mkdir()
        probe.rmdir()
    if existing == folder and not overwrite:
        present = [name for name in (PREDICTIONS_FILE, LESIONS_FILE, *MAP_FOLDERS) if os.path.lexists(folder / name)]
        if present:
            raise UsageError(f"{folder} holds {present[0]} already: give another folder, or --overwrite to replace earlier predictions")


class PredictionWriter:
    """Writes the files of a prediction run; a context manager.

    They are written to a hidden folder on the same file system and moved to their place when the block ends without an
    error, predictions.csv last: a run that is killed leaves nothing that looks like a result.

    Args:
        output: the folder; made if need be.
        recognizer: whose predictions they are.
        maps: False writes predictions.csv alone.
        overwrite: whether to replace earlier predictions; other files of the folder always stay.

    Attributes:
        counts: rows by status.
        warnings: how many reports hold each warning.
        first_error: of the first picture that has no report.

    Raises:
        OutputNotWritableError: the folder cannot be written.
        UsageError: it holds predictions already, and they are not to be overwritten.
    """

    def __init__(self, output: str | os.PathLike[str], recognizer: HasModel, maps: bool = True, overwrite: bool = False) -> None:
        self.output = Path(os.path.abspath(output))
        self.recognizer = recognizer
        self.maps = maps
        self.overwrite = overwrite
        self.counts: Counter[str] = Counter()
        self.warnings: Counter[str] = Counter()
        self.first_error: PneumoniaError | None = None
        self._ids: set[str] = set()
        self._made: list[Path] = []
        self._unfinished: Path | None = None
        self._files = ExitStack()

    def __enter__(self) -> PredictionWriter:
        check_output(self.output, self.overwrite)
        try:
            with written_to(self.output):
                self._open()
        except BaseException:
            self._discard()
            raise
        return self

    def _open(self) -> None:
        # Inside a folder that exists (it may be a mount point), beside one that does not: a move must stay on one file system.
        place = self.output if self.output.exists() else self.output.parent
        self._made = _make_folders(place)
        self._unfinished = place / f"{UNFINISHED_PREFIX}{self.output.name}-{secrets.token_hex(4)}"
        self._unfinished.mkdir()
        table = self._files.enter_context((self._unfinished / PREDICTIONS_FILE).open("w", newline="", **_TEXT))
        self._rows = csv.DictWriter(table, prediction_columns(self.recognizer.labels.classes), restval="", lineterminator="\n")
        self._rows.writeheader()
        if self.maps:
            for name in MAP_FOLDERS:
                (self._unfinished / name).mkdir()
            self._lesions = self._files.enter_context(_LesionTable(self._unfinished / LESIONS_FILE, self.recognizer))

    def add(
        self, identifier: str, image: str | os.PathLike[str], outcome: LesionReport | PneumoniaError, listed_as: str | None = None
    ) -> None:
        """Writes one picture's row and files.

        Args:
            identifier: the picture's id; names its files.
            image: its file, which is read again to draw the overlay.
            outcome: its report, or why there is none.
            listed_as: what the table calls the file; None calls it ``image``.

        Raises:
            OutputNotWritableError: a file cannot be written.
            BadInputError: the id was there before.
        """
        if identifier in self._ids:
            raise BadInputError(f"the id '{identifier}' was written already: results are named by id, so each must be there once")
        self._ids.add(identifier)
        name = os.fspath(image) if listed_as is None else listed_as
        with written_to(self.output):
            if self.maps and isinstance(outcome, LesionReport):
                outcome = self._write_maps(identifier, image, name, outcome)
            self._write_row(identifier, name, outcome)

    def _write_maps(self, identifier: str, image: str | os.PathLike[str], name: str, report: LesionReport) -> LesionReport | PneumoniaError:
        """Writes the files beside the table; gives the error where the picture can no longer be read."""
        from monai_pneumonia.inference.overlay import draw_overlay  # a table needs none

        try:
            overlay = draw_overlay(read_radiograph(image).pixels, report)
        except PneumoniaError as error:
            return error
        except MemoryError:
            return NotEnoughMemoryError.of(image)
        np.save(self._map_file("attention", identifier), report.attention_map)
        _save_png(self._map_file("lesions", identifier), report.lesion_mask.astype(np.uint8) * np.uint8(255))
        _save_png(self._map_file("overlays", identifier), overlay)
        self._lesions.add(identifier, name, report)
        return report

    @property
    def _place(self) -> Path:
        """Where the files are written until they are complete."""
        if self._unfinished is None:
            raise RuntimeError("a PredictionWriter writes within its with block only")
        return self._unfinished

    def _map_file(self, folder: str, identifier: str) -> Path:
        return self._place / folder / f"{file_name_of(identifier)}{MAP_FOLDERS[folder]}"

    def _write_row(self, identifier: str, name: str, outcome: LesionReport | PneumoniaError) -> None:
        row: dict[str, Any] = {
            "id": identifier,
            "image": name,
            "model_version": self.recognizer.model_version,
            "weights_sha256": self.recognizer.weights_sha256,
        }
        if isinstance(outcome, LesionReport):
            row |= {"status": "ok", "decision": outcome.decision, "n_lesions": len(outcome.lesions)}
            row |= {"p_pneumonia": _number(outcome.p_pneumonia), "uncertainty": _number(outcome.uncertainty)}
            row |= {f"prob_{name}": _number(value) for name, value in outcome.probabilities.items()}
            self.warnings.update(outcome.warnings)
        else:
            self.first_error = self.first_error or outcome
            row |= {"status": "rejected" if isinstance(outcome, RejectedImageError) else "error", "reason": " ".join(str(outcome).split())}
        self._rows.writerow(row)
        self.counts[row["status"]] += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        try:
            if kind is None:
                with written_to(self.output):
                    self._files.close()
                    self._commit()
                self._made = []
        finally:
            self._discard()

    def _discard(self) -> None:
        """Removes what is unfinished; without effect once everything has moved to its place."""
        with suppress(OSError):
            self._files.close()
        if self._unfinished is not None:
            shutil.rmtree(self._unfinished, ignore_errors=True)
        for folder in reversed(self._made):
            with suppress(OSError):
                folder.rmdir()

    def _commit(self) -> None:
        """Moves the results to their place: as a whole where there was no folder, else file by file, the table last."""
        if not self.output.exists():
            self._place.replace(self.output)
            return
        if self.overwrite:
            _remove_predictions(self.output)
        files = sorted(file for file in self._place.rglob("*") if file.is_file() and file.name != PREDICTIONS_FILE)
        for file in (*files, self._place / PREDICTIONS_FILE):
            target = self.output / file.relative_to(self._place)
            target.parent.mkdir(exist_ok=True)
            file.replace(target)


class _LesionTable:
    """lesions.json, written picture by picture, so that a long run needs no more memory than a short one."""

    def __init__(self, file: Path, recognizer: HasModel) -> None:
        model = {"version": recognizer.model_version, "weights_sha256": recognizer.weights_sha256}
        self._stream = file.open("w", **_TEXT)
        self._stream.write(f'{{\n"notice": {json.dumps(RESEARCH_USE_ONLY)},\n"model": {json.dumps(model)},\n')
        self._stream.write(f'"lesion_threshold": {json.dumps(recognizer.calibration.lesion_threshold)},\n"pictures": {{')
        self._separator = "\n"

    def add(self, identifier: str, name: str, report: LesionReport) -> None:
        values = {key: value for key, value in report.to_dict().items() if key not in ("notice", "model_version", "weights_sha256")}
        record = json.dumps({"image": name, **values}, ensure_ascii=False)
        self._stream.write(f"{self._separator}{json.dumps(identifier, ensure_ascii=False)}: {record}")
        self._separator = ",\n"

    def __enter__(self) -> _LesionTable:
        return self

    def __exit__(self, *_: object) -> None:
        with self._stream:
            self._stream.write("\n}\n}\n")


@contextmanager
def written_to(folder: Path) -> Iterator[None]:
    """Names the output in errors of the file system."""
    try:
        yield
    except OSError as error:
        raise OutputNotWritableError(
            f"cannot write results to {folder} ({_reason(error)}): give a folder that can be written, with enough space"
        ) from error


def _reason(error: BaseException) -> str:
    """What the system said; pydicom wraps it into errors whose text is a whole traceback."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__
    return " ".join(str(error).split())[:200]


def _make_folders(folder: Path) -> list[Path]:
    """Makes a folder and its parents; gives those that were not there before, the outermost first."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()][::-1]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _remove_predictions(output: Path) -> None:
    """Removes earlier predictions and nothing else: the files that the earlier table names."""
    table = output / PREDICTIONS_FILE
    names: list[str] = []
    if table.is_file():
        with suppress(csv.Error, UnicodeDecodeError), table.open(encoding="utf-8", newline="") as stream:
            names = [file_name_of(row["id"]) for row in csv.DictReader(stream) if row.get("id")]
    # The table goes first: were the rest cut short, no table would speak for the maps that are left.
    table.unlink(missing_ok=True)
    (output / LESIONS_FILE).unlink(missing_ok=True)
    for folder, ending in MAP_FOLDERS.items():
        for name in names:
            (output / folder / f"{name}{ending}").unlink(missing_ok=True)
        with suppress(OSError):
            (output / folder).rmdir()


def _save_png(file: Path, pixels: np.ndarray) -> None:
    comment = PngInfo()
    comment.add_text("Comment", RESEARCH_USE_ONLY)
    Image.fromarray(pixels).save(file, pnginfo=comment)


def _number(value: float) -> str:
    # Enough digits to keep the order of probabilities next to 0 and 1.
    return format(value, ".12g")
