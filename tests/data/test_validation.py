"""Each fault is put, alone, into a sound datalist; then all of them at once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_pneumonia.data.datalist import Datalist, DatalistItem
from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.data.validation import FaultKind, is_safe_id, validate_datalist
from monai_pneumonia.errors import NothingToAnalyseError

SIDE = 24


def write_picture(path: Path, seed: int, size: tuple[int, int] = (SIDE, SIDE + 8)) -> str:
    """Noise [H, W], so that no two pictures agree."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)).save(path)
    return path.name


def write_mask(path: Path, lesion: bool, size: tuple[int, int] = (SIDE, SIDE + 8), level: int = 255) -> str:
    pixels = np.zeros(size, dtype=np.uint8)
    if lesion:
        pixels[4:9, 5:11] = level
    Image.fromarray(pixels).save(path)
    return path.name


@pytest.fixture
def sound(tmp_path) -> Datalist:
    """Two classes in three sections, an outline of each kind."""
    sections: dict[str, tuple[DatalistItem, ...]] = {}
    number = 0
    for section in ("training", "validation", "testing"):
        items = []
        for label in ("normal", "viral"):
            number += 1
            image = write_picture(tmp_path / f"picture{number}.png", number)
            items.append(DatalistItem(f"item{number}", image, label, patient_id=f"secret-{number}"))
        sections[section] = tuple(items)
    first, second = sections["training"]
    first = replace(first, mask=write_mask(tmp_path / "blank.png", False), mask_kind="empty")
    second = replace(second, mask=write_mask(tmp_path / "drawn.png", True), mask_kind="pixel")
    third = DatalistItem("item7", write_picture(tmp_path / "picture7.png", 7), None, boxes=((0.0, 0.0, SIDE + 8.0, SIDE),), mask_kind="box")
    labels = LabelSpace.of(["normal", "viral"], {"any": ["normal", "viral"]})
    return Datalist("mine", labels, **{**sections, "training": (first, second, third)}, root=tmp_path)


def changed(datalist: Datalist, position: int = 0, section: str = "training", **values) -> Datalist:
    items = list(datalist.section(section))
    items[position] = replace(items[position], **values)
    return datalist.with_sections(**{section: tuple(items)})


def added(datalist: Datalist, *items: DatalistItem, section: str = "training") -> Datalist:
    return datalist.with_sections(**{section: (*datalist.section(section), *items)})


def the_fault(datalist: Datalist):
    report = validate_datalist(datalist, workers=2)
    assert len(report.faults) == 1, report
    assert not report.warnings
    assert not report.ok
    return report.faults[0]


def test_a_sound_datalist_has_no_fault(sound):
    report = validate_datalist(sound)
    assert report.ok
    assert (report.faults, report.warnings) == ((), ())
    assert (report.items, report.read) == (7, 7)


def test_missing_image(sound, tmp_path):
    fault = the_fault(changed(sound, 2, image="gone/away.png", boxes=(), mask_kind="unknown"))
    assert (fault.kind, fault.section, fault.item) == (FaultKind.MISSING_IMAGE, "training", "item7")
    assert fault.file == str(tmp_path / "gone" / "away.png")


def test_unreadable_image_counts_as_not_read(sound, tmp_path):
    damaged = tmp_path / "picture1.png"
    damaged.write_bytes(damaged.read_bytes()[:200])
    assert the_fault(sound).kind == FaultKind.UNREADABLE_IMAGE
    assert validate_datalist(sound).read == 6


def test_rejected_image(sound, tmp_path):
    frames = [Image.fromarray(np.full((SIDE, SIDE + 8), level, np.uint8)) for level in (0, 90)]
    frames[0].save(tmp_path / "cine.tif", save_all=True, append_images=frames[1:])
    fault = the_fault(changed(sound, image="cine.tif"))
    assert fault.kind == FaultKind.REJECTED_IMAGE
    assert fault.file is not None
    assert fault.file.endswith("cine.tif")


def test_unknown_label_names_label_and_choices(sound):
    fault = the_fault(changed(sound, 2, label="tuberculosis"))
    assert fault.kind == FaultKind.UNKNOWN_LABEL
    for word in ("tuberculosis", "normal", "viral", "any"):
        assert word in fault.message


