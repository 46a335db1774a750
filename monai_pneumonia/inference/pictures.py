"""The pictures of a prediction run: a file, a folder or a datalist, each picture with an id that can name files."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from monai_pneumonia.data.datalist import SECTIONS, load_datalist
from monai_pneumonia.errors import BadInputError, NothingToAnalyseError, UsageError

ALL_SECTIONS = "all"
DICOM_DIRECTORY = "DICOMDIR"

_ENDINGS = (
    *(".nii.gz", ".nii", ".mha", ".mhd", ".dcm", ".dicom", ".ima"),
    *(".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".tif", ".tiff", ".gif", ".webp", ".jp2", ".j2k"),
    *(".txt", ".csv", ".json", ".pdf"),
)
_LONGEST_NAME = 150
_PLAIN_CHARACTERS = frozenset("._-+=@ ()")


@dataclass(frozen=True)
class PictureFile:
    """A picture of a prediction run.

    Attributes:
        id: unique within the run.
        path: the file.
        listed_as: the file as the input names it, for tables: relative to the folder or datalist.
    """

    id: str
    path: Path
    listed_as: str


@dataclass(frozen=True)
class PictureFiles:
    """The pictures of a prediction run.

    Attributes:
        pictures: in the input's order; that of a folder is by name.
        left_aside: files of a folder that are no pictures by convention: hidden files, DICOMDIR and what is no regular file.
    """

    pictures: tuple[PictureFile, ...]
    left_aside: int = 0


def find_pictures(source: str | os.PathLike[str], section: str = "testing", aside: str | os.PathLike[str] | None = None) -> PictureFiles:
    """Lists the pictures of a file, of a folder and its sub-folders, or of a section of a datalist (a file named *.json).

    Every regular file of a folder is listed, whether or not it is a picture, so that each gets its row; hidden files and
    folders (named .*) and DICOMDIR are left aside and counted.

    Args:
        source: file, folder or datalist.
        section: of a datalist: ``training``, ``validation``, ``testing`` or ``all``.
        aside: a folder inside the source that is not searched, such as that of the results.

    Raises:
        BadInputError: the source does not exist, or the datalist breaks its form or names an id twice.
        NothingToAnalyseError: there is nothing in it.
        UsageError: there is no such section, or the folder to leave aside is the source itself.
    """
    if section not in (*SECTIONS, ALL_SECTIONS):
        raise UsageError(f"--section is '{section}': give one of {', '.join((*SECTIONS, ALL_SECTIONS))}")
    path = Path(source)
    if path.is_dir():
        return _from_folder(path, None if aside is None else Path(aside))
    if not path.exists():
        raise BadInputError(f"the input {path} does not exist: give a file, a folder or a datalist")
    if path.suffix.lower() == ".json":
        return _from_datalist(path, section)
    return PictureFiles((PictureFile(file_name_of(_without_ending(path.name)), path, path.name),))


def file_name_of(identifier: str) -> str:
    """The name that an id has in file names: the id itself, or where that cannot name a file, a safe form of it with a hash.

    Letters, digits, blanks and ``._-+=@()`` are kept, everything else becomes ``_``; no name starts with a dot.

    Args:
        identifier: any text.
    """
    safe = "".join(character if character.isalnum() or character in _PLAIN_CHARACTERS else "_" for character in identifier)
    safe = safe.strip(" ")
    if safe.startswith("."):
        safe = "_" + safe[1:]
    if safe == identifier and 0 < len(safe.encode()) <= _LONGEST_NAME:
        return identifier
    return f"{_cut(safe)}-{_digest(identifier)}".lstrip("-")


def _cut(name: str) -> str:
    return name.encode()[: _LONGEST_NAME - 10].decode(errors="ignore").rstrip(" ")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def _from_datalist(file: Path, section: str) -> PictureFiles:
    datalist = load_datalist(file)
    sections = SECTIONS if section == ALL_SECTIONS else (section,)
    items = [item for name in sections for item in datalist.section(name)]
    if not items:
        raise NothingToAnalyseError(f"the datalist {file} has no item in its section '{section}': choose another with --section")
    twice = [identifier for identifier, count in Counter(item.id for item in items).items() if count > 1]
    if twice:
        raise BadInputError(f"the datalist {file} has {len(twice)} id(s) more than once, such as '{twice[0]}': results are named by id")
    return PictureFiles(tuple(PictureFile(item.id, datalist.resolve(item.image), item.image) for item in items))


def _from_folder(folder: Path, aside: Path | None) -> PictureFiles:
    if aside is not None and aside.resolve() == folder.resolve():
        raise UsageError(f"{folder} is the input and the output folder: results would be taken for pictures, give another --output")
    files, left_aside = _walk(folder, None if aside is None else aside.resolve())
    if not files:
        raise NothingToAnalyseError(f"the folder {folder} holds no file to analyse ({left_aside} hidden file(s) or DICOMDIR left aside)")
    names = [file.relative_to(folder).as_posix() for file in files]
    return PictureFiles(
        tuple(PictureFile(identifier, file, name) for identifier, file, name in zip(_unique_ids(names), files, names, strict=True)),
        left_aside,
    )


def _walk(folder: Path, aside: Path | None) -> tuple[list[Path], int]:
    """All files below a folder, sorted by their path, and how many were left aside; links are followed, each folder once."""
    files: list[Path] = []
    left_aside = 0
    seen = {folder.resolve(), *(() if aside is None else (aside,))}
    for root, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        place = Path(root)
        hidden = {name for name in folders if name.startswith(".")}
        left_aside += sum(len(below) for name in hidden for _, _, below in os.walk(place / name))
        folders[:] = [name for name in sorted(folders) if name not in hidden and (place / name).resolve() not in seen]
        seen.update((place / name).resolve() for name in folders)
        for name in names:
            file = place / name
            # A link that leads nowhere is listed: whoever put it there expects a row.
            if name.startswith(".") or name == DICOM_DIRECTORY or (file.exists() and not file.is_file()):
                left_aside += 1
            else:
                files.append(file)
    return sorted(files, key=lambda file: file.relative_to(folder).parts), left_aside


def _refuse(error: OSError) -> None:
    raise BadInputError(f"the folder {error.filename} cannot be read ({error.strerror}): its pictures would be missing") from error


def _unique_ids(names: Sequence[str]) -> list[str]:
    """Ids from relative paths: without the ending, folders joined by ``__``; with a hash of the path where two would be alike."""
    plain = [file_name_of("__".join(PurePath(_without_ending(name)).parts)) for name in names]
    # Folded, for some file systems tell no case apart.
    count = Counter(identifier.casefold() for identifier in plain)
    return [
        identifier if count[identifier.casefold()] == 1 else f"{_cut(identifier)}-{_digest(name)}"
        for identifier, name in zip(plain, names, strict=True)
    ]


def _without_ending(name: str) -> str:
    """A file's name without an ending that names a format; what follows the last dot of a UID is kept."""
    ending = next((ending for ending in _ENDINGS if name.lower().endswith(ending)), "")
    return name[: len(name) - len(ending)] or name
