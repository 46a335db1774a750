"""What every importer does: counts records in and out, translates labels, names items, places them in splits."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from monai_pneumonia.data.datalist import SECTIONS, Datalist, DatalistItem
from monai_pneumonia.data.labels import DEFAULT_CLASSES, DEFAULT_GROUPS, LabelSpace
from monai_pneumonia.data.splits import SplitRules, split_by_patient
from monai_pneumonia.errors import BadInputError, NothingToAnalyseError, UsageError

DROP = "drop"
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".dcm", ".dicom", ".nii", ".nii.gz", ".mha")
_SPLIT_NAMES = {
    "train": "training",
    "training": "training",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "testing",
    "testing": "testing",
}
_EXAMPLES_SHOWN = 3
_NAMES_SHOWN = 20
_LONGEST_NAME = 120


@dataclass(frozen=True)
class LabelRules:
    """Which classes a datalist gets, and how a source's own labels become them.

    Attributes:
        classes: class names in channel order.
        groups: group name to its classes; None means :data:`DEFAULT_GROUPS` with the default classes, and none otherwise.
        mapping: a source's label to a class, a group, None (keep the picture without a label) or :data:`DROP` (leave it out).
    """

    classes: tuple[str, ...] = DEFAULT_CLASSES
    groups: Mapping[str, Sequence[str]] | None = None
    mapping: Mapping[str, str | None] = field(default_factory=dict)

    def space(self) -> LabelSpace:
        """The label space of the datalist.

        Raises:
            BadInputError: classes and groups do not fit together.
            UsageError: the mapping leads to a label that is neither a class nor a group.
        """
        default = DEFAULT_GROUPS if self.classes == DEFAULT_CLASSES else {}
        space = LabelSpace.of(self.classes, default if self.groups is None else self.groups)
        for label, target in self.mapping.items():
            if target != DROP and not space.knows(target):
                raise UsageError(
                    f"label '{label}' is mapped to '{target}', which is neither a class of {list(space.classes)} nor a group of "
                    f"{list(space.groups)}: map it to one of these (--map), or add it (--classes, --group)"
                )
        return space

    def over(self, defaults: Mapping[str, str | None]) -> LabelRules:
        """These rules with an importer's own mapping beneath: what the user maps wins.

        Defaults that lead to a label which these classes and groups lack are left aside, so that :meth:`Intake.finish` asks for them.
        """
        space = self.space()
        usable = {label: target for label, target in defaults.items() if target == DROP or space.knows(target)}
        return replace(self, mapping={**usable, **self.mapping})


DEFAULT_LABEL_RULES = LabelRules()


@dataclass(frozen=True)
class PictureFolder:
    """Where an importer writes pictures that its source keeps in another form.

    Attributes:
        path: the folder; made where it is missing.
    """

    path: Path


@dataclass(frozen=True)
class ImportResult:
    """A datalist, and an account of every record that went into it or did not.

    Attributes:
        datalist: what was imported.
        records: pictures that the source lists.
        left_out: reason to the number of pictures left out for it.
        examples: reason to a few file names.
        notes: what else a reader should know: values set to null, patients moved, columns left aside.
    """

    datalist: Datalist
    records: int
    left_out: Mapping[str, int]
    examples: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...]


class Intake:
    """Collects the pictures of one source and keeps count of them.

    Args:
        name: of the datalist.
        rules: classes and label mapping.
    """

    def __init__(self, name: str, rules: LabelRules) -> None:
        self.name = name
        self.labels = rules.space()
        self._mapping = rules.mapping
        self._records = 0
        self._unknown_labels: Counter[str] = Counter()
        self._left_out: dict[str, list[str]] = {}
        self._altered: Counter[str] = Counter()
        self._notes: list[str] = []
        self._placed: list[tuple[tuple[str, ...], DatalistItem, Path]] = []

    def label(self, raw: str) -> str | None:
        """Translates a source's label; unknown ones are gathered, so that :meth:`finish` can name them all.

        Returns:
            A class, a group, None or :data:`DROP`.
        """
        raw = raw.strip()
        if raw in self._mapping:
            return self._mapping[raw]
        if not raw or self.labels.knows(raw):
            return raw or None
        self._unknown_labels[raw] += 1
        return None

    def age(self, raw: str) -> float | None:
        """An age in years, or None where it is blank or impossible; the impossible ones are counted."""
        age = parse_age(raw)
        if age is None and raw.strip():
            self.alter("impossible age set to null")
        return age

    def sex(self, raw: str) -> str | None:
        """``M``, ``F`` or None; what is neither is counted."""
        sex = {"m": "M", "male": "M", "f": "F", "female": "F"}.get(raw.strip().lower())
        if sex is None and raw.strip():
            self.alter("sex other than M or F set to null")
        return sex

    def alter(self, what: str) -> None:
        """Counts a value that was changed on the way."""
        self._altered[what] += 1

    def note(self, text: str) -> None:
        """Adds a line to the account."""
        self._notes.append(text)

    def leave_out(self, reason: str, file: str | os.PathLike[str]) -> None:
        """Counts a picture that the datalist does not get."""
        self._records += 1
        self._left_out.setdefault(reason, []).append(Path(file).name)

    def add(self, item: DatalistItem, file: Path, sections: tuple[str, ...] = SECTIONS) -> None:
        """Takes a picture in; :meth:`finish` sets its id, and chooses by patient where several sections may have it."""
        self._records += 1
        self._placed.append((sections, item, file))

    def finish(self, root: Path, splits: SplitRules) -> ImportResult:
        """Names the items, splits those that have no section, and closes the account.

        Raises:
            BadInputError: labels that nobody explained.
            NothingToAnalyseError: no picture is left.
        """
        self._refuse_unknown_labels()
        if not self._placed:
            reasons = "; ".join(f"{len(files)} {reason}" for reason, files in self._left_out.items()) or "the source lists none"
            raise NothingToAnalyseError(f"no picture to import from {root}: {reasons}")
        names = unique_ids([file for _, _, file in self._placed], root)
        choices: dict[tuple[str, ...], list[DatalistItem]] = {}
        for (allowed, item, _), name in zip(self._placed, names, strict=True):
            choices.setdefault(allowed, []).append(replace(item, id=name))
        sections: dict[str, list[DatalistItem]] = {section: [] for section in SECTIONS}
        for allowed, items in choices.items():
            for section, part in zip(allowed, self._split(items, allowed, splits), strict=True):
                sections[section].extend(part)
        self._note_absent_classes()
        return ImportResult(
            datalist=Datalist(self.name, self.labels, root=root, **{section: tuple(part) for section, part in sections.items()}),
            records=self._records,
            left_out={reason: len(files) for reason, files in self._left_out.items()},
            examples={reason: tuple(files[:_EXAMPLES_SHOWN]) for reason, files in self._left_out.items()},
            notes=(*self._notes, *(f"{count} x {what}" for what, count in self._altered.items())),
        )

    def _split(self, items: list[DatalistItem], allowed: tuple[str, ...], splits: SplitRules) -> Sequence[list[DatalistItem]]:
        if len(allowed) == 1:
            return [items]
        shares = [splits.fractions[SECTIONS.index(section)] for section in allowed]
        if not sum(shares):
            raise UsageError(f"fractions {splits.fractions} leave nothing for {' and '.join(allowed)}")
        parts = split_by_patient(items, [share / sum(shares) for share in shares], splits.seed)
        placed = ", ".join(f"{len(part)} {section}" for section, part in zip(allowed, parts, strict=True))
        self.note(f"no split in the source for {len(items)} pictures: split by patient with seed {splits.seed}: {placed}")
        return parts

    def _note_absent_classes(self) -> None:
        found = {item.label for _, item, _ in self._placed}
        absent = [name for name in self.labels.classes if name not in found]
        if absent:
            self.note(
                f"no picture of the class {', '.join(absent)}: to train on this source alone, choose its own classes (--classes, --map)"
            )

    def _refuse_unknown_labels(self) -> None:
        if not self._unknown_labels:
            return
        listed = ", ".join(f"'{label}' ({count})" for label, count in sorted(self._unknown_labels.items()))
        first = min(self._unknown_labels)
        raise BadInputError(
            f"unknown label(s) {listed}: classes are {list(self.labels.classes)}, groups {list(self.labels.groups)}. Say what each "
            f"means: --map '{first}=CLASS', --map '{first}=null' (keep without a label) or --map '{first}={DROP}' (leave out)"
        )


def parse_age(raw: str) -> float | None:
    """Reads an age in years: ``62``, ``62.0``, DICOM's ``062Y``, ``018M``, ``003W``, ``010D``.

    Returns:
        Years, rounded to hundredths, or None where the text is no age between 0 and 120 years.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?)\s*([YMWDymwd]?)\s*", raw)
    if match is None:
        return None
    years = float(match[1]) / {"": 1.0, "Y": 1.0, "M": 12.0, "W": 52.18, "D": 365.25}[match[2].upper()]
    return round(years, 2) if years <= 120 else None


