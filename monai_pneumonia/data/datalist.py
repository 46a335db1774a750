"""The datalist: which pictures there are, what is known of each, and which split it belongs to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.errors import BadInputError, OutputNotWritableError
from monai_pneumonia.whole_files import whole_file

if TYPE_CHECKING:
    import jsonschema

SECTIONS = ("training", "validation", "testing")
MASK_KINDS = ("pixel", "box", "empty", "unknown")

_TEXT = {"type": ["string", "null"]}
_ITEM_SCHEMA = {
    "type": "object",
    "required": ["id", "image"],
    "properties": {
        "id": {"type": "string", "minLength": 1},
        "image": {"type": "string", "minLength": 1},
        "label": _TEXT,
        "mask": _TEXT,
        "boxes": {
            "type": ["array", "null"],
            "items": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4},
        },
        "mask_kind": {"enum": [*MASK_KINDS, None]},
        "patient_id": _TEXT,
        "source": _TEXT,
        "view": _TEXT,
        "age": {"type": ["number", "null"]},
        "sex": _TEXT,
        "license": _TEXT,
    },
}
DATALIST_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["classes", *SECTIONS],
    "properties": {
        "name": {"type": "string"},
        "classes": {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
        "groups": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
        **{section: {"type": "array", "items": _ITEM_SCHEMA} for section in SECTIONS},
    },
}


@dataclass(frozen=True)
class DatalistItem:
    """One picture and what is known of it.

    Attributes:
        id: unique within the datalist; names the result files of this picture.
        image: path of the picture, relative to the datalist's file.
        label: a class, a group, or None where nobody said.
        mask: path of the lesion outline (0/255, the picture's size), relative to the datalist's file.
        boxes: lesion boxes (x, y, width, height) in the picture's pixels.
        mask_kind: ``pixel`` (drawn), ``box`` (boxes or boxes made a mask), ``empty`` (read, nothing found), ``unknown``.
        age: in years.
    """

    id: str
    image: str
    label: str | None = None
    mask: str | None = None
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    mask_kind: str = "unknown"
    patient_id: str | None = None
    source: str | None = None
    view: str | None = None
    age: float | None = None
    sex: str | None = None
    license: str | None = None

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> DatalistItem:
        """Builds an item from a record of the JSON file; fields that we do not know are left aside."""
        known = {entry.name for entry in fields(cls)}
        values = {key: value for key, value in record.items() if key in known}
        values["boxes"] = tuple(tuple(float(number) for number in box) for box in values.get("boxes") or ())
        values["mask_kind"] = values.get("mask_kind") or "unknown"
        return cls(**values)

    @property
    def patient(self) -> str:
        """What keeps pictures of one patient together: the patient id, or the item's own id where none is known."""
        return f"patient:{self.patient_id}" if self.patient_id else f"item:{self.id}"


@dataclass(frozen=True)
class Datalist:
    """A data set: its label space and its three splits.

    Attributes:
        root: the folder that the items' paths are relative to (that of the datalist's file).
    """

    name: str
    labels: LabelSpace
    training: tuple[DatalistItem, ...] = ()
    validation: tuple[DatalistItem, ...] = ()
    testing: tuple[DatalistItem, ...] = ()
    root: Path = field(default_factory=Path)

    def section(self, name: str) -> tuple[DatalistItem, ...]:
        """The items of ``training``, ``validation`` or ``testing``.

        Raises:
            BadInputError: there is no such section.
        """
        if name not in SECTIONS:
            raise BadInputError(f"a datalist has the sections {', '.join(SECTIONS)}, not '{name}'")
        items: tuple[DatalistItem, ...] = getattr(self, name)
        return items

    def items(self) -> Iterator[tuple[str, DatalistItem]]:
        """All (section, item) pairs, in order."""
        for section in SECTIONS:
            for item in self.section(section):
                yield section, item

    def resolve(self, path: str) -> Path:
        """The absolute form of an item's path, whether or not it exists."""
        return Path(os.path.abspath(self.root / path))

    def existing(self, item: DatalistItem, path: str) -> Path:
        """The absolute form of an item's path, which must be a file.

        Raises:
            BadInputError: there is no such file.
        """
        resolved = self.resolve(path)
        if not resolved.is_file():
            raise BadInputError(f"item '{item.id}': {resolved} does not exist (paths are relative to the datalist's folder {self.root})")
        return resolved

    def with_sections(self, **sections: tuple[DatalistItem, ...]) -> Datalist:
        """A copy with other items in the sections named."""
        return replace(self, **sections)  # type: ignore[arg-type]


def load_datalist(path: str | os.PathLike[str]) -> Datalist:
    """Reads a datalist and checks its form; :mod:`monai_pneumonia.data.validation` checks the pictures.

    Args:
        path: the JSON file.

    Raises:
        BadInputError: the file is missing, no JSON, or breaks the schema; all breaches are named.
    """
    import jsonschema  # what serves without a datalist does without it

    file = Path(path)
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInputError(f"cannot read the datalist {file}: {error.strerror}") from error
    except ValueError as error:  # no JSON, or no UTF-8
        raise BadInputError(f"the datalist {file} is not JSON: {error}") from error
    breaches = [
        f"{'/'.join(str(step) for step in breach.absolute_path) or 'top level'}: {_told(breach)}"
        for breach in jsonschema.Draft7Validator(DATALIST_SCHEMA).iter_errors(content)
    ]
    if breaches:
        raise BadInputError(f"the datalist {file} breaks its schema in {len(breaches)} place(s):\n  " + "\n  ".join(breaches))
    return Datalist(
        name=content.get("name") or file.stem,
        labels=LabelSpace.of(content["classes"], content.get("groups")),
        root=Path(os.path.abspath(file.parent)),
        **{section: tuple(DatalistItem.from_json(record) for record in content[section]) for section in SECTIONS},
    )


def _told(breach: jsonschema.ValidationError) -> str:
    """What a value should have been; the value itself may be a patient's and stays out of messages."""
    wanted = breach.validator_value
    match breach.validator:
        case "required":
            return str(breach.message)  # names the key alone
        case "type":
            return f"must be {wanted if isinstance(wanted, str) else ' or '.join(wanted)}"
        case "enum":
            return f"must be one of {wanted}"
        case "minItems" | "maxItems":
            return f"must hold {'at least' if breach.validator == 'minItems' else 'at most'} {wanted}"
        case "minLength":
            return "must not be empty"
        case _:
            return f"breaks the rule {breach.validator} {wanted}"


def save_datalist(datalist: Datalist, path: str | os.PathLike[str]) -> None:
    """Writes a datalist, its paths made relative to the new file; whole or not at all.

    Raises:
        OutputNotWritableError: the file cannot be written there.
    """
    file = Path(os.path.abspath(path))

    def record(item: DatalistItem) -> dict[str, Any]:
        values = asdict(item)
        for key in ("image", "mask"):
            if values[key] is not None:
                values[key] = Path(os.path.relpath(datalist.resolve(values[key]), file.parent)).as_posix()
        values["boxes"] = [list(box) for box in item.boxes]
        return values

    content = {
        "name": datalist.name,
        "classes": list(datalist.labels.classes),
        "groups": {group: list(members) for group, members in datalist.labels.groups.items()},
        **{section: [record(item) for item in datalist.section(section)] for section in SECTIONS},
    }
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(file) as unfinished:
            unfinished.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputNotWritableError(f"cannot write the datalist {file}: {error.strerror}") from error