def test_missing_mask(sound):
    fault = the_fault(changed(sound, 1, mask="gone.png"))
    assert (fault.kind, fault.item) == (FaultKind.MISSING_MASK, "item2")


def test_unreadable_mask(sound, tmp_path):
    (tmp_path / "drawn.png").write_bytes(b"no picture")
    assert the_fault(sound).kind == FaultKind.UNREADABLE_MASK


def test_mask_of_another_size_states_both(sound, tmp_path):
    write_mask(tmp_path / "drawn.png", True, (SIDE + 8, SIDE))
    fault = the_fault(sound)
    assert fault.kind == FaultKind.MASK_SIZE
    assert f"mask is {SIDE} x {SIDE + 8}" in fault.message
    assert f"picture {SIDE + 8} x {SIDE}" in fault.message


@pytest.mark.parametrize(
    "box",
    [
        (-2.0, 0.0, 5.0, 5.0),
        (0.0, -2.0, 5.0, 5.0),
        (SIDE + 4.0, 0.0, 6.0, 5.0),
        (0.0, SIDE - 4.0, 5.0, 6.0),
        (3.0, 3.0, 0.0, 5.0),
        (3.0, 3.0, 5.0, -1.0),
        (3.0, 3.0, float("nan"), 5.0),
    ],
)
def test_box_outside_the_picture_or_without_size(sound, box):
    fault = the_fault(changed(sound, 2, boxes=((1.0, 1.0, 4.0, 4.0), box)))
    assert (fault.kind, fault.item) == (FaultKind.BOX_OUTSIDE, "item7")
    assert str(box[0]) in fault.message


def test_box_on_the_edge_may_be_rounded(sound):
    assert validate_datalist(changed(sound, 2, boxes=((-0.3, 0.0, SIDE + 8.6, SIDE + 0.4),))).ok


@pytest.mark.parametrize(
    ("mask", "boxes", "mask_kind", "word"),
    [
        ("drawn.png", (), "empty", "outline"),
        (None, ((1.0, 1.0, 4.0, 4.0),), "empty", "boxes"),
        ("drawn.png", (), "unknown", "mask"),
        ("blank.png", (), "unknown", "mask"),
        (None, ((1.0, 1.0, 4.0, 4.0),), "unknown", "boxes"),
        (None, (), "pixel", "no mask"),
        (None, ((1.0, 1.0, 4.0, 4.0),), "pixel", "no mask"),
        ("blank.png", (), "pixel", "blank"),
        ("blank.png", ((1.0, 1.0, 4.0, 4.0),), "box", "blank"),
        (None, (), "box", "neither"),
    ],
)
def test_mask_kind_at_odds_with_the_outline(sound, mask, boxes, mask_kind, word):
    fault = the_fault(changed(sound, 0, mask=mask, boxes=boxes, mask_kind=mask_kind))
    assert (fault.kind, fault.item) == (FaultKind.MASK_KIND, "item1")
    assert word in fault.message


@pytest.mark.parametrize(
    ("mask", "boxes", "mask_kind"),
    [
        ("drawn.png", (), "pixel"),
        ("drawn.png", (), "box"),
        ("drawn.png", ((1.0, 1.0, 4.0, 4.0),), "box"),
        (None, ((1.0, 1.0, 4.0, 4.0),), "box"),
        ("blank.png", (), "empty"),
        (None, (), "empty"),
        (None, (), "unknown"),
    ],
)
def test_mask_kind_that_agrees(sound, mask, boxes, mask_kind):
    assert validate_datalist(changed(sound, 0, mask=mask, boxes=boxes, mask_kind=mask_kind)).ok


def test_mask_of_zeros_and_ones_is_not_taken_for_blank(sound, tmp_path):
    write_mask(tmp_path / "drawn.png", True, level=1)
    fault = the_fault(sound)
    assert fault.kind == FaultKind.MASK_KIND
    assert "0 and 255" in fault.message


def test_patient_in_two_splits_is_told_by_items(sound):
    fault = the_fault(changed(sound, 0, "testing", patient_id="secret-1"))
    assert fault.kind == FaultKind.PATIENT_IN_TWO_SPLITS
    assert "item1 (training)" in fault.message
    assert "item5 (testing)" in fault.message


