from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_pneumonia.data.datalist import DatalistItem
from monai_pneumonia.data.importers.intake import DROP, Intake, LabelRules, find_one, is_picture, parse_age, section_of, unique_ids
from monai_pneumonia.data.splits import SplitRules
from monai_pneumonia.data.validation import is_safe_id
from monai_pneumonia.errors import BadInputError, NothingToAnalyseError, UsageError


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("62", 62.0),
        ("62.0", 62.0),
        (" 62. ", 62.0),
        ("062Y", 62.0),
        ("018M", 1.5),
        ("026W", 0.5),
        ("010D", 0.03),
        ("0", 0.0),
        ("120", 120.0),
        ("", None),
        ("121", None),
        ("411", None),
        ("-3", None),
        ("adult", None),
        ("60-69", None),
        ("nan", None),
        ("1e2", None),
    ],
)
def test_ages_in_every_form(text, years):
    assert parse_age(text) == years


def test_blank_ages_are_unknown_and_impossible_ones_are_counted(tmp_path):
    intake = Intake("mine", LabelRules())
    assert [intake.age(text) for text in ("", " ", "62", "411", "old")] == [None, None, 62.0, None, None]
    assert [intake.sex(text) for text in ("", "M", "female", "O")] == [None, "M", "F", None]
    intake.add(DatalistItem("", "a.png"), tmp_path / "a.png", ("training",))
    notes = intake.finish(tmp_path, SplitRules()).notes
    assert "2 x impossible age set to null" in notes
    assert "1 x sex other than M or F set to null" in notes


@pytest.mark.parametrize(
    ("name", "section"),
    [("train", "training"), ("Training", "training"), ("val", "validation"), ("VALID", "validation"), ("test", "testing"), ("fold1", None)],
)
def test_usual_names_of_splits(name, section):
    assert section_of(name) == section


def test_stems_name_items_and_clashes_are_told_apart_by_their_folders():
    root = Path("/data")
    files = [root / "train/normal/1.png", root / "train/viral/1.png", root / "train/viral/2.png", root / "other/3 (copy).jpeg"]
    assert unique_ids(files, root) == ["train_normal_1", "train_viral_1", "2", "3_copy_.jpeg".removesuffix("_.jpeg")]


def test_clashes_of_suffix_case_and_row():
    root = Path("/data")
    files = [root / "a.png", root / "a.jpg", root / "B.png", root / "x/b.png", root / "c.png", root / "c.png"]
    assert unique_ids(files, root) == ["a.png", "a.jpg", "B", "x_b", "c-1", "c-2"]


@settings(max_examples=100, deadline=None)
@given(names=st.lists(st.text(st.sampled_from("aAb1-_. /é:"), min_size=1, max_size=6), max_size=12))
def test_ids_are_always_unique_safe_and_repeatable(names):
    root = Path("/data")
    files = [root / f"{name.strip('/') or 'x'}.png" for name in names]
    ids = unique_ids(files, root)
    assert len({name.casefold() for name in ids}) == len(files)
    assert all(is_safe_id(name) for name in ids)
    assert ids == unique_ids(files, root)


def test_labels_are_mapped_kept_dropped_or_blank():
    intake = Intake("mine", LabelRules(mapping={"flu": "viral", "odd": None, "bad": DROP}))
    assert [intake.label(raw) for raw in ("flu", "odd", "bad", "", " normal ", "pneumonia_unspecified")] == [
        "viral",
        None,
        DROP,
        None,
        "normal",
        "pneumonia_unspecified",
    ]


def test_unknown_labels_are_named_all_at_once_with_counts_and_remedy(tmp_path):
    intake = Intake("mine", LabelRules())
    for raw in ("flu", "flu", "odd", "normal"):
        intake.label(raw)
        intake.add(DatalistItem("", "a.png"), tmp_path / "a.png")
    with pytest.raises(BadInputError, match=r"'flu' \(2\), 'odd' \(1\).*--map 'flu=CLASS'"):
        intake.finish(tmp_path, SplitRules())


