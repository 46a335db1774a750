from __future__ import annotations

import pytest

from monai_pneumonia.data.importers import LabelRules
from monai_pneumonia.data.importers.nih import OTHER_FINDINGS, import_nih
from monai_pneumonia.errors import BadInputError


def by_id(result):
    return {item.id: item for _, item in result.datalist.items()}


def test_findings_become_labels(miniature):
    items = by_id(import_nih(miniature("nih").source))
    assert items["00000000_000"].label == "normal"
    assert items["00000000_001"].label == "pneumonia_unspecified"
    assert items["00000001_000"].label == "pneumonia_unspecified"
    assert items["00000001_001"].label is None
    # Text-mined labels say nothing of where: nobody read "No Finding" as an empty outline.
    assert items["00000000_000"].mask_kind == "unknown"


def test_patient_view_sex_and_age_and_impossible_ages(miniature):
    result = import_nih(miniature("nih").source)
    items = by_id(result)
    first = items["00000000_000"]
    assert (first.patient_id, first.view, first.sex, first.age, first.source) == ("nih-0", "PA", "M", 50.0, "nih")
    assert items["00000001_001"].age is None
    assert "1 x impossible age set to null" in result.notes


def test_boxes_of_pneumonia_are_scaled_to_this_copy(miniature):
    source = miniature("nih").source
    result = import_nih(source)
    items = by_id(result)
    # The pictures are 64 pixels wide, the boxes are for 1024: a sixteenth.
    assert items["00000000_001"].boxes == ((10.0, 20.0, 30.0, 15.0),)
    assert items["00000000_001"].mask_kind == "box"
    assert items["00000001_000"].boxes == ()
    assert any("1 of Pneumonia read, 2 of other findings left out" in note for note in result.notes)
    both = by_id(import_nih(source, infiltrate_boxes=True))
    assert both["00000001_000"].boxes == ((1.0, 2.0, 3.0, 4.0),)


def test_official_lists_are_kept(miniature):
    source = miniature("nih").source
    datalist = import_nih(source).datalist
    listed = set((source / "test_list.txt").read_text().split())
    assert {f"{item.id}.png" for item in datalist.testing} == listed
    assert len(datalist.training) + len(datalist.validation) == 8
    assert datalist.validation


def test_without_lists_all_is_split_by_patient(miniature):
    source = miniature("nih").source
    (source / "test_list.txt").unlink()
    with pytest.raises(BadInputError, match=r"train_val_list\.txt but not test_list\.txt"):
        import_nih(source)
    (source / "train_val_list.txt").unlink()
    result = import_nih(source)
    assert all(result.datalist.section(name) for name in ("training", "validation", "testing"))
    assert any(note.startswith("no official lists") for note in result.notes)


def test_everything_left_out_has_its_reason(miniature, pictures):
    source = miniature("nih").source
    pictures.write(source / "images_001" / "images" / "extra.png")
    lines = (source / "test_list.txt").read_text().splitlines()
    (source / "test_list.txt").write_text("\n".join(lines[1:]))
    result = import_nih(source, labels=LabelRules(mapping={OTHER_FINDINGS: "drop"}))
    assert result.left_out == {
        "'other findings' is mapped to drop": 3,
        "in neither official list": 1,
        "picture is not there": 1,
        "picture is not in Data_Entry_2017_v2020.csv": 1,
    }
    assert result.records == 14
    assert all(item.label for _, item in result.datalist.items())


def test_flat_images_folder_and_the_other_name_for_sex(miniature, pictures, tmp_path, rows):
    rows(
        tmp_path / "flat" / "Data_Entry_2017.csv",
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Sex,View Position",
        *(f"{number}.png,No Finding,0,{number},058Y,F,AP" for number in range(4)),
    )
    for number in range(4):
        pictures.write(tmp_path / "flat" / "images" / f"{number}.png")
    result = import_nih(tmp_path / "flat")
    item = by_id(result)["0"]
    assert (item.sex, item.age, item.view) == ("F", 58.0, "AP")
    assert any(note.startswith("no BBox_List_2017.csv") for note in result.notes)


def test_missing_table_and_column_are_named(miniature):
    source = miniature("nih").source
    table = source / "Data_Entry_2017_v2020.csv"
    table.write_text(table.read_text().replace("Finding Labels", "Findings"))
    with pytest.raises(BadInputError, match=r"no column 'Finding Labels'; it has .*'Findings'"):
        import_nih(source)
    table.unlink()
    with pytest.raises(BadInputError, match=r"no Data_Entry_2017\*\.csv; it has BBox_List_2017\.csv"):
        import_nih(source)
