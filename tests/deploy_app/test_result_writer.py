from __future__ import annotations

import errno
import fcntl
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from serving_runs import ROOT, report_of, serve_all, tree

from deploy_app import publishing
from deploy_app.logs import start_logging
from deploy_app.publishing import LOCK_FILE, REPLACED_PREFIX, OutputFolder
from monai_pneumonia.dicom.identifiers import hashed
from monai_pneumonia.errors import OutputNotWritableError

Study = Callable[..., Path]
UID = "1.2.3.1"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "output"


def publish(folder: Path, uid: str, content: str = "new", images: tuple[str, ...] = ()) -> None:
    """Publishes a study whose images have one result each."""
    with OutputFolder(folder) as output:
        entries = []
        for image in images:
            name = f"sr-{hashed(image)}.dcm"
            (output.study_folder(uid) / name).write_text(content)
            entries.append({"source_sop_instance_uid": image, "results": {"sr": {"file": name}}, "content": content})
        earlier = output.keep_earlier(uid, images)
        output.publish(uid, {"images": [*entries, *earlier]})


def hidden(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir() if item.name.startswith("."))


# The folder


def test_a_study_appears_whole(output: Path) -> None:
    with OutputFolder(output) as folder:
        (folder.study_folder(UID) / "sr-0.dcm").write_text("x")
        assert not (output / UID).exists()
        folder.publish(UID, {"a": 1})
        assert sorted(file.name for file in (output / UID).iterdir()) == ["report.json", "sr-0.dcm"]
    assert not hidden(output)


def test_nothing_unfinished_stays(output: Path) -> None:
    def fail() -> None:
        with OutputFolder(output) as folder:
            (folder.study_folder(UID) / "sr-0.dcm").write_text("x")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(output.iterdir()) == []


def test_the_earlier_report_goes_when_a_run_begins(output: Path) -> None:
    with OutputFolder(output) as folder:
        folder.write_report({"run": 1})
    assert report_of(output) == {"run": 1}
    with OutputFolder(output):
        assert not (output / "report.json").exists()


def test_a_study_is_replaced_but_results_of_other_images_stay(output: Path) -> None:
    publish(output, UID, "old", ("1.1", "1.2"))
    (output / UID / "notes.txt").write_text("by a user")
    (output / UID / "folder").mkdir()
    publish(output, UID, "new", ("1.2", "1.3"))
    images = {entry["source_sop_instance_uid"]: entry["content"] for entry in report_of(output / UID)["images"]}
    assert images == {"1.1": "old", "1.2": "new", "1.3": "new"}
    assert {image: (output / UID / f"sr-{hashed(image)}.dcm").read_text() for image in images} == images
    assert (output / UID / "notes.txt").read_text() == "by a user"
    assert (output / UID / "folder").is_dir()
    assert not hidden(output)


@pytest.mark.parametrize(
    "report", [None, "", "[]", '{"images": 3}', '{"images": [{"results": {}}]}', '{"images": [{"source_sop_instance_uid": "1.1"}]}']
)
def test_an_earlier_report_that_is_none_of_ours_loses_no_file(output: Path, report: str | None) -> None:
    publish(output, UID, "old", ("1.1",))
    (output / UID / "report.json").unlink()
    if report is not None:
        (output / UID / "report.json").write_text(report)
    publish(output, UID, "new", ("1.2",))
    assert [entry["source_sop_instance_uid"] for entry in report_of(output / UID)["images"]] == ["1.2"]
    assert (output / UID / f"sr-{hashed('1.1')}.dcm").read_text() == "old"


def test_an_earlier_entry_whose_files_are_gone_is_dropped(output: Path) -> None:
    publish(output, UID, "old", ("1.1", "1.2"))
    (output / UID / f"sr-{hashed('1.1')}.dcm").unlink()
    publish(output, UID, "new", ("1.3",))
    assert [entry["source_sop_instance_uid"] for entry in report_of(output / UID)["images"]] == ["1.3", "1.2"]