def test_a_mapping_to_nowhere_is_refused():
    with pytest.raises(UsageError, match=r"'flu'.*'influenza'"):
        LabelRules(mapping={"flu": "influenza"}).space()


def test_what_the_user_maps_wins_over_an_importers_own_mapping():
    rules = LabelRules(classes=("normal", "ill"), mapping={"flu": "ill"}).over(
        {"flu": "viral", "none": "normal", "cold": "viral", "odd": None}
    )
    assert rules.mapping == {"flu": "ill", "none": "normal", "odd": None}


def test_default_groups_go_with_default_classes_only():
    assert "pneumonia_unspecified" in LabelRules().space().groups
    assert LabelRules(classes=("normal", "ill")).space().groups == {}
    assert LabelRules(groups={}).space().groups == {}


def test_classes_that_the_source_lacks_are_noted(tmp_path):
    intake = Intake("mine", LabelRules())
    for label in ("normal", "viral", "pneumonia_unspecified"):
        intake.add(DatalistItem("", "a.png", label), tmp_path / f"{label}.png", ("training",))
    (note,) = intake.finish(tmp_path, SplitRules()).notes
    assert note.startswith("no picture of the class bacterial, covid19:")


def test_nothing_left_says_why(tmp_path):
    intake = Intake("mine", LabelRules())
    intake.leave_out("picture is not there", "a.png")
    with pytest.raises(NothingToAnalyseError, match="1 picture is not there"):
        intake.finish(tmp_path, SplitRules())


def test_stated_sections_are_kept_and_open_ones_are_split_among_those_allowed(tmp_path):
    intake = Intake("mine", LabelRules())
    for number in range(40):
        allowed = ("testing",) if number < 10 else ("training", "validation")
        intake.add(DatalistItem("", f"{number}.png", patient_id=str(number)), tmp_path / f"{number}.png", allowed)
    datalist = intake.finish(tmp_path, SplitRules(fractions=(0.6, 0.2, 0.2))).datalist
    assert {item.id for item in datalist.testing} == {str(number) for number in range(10)}
    # .6 to .2 among 30 pictures, rounded to whole folds
    assert len(datalist.training) in (22, 23)
    assert len(datalist.training) + len(datalist.validation) == 30


def test_fractions_that_leave_nothing_for_the_allowed_sections(tmp_path):
    intake = Intake("mine", LabelRules())
    intake.add(DatalistItem("", "a.png"), tmp_path / "a.png", ("training", "validation"))
    with pytest.raises(UsageError, match="training and validation"):
        intake.finish(tmp_path, SplitRules(fractions=(0.0, 0.0, 1.0)))


def test_find_one_names_what_is_there(tmp_path):
    (tmp_path / "Entry_1.csv").touch()
    assert find_one(tmp_path, "Nothing*.csv", "Entry*.csv").name == "Entry_1.csv"
    with pytest.raises(BadInputError, match=r"no labels\.csv; it has Entry_1\.csv"):
        find_one(tmp_path, "labels.csv")
    (tmp_path / "Entry_2.csv").touch()
    with pytest.raises(BadInputError, match=r"several Entry.*Entry_1\.csv, Entry_2\.csv"):
        find_one(tmp_path, "Entry*.csv")
    with pytest.raises(BadInputError, match="no such folder"):
        find_one(tmp_path / "gone", "labels.csv")


def test_pictures_by_suffix_or_by_dicoms_mark(tmp_path, pictures):
    assert is_picture(tmp_path / "a.PNG")
    assert is_picture(tmp_path / "a.nii.gz")
    (tmp_path / "notes.txt").touch()
    (tmp_path / "README").write_text("short")
    assert not is_picture(tmp_path / "notes.txt")
    assert not is_picture(tmp_path / "README")
    assert is_picture(pictures.dicom(tmp_path / "IM000001"))
