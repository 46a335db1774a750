"""Reads many files as the container does, in a child process that a watchdog restarts: no crash or hang goes unnoticed.

Run as a script it is the child: it takes lines ``number source other`` and answers each with one line of JSON.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import queue
import resource
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

ACCEPTED, REFUSED, REJECTED = "accepted", "refused", "rejected"
PATIENT_TAGS = (
    *("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"),
    *("InstitutionName", "ReferringPhysicianName", "StudyDescription"),
)
# Of one file: processor time, so that a busy machine fails nothing; the clock's limit is for what waits for ever.
CPU_SECONDS, CLOCK_SECONDS = 8.0, 90.0
MEGABYTES = 2048
# Beyond it an allocation fails, so that no file takes the machine down.
_ADDRESS_SPACE = 12 * 2**30


@dataclass(frozen=True)
class Case:
    """A damaged copy: its number, and the files that it is made of."""

    number: int
    source: Path
    other: Path

    def __str__(self) -> str:
        return f"copy {self.number} of {self.source.name} (splices: {self.other.name})"


@dataclass
class Account:
    """What became of all files.

    Attributes:
        outcomes: how many were accepted, refused by the gate, or rejected with an error of ours.
        kinds: the same by class of error.
        failures: everything else, one line each.
        slowest: the greatest processor time of one file, seconds.
        largest: the greatest resident memory of the child while it read one file, megabytes.
        chatter: what native code printed.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0
    largest: float = 0.0
    chatter: str = ""

    def add(self, case: Case, answer: dict[str, Any]) -> None:
        """Counts one file."""
        self.slowest, self.largest = max(self.slowest, answer["seconds"]), max(self.largest, answer["megabytes"])
        problem = answer["problem"]
        if not problem and answer["seconds"] > CPU_SECONDS:
            problem = f"took {answer['seconds']:.1f} s"
        if not problem and answer["megabytes"] > MEGABYTES:
            problem = f"took {answer['megabytes']:.0f} MB"
        if problem:
            self.failures.append(f"{case}: {problem}")
        else:
            self.outcomes[answer["outcome"]] += 1
            self.kinds[answer["kind"]] += 1


