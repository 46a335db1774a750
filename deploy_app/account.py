"""The account of a run: what became of every file of the input, and the reports that say so.

Nothing in a report changes from run to run: no times, no absolute paths. Of patients it holds UIDs alone, and names of files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from monai_pneumonia import RESEARCH_USE_ONLY, __version__
from monai_pneumonia.errors import ExitCode

APPLICATION = {"name": "monai-pneumonia", "version": __version__}
REPORT_FILE = "report.json"


class Status(str, Enum):
    """What became of a file."""

    SERVED = "served"
    """Results were written."""

    SKIPPED = "skipped"
    """It holds no image to analyse, or one that is there a second time."""

    REJECTED = "rejected"
    """It holds an image, or should, and was not analysed."""


class Reason(str, Enum):
    """Why a file was skipped or rejected, beside the reasons of the gate (:class:`monai_pneumonia.dicom.RefusalReason`)."""

    HIDDEN = "hidden"
    DICOMDIR = "dicomdir"
    SPECIAL_FILE = "special_file"
    NO_IMAGE = "no_image"
    DUPLICATE = "duplicate"
    NOT_DICOM = "not_dicom"
    NOT_READABLE = "not_readable"
    LINK_OUTSIDE = "link_outside"
    DAMAGED = "damaged"
    OVERSIZED = "oversized"
    INVALID_IDENTIFIER = "invalid_identifier"
    AMBIGUOUS_IDENTIFIER = "ambiguous_identifier"
    CHANGED = "changed"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"


@dataclass(frozen=True)
class FileRecord:
    """What became of one file.

    Attributes:
        number: its place among the files of the input, from 1: what logs call it.
        name: its path, relative to the input.
        status: what became of it.
        reason: why, as one word; empty for a served file.
        sentence: why, for people.
        study_uid: of its study, where it states a valid one.
        source_uid: its SOP Instance UID, where it states a valid one.
        entry: what the report says of a served image.
    """

    number: int
    name: str
    status: Status
    reason: str = ""
    sentence: str = ""
    study_uid: str = ""
    source_uid: str = ""
    entry: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The file's item in the run's report."""
        values: dict[str, Any] = {"file": self.name, "status": self.status.value}
        if self.reason:
            values |= {"reason": self.reason, "sentence": self.sentence}
        if self.study_uid:
            values["study_instance_uid"] = self.study_uid
        if self.status is Status.SERVED:
            values["results"] = [f"{self.study_uid}/{result['file']}" for result in self.entry["results"].values()]
            values |= {key: self.entry[key] for key in ("p_pneumonia", "decision")}
        return values


class Account:
    """Collects the records of a run."""

    def __init__(self, records: Iterable[FileRecord] = ()) -> None:
        self._records: dict[int, FileRecord] = {}
        self._by_study: dict[str, list[FileRecord]] = {}
        for record in records:
            self.add(record)

    def add(self, record: FileRecord) -> None:
        """Notes what became of a file.

        Raises:
            ValueError: the file has a record already.
        """
        if record.number in self._records:
            raise ValueError(f"file {record.number} is accounted for already")
        self._records[record.number] = record
        self._by_study.setdefault(record.study_uid, []).append(record)

    @property
    def records(self) -> list[FileRecord]:
        """All records, in the order of the files."""
        return [self._records[number] for number in sorted(self._records)]

    @property
    def counts(self) -> dict[str, Any]:
        """Number of files, and how many of them have each status."""
        found = Counter(record.status for record in self._records.values())
        return {"files": len(self._records), **{status.value: found[status] for status in Status}}

    @property
    def exit_code(self) -> ExitCode:
        """What the run's end tells the caller; skipped files change nothing."""
        served, rejected = self.counts["served"], self.counts["rejected"]
        if rejected:
            return ExitCode.PARTLY_SERVED if served else ExitCode.BAD_INPUT
        return ExitCode.OK if served else ExitCode.NOTHING_TO_ANALYSE

    @property
    def first_rejected(self) -> FileRecord | None:
        """The first rejected file, if any."""
        return next((record for record in self.records if record.status is Status.REJECTED), None)

    def of_study(self, study_uid: str, status: Status) -> list[FileRecord]:
        """The records of a study's files that have a status, in the order of the files."""
        found = [record for record in self._by_study.get(study_uid, ()) if record.status is status]
        return sorted(found, key=lambda record: record.number)

    def run_report(self, model: Mapping[str, Any]) -> dict[str, Any]:
        """report.json of the run.

        Args:
            model: what identifies the model, as values that JSON knows.
        """
        served = Counter(record.study_uid for record in self.records if record.status is Status.SERVED)
        rejected = Counter(record.study_uid for record in self.records if record.status is Status.REJECTED)
        reasons = Counter(record.reason for record in self.records if record.reason)
        return {
            **_heading(model),
            "exit_code": int(self.exit_code),
            "counts": self.counts,
            "reasons": dict(sorted(reasons.items())),
            "studies": [
                {"study_instance_uid": uid, "report": f"{uid}/{REPORT_FILE}", "served": served[uid], "rejected": rejected[uid]}
                for uid in sorted(served)
            ],
            "files": [record.to_dict() for record in self.records],
        }

    def study_report(self, study_uid: str, model: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
        """report.json of a study.

        Args:
            study_uid: Study Instance UID.
            model: what identifies the model.
            earlier: entries of images that earlier runs served, and that stay.
        """
        served = [{"file": record.name, **record.entry} for record in self.of_study(study_uid, Status.SERVED)]
        rejected = [
            {"file": record.name, "reason": record.reason, "sentence": record.sentence}
            | ({"source_sop_instance_uid": record.source_uid} if record.source_uid else {})
            for record in self.of_study(study_uid, Status.REJECTED)
        ]
        return {
            **_heading(model),
            "study_instance_uid": study_uid,
            "images": sorted([*served, *map(dict, earlier)], key=lambda entry: str(entry["source_sop_instance_uid"])),
            "rejected": rejected,
        }


def _heading(model: Mapping[str, Any]) -> dict[str, Any]:
    return {"notice": RESEARCH_USE_ONLY, "application": APPLICATION, "model": dict(model)}


def sentence_of(error: BaseException, path: Path) -> str:
    """An error's text on one line, without the path of the file that it is about."""
    text = " ".join(str(error).split())
    stated = " ".join(str(path).split())
    return text.removeprefix(f"{stated}: ").replace(stated, "the file")
