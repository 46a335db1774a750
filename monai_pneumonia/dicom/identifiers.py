"""Identifiers and dates of results, the same for the same image and algorithm: a rerun writes the same bytes."""

from __future__ import annotations

import hashlib
import re
import uuid
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.uid import UID

from monai_pneumonia.dicom.algorithm import Algorithm

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:monai-pneumonia:results")
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
_LONGEST_UID = 64
_DATE = re.compile(r"(\d{4})[.:-]?(\d\d)[.:-]?(\d\d)")
_TIME = re.compile(r"(\d\d)(?::?(\d\d)(?::?(\d\d)(\.\d{1,6})?)?)?")
_DAYS_IN_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
# The image's own moment comes first, the study's last.
_MOMENTS = ("Content", "Acquisition", "Series", "Study", "InstanceCreation")
# A result must state a date where its source states none.
NO_DATE, NO_TIME = "19000101", "000000"


@dataclass(frozen=True)
class ResultIdentifiers:
    """Makes the UIDs of the results of one image by one algorithm, of the form 2.25.<UUID as a number> (PS3.5 B.2).

    Attributes:
        source_uid: SOP Instance UID of the image.
        algorithm: which algorithm, weights and settings made the results.
    """

    source_uid: str
    algorithm: Algorithm

    def uid(self, *parts: str) -> UID:
        """The UID of a part of the results, such as ``uid("sr", "series")``."""
        return derived_uid(self.source_uid, self.algorithm.weights_sha256, self.algorithm.settings_sha256, *parts)

    @property
    def device_uid(self) -> UID:
        """The UID of the algorithm itself, the same for all images."""
        return derived_uid("device", self.algorithm.weights_sha256, self.algorithm.settings_sha256)

    def file_name(self, kind: str) -> str:
        """Name of a result file; of the source image it holds a hash alone."""
        return f"{kind}-{hashed(self.source_uid)}.dcm"


def derived_uid(*parts: str) -> UID:
    """A UID that follows from texts: a name-based UUID (version 5) under 2.25."""
    return UID(f"2.25.{uuid.uuid5(_NAMESPACE, '/'.join(parts)).int}")


def hashed(uid: str) -> str:
    """Sixteen hexadecimal digits that stand for a UID in file names."""
    return hashlib.sha256(uid.encode()).hexdigest()[:16]


def is_uid(value: object) -> bool:
    """Whether a value can be taken for a UID: digits and dots, at most 64; so it is safe as a folder's name too.

    Leading zeros break the standard but do no harm.
    """
    return isinstance(value, str) and len(value) <= _LONGEST_UID and _UID.fullmatch(value) is not None


def mended_date(value: object) -> str:
    """A date as YYYYMMDD, from that form or with dots, as in 1995.07.20; empty where it is no date."""
    match = _DATE.fullmatch(str(value or "").strip())
    if not match or not 1 <= int(match[2]) <= 12 or not 1 <= int(match[3]) <= _DAYS_IN_MONTH[int(match[2]) - 1]:
        return ""
    return "".join(match.groups())


def mended_time(value: object) -> str:
    """A time as HHMMSS.FFFFFF or a shorter form, from that or with colons; empty where it is no time."""
    match = _TIME.fullmatch(str(value or "").strip())
    if not match or int(match[1]) > 23 or int(match[2] or 0) > 59 or int(match[3] or 0) > 59:
        return ""
    return "".join(part or "" for part in match.groups())


def moment_of(dataset: Dataset) -> tuple[str, str]:
    """Date and time of an image: of its content, acquisition, series, study or creation, the first that states a date."""
    for moment in _MOMENTS:
        date = mended_date(dataset.get(f"{moment}Date"))
        if date:
            return date, mended_time(dataset.get(f"{moment}Time")) or NO_TIME
    return NO_DATE, NO_TIME
