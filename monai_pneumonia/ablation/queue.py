"""The queue on disk: one job, one folder. What is done stays done, and a claim ends with the process that holds it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monai_pneumonia.ablation.plan import Job
from monai_pneumonia.errors import BadInputError, OutputNotWritableError

JOB_FILE = "job.json"
DONE_FILE = "done.json"
FAILED_FILE = "failed.json"
LOCK_FILE = "lock"
LOG_FILE = "log.txt"


class JobFolder:
    """A job's folder and what it tells of the job.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def log(self) -> Path:
        """What the job's processes printed."""
        return self.path / LOG_FILE

    def is_done(self) -> bool:
        """Whether the job ended well."""
        return (self.path / DONE_FILE).is_file()

    def has_failed(self) -> bool:
        """Whether the last attempt failed; a job that was killed has not."""
        return (self.path / FAILED_FILE).is_file()

    def result(self) -> dict[str, Any]:
        """What the finished job tells of itself.

        Raises:
            BadInputError: the job is not done, or its file is damaged.
        """
        return read_json(self.path / DONE_FILE)

    def job(self) -> Job:
        """The job itself.

        Raises:
            BadInputError: the folder holds none, or its file is damaged.
        """
        return Job(**read_json(self.path / JOB_FILE))

    def finish(self, result: Mapping[str, Any]) -> None:
        """Marks the job as done."""
        (self.path / FAILED_FILE).unlink(missing_ok=True)
        write_json(self.path / DONE_FILE, result)

    def fail(self, reason: str) -> None:
        """Marks the attempt as failed."""
        write_json(self.path / FAILED_FILE, {"reason": reason})

    def failure(self) -> str:
        """Why the last attempt failed, and the last lines that it printed."""
        reason = str(read_json(self.path / FAILED_FILE).get("reason"))
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n") if self.log.is_file() else []
        # A progress bar rewrites its line: only what it showed last is worth telling.
        last = [line.rsplit("\r", 1)[-1].rstrip() for line in lines if line.strip()][-8:]
        return "\n".join([reason, *(f"    {line}" for line in last)])

    @contextmanager
    def claimed(self) -> Iterator[bool]:
        """Claims the job for this process while the block lasts; gives False where another process has it.

        The system lets go of a claim when its process ends, however it ends.
        """
        with (self.path / LOCK_FILE).open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True


class Queue:
    """The jobs of a study, in a folder.

    Args:
        root: the folder; one sub-folder a job.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def add(self, job: Job) -> JobFolder:
        """Puts a job into the queue; one that is there already is left as it is, but for a failure, which is forgotten.

        Raises:
            OutputNotWritableError: the folder cannot be written.
        """
        folder = self.folder(job.id)
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            if not (folder.path / JOB_FILE).is_file():
                write_json(folder.path / JOB_FILE, job.to_dict())
            (folder.path / FAILED_FILE).unlink(missing_ok=True)
        except OSError as error:
            raise OutputNotWritableError(f"cannot write the job {folder.path} ({error.strerror}): give another --output") from error
        return folder

    def folder(self, job_id: str) -> JobFolder:
        """The folder of a job."""
        return JobFolder(self.root / job_id)


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON file, whole or not at all."""
    unfinished = file.with_name(f"{file.name}.{os.getpid()}.unfinished")
    unfinished.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(file)


def read_json(file: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        BadInputError: the file is missing or damaged.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInputError(f"cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise BadInputError(f"{file} is damaged ({error}): delete its folder, and the job runs anew") from error
    if not isinstance(content, dict):
        raise BadInputError(f"{file} is damaged (no JSON object): delete its folder, and the job runs anew")
    return content
