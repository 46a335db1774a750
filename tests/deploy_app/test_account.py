from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_app.account import Account, FileRecord, Status, sentence_of
from monai_pneumonia.errors import ExitCode

SERVED, SKIPPED, REJECTED = Status.SERVED, Status.SKIPPED, Status.REJECTED
ENTRY = {
    "source_sop_instance_uid": "1.2.3",
    "results": {"sr": {"file": "sr-0.dcm", "sop_instance_uid": "2.25.1"}},
    "p_pneumonia": 0.5,
    "decision": "pneumonia",
}
MODEL = {"version": "0.1.0"}


def record(number: int, status: Status, study: str = "1.2", source: str = "1.2.3") -> FileRecord:
    if status is SERVED:
        return FileRecord(
            number, f"{number}.dcm", status, study_uid=study, source_uid=source, entry={**ENTRY, "source_sop_instance_uid": source}
        )
    return FileRecord(number, f"{number}.dcm", status, "damaged", "it is damaged", study)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ((), ExitCode.NOTHING_TO_ANALYSE),
        ((SKIPPED,), ExitCode.NOTHING_TO_ANALYSE),
        ((SERVED,), ExitCode.OK),
        ((SERVED, SKIPPED), ExitCode.OK),
        ((REJECTED,), ExitCode.BAD_INPUT),
        ((REJECTED, SKIPPED), ExitCode.BAD_INPUT),
        ((SERVED, REJECTED), ExitCode.PARTLY_SERVED),
        ((SKIPPED, SERVED, REJECTED), ExitCode.PARTLY_SERVED),
    ],
)
def test_exit_code(statuses: tuple[Status, ...], expected: ExitCode) -> None:
    assert Account(record(number, status) for number, status in enumerate(statuses)).exit_code is expected


@given(st.lists(st.sampled_from(Status)))
def test_every_file_is_counted_once(statuses: list[Status]) -> None:
    account = Account(record(number, status) for number, status in enumerate(statuses))
    report = account.run_report(MODEL)
    assert report["counts"] == {"files": len(statuses), **{status.value: statuses.count(status) for status in Status}}
    assert [item["status"] for item in report["files"]] == [status.value for status in statuses]
    assert sum(report["reasons"].values()) == len(statuses) - statuses.count(SERVED)


def test_a_file_has_one_record() -> None:
    account = Account([record(1, SERVED)])
    with pytest.raises(ValueError, match="accounted for already"):
        account.add(record(1, REJECTED))


def test_records_are_in_the_order_of_the_files() -> None:
    assert [item.number for item in Account(record(number, SKIPPED) for number in (3, 1, 2)).records] == [1, 2, 3]


def test_run_report() -> None:
    report = Account([record(2, REJECTED), record(1, SERVED), record(3, REJECTED, study="")]).run_report(MODEL)
    assert report["notice"] == "Research use only, not for diagnosis."
    assert report["model"] == MODEL
    assert report["exit_code"] == 5
    assert report["studies"] == [{"study_instance_uid": "1.2", "report": "1.2/report.json", "served": 1, "rejected": 1}]
    served, rejected, unknown = report["files"]
    assert served == {
        "file": "1.dcm",
        "status": "served",
        "study_instance_uid": "1.2",
        "results": ["1.2/sr-0.dcm"],
        "p_pneumonia": 0.5,
        "decision": "pneumonia",
    }
    assert rejected == {
        "file": "2.dcm",
        "status": "rejected",
        "reason": "damaged",
        "sentence": "it is damaged",
        "study_instance_uid": "1.2",
    }
    assert "study_instance_uid" not in unknown
    json.dumps(report, allow_nan=False)


def test_study_report_joins_this_run_and_earlier_ones_in_one_order() -> None:
    account = Account(
        [record(1, SERVED, source="1.2.9"), record(2, SERVED, source="1.2.4"), record(3, REJECTED), record(4, SERVED, study="1.7")]
    )
    earlier = [{"source_sop_instance_uid": "1.2.5", "results": {}}]
    report = account.study_report("1.2", MODEL, earlier)
    assert [image["source_sop_instance_uid"] for image in report["images"]] == ["1.2.4", "1.2.5", "1.2.9"]
    assert report["images"][0]["file"] == "2.dcm"
    assert report["rejected"] == [{"file": "3.dcm", "reason": "damaged", "sentence": "it is damaged"}]


def test_a_study_without_results_is_no_study_of_the_report() -> None:
    assert Account([record(1, REJECTED)]).run_report(MODEL)["studies"] == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/in/Doe John.dcm: holds no pixels", "holds no pixels"),
        ("/in/Doe John.dcm cannot be read (no)", "the file cannot be read (no)"),
        ("two\nlines", "two lines"),
    ],
)
def test_sentences_are_one_line_without_the_path(text: str, expected: str) -> None:
    assert sentence_of(ValueError(text), Path("/in/Doe John.dcm")) == expected
