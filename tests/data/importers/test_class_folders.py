from __future__ import annotations

import pytest

from monai_pneumonia.data.importers import LabelRules
from monai_pneumonia.data.importers.class_folders import import_folders
from monai_pneumonia.data.splits import SplitRules
from monai_pneumonia.errors import BadInputError, NothingToAnalyseError, UsageError


def test_class_folders_are_split_by_patient(tmp_path, pictures):
    for label in ("normal", "viral"):
        for patient in range(10):
            for picture in range(2):
                pictures.write(tmp_path / label / f"{label}-p{patient}-{picture}.png")
    result = import_folders(tmp_path, patient_pattern=r"(p\d+)-", source="mine", splits=SplitRules(seed=1))
    sections = [
        {item.patient_id for item in part} for part in (result.datalist.training, result.datalist.validation, result.datalist.testing)
    ]
    assert sum(map(len, sections)) == len(set().union(*sections)) == 10
    assert result.records == 40
    assert {item.source for _, item in result.datalist.items()} == {"mine"}


def test_split_folders_above_class_folders(tmp_path, pictures):
    for split in ("train", "val", "test"):
        for label in ("normal", "viral"):
            pictures.write(tmp_path / split / label / "deeper" / "1.png")
    datalist = import_folders(tmp_path).datalist
    for section, split in (("training", "train"), ("validation", "val"), ("testing", "test")):
        found = {item.label: item for item in datalist.section(section)}
        assert set(found) == {"normal", "viral"}
        assert found["viral"].image == f"{split}/viral/deeper/1.png"
    assert {item.id for _, item in datalist.items()} >= {"train_viral_deeper_1", "test_normal_deeper_1"}


def test_split_folders_mixed_with_others(tmp_path, pictures):
    for folder in ("train/normal", "viral"):
        pictures.write(tmp_path / folder / "1.png")
    with pytest.raises(BadInputError, match=r"mixes folders of splits with others \(viral\)"):
        import_folders(tmp_path)


def test_everything_else_is_counted(tmp_path, pictures):
    pictures.write(tmp_path / "normal" / "1.png")
    pictures.write(tmp_path / "loose.png")
    pictures.write(tmp_path / "viral" / "._2.png")
    (tmp_path / "normal" / "Thumbs.db").touch()
    result = import_folders(tmp_path, splits=SplitRules(fractions=(1.0, 0.0, 0.0)))
    assert result.records == 4
    assert result.left_out == {"in no class folder": 1, "no picture by its name (.db)": 1, "no picture by its name (.png)": 1}


def test_unknown_class_folders_are_named(tmp_path, pictures):
    for label in ("normal", "flu", "cold"):
        pictures.write(tmp_path / label / "1.png")
    with pytest.raises(BadInputError, match=r"'cold' \(1\), 'flu' \(1\)"):
        import_folders(tmp_path)
    rules = LabelRules(mapping={"flu": "viral", "cold": "drop"})
    result = import_folders(tmp_path, labels=rules, splits=SplitRules(fractions=(0.5, 0.0, 0.5)))
    assert {item.label for _, item in result.datalist.items()} == {"normal", "viral"}
    assert result.left_out == {"class folder 'cold' is mapped to drop": 1}


@pytest.mark.parametrize("pattern", ["p(", "no group"])
def test_impossible_patterns(tmp_path, pattern):
    with pytest.raises(UsageError, match="--patient-pattern"):
        import_folders(tmp_path, patient_pattern=pattern)


def test_names_without_a_patient_are_counted(tmp_path, pictures):
    for name in ("p1-a", "p2-a", "odd"):
        pictures.write(tmp_path / "normal" / f"{name}.png")
    result = import_folders(tmp_path, patient_pattern=r"(p\d)")
    assert any(note.startswith("1 x file name in which the pattern finds no") for note in result.notes)


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(BadInputError, match="no folder"):
        import_folders(tmp_path / "gone")
    with pytest.raises(NothingToAnalyseError):
        import_folders(tmp_path)