def read_watched(cases: Iterable[Case], folder: Path, processes: int = 2, write_every: int = 0) -> Account:
    """Reads every case in child processes.

    Args:
        cases: what to read.
        folder: for the children's files.
        processes: how many children read at a time.
        write_every: of each so many numbers one that is accepted has results written, which takes the longest; 0 writes none.
    """
    every = list(cases)
    accounts = [Account() for _ in range(processes)]
    workers = [
        threading.Thread(target=_watch, args=(every[index::processes], folder / f"child-{index}", account, write_every))
        for index, account in enumerate(accounts)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    total = Account()
    for account in accounts:
        total.outcomes += account.outcomes
        total.kinds += account.kinds
        total.failures += account.failures
        total.slowest, total.largest = max(total.slowest, account.slowest), max(total.largest, account.largest)
        total.chatter += account.chatter
    return total


def _watch(cases: list[Case], folder: Path, account: Account, write_every: int) -> None:
    folder.mkdir(parents=True)
    remaining = iter(cases)
    while True:
        chatter = folder / "stderr"
        with chatter.open("wb") as stream:
            finished = _one_child(remaining, folder, stream, account, write_every)
        text = chatter.read_text(errors="replace")
        account.chatter += text
        if finished:
            return
        if account.failures:
            account.failures[-1] += "\n" + _last_words(text)


def _one_child(cases: Iterator[Case], folder: Path, stderr: IO[bytes], account: Account, write_every: int) -> bool:
    """Feeds one child until it dies (False) or no case is left (True)."""
    command = [sys.executable, __file__, str(folder), str(write_every)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True)
    assert child.stdin is not None
    assert child.stdout is not None
    answers: queue.SimpleQueue[str] = queue.SimpleQueue()
    reader = threading.Thread(target=_collect, args=(child.stdout, answers), daemon=True)
    reader.start()
    try:
        for case in cases:
            child.stdin.write(json.dumps([case.number, str(case.source), str(case.other)]) + "\n")
            child.stdin.flush()
            try:
                answer = answers.get(timeout=CLOCK_SECONDS)
            except queue.Empty:
                account.failures.append(f"{case}: hangs")
                return False
            if not answer:
                account.failures.append(f"{case}: the process died with {child.wait()}")
                return False
            account.add(case, json.loads(answer))
        return True
    except BrokenPipeError:
        account.failures.append(f"{case}: the process had died before it")
        return False
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        reader.join()


def _last_words(text: str) -> str:
    """What a child that died wrote at its end: what native code said, and where in Python it was."""
    lines = text.split("Extension modules:")[0].rstrip().splitlines()
    return "\n".join(line for line in lines[-40:] if line.strip())[-3000:]


def _collect(lines: Iterable[str], answers: queue.SimpleQueue[str]) -> None:
    """Hands on what a child says; an empty line when it is at its end."""
    for line in lines:
        answers.put(line)
    answers.put("")


class _Child:
    def __init__(self, folder: Path, write_every: int) -> None:
        self.folder, self.write_every = folder, write_every
        self.sources: dict[str, Any] = {}
        self.values: dict[str, list[str]] = {}

    def answer(self, number: int, source: str, other: str) -> dict[str, Any]:
        from file_mutations import mutant

        file = self.folder / "copy.dcm"
        file.write_bytes(mutant(self._source(source), self._source(other), number))
        _forget_peak()
        started = time.process_time()
        writes = self.write_every > 0 and number % self.write_every == 0
        outcome, kind, problem = self._outcome(file, [*self.values[source], *self.values[other]], writes)
        seconds = time.process_time() - started
        return {"outcome": outcome, "kind": kind, "problem": problem, "seconds": seconds, "megabytes": _peak_megabytes()}

    def _source(self, path: str) -> Any:
        from file_mutations import SourceFile

        if path not in self.sources:
            self.sources[path] = SourceFile.read(Path(path))
            self.values[path] = patient_values(Path(path))
        return self.sources[path]

    def _outcome(self, file: Path, patient: list[str], writes: bool) -> tuple[str, str, str]:
        from monai_pneumonia.dicom import RefusedImageError
        from monai_pneumonia.errors import PneumoniaError

        try:
            return ACCEPTED, ACCEPTED, self._read(file, writes)
        except PneumoniaError as error:
            outcome = REFUSED if isinstance(error, RefusedImageError) else REJECTED
            return outcome, type(error).__name__, _problem_of(error, file, patient)
        except BaseException as error:
            return "", "", f"{type(error).__name__}: {error}"

    def _read(self, file: Path, writes: bool) -> str:
        """Reads a file as the container does; says what is wrong with what comes out."""
        import numpy as np

        from monai_pneumonia.dicom import check_image, read_header
        from monai_pneumonia.radiograph import read_radiograph

        check_image(file)
        header = read_header(file)
        radiograph = read_radiograph(file)
        pixels = radiograph.pixels
        if pixels.dtype != np.float32 or pixels.ndim != 2 or not (0 <= pixels.min() <= pixels.max() <= 1):
            return f"pixels {pixels.dtype} {pixels.shape} in {pixels.min()}..{pixels.max()}"
        if (header.Rows, header.Columns) != pixels.shape:
            # The container sees that when it writes.
            writes = True
        if writes and pixels.size <= 200 * 200:
            self._write(file, radiograph)
        return ""

    def _write(self, file: Path, radiograph: Any) -> None:
        from lesion_reports import ALGORITHM, lesion_report, two_spots

        from monai_pneumonia.dicom import write_results

        report = lesion_report(two_spots(*radiograph.pixels.shape), radiograph.pixel_spacing)
        write_results(file, report, ALGORITHM, self.folder / "results", radiograph)


def patient_values(path: Path) -> list[str]:
    """The values of a file by which its patient may be known; short ones stand in other words too, and are left out."""
    import pydicom

    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    values = (str(dataset.get(tag) or "") for tag in PATIENT_TAGS)
    return [value for value in values if len(value) >= 5]


def _problem_of(error: BaseException, file: Path, patient: list[str]) -> str:
    text = str(error).replace(str(file), "")
    if any(value in text for value in patient):
        return f"the message tells who the patient is: {text}"
    if "\n" in text or not text.isprintable() or len(text) > 600 or ": " not in text:
        return f"the message is no clear line: {text!r}"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            return "an allocation failed"
        cause = cause.__cause__ or cause.__context__
    return ""


def _forget_peak() -> None:
    """Has Linux measure the peak of resident memory anew."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _peak_megabytes() -> float:
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _serve() -> None:
    """The child: what native code prints goes to the error stream, the answers alone to the output."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    faulthandler.enable()
    sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    # What the first file needs is loaded before its time is taken.
    for module in ("lesion_reports", "highdicom.sr", "gdcm", "openjpeg", "rle", "jpeg_ls", "PIL.Image", "monai_pneumonia.dicom.writing"):
        importlib.import_module(module)
    child = _Child(Path(sys.argv[1]), int(sys.argv[2]))
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        print(json.dumps(child.answer(*json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    _serve()
