"""Whatever is put in: the contract's exit code, one clear line, no traceback, nothing half-written, every file accounted for."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pydicom
import pytest
from application_server import ApplicationServer
from bad_files import BAD_FILES, PATIENT, SKIPPED, STUDY_ROOT, write_bad_files, write_chest, write_largest
from endings import check_ending, check_output, check_report
from patient_markers import PATIENT_ELEMENTS
from serving_runs import command_line, report_of, run_command, tree

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning")]

# Shorter values stand in other words too.
_SHORTEST = 4
PATIENT_TAGS = (*PATIENT_ELEMENTS, "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "StudyDate", "ContentDate", "AcquisitionDate")
is_root = os.geteuid() == 0


@pytest.fixture(scope="module")
def bad_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad") / "files"
    write_bad_files(folder)
    return folder


def _values(files: list[Path]) -> dict[str, set[str]]:
    """Tag to the values that some files have in it."""
    found: dict[str, set[str]] = {"file names": {file.name for file in files} | {file.stem for file in files if len(file.stem) > 9}}
    for file in files:
        try:
            dataset = pydicom.dcmread(file, force=True, stop_before_pixels=True)
        except RecursionError:  # the sequences in sequences
            continue
        for tag in PATIENT_TAGS:
            value = str(dataset.get(tag) or "")
            if len(value) >= _SHORTEST:
                found.setdefault(tag, set()).add(value)
    return found


def _check_private(text: str, values: dict[str, set[str]]) -> None:
    for tag, secrets in values.items():
        for secret in secrets:
            assert secret not in text, f"{tag} stands in the log"


def test_good_and_bad_in_one_folder(holoscan: None, bad_folder: Path, tiny_model: Path, tmp_path: Path) -> None:
    source = tmp_path / "input"
    shutil.copytree(bad_folder, source, symlinks=True, ignore=shutil.ignore_patterns("pipe"))
    os.mkfifo(source / "pipe")
    good = write_chest(source / "good.dcm", 1)
    write_chest(source / "deep" / "er" / "good.dcm", 2)
    write_chest(source / "one study" / "good.dcm", 3, study=3)
    write_chest(source / "one study" / "lateral.dcm", 4, study=3, ViewPosition="LL")
    shutil.copy(good, source / "copy.dcm")
    (source / "link.dcm").symlink_to("good.dcm")
    (source / "deep" / "circle").symlink_to("..")
    (source / "archive").symlink_to("deep")
    (source / "elsewhere").symlink_to(tmp_path / "elsewhere")
    write_chest(tmp_path / "elsewhere" / "linked.dcm", 5)
    write_chest(source / "twice-1.dcm", 6)
    write_chest(source / "twice-2.dcm", 6, PatientSex="M")
    for number, name in enumerate(("two\nlines.dcm", "Beeblebrox, Zaphod *1943.dcm", "Ünïcödé 胸部.dcm"), start=7):
        write_chest(source / name, number)
    Path(os.fsdecode(os.fsencode(source) + b"/\xff\xfe.dcm")).write_bytes(good.read_bytes())
    before = tree(tmp_path / "elsewhere")

    ended = run_command([*command_line(source, tmp_path / "out", tiny_model), "--log-level", "debug"], cwd=tmp_path / "elsewhere")

    check_ending(ended, 5)
    names = check_report(tmp_path / "out", len(BAD_FILES) + 13)
    for name, bad in BAD_FILES.items():
        assert (names[name]["status"], names[name]["reason"]) in [(bad.status, reason) for reason in bad.reasons], names[name]
    expected = {
        **dict.fromkeys(("copy.dcm", "archive/er/good.dcm", "one study/good.dcm"), "served"),
        **dict.fromkeys(("two\nlines.dcm", "Beeblebrox, Zaphod *1943.dcm", "Ünïcödé 胸部.dcm"), "served"),
        "one study/lateral.dcm": "view",
        "elsewhere/": "link_outside",
        # Of two files with one identifier the first is taken.
        "twice-1.dcm": "served",
        "twice-2.dcm": "ambiguous_identifier",
        # The first of the four names of the same bytes is served.
        **dict.fromkeys(("good.dcm", "link.dcm", "\\udcff\\udcfe.dcm"), "duplicate"),
    }
    assert {name: names[name].get("reason", names[name]["status"]) for name in expected} == expected
    studies = check_output(tmp_path / "out")
    assert set(studies) == {f"{STUDY_ROOT}.{number}" for number in (1, 2, 3, 6, 7, 8, 9)}
    assert [item["reason"] for item in report_of(tmp_path / "out" / f"{STUDY_ROOT}.3")["rejected"]] == ["view"]
    # Nothing was written beside the output.
    assert sorted(place.name for place in tmp_path.iterdir()) == ["elsewhere", "input", "out"]
    assert tree(tmp_path / "elsewhere") == before
    assert not Path("/tmp/escaped").exists()
    files = [file for file in source.rglob("*.dcm") if file.is_file()]
    _check_private(ended.output + ended.errors, _values(files))
    _check_private((tmp_path / "out" / "report.json").read_text(), {tag: {value} for tag, value in PATIENT.items() if tag != "PatientName"})


@pytest.mark.parametrize("name", BAD_FILES)
def test_one_bad_file_alone(name: str, application: ApplicationServer, bad_folder: Path, tiny_model: Path, tmp_path: Path) -> None:
    source = tmp_path / "input"
    source.mkdir()
    (bad_folder / name).rename(source / name)
    try:
        ended = application.run("-i", source, "-o", tmp_path / "out", "-m", tiny_model)
    finally:
        (source / name).rename(bad_folder / name)
    check_ending(ended, 3 if BAD_FILES[name].status == SKIPPED else 4)
    item = check_report(tmp_path / "out", 1)[name]
    assert item["reason"] in BAD_FILES[name].reasons
    assert check_output(tmp_path / "out") == {}
    if BAD_FILES[name].status != SKIPPED:
        assert item["sentence"] in ended.lines_for_people[0]


def test_nothing_to_analyse(application: ApplicationServer, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty" / "folders" / "only").mkdir(parents=True)
    ended = application.run("-i", tmp_path / "empty", "-o", tmp_path / "out", "-m", tiny_model)
    check_ending(ended, 3)
    assert check_report(tmp_path / "out", 0) == {}
    check_ending(application.run("-i", tmp_path / "absent", "-o", tmp_path / "out2", "-m", tiny_model), 4)
    assert not (tmp_path / "out2").exists()


def test_results_are_no_input(application: ApplicationServer, tiny_model: Path, tmp_path: Path) -> None:
    write_chest(tmp_path / "input" / "a.dcm", 1)
    check_ending(application.run("-i", tmp_path / "input", "-o", tmp_path / "out", "-m", tiny_model), 0)
    results = len(list((tmp_path / "out").rglob("*.dcm")))
    (tmp_path / "out" / "report.json").unlink()
    next((tmp_path / "out").iterdir()).joinpath("report.json").unlink()
    check_ending(application.run("-i", tmp_path / "out", "-o", tmp_path / "again", "-m", tiny_model), 3)
    names = check_report(tmp_path / "again", results)
    assert {item["reason"] for item in names.values()} == {"no_image"}
    # With their source beside them, they change nothing.
    shutil.copytree(tmp_path / "out", tmp_path / "input" / "results")
    check_ending(application.run("-i", tmp_path / "input", "-o", tmp_path / "third", "-m", tiny_model), 0)


def test_an_output_folder_inside_the_input_is_left_aside(application: ApplicationServer, tiny_model: Path, tmp_path: Path) -> None:
    write_chest(tmp_path / "input" / "a.dcm", 1)
    first = None
    for _ in range(2):
        check_ending(application.run("-i", tmp_path / "input", "-o", tmp_path / "input" / "out", "-m", tiny_model), 0)
        check_report(tmp_path / "input" / "out", 1)
        assert first in (None, tree(tmp_path / "input" / "out"))
        first = tree(tmp_path / "input" / "out")


@pytest.mark.parametrize("damage", ["absent", "empty", "file", "no weights", "cut", "flipped", "text", "metadata", "two"])
def test_wrong_models(damage: str, application: ApplicationServer, tiny_model: Path, tmp_path: Path) -> None:
    write_chest(tmp_path / "input" / "a.dcm", 1)
    model = tmp_path / "model"
    if damage not in ("absent", "empty", "file"):
        shutil.copytree(tiny_model, model)
    weights = model / "models" / "model.pt"
    if damage == "empty":
        model.mkdir()
    elif damage == "file":
        model.write_text("no folder")
    elif damage == "no weights":
        weights.unlink()
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    elif damage == "flipped":
        data = bytearray(weights.read_bytes())
        data[len(data) // 2] ^= 0xFF
        weights.write_bytes(bytes(data))
    elif damage == "text":
        weights.write_text("no weights")
    elif damage == "metadata":
        (model / "configs" / "metadata.json").write_text("{")
    elif damage == "two":
        for name in ("one", "two"):
            shutil.copytree(tiny_model, model / "below" / name)
        model = model / "below"
    ended = application.run("-i", tmp_path / "input", "-o", tmp_path / "out", "-m", model)
    check_ending(ended, 6)
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_outputs_that_cannot_be_written(application: ApplicationServer, tiny_model: Path, tmp_path: Path) -> None:
    write_chest(tmp_path / "input" / "a.dcm", 1)
    (tmp_path / "file").write_text("no folder")
    for output in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nowhere")):
        check_ending(application.run("-i", tmp_path / "input", "-o", output, "-m", tiny_model), 7)
    assert (tmp_path / "file").read_text() == "no folder"


@pytest.mark.skipif(not is_root, reason="only root can give files to another user")
def test_files_and_folders_of_another_user(application: ApplicationServer, tiny_model: Path, tmp_path: Path) -> None:
    def run(code: int) -> None:
        command = ("-i", tmp_path / "input", "-o", tmp_path / "out", "-m", tmp_path / "model")
        check_ending(application.run(*command, obeys_rights=True), code)

    shutil.copytree(tiny_model, tmp_path / "model")
    write_chest(tmp_path / "input" / "readable.dcm", 1)
    _give_away(write_chest(tmp_path / "input" / "secret.dcm", 2), 0o600)
    write_chest(tmp_path / "input" / "closed" / "inside.dcm", 3)
    _give_away(tmp_path / "input" / "closed", 0o700)
    # Its files may be listed, but not looked at.
    write_chest(tmp_path / "input" / "listed" / "inside.dcm", 4)
    _give_away(tmp_path / "input" / "listed", 0o744)
    (tmp_path / "out").mkdir()
    _give_away(tmp_path / "out", 0o755)
    run(7)
    (tmp_path / "out").chmod(0o777)
    run(5)
    names = check_report(tmp_path / "out", 4)
    assert {name: item.get("reason", item["status"]) for name, item in names.items()} == {
        "readable.dcm": "served",
        "listed/inside.dcm": "not_readable",
        "secret.dcm": "not_readable",
        "closed/": "not_readable",
    }
    # A folder that may be neither read nor written is the fault of what it is for.
    for name, code in (("out", 7), ("input", 4), ("model", 6)):
        _give_away(tmp_path / name, 0o700)
        run(code)
        (tmp_path / name).chmod(0o777)


def _give_away(path: Path, mode: int) -> None:
    """Gives a file or folder to another user."""
    path.chmod(mode)
    os.chown(path, 1000, 1000)


def test_files_that_may_not_grow(application: ApplicationServer, tiny_model: Path, tmp_path: Path) -> None:
    # What a quota does, for those who may not mount a small disk.
    write_chest(tmp_path / "input" / "a.dcm", 1)
    ended = application.run("-i", tmp_path / "input", "-o", tmp_path / "out", "-m", tiny_model, limits={"RLIMIT_FSIZE": 8000})
    check_ending(ended, 7)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.skipif(not is_root, reason="only root can mount a small disk")
def test_a_full_disk(application: ApplicationServer, tiny_model: Path, tmp_path: Path) -> None:
    for number in range(1, 13):
        write_chest(tmp_path / "input" / f"{number:02d}.dcm", number, study=number // 2)
    check_ending(application.run("-i", tmp_path / "input", "-o", tmp_path / "whole", "-m", tiny_model), 0)
    needed = sum(file.stat().st_size for file in (tmp_path / "whole").rglob("*") if file.is_file())
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={needed * 6 // 10 // 4096 * 4096}", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("this machine lets even root mount nothing")
    try:
        ended = application.run("-i", tmp_path / "input", "-o", disk / "out", "-m", tiny_model)
        check_ending(ended, 7)
        studies = check_output(disk / "out")
        assert 0 < len(studies) < 7
        assert not (disk / "out" / "report.json").exists()
        for uid in studies:
            assert tree(disk / "out" / uid) == tree(tmp_path / "whole" / uid)
        # With room again, the same command makes it whole.
        subprocess.run(["mount", "-o", f"remount,size={needed * 4}", str(disk)], check=True)
        check_ending(application.run("-i", tmp_path / "input", "-o", disk / "out", "-m", tiny_model), 0)
        assert tree(disk / "out") == tree(tmp_path / "whole")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_the_largest_picture_in_bounded_memory(application: ApplicationServer, tiny_model: Path, tmp_path: Path) -> None:
    write_largest(tmp_path / "large.dcm", 1)
    write_chest(tmp_path / "input" / "small.dcm", 2)
    (tmp_path / "large.dcm").rename(tmp_path / "input" / "large.dcm")
    running = application.start("-i", tmp_path / "input", "-o", tmp_path / "out", "-m", tiny_model)
    ended, peak = running.wait_with_peak()
    check_ending(ended, 0)
    assert {item["status"] for item in check_report(tmp_path / "out", 2).values()} == {"served"}
    check_output(tmp_path / "out")
    print(f"\n{peak:.0f} MB for 79 million pixels")
    # Four bytes a pixel, a few times over.
    assert peak < 4_000


def test_logs_of_phantoms_name_no_patient(
    application: ApplicationServer, phantom_dicom_folder: Path, tiny_model: Path, tmp_path: Path
) -> None:
    ended = application.run("-i", phantom_dicom_folder / "images", "-o", tmp_path / "out", "-m", tiny_model, "--log-level", "debug")
    check_ending(ended, 0)
    _check_private(ended.errors + ended.output, _values(sorted((phantom_dicom_folder / "images").glob("*.dcm"))))


@pytest.mark.realdata
def test_logs_of_real_files_name_no_patient(application: ApplicationServer, real_data: Path, tiny_model: Path, tmp_path: Path) -> None:
    files = sorted((real_data / "cxr-dicom").glob("*.dcm"))
    source = tmp_path / "input"
    source.mkdir()
    for file in files:
        shutil.copy(file, source / file.name)
        # And cut in the middle, so that it is rejected with whatever its decoder says.
        (source / f"cut-{file.name}").write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    ended = application.run("-i", source, "-o", tmp_path / "out", "-m", tiny_model, "--log-level", "debug")
    assert ended.code in (4, 5)
    check_report(tmp_path / "out", 18)
    check_output(tmp_path / "out")
    _check_private(ended.errors + ended.output, _values(files))