def test_duplicate_id(sound):
    report = validate_datalist(changed(sound, 0, "validation", id="item1"))
    assert [(fault.kind, fault.item, fault.section) for fault in report.faults] == [
        (FaultKind.DUPLICATE_ID, "item1", "training"),
        (FaultKind.DUPLICATE_ID, "item1", "validation"),
    ]


@pytest.mark.parametrize("name", ["../up", "a/b", "a\\b", ".hidden", "-r", "a:b", "nul\x00", "tab\t", " a", "a*", "x" * 300])
def test_unsafe_id(sound, name):
    assert the_fault(changed(sound, 2, id=name)).kind == FaultKind.UNSAFE_ID


@pytest.mark.parametrize("name", ["IM-0115-0001", "00000061_012", "1.2.840.1", "röntgen 3", "_x"])
def test_safe_id(name):
    assert is_safe_id(name)


def test_empty_class_of_training_is_a_fault(sound):
    fault = the_fault(changed(changed(sound, 1, label=None), 2, label=None))
    assert (fault.kind, fault.section, fault.item) == (FaultKind.EMPTY_CLASS, "training", None)
    assert "'viral'" in fault.message


def test_class_that_only_a_group_may_mean_is_a_warning_that_names_the_group(sound):
    report = validate_datalist(changed(changed(sound, 1, label=None), 2, label="any"))
    assert report.ok
    (warning,) = (warning for warning in report.warnings if warning.section == "training")
    assert warning.kind == FaultKind.EMPTY_CLASS
    assert "only any may mean it" in warning.message


@pytest.mark.parametrize("section", ["validation", "testing"])
def test_empty_class_elsewhere_is_a_warning(sound, section):
    report = validate_datalist(sound.with_sections(**{section: sound.section(section)[:1]}))
    assert report.ok
    assert [(warning.kind, warning.section) for warning in report.warnings] == [(FaultKind.EMPTY_CLASS, section)]


def test_empty_sections(sound):
    report = validate_datalist(sound.with_sections(training=(), testing=()))
    assert [(fault.kind, fault.section) for fault in report.faults] == [(FaultKind.EMPTY_SECTION, "training")]
    assert [(fault.kind, fault.section) for fault in report.warnings] == [(FaultKind.EMPTY_SECTION, "testing")]


def test_no_item_at_all(sound):
    with pytest.raises(NothingToAnalyseError, match="mine"):
        validate_datalist(sound.with_sections(training=(), validation=(), testing=()))


def copy_of(datalist: Datalist, target: str, **values) -> DatalistItem:
    """The first training picture in another file form, under another id."""
    source = datalist.training[0]
    Image.open(datalist.resolve(source.image)).save(datalist.root / target)
    return replace(source, **{"id": "copy", "image": target, **values})


def test_same_picture_of_one_patient_in_one_split_is_a_warning(sound):
    report = validate_datalist(added(sound, copy_of(sound, "copy.bmp")))
    assert report.ok
    assert [warning.kind for warning in report.warnings] == [FaultKind.SAME_PICTURE]
    assert "item1 (training), copy (training)" in report.warnings[0].message


@pytest.mark.parametrize(("section", "patient"), [("testing", "secret-1"), ("training", "secret-99"), ("testing", None)])
def test_same_picture_in_two_splits_or_under_two_patients_is_a_fault(sound, section, patient):
    report = validate_datalist(added(sound, copy_of(sound, "copy.bmp", patient_id=patient), section=section))
    assert FaultKind.SAME_PICTURE in {fault.kind for fault in report.faults}


def test_same_picture_with_two_labels_is_a_kind_of_its_own(sound):
    report = validate_datalist(added(sound, copy_of(sound, "copy.tif", label="viral")))
    assert [fault.kind for fault in report.faults] == [FaultKind.SAME_PICTURE_TWO_LABELS]
    assert "normal and viral" in report.faults[0].message


def test_a_missing_label_contradicts_no_other(sound):
    assert validate_datalist(added(sound, copy_of(sound, "copy.tif", label=None))).ok


