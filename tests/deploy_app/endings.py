"""What every run must leave, however it ends."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pydicom
from serving_runs import CommandRun, report_of

_RESULT = re.compile(r"(sr|seg|sc)-[0-9a-f]{16}\.dcm")


def check_ending(ended: CommandRun, code: int) -> None:
    """The exit code, and one clear line for people where it is not 0; else nothing but log lines."""
    assert ended.code == code, f"{ended.code}: {ended.errors[-2000:]}"
    assert "Traceback" not in ended.errors + ended.output
    assert len(ended.lines_for_people) == (1 if code else 0), ended.lines_for_people
    for line in ended.lines_for_people:
        assert re.match(r"error: .{20,}: .{5,}", line) or ", " in line, line
        assert line.startswith("error: ")
        assert len(line) < 900
        assert line.isprintable()
    assert all({"time", "level", "event"} <= set(event) for event in ended.log)


def check_output(folder: Path) -> dict[str, list[str]]:
    """Whole studies alone: each with its report, with the results that it names, and nothing else.

    Returns:
        Study Instance UID to the names of its files.
    """
    studies: dict[str, list[str]] = {}
    for place in sorted(folder.iterdir()):
        if place.name == "report.json":
            continue
        assert re.fullmatch(r"[0-9.]+", place.name), f"{place.name} is left over"
        names = sorted(file.name for file in place.iterdir())
        report = report_of(place)
        named = sorted(result["file"] for image in report["images"] for result in image["results"].values())
        assert names == sorted([*named, "report.json"])
        assert all(map(_RESULT.fullmatch, named))
        for name in named:
            assert pydicom.dcmread(place / name).StudyInstanceUID == place.name
        studies[place.name] = names
    return studies


def check_report(folder: Path, files: int) -> dict[str, dict[str, Any]]:
    """The run's report accounts for each of so many files once, and its counts add up.

    Returns:
        name of a file to what the report says of it.
    """
    report = report_of(folder)
    statuses = Counter(item["status"] for item in report["files"])
    assert report["counts"] == {"files": files, **{status: statuses[status] for status in ("served", "skipped", "rejected")}}
    assert sum(statuses.values()) == files
    by_name = {item["file"]: item for item in report["files"]}
    assert len(by_name) == files
    for item in report["files"]:
        assert (item["status"] == "served") == bool(item.get("results")) == ("reason" not in item)
        assert all((folder / result).is_file() for result in item.get("results", ()))
        assert item["status"] == "served" or (item["sentence"].isprintable() and len(item["sentence"]) > 15)
    return by_name