def section_of(split: str) -> str | None:
    """The section that a split's usual name (train, val, test, ...) means, or None where it is no such name."""
    return _SPLIT_NAMES.get(split.strip().lower())


def unique_ids(files: Sequence[Path], root: Path) -> list[str]:
    """Names pictures by their file stems, made safe as file names.

    Pictures whose stems clash (upper and lower case count as one) are named by their path below ``root``, then by the path with its
    suffix, then with a number: the same files in the same order get the same names.
    """
    forms = ([_safe(file.stem) for file in files], [_safe(_below(file, root, False)) for file in files])
    names = [""] * len(files)
    open_ = set(range(len(files)))
    for form in (*forms, [_safe(_below(file, root, True)) for file in files]):
        taken = {name.casefold() for name in names if name}
        counts = Counter(form[index].casefold() for index in open_)
        settled = [index for index in open_ if counts[form[index].casefold()] == 1 and form[index].casefold() not in taken]
        for index in settled:
            names[index] = form[index]
        open_ -= set(settled)
    taken = {name.casefold() for name in names if name}
    for index in sorted(open_):
        stem, number = forms[1][index], 1
        while f"{stem}-{number}".casefold() in taken:
            number += 1
        names[index] = f"{stem}-{number}"
        taken.add(names[index].casefold())
    return names