def test_results_are_copied_where_links_are_not_allowed(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(output, UID, "old", ("1.1",))

    def refuse(*arguments: Any, **options: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    publish(output, UID, "new", ("1.2",))
    assert (output / UID / f"sr-{hashed('1.1')}.dcm").read_text() == "old"


def test_a_link_for_a_study_is_replaced_and_what_it_leads_to_stays(output: Path, tmp_path: Path) -> None:
    publish(tmp_path / "archive", UID, "old", ("1.1",))
    output.mkdir()
    (output / UID).symlink_to(tmp_path / "archive" / UID)
    publish(output, UID, "new", ("1.2",))
    assert not (output / UID).is_symlink()
    assert len(report_of(output / UID)["images"]) == 2
    assert len(report_of(tmp_path / "archive" / UID)["images"]) == 1


class Killed(BaseException):
    """As if the process had ended here: nothing may catch it."""


# Aside, in place, out of the way.
RENAMES_OF_A_REPLACEMENT = 3


@pytest.mark.parametrize("survived", range(RENAMES_OF_A_REPLACEMENT + 1))
def test_killed_between_any_two_renames_old_or_new_is_whole_after_the_next_start(
    output: Path, survived: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(output, UID, "old", ("1.1",))
    old = tree(output / UID)
    replace, done = Path.replace, []

    def counted(self: Path, target: Path) -> Path:
        if len(done) >= survived:
            raise Killed
        done.append(target)
        return replace(self, target)

    folder = OutputFolder(output)
    folder.__enter__()
    (folder.study_folder(UID) / f"sr-{hashed('1.1')}.dcm").write_text("new")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", counted)
        if survived == RENAMES_OF_A_REPLACEMENT:
            patch.setattr(publishing, "_remove", lambda item: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            folder.publish(UID, {"images": []})
    folder._resources.pop_all()  # a process that is killed clears nothing up
    assert hidden(output)
    with OutputFolder(output):
        assert [name for name in hidden(output) if name.startswith(REPLACED_PREFIX)] == []
    assert not hidden(output)
    assert tree(output / UID)[f"sr-{hashed('1.1')}.dcm"] == (b"new" if survived > 1 else b"old")
    assert survived > 1 or tree(output / UID) == old


def test_a_rename_that_fails_puts_the_earlier_study_back(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(output, UID, "old", ("1.1",))
    replace = Path.replace

    def fail(self: Path, target: Path) -> Path:
        if target.name == UID and not self.name.startswith(REPLACED_PREFIX):
            raise OSError(5, "Input/output error")
        return replace(self, target)

    with OutputFolder(output) as folder:
        folder.study_folder(UID)
        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", fail)
            with pytest.raises(OutputNotWritableError):
                folder.publish(UID, {"images": []})
    assert report_of(output / UID)["images"][0]["content"] == "old"
    assert not hidden(output)


def test_only_our_own_leftovers_are_removed(output: Path) -> None:
    theirs = [".unfinished-run", ".unfinished-run-xyz", ".unfinished-out-0123abcd", ".replaced-notes", ".git"]
    for name in (*theirs, ".unfinished-run-0123abcd", ".replaced-1.2.3"):
        (output / name).mkdir(parents=True)
    with OutputFolder(output):
        pass
    assert hidden(output) == sorted(theirs)
    assert (output / "1.2.3").is_dir()  # set aside and never replaced: put back


@contextmanager
def as_user(number: int) -> Iterator[None]:
    """Takes root's rights away."""
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def shared_output() -> Iterator[Path]:
    """An output folder that every user may write."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    public = Path(tempfile.mkdtemp(dir="/tmp"))
    public.chmod(0o777)
    yield public
    shutil.rmtree(public)


def test_users_who_share_a_folder_replace_each_other_s_studies(shared_output: Path) -> None:
    stream = io.StringIO()
    start_logging(stream)
    for run, user in enumerate((1000, 4321, 4321, 1000)):
        with as_user(user):
            publish(shared_output, UID, f"run {run}", ("1.1",))
        assert report_of(shared_output / UID)["images"][0]["content"] == f"run {run}"
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    # The second user can remove nothing of the first, who in the end can.
    assert {(event["event"], event["level"]) for event in events} == {("leftover_not_removed", "warning")}
    assert len(hidden(shared_output)) == 1


def test_what_a_killed_run_of_another_user_left_is_in_nobody_s_way(shared_output: Path) -> None:
    child = os.fork()
    if child == 0:
        os.seteuid(1000)
        publish(shared_output, UID, "old", ("1.1",))
        with OutputFolder(shared_output) as folder:
            (folder.study_folder("1.2.3.2") / "sr-0.dcm").write_text("half")
            shutil.copytree(shared_output / UID, shared_output / f"{REPLACED_PREFIX}{UID}")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert [re.sub("[0-9a-f]{8}$", "", name) for name in hidden(shared_output)] == [
        LOCK_FILE,
        f"{REPLACED_PREFIX}{UID}",
        ".unfinished-run-",
    ]
    with as_user(4321):
        publish(shared_output, UID, "new", ("1.1",))
    assert report_of(shared_output / UID)["images"][0]["content"] == "new"


def test_a_study_that_cannot_be_put_back_is_named(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (output / f"{REPLACED_PREFIX}{UID}").mkdir(parents=True)

    def refuse(self: Path, target: Path) -> Path:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OutputNotWritableError, match=rf"{REPLACED_PREFIX}{UID}, .* \(Operation not permitted\): rename it to {UID}"):
        OutputFolder(output).__enter__()


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_a_lock_file_that_is_none_is_named(output: Path, kind: str) -> None:
    output.mkdir()
    if kind == "folder":
        (output / LOCK_FILE).mkdir()
    else:
        (output / LOCK_FILE).symlink_to("elsewhere")
    with pytest.raises(OutputNotWritableError, match=rf"the lock file .*{LOCK_FILE} cannot be opened \(.*\): remove it"):
        OutputFolder(output).__enter__()
    assert hidden(output) == [LOCK_FILE]


def test_a_second_run_into_the_same_folder_is_refused(output: Path) -> None:
    with OutputFolder(output), pytest.raises(OutputNotWritableError, match="another run"):
        OutputFolder(output).__enter__()
    with OutputFolder(output):
        pass


HOLD = """
import sys
from pathlib import Path
from deploy_app.publishing import OutputFolder
with OutputFolder(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def without_locks(*arguments: Any) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


def test_a_second_run_on_another_machine_is_refused(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As over NFS: locks of folders reach no further than the machine.
    monkeypatch.setattr(fcntl, "flock", without_locks)
    with subprocess.Popen([sys.executable, "-c", HOLD, str(output)], stdin=-1, stdout=-1, text=True, cwd=ROOT) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(OutputNotWritableError, match="another run"):
            OutputFolder(output).__enter__()
        other.communicate("\n")
    assert not hidden(output)
    with OutputFolder(output):
        pass


def test_a_lock_that_a_killed_run_left_locks_nothing(output: Path) -> None:
    output.mkdir()
    (output / LOCK_FILE).touch()
    with OutputFolder(output):
        pass
    assert not hidden(output)


def test_a_lock_that_was_removed_while_it_was_taken_is_no_lock(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lockf, taken = fcntl.lockf, []

    def remove_once(descriptor: int, operation: int) -> None:
        lockf(descriptor, operation)
        taken.append(descriptor)
        if len(taken) == 1:
            (output / LOCK_FILE).unlink()

    monkeypatch.setattr(fcntl, "lockf", remove_once)
    with OutputFolder(output):
        assert len(taken) == 2
        assert (output / LOCK_FILE).exists()


def test_a_file_system_without_locks_is_logged_and_used(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    start_logging(stream)
    for name in ("flock", "lockf"):
        monkeypatch.setattr(fcntl, name, without_locks)
    publish(output, UID, "new", ("1.1",))
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["output_not_locked"]
    assert not hidden(output)


def test_folders_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputNotWritableError, match="cannot write results"):
        OutputFolder(tmp_path / "file" / "output").__enter__()


@pytest.mark.parametrize("uid", ["../elsewhere", "", "1", "1.2/3", "a.b"])
def test_no_uid_leads_out_of_the_folder(output: Path, uid: str) -> None:
    with OutputFolder(output) as folder, pytest.raises(ValueError, match="valid UID"):
        folder.study_folder(uid)


# The step


def test_results_of_a_study(study: Study, serving: Callable[..., Any], output: Path) -> None:
    study("1", "1")
    study("1", "2")
    run = serve_all(serving())
    digests = [hashed(f"{UID}.{image}") for image in "12"]
    names = {f"{kind}-{digest}.dcm" for kind in ("sr", "seg", "sc") for digest in digests}
    assert {file.name for file in (output / UID).iterdir()} == {*names, "report.json"}
    report = report_of(output / UID)
    assert report["notice"] == "Research use only, not for diagnosis."
    assert [image["file"] for image in report["images"]] == ["1-1.dcm", "1-2.dcm"]
    assert set(report["model"]) == {"version", "weights_sha256", "settings_sha256", "classes", "operating_point", "lesion_threshold"}
    for image in report["images"]:
        for kind, result in image["results"].items():
            written = pydicom.dcmread(output / UID / result["file"])
            assert written.Modality == {"sr": "SR", "seg": "SEG", "sc": "OT"}[kind]
            assert (written.StudyInstanceUID, written.SOPInstanceUID) == (UID, result["sop_instance_uid"])
    assert run.account.exit_code == 0


def test_a_study_with_one_bad_image_is_served_without_it(study: Study, serving: Callable[..., Any], output: Path) -> None:
    study("1", "1")
    study("1", "2", ViewPosition="LL")
    with pydicom.config.disable_value_validation():
        study("1", "3", SOPInstanceUID="1.2/3")
    run = serve_all(serving())
    report = report_of(output / UID)
    assert [image["file"] for image in report["images"]] == ["1-1.dcm"]
    assert [(image["file"], image["reason"]) for image in report["rejected"]] == [("1-2.dcm", "view"), ("1-3.dcm", "invalid_identifier")]
    (stated,) = run.account.run_report(run.model)["studies"]
    assert (stated["served"], stated["rejected"]) == (1, 2)
    assert run.account.exit_code == 5


def test_a_study_without_a_good_image_leaves_no_folder(study: Study, serving: Callable[..., Any], output: Path) -> None:
    study("1", "1", ViewPosition="LL")
    assert serve_all(serving()).account.exit_code == 4
    assert not (output / UID).exists()


def cut(file: Path) -> Path:
    """Leaves out the end of a file's pixels."""
    file.write_bytes(file.read_bytes()[:-100])
    return file


def test_a_cut_copy_that_comes_first_gives_way_to_the_whole_file(study: Study, serving: Callable[..., Any], output: Path) -> None:
    cut(study("1", "1", name="a.dcm"))
    study("1", "1", name="b.dcm")
    study("1", "1", name="c.dcm", PatientSex="M")
    study("1", "2", name="d.dcm")
    run = serve_all(serving())
    records = run.account.records
    assert [(record.status.value, record.reason) for record in records] == [
        ("rejected", "damaged"),
        ("served", ""),
        ("rejected", "ambiguous_identifier"),
        ("served", ""),
    ]
    assert "(file 2 of this account), which was served" in records[2].sentence
    assert "c.dcm" not in records[2].sentence + records[0].sentence, "a rejection is printed, and names of files may hold those of patients"
    assert [image["file"] for image in report_of(output / UID)["images"]] == ["b.dcm", "d.dcm"]
    run.output.__exit__(None, None, None)
    # Once more: what the first run made of the whole file is replaced, so nothing earlier stays.
    assert "earlier" not in str([record.sentence for record in serve_all(serving()).account.records])


def test_where_no_file_of_an_identifier_can_be_served_each_has_its_own_reason(study: Study, serving: Callable[..., Any]) -> None:
    cut(study("1", "1", name="a.dcm"))
    study("1", "1", name="b.dcm", ViewPosition="LL")
    run = serve_all(serving())
    assert [record.reason for record in run.account.records] == ["damaged", "view"]
    assert run.account.exit_code == 4


@pytest.mark.parametrize("tags", [{"StudyInstanceUID": "1.2.3.9"}, {"SOPInstanceUID": "1.2.3.1.9"}], ids=["study", "image"])
@pytest.mark.parametrize("step", ["check", "recognize", "write"])
def test_a_file_that_becomes_another_image_during_the_run_is_rejected(
    step: str, tags: dict[str, str], study: Study, serving: Callable[..., Any], output: Path
) -> None:
    study("1", "1")
    study("1", "2")
    run = serving()
    for task in run.tasks():
        for name in ("check", "recognize", "write"):
            if name == step and task.image.name == "1-2.dcm":
                study("1", "2", values=np.eye(30, dtype=np.uint8), **tags)
            getattr(run, name)(task)
    assert [(record.status.value, record.reason) for record in run.account.records] == [("served", ""), ("rejected", "changed")]
    assert [image["file"] for image in report_of(output / UID)["images"]] == ["1-1.dcm"]
    assert {file.name.split("-")[-1] for file in (output / UID).iterdir()} == {f"{hashed('1.2.3.1.1')}.dcm", "report.json"}
    assert [item.name for item in output.iterdir() if not item.name.startswith(".")] == [UID]


def test_a_further_image_joins_its_study(study: Study, serving: Callable[..., Any], output: Path) -> None:
    first = study("1", "1")
    run = serving()
    serve_all(run)
    run.output.__exit__(None, None, None)
    before = tree(output / UID)
    first.unlink()
    study("1", "2")
    serve_all(serving())
    after = tree(output / UID)
    assert {name: after[name] for name in before if name != "report.json"} == {n: c for n, c in before.items() if n != "report.json"}
    assert [image["file"] for image in report_of(output / UID)["images"]] == ["1-1.dcm", "1-2.dcm"]


@pytest.mark.parametrize("others", [(), ("2",)], ids=["alone", "beside a good one"])
def test_an_image_that_is_rejected_now_keeps_its_earlier_results_and_both_are_told(
    others: tuple[str, ...], study: Study, serving: Callable[..., Any], output: Path
) -> None:
    for image in ("1", *others):
        study("1", image)
    run = serve_all(serving())
    run.output.__exit__(None, None, None)
    before = tree(output / UID)
    study("1", "1", ViewPosition="LL")
    for _ in range(2):  # and a rerun says the same
        run = serve_all(serving())
        run.output.__exit__(None, None, None)
        report, after = report_of(output / UID), tree(output / UID)
        assert {name: data for name, data in after.items() if name != "report.json"} == {
            name: data for name, data in before.items() if name != "report.json"
        }
        assert [image.get("rejected_later") for image in report["images"]] == ["view", *[None for _ in others]]
        (rejected,) = report["rejected"]
        assert rejected["source_sop_instance_uid"] == "1.2.3.1.1"
        assert rejected["sentence"].endswith("results that an earlier run made of it stay")
        assert run.account.records[0].sentence == rejected["sentence"]
    # Served again, it is as it was.
    study("1", "1")
    serve_all(serving())
    assert tree(output / UID) == before


def test_a_full_disk_ends_the_run_and_leaves_complete_studies(
    study: Study, serving: Callable[..., Any], output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in "123":
        study(number, "1")
    run = serving()
    real, calls = os.fsync, []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if (output / "1.2.3.1").exists():
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    serve_all(run)
    assert isinstance(run.fault, OutputNotWritableError)
    assert "No space left" in str(run.fault)
    assert len(list(run.tasks())) == 0
    assert {item.name for item in output.iterdir() if not item.name.startswith(".")} == {"1.2.3.1"}


def test_results_are_on_the_disk_before_their_study_appears(
    study: Study, serving: Callable[..., Any], output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study("1", "1")
    run = serving()
    fsync, replace = os.fsync, Path.replace
    synced: list[Path] = []
    before: list[Path] = []

    def note(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    def appear(self: Path, target: Path) -> Path:
        if target == output / UID:
            before.extend(synced)
            synced.clear()
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(Path, "replace", appear)
    serve_all(run)
    assert {place.name for place in before} == {UID, *(file.name for file in (output / UID).iterdir())}
    assert len(list((output / UID).iterdir())) == 4
    # The names of the files, after them; then the name of the study.
    assert before[-1].name == UID
    assert synced == [output]


def test_reports_are_plain_json(study: Study, serving: Callable[..., Any], output: Path) -> None:
    study("1", "1")
    serve_all(serving())
    text = (output / UID / "report.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert "secret" not in text.lower()
    assert str(output.parent) not in text
