"""Thousands of damaged copies in one folder: each is counted once, in one clear line that tells nothing of its patient."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest
from bad_files import PATIENT, write_chest
from file_mutations import SourceFile, mutant

from deploy_app.account import Status
from deploy_app.studies import scan_input

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning")]

COPIES = 3_000
# Of one file; a machine may be busy.
SECONDS = 0.05


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The copies, of files that are little but tags; ``tests/file_mutations.py`` makes one again by its name: number and source."""
    place = tmp_path_factory.mktemp("copies")
    names = {"": "explicit", "jpeg_lossless": "jpeg", "rle": "rle", "jpeg_2000": "jpeg_2000"}
    # Of much smaller pictures GDCM's JPEG 2000 is larger than the memory that it takes for it.
    sources = [
        SourceFile.read(write_chest(place / "sources" / f"{name}.dcm", number, syntax=syntax, size=40))
        for number, (syntax, name) in enumerate(names.items())
    ]
    (place / "input").mkdir()
    for number in range(COPIES):
        source, other = sources[number % len(sources)], sources[(number * 3 + 1) % len(sources)]
        (place / "input" / f"{number}-{source.name}").write_bytes(mutant(source, other, number))
    return place / "input"


def test_each_copy_is_counted_once(folder: Path) -> None:
    started = time.process_time()
    scan = scan_input(folder)
    seconds = time.process_time() - started
    images = [image for members in scan.studies.values() for first in members for image in (first, *first.stand_ins)]
    assert sorted([image.number for image in images] + [record.number for record in scan.left_out]) == list(range(1, COPIES + 1))
    assert {image.name for image in images} | {record.name for record in scan.left_out} == {file.name for file in folder.iterdir()}
    reasons = Counter(record.reason for record in scan.left_out)
    print(f"\n{COPIES} copies in {seconds:.1f} s: {len(images)} images, {dict(reasons)}")
    # The sources have four UIDs: most of what can still be read states one of these a further time.
    assert images
    assert {"damaged", "not_dicom", "invalid_identifier"} <= reasons.keys()
    assert seconds < COPIES * SECONDS


def test_each_sentence_is_one_clear_line_without_a_patient(folder: Path) -> None:
    for record in scan_input(folder).left_out:
        assert record.status is not Status.SERVED
        assert record.sentence.isprintable(), record.name
        assert 15 < len(record.sentence) < 300, record.name
        assert not [keyword for keyword, value in PATIENT.items() if value in record.sentence], record.name
        assert str(folder) not in record.sentence