def relative(file: Path, root: Path) -> str:
    """A path below (or beside) the datalist's root, with forward slashes."""
    return Path(os.path.relpath(file, root)).as_posix()


def is_picture(file: Path) -> bool:
    """Whether a file is a picture by its suffix, or, without a suffix, by DICOM's mark."""
    if file.name.lower().endswith(PICTURE_SUFFIXES):
        return True
    if file.suffix:
        return False
    with file.open("rb") as stream:
        stream.seek(128)
        return stream.read(4) == b"DICM"


def find_one(folder: Path, *patterns: str) -> Path:
    """The file or folder that a layout must have, by the first pattern that matches anything.

    Raises:
        BadInputError: nothing matches, or several do; names what was looked for and what was found.
    """
    for pattern in patterns:
        found = sorted(folder.glob(pattern))
        if len(found) > 1:
            raise BadInputError(f"{folder} has several {pattern}: {', '.join(path.name for path in found)}; keep one")
        if found:
            return found[0]
    there = sorted(path.name for path in folder.iterdir())[:_NAMES_SHOWN] if folder.is_dir() else ["nothing: there is no such folder"]
    raise BadInputError(f"{folder} has no {' or '.join(patterns)}; it has {', '.join(there) or 'nothing'}")


def _below(file: Path, root: Path, keep_suffix: bool) -> str:
    path = Path(relative(file, root))
    return str(path if keep_suffix else path.with_suffix(""))


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[-_LONGEST_NAME:].strip("._-") or "picture"
