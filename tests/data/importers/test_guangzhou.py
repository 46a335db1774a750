from __future__ import annotations

from collections import Counter

import pytest

from monai_pneumonia.data.importers.guangzhou import import_guangzhou
from monai_pneumonia.errors import BadInputError


def by_id(result):
    return {item.id: item for _, item in result.datalist.items()}


def test_class_and_patient_come_from_the_file_name(miniature):
    items = by_id(import_guangzhou(miniature("guangzhou").source))
    assert items["person1_bacteria_1"].label == "bacterial"
    assert items["person3_virus_11"].label == "viral"
    assert items["IM-0115-0001"].label == items["NORMAL2-IM-0383-0001"].label == "normal"
    assert items["person1_bacteria_1"].patient_id == items["person1_virus_6"].patient_id == "guangzhou-person1"
    assert items["NORMAL2-IM-0383-0001"].patient_id == items["NORMAL2-IM-0383-0001-0002"].patient_id
    assert items["IM-0115-0001"].patient_id != items["IM-0117-0001"].patient_id


def test_official_splits_move_patients_that_are_in_two(miniature):
    result = import_guangzhou(miniature("guangzhou").source, official_splits=True)
    sections = {item.id: section for section, item in result.datalist.items()}
    # person1 has two pictures in train and one in test; NORMAL2-IM-0383 one in each: the first split wins.
    assert sections["person1_virus_6"] == sections["person1_bacteria_1"] == "training"
    assert sections["NORMAL2-IM-0383-0001-0002"] == "training"
    assert sections["person1946_bacteria_4874"] == "validation"
    assert sections["person80_bacteria_390"] == "testing"
    assert any("2 patients are in several official splits" in note and "2 from testing to training" in note for note in result.notes)
    assert Counter(sections.values()) == {"training": 8, "validation": 2, "testing": 2}


def test_the_folder_above_and_a_nested_copy_do_not_double_the_pictures(miniature):
    root = miniature("guangzhou").source
    inner = root / "chest_xray" / "chest_xray" / "train" / "NORMAL"
    inner.mkdir(parents=True)
    (inner / "IM-0115-0001.jpeg").write_bytes((root / "chest_xray" / "train" / "NORMAL" / "IM-0115-0001.jpeg").read_bytes())
    assert import_guangzhou(root).records == import_guangzhou(root / "chest_xray").records == 13


def test_names_that_tell_nothing_or_the_opposite_are_left_out(miniature, pictures):
    root = miniature("guangzhou").source
    pictures.write(root / "chest_xray" / "train" / "PNEUMONIA" / "scan 7.jpeg")
    pictures.write(root / "chest_xray" / "test" / "NORMAL" / "person9_virus_1.jpeg")
    result = import_guangzhou(root)
    assert result.left_out == {
        "no picture by its name (no suffix)": 1,
        "file name tells no class": 1,
        "file name and folder disagree about the class": 1,
    }


def test_missing_folder_is_named(miniature):
    root = miniature("guangzhou").source
    (root / "chest_xray" / "val").rename(root / "elsewhere")
    with pytest.raises(BadInputError, match=r"val/NORMAL does not exist: the layout is"):
        import_guangzhou(root)
    with pytest.raises(BadInputError, match="no chest_xray; it has"):
        import_guangzhou(root / "elsewhere")
