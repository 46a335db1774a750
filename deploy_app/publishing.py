"""The output folder: results of a study appear together or not at all, whatever ends the run.

A study is written to a hidden folder and put in its place by one rename. An earlier folder of the study is first renamed aside; a run
that is killed between the two renames leaves the earlier one under a name that the next run knows and puts back.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from deploy_app.account import REPORT_FILE
from deploy_app.logs import log
from monai_pneumonia.dicom.identifiers import hashed, is_uid
from monai_pneumonia.errors import OutputNotWritableError
from monai_pneumonia.inference.predictions import written_to

LOCK_FILE = ".monai-pneumonia.lock"
UNFINISHED_PREFIX = ".unfinished-run-"
REPLACED_PREFIX = ".replaced-"
_UNFINISHED = re.compile(rf"{re.escape(UNFINISHED_PREFIX)}[0-9a-f]{{8}}")
_RESULT_FILE = re.compile(r"(?:sr|seg|sc)-([0-9a-f]{16})\.dcm")


class OutputFolder:
    """The folder of a run's results; a context manager that leaves nothing unfinished behind.

    Entering it heals what a killed run left, removes the earlier run's report and locks the folder against a second run.

    Args:
        folder: made if need be.

    Raises:
        OutputNotWritableError: it cannot be made or written, or another run is writing to it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(os.path.abspath(folder))
        self._unfinished = self.folder / _unfinished_name()
        self._resources = ExitStack()

    def __enter__(self) -> OutputFolder:
        with ExitStack() as resources:
            with written_to(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                resources.enter_context(_locked(self.folder))
                _heal(self.folder)
                (self.folder / REPORT_FILE).unlink(missing_ok=True)
                resources.callback(shutil.rmtree, self._unfinished, ignore_errors=True)
                self._unfinished.mkdir()
            self._resources = resources.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._resources.close()

    def study_folder(self, study_uid: str) -> Path:
        """Where results of a study are written until it is complete.

        Raises:
            OutputNotWritableError: it cannot be made.
            ValueError: the UID cannot name a folder.
        """
        if not is_uid(study_uid):
            raise ValueError("not a valid UID: it cannot name a folder")
        with written_to(self.folder):
            folder = self._unfinished / study_uid
            folder.mkdir(exist_ok=True)
        return folder

    def has_results(self, study_uid: str, source_uid: str) -> bool:
        """Whether an earlier run left results of an image."""
        return (self.folder / study_uid / f"sr-{hashed(source_uid)}.dcm").is_file()

    def keep_earlier(self, study_uid: str, sources: Collection[str]) -> list[dict[str, Any]]:
        """Takes over what earlier runs wrote about other images of a study, and whatever else lies in its folder.

        Args:
            study_uid: Study Instance UID.
            sources: SOP Instance UIDs of the images that this run served: their earlier results are replaced.

        Returns:
            what the earlier report says of the images whose results stay.

        Raises:
            OutputNotWritableError: they cannot be taken over.
        """
        earlier, unfinished = self.folder / study_uid, self.study_folder(study_uid)
        if not earlier.is_dir():
            return []
        replaced = {hashed(uid) for uid in sources}
        with written_to(self.folder):
            for item in earlier.iterdir():
                match = _RESULT_FILE.fullmatch(item.name)
                if item.name != REPORT_FILE and (match is None or match[1] not in replaced):
                    _copy(item, unfinished / item.name)
        return [
            entry
            for entry in _earlier_entries(earlier / REPORT_FILE)
            if entry["source_sop_instance_uid"] not in sources
            and all((unfinished / str(result["file"])).is_file() for result in entry["results"].values())
        ]

    def publish(self, study_uid: str, report: Mapping[str, Any]) -> None:
        """Puts a complete study in its place, with its report.

        Raises:
            OutputNotWritableError: the disk is full, or the folder can no longer be written; the earlier folder stays.
        """
        unfinished, place = self.study_folder(study_uid), self.folder / study_uid
        aside = self.folder / f"{REPLACED_PREFIX}{study_uid}"
        with written_to(self.folder):
            _write_json(unfinished / REPORT_FILE, report)
            _sync(unfinished)
            replaces = os.path.lexists(place)
            if replaces and not place.is_dir():
                raise OutputNotWritableError(f"{place} is in the way of a study's folder: move it, or give another output folder")
            if replaces:
                place.replace(aside)
            try:
                unfinished.replace(place)
            except BaseException:
                if replaces:
                    aside.replace(place)
                raise
            _sync(self.folder)
            if replaces:
                _discard(aside)

    def write_report(self, report: Mapping[str, Any]) -> Path:
        """Writes the run's report, whole or not at all.

        Raises:
            OutputNotWritableError: it cannot be written.
        """
        place = self.folder / REPORT_FILE
        with written_to(self.folder):
            _write_json(self._unfinished / REPORT_FILE, report)
            (self._unfinished / REPORT_FILE).replace(place)
            _sync(self.folder)
        return place


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keeps other runs out of a folder: by flock on the folder itself, and by a POSIX lock on a hidden file.

    The first tells runs of one process apart, and ends at this machine; the second reaches other machines over NFS, where the first does
    nothing.
    """
    with ExitStack() as held:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        held.callback(os.close, descriptor)
        _lock(folder, fcntl.flock, descriptor)
        _lock_file(folder, held)
        yield


def _lock_file(folder: Path, held: ExitStack) -> None:
    """Locks the hidden file, and removes it at the end.

    Raises:
        OutputNotWritableError: another run holds it, or something of that name is in the way.
    """
    file = folder / LOCK_FILE
    while True:
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
        except OSError as error:
            if not os.path.lexists(file):
                raise
            raise OutputNotWritableError(
                f"the lock file {file} cannot be opened ({error.strerror}): remove it, unless another run is writing to its folder"
            ) from error
        with suppress(OSError):  # whoever made it: should this run be killed, another user's must be able to lock it
            os.fchmod(descriptor, 0o666)
        with ExitStack() as opened:
            opened.callback(os.close, descriptor)
            if not _lock(folder, fcntl.lockf, descriptor):
                log("output_not_locked", "warning", reason="its file system has no locks: give each run an output folder of its own")
            # Where the run before removed it after it was opened here, the next run would open, and lock, another one.
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), file.stat()):
                    opened.callback(_unlink, file)
                    held.push(opened.pop_all())
                    return


def _unlink(file: Path) -> None:
    with suppress(OSError):
        file.unlink()


def _lock(folder: Path, lock: Callable[[int, int], object], descriptor: int) -> bool:
    """Takes a lock, or says that the file system has none.

    Raises:
        OutputNotWritableError: another run holds it.
    """
    try:
        lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise OutputNotWritableError(
                f"another run is writing to {folder}: wait until it ends, or give each run a folder of its own"
            ) from error
        return False
    return True


def _heal(folder: Path) -> None:
    """Removes what a killed run left unfinished, and puts back a study that it had set aside without replacing it.

    Raises:
        OutputNotWritableError: a study cannot be put back.
    """
    for item in list(folder.iterdir()):
        place = folder / item.name.removeprefix(REPLACED_PREFIX)
        if _UNFINISHED.fullmatch(item.name):
            _discard(item)
        elif item.name.startswith(REPLACED_PREFIX) and is_uid(place.name):
            if os.path.lexists(place):
                _discard(item)
            else:
                _put_back(item, place)


def _put_back(item: Path, place: Path) -> None:
    try:
        item.replace(place)
    except OSError as error:
        raise OutputNotWritableError(
            f"{item}, a study that a killed run set aside, cannot be put back ({error.strerror}): rename it to {place.name}"
        ) from error


def _unfinished_name() -> str:
    return f"{UNFINISHED_PREFIX}{secrets.token_hex(4)}"


def _discard(item: Path) -> None:
    """Removes what nobody needs any more.

    What cannot be removed, such as the files of another user, stays under a name in nobody's way; the next run tries again.
    """
    try:
        _remove(item if _UNFINISHED.fullmatch(item.name) else item.replace(item.with_name(_unfinished_name())))
    except OSError as error:
        log("leftover_not_removed", "warning", reason=error.strerror)


def _remove(item: Path) -> None:
    if item.is_dir() and not item.is_symlink():
        shutil.rmtree(item)
    else:
        item.unlink()


def _copy(item: Path, target: Path) -> None:
    """A second name for a file where the file system allows it, else a copy."""
    if item.is_dir() and not item.is_symlink():
        shutil.copytree(item, target, symlinks=True)
        return
    try:
        os.link(item, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(item, target, follow_symlinks=False)
        if not target.is_symlink():
            _sync(target)


def _earlier_entries(file: Path) -> list[dict[str, Any]]:
    """What an earlier report says of its images; nothing where it is no report of ours."""
    with suppress(OSError, ValueError, TypeError, AttributeError, KeyError):
        entries = json.loads(file.read_text(encoding="utf-8"))["images"]
        return [entry for entry in entries if is_uid(entry["source_sop_instance_uid"]) and _names_results(entry["results"])]
    return []


def _names_results(results: Mapping[str, Mapping[str, Any]]) -> bool:
    return bool(results) and all(_RESULT_FILE.fullmatch(result["file"]) for result in results.values())


def _write_json(file: Path, values: Mapping[str, Any]) -> None:
    with file.open("w", encoding="utf-8", newline="\n") as stream:
        json.dump(values, stream, indent=2, ensure_ascii=False, allow_nan=False)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())


def _sync(path: Path) -> None:
    """Has the system put a file, or a folder's list of names, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # what file systems answer that cannot do this for folders
            raise
    finally:
        os.close(descriptor)
