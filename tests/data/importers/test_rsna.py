from __future__ import annotations

from pathlib import Path

import pytest

from monai_pneumonia.data.importers.rsna import import_rsna
from monai_pneumonia.errors import BadInputError


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def by_number(result) -> dict[int, object]:
    return {int(item.id[-4:]): item for _, item in result.datalist.items()}


def test_classes_boxes_and_header(miniature):
    items = by_number(import_rsna(miniature("rsna").source))
    opacity, normal, other = items[0], items[1], items[2]
    assert (opacity.label, opacity.mask_kind) == ("pneumonia_unspecified", "box")
    assert opacity.boxes == ((2.0, 3.0, 4.0, 5.0), (3.0, 3.0, 4.0, 5.0))
    assert (normal.label, normal.mask_kind, normal.boxes) == ("normal", "empty", ())
    assert (other.label, other.mask_kind, other.boxes) == (None, "empty", ())
    assert (opacity.view, opacity.age, opacity.sex, opacity.source) == ("PA", 30.0, "M", "rsna")
    assert (normal.view, normal.age, normal.sex) == ("AP", 31.0, "F")
    assert opacity.image.endswith(f"stage_2_train_images/{opacity.id}.dcm")


def test_what_does_not_fit_is_left_out_with_its_reason(miniature, pictures):
    root = miniature("rsna").source
    pictures.dicom(root / "stage_2_train_images" / "extra.dcm")
    # 1 has no detailed class, 2 no row of labels, 4 a class that its lack of boxes contradicts.
    edit(root / "stage_2_detailed_class_info.csv", "63a80b6b0001,Normal\n", "63a80b6b0001x,Normal\n")
    edit(root / "stage_2_train_labels.csv", "63a80b6b0002,,,,,0\n", "63a80b6b0002x,,,,,0\n")
    edit(root / "stage_2_detailed_class_info.csv", "63a80b6b0004,Normal", "63a80b6b0004,Lung Opacity")
    result = import_rsna(root)
    assert result.left_out == {
        "picture is in no table": 1,
        "picture is not there": 3,
        "picture is not in stage_2_detailed_class_info.csv": 1,
        "picture is not in stage_2_train_labels.csv": 1,
        "boxes and detailed class disagree": 1,
    }
    assert result.examples["picture is in no table"] == ("extra.dcm",)
    assert result.records == 15


def test_unknown_detailed_class(miniature):
    root = miniature("rsna").source
    edit(root / "stage_2_detailed_class_info.csv", ",Normal", ",Fine")
    with pytest.raises(BadInputError, match=r"'Fine' \(4\)"):
        import_rsna(root)


@pytest.mark.parametrize("name", ["stage_2_train_labels.csv", "stage_2_detailed_class_info.csv"])
def test_missing_table_is_named(miniature, name):
    root = miniature("rsna").source
    (root / name).unlink()
    with pytest.raises(BadInputError, match=f"no {name}; it has .*stage_2_train_images"):
        import_rsna(root)


def test_missing_pictures_folder_is_named(miniature):
    root = miniature("rsna").source
    (root / "stage_2_train_images").rename(root / "images")
    with pytest.raises(BadInputError, match="no stage_2_train_images; it has images"):
        import_rsna(root)


def test_missing_column_is_named(miniature):
    root = miniature("rsna").source
    edit(root / "stage_2_train_labels.csv", "patientId,x,y,width,height,Target", "patientId,x,y,w,h,Target")
    with pytest.raises(BadInputError, match=r"stage_2_train_labels\.csv has no column 'width', 'height'"):
        import_rsna(root)


def test_damaged_header_keeps_the_picture_for_the_validator(miniature):
    root = miniature("rsna").source
    (name,) = (root / "stage_2_train_images").glob("*0001.dcm")
    name.write_bytes(b"no DICOM")
    item = by_number(import_rsna(root))[1]
    assert (item.view, item.age, item.sex) == (None, None, None)
