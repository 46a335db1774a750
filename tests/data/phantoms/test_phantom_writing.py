"""The files: the same bytes from the same seed, datalists that hold, and a folder that loses nothing."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_pneumonia.data.datalist import load_datalist
from monai_pneumonia.data.phantoms import PhantomSettings, generate_phantom, write, write_phantoms
from monai_pneumonia.data.validation import validate_datalist
from monai_pneumonia.errors import OutputNotWritableError

TINY = PhantomSettings(count=20, size=48)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantoms(tmp_path_factory.mktemp("tiny") / "set", TINY).folder


@pytest.mark.parametrize("image_format", ["png", "dicom"])
def test_same_seed_same_bytes_with_any_number_of_workers(tmp_path: Path, image_format: str) -> None:
    settings = PhantomSettings(count=10, size=40, image_format=image_format)
    one = write_phantoms(tmp_path / "one", settings)
    two = write_phantoms(tmp_path / "two", settings, workers=2)
    assert contents(one.folder) == contents(two.folder)
    assert len([name for name in contents(one.folder) if name.startswith("images/")]) == 10


def test_more_pictures_leave_the_first_as_they_are(tmp_path: Path, tiny: Path) -> None:
    fewer = contents(write_phantoms(tmp_path / "fewer", PhantomSettings(count=7, size=48)).folder)
    pictures = {name: content for name, content in fewer.items() if "/" in name}
    assert len(pictures) >= 7
    assert pictures.items() <= contents(tiny).items()


def test_another_seed_other_pictures(tmp_path: Path, tiny: Path) -> None:
    other = contents(write_phantoms(tmp_path / "other", PhantomSettings(count=3, size=48, seed=1)).folder)
    assert all(other[name] != content for name, content in contents(tiny).items() if name.startswith("images/") and name in other)


@pytest.mark.parametrize("name", ["datalist.json", "datalist_flipped.json"])
def test_datalists_are_without_fault(phantom_datalist: Path, name: str) -> None:
    report = validate_datalist(load_datalist(phantom_datalist.with_name(name)))
    assert report.ok
    assert report.faults == ()
    assert report.items > 30


def test_the_two_datalists_differ_in_testing_alone(phantom_datalist: Path) -> None:
    plain, flipped = load_datalist(phantom_datalist), load_datalist(phantom_datalist.with_name("datalist_flipped.json"))
    assert plain.training == flipped.training
    assert plain.validation == flipped.validation
    assert not {item.patient for item in plain.testing} & {item.patient for item in flipped.testing}
    assert plain.testing
    assert flipped.testing


def test_items_say_what_is_known(tiny: Path) -> None:
    for _, item in load_datalist(tiny / "datalist.json").items():
        assert item.license == "CC0-1.0 synthetic"
        assert item.view in ("PA", "AP")
        assert item.sex in ("M", "F")
        assert item.age is not None
        assert item.patient_id is not None
        assert item.source is not None
        assert (item.mask is not None) == (item.mask_kind in ("pixel", "empty"))
        assert bool(item.boxes) == (item.mask_kind == "box")


def test_files_hold_what_was_drawn(tiny: Path) -> None:
    items = {item.id: item for item in write.plan_items(TINY)}
    rows = list(csv.DictReader((tiny / "truth.csv").open(encoding="utf-8")))
    assert [row["id"] for row in rows] == list(items)
    for row in rows:
        phantom = generate_phantom(items[row["id"]].spec)
        pixels = np.asarray(Image.open(tiny / row["image"]))
        assert pixels.dtype == np.uint8
        assert np.array_equal(pixels, np.round(phantom.pixels * 255))
        assert json.loads(row["boxes"]) == [list(box) for box in phantom.boxes]
        if row["outline"]:
            assert np.array_equal(np.asarray(Image.open(tiny / row["outline"])), phantom.outline * np.uint8(255))
        else:
            assert not phantom.outline.any()
        assert (row["finding"] == "normal") == (not phantom.outline.any())


def test_manifest_names_every_file_and_says_what_they_are_for(tiny: Path) -> None:
    manifest = json.loads((tiny / "phantoms.json").read_text(encoding="utf-8"))
    assert sorted(manifest["files"]) == sorted(contents(tiny))
    assert "Research use only, not for diagnosis." in manifest["notice"]
    assert manifest["settings"]["count"] == 20


def test_a_folder_that_holds_something_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(OutputNotWritableError, match="not empty"):
        write_phantoms(tmp_path, PhantomSettings(count=1, size=40))
    assert contents(tmp_path) == {"mine.txt": b"keep"}


def test_overwriting_replaces_an_earlier_run_and_keeps_the_rest(tmp_path: Path) -> None:
    write_phantoms(tmp_path / "set", PhantomSettings(count=6, size=40))
    for name in ("notes.txt", "images/mine.png"):
        (tmp_path / "set" / name).write_text("keep")
    write_phantoms(tmp_path / "set", PhantomSettings(count=2, size=40, seed=5), overwrite=True)
    expected = contents(write_phantoms(tmp_path / "fresh", PhantomSettings(count=2, size=40, seed=5)).folder)
    assert contents(tmp_path / "set") == {**expected, "notes.txt": b"keep", "images/mine.png": b"keep"}


def test_a_doctored_manifest_removes_nothing_outside(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("keep")
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "deep").mkdir()
    (folder / "deep" / "file.txt").write_text("keep")
    names = ["../precious.txt", str(tmp_path / "precious.txt"), "images/../../precious.txt", "deep/file.txt", 7]
    (folder / "phantoms.json").write_text(json.dumps({"files": names}))
    write_phantoms(folder, PhantomSettings(count=1, size=40), overwrite=True)
    assert (tmp_path / "precious.txt").read_text() == "keep"
    assert (folder / "deep" / "file.txt").read_text() == "keep"


def test_a_failure_leaves_the_folder_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_phantoms(tmp_path / "set", PhantomSettings(count=3, size=40))
    before = contents(tmp_path)
    drawn = []

    def fail_at_the_third(spec: object) -> object:
        drawn.append(spec)
        if len(drawn) == 3:
            raise OSError(28, "No space left on device")
        return generate_phantom(spec)  # type: ignore[arg-type]

    monkeypatch.setattr(write, "generate_phantom", fail_at_the_third)
    with pytest.raises(OutputNotWritableError, match="No space left"):
        write_phantoms(tmp_path / "set", PhantomSettings(count=5, size=40, seed=2), overwrite=True)
    assert contents(tmp_path) == before


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputNotWritableError, match="is a file"):
        write_phantoms(tmp_path / "file", TINY)
    with pytest.raises(OutputNotWritableError, match="cannot write"):
        write_phantoms(tmp_path / "file" / "below", TINY)