def test_a_copy_of_more_bits_is_the_same_picture_and_a_changed_pixel_is_not(sound):
    pixels = np.asarray(Image.open(sound.resolve(sound.training[0].image)))
    Image.fromarray(pixels.astype(np.uint16) * 257).save(sound.root / "deep.png")
    other = pixels.copy()
    other[0, 0] ^= 1
    Image.fromarray(other).save(sound.root / "other.png")
    deep, changed_pixel = (replace(sound.training[0], id=name, image=f"{name}.png") for name in ("deep", "other"))
    assert [found.kind for found in validate_datalist(added(sound, deep)).warnings] == [FaultKind.SAME_PICTURE]
    assert validate_datalist(added(sound, changed_pixel)).warnings == ()


@pytest.fixture
def broken(sound, tmp_path) -> Datalist:
    """All kinds of faults at once."""
    frames = [Image.fromarray(np.full((SIDE, SIDE), level, np.uint8)) for level in (0, 90)]
    frames[0].save(tmp_path / "cine.tif", save_all=True, append_images=frames[1:])
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG")
    write_mask(tmp_path / "small.png", True, (3, 3))
    items = (
        DatalistItem("missing", "gone.png", patient_id="secret-3"),
        DatalistItem("rejected", "cine.tif"),
        DatalistItem("damaged", "damaged.png"),
        DatalistItem("a/b", write_picture(tmp_path / "x1.png", 101), "tuberculosis"),
        DatalistItem("twice", write_picture(tmp_path / "x2.png", 102), mask="gone-mask.png", mask_kind="pixel"),
        DatalistItem("twice", write_picture(tmp_path / "x3.png", 103), mask="damaged.png", mask_kind="pixel"),
        DatalistItem("size", write_picture(tmp_path / "x4.png", 104), mask="small.png", mask_kind="pixel"),
        DatalistItem("kind", write_picture(tmp_path / "x5.png", 105), mask_kind="box"),
        DatalistItem("box", write_picture(tmp_path / "x6.png", 106), boxes=((0.0, 0.0, 999.0, 1.0),), mask_kind="box"),
        copy_of(sound, "copy.bmp", label="any", patient_id="other"),
    )
    kept = [item if item.label != "viral" else replace(item, label=None) for item in sound.training]
    return sound.with_sections(training=(*kept, *items), testing=())


def test_all_faults_are_reported_at_once(broken):
    report = validate_datalist(broken)
    expected = set(FaultKind) - {FaultKind.EMPTY_SECTION}
    # A group may mean the class without items, so that one is told as a warning.
    assert {fault.kind for fault in report.faults} == expected - {FaultKind.EMPTY_CLASS}
    assert {warning.kind for warning in report.warnings} == {FaultKind.EMPTY_SECTION, FaultKind.EMPTY_CLASS}
    assert report.items == 15
    assert report.read == 12


def test_no_message_shows_a_patient(broken):
    assert "secret" not in json.dumps(validate_datalist(broken).to_json())


def test_report_does_not_depend_on_the_number_of_workers(broken):
    assert validate_datalist(broken, workers=1) == validate_datalist(broken, workers=7)


def test_report_as_json_counts_what_it_lists(broken):
    report = validate_datalist(broken)
    content = json.loads(json.dumps(report.to_json()))
    assert content["ok"] is False
    assert sum(content["fault_counts"].values()) == len(content["faults"]) == len(report.faults)
    assert content["fault_counts"]["duplicate_id"] == 2
    assert set(content["faults"][0]) == {"kind", "section", "item", "file", "message"}
    assert "not for diagnosis" in content["note"]


@pytest.mark.slow
@pytest.mark.realdata
def test_real_table_is_sound(real_data):
    from monai_pneumonia.data.importers import IMPORTERS, LabelRules

    rules = LabelRules(mapping=dict.fromkeys(("abnormal_no_opacity", "fungal_other", "other_ards")))
    result = IMPORTERS["csv"](real_data / "cxr.csv", boxes=real_data / "cxr-lesions" / "boxes.csv", labels=rules)
    report = validate_datalist(result.datalist)
    assert (report.items, report.read) == (5977, 5977)
    assert report.faults == ()
    assert report.warnings == ()
