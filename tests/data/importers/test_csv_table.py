from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from monai_pneumonia.data.importers import LabelRules
from monai_pneumonia.data.importers.csv_table import import_csv
from monai_pneumonia.data.splits import SplitRules
from monai_pneumonia.errors import BadInputError, PneumoniaError

HEADER = "image,mask,mask_kind,label,patient_id,split,source,view,sex,age,license"


@pytest.fixture
def table(tmp_path, pictures, rows):
    """Writes a table over eight pictures in images/; each line may use them."""
    for number in range(8):
        pictures.write(tmp_path / "images" / f"{number}.png")

    def write(*lines: str):
        return rows(tmp_path / "table.csv", *lines)

    return write


def by_id(result):
    return {item.id: item for _, item in result.datalist.items()}


def test_every_column_arrives(table):
    path = table(HEADER, "images/0.png,masks/0.png,pixel,covid19,p1,val,cohen,AP Supine,F,62.0,CC BY 4.0")
    result = import_csv(path)
    (item,) = result.datalist.validation
    assert item.id == "0"
    assert (item.image, item.mask, item.mask_kind) == ("images/0.png", "masks/0.png", "pixel")
    assert (item.label, item.patient_id, item.source, item.view) == ("covid19", "p1", "cohen", "AP Supine")
    assert (item.sex, item.age, item.license) == ("F", 62.0, "CC BY 4.0")
    assert result.datalist.name == "table"


def test_blank_cells_are_unknown(table):
    (item,) = import_csv(table(HEADER, "images/0.png,,,,,test,,,,,")).datalist.testing
    assert (item.mask, item.mask_kind, item.label, item.patient_id, item.source, item.view) == (None, "unknown", None, None, None, None)
    assert (item.sex, item.age, item.license) == (None, None, None)


def test_other_columns_by_name(table):
    path = table("file;diagnosis;case;fold;years", "images/0.png;normal;a;train;062Y", "images/1.png;viral;b;test;")
    result = import_csv(path, image_column="file", label_column="diagnosis", patient_column="case", split_column="fold", age_column="years")
    assert result.datalist.training[0].patient_id == "a"
    assert result.datalist.training[0].age == 62.0
    assert result.datalist.testing[0].label == "viral"


def test_columns_left_aside_are_noted(table):
    result = import_csv(table("image,label,split,reader", "images/0.png,normal,train,someone"))
    assert "columns left aside: reader" in result.notes


@pytest.mark.parametrize("option", ["image_column", "label_column", "patient_column", "mask_column", "age_column"])
def test_a_column_that_was_named_must_be_there(table, option):
    with pytest.raises(BadInputError, match=r"no column 'nowhere'; it has .*image"):
        import_csv(table("image,label", "images/0.png,normal"), **{option: "nowhere"})


def test_labels_may_be_absent_when_said_so(table):
    path = table("image,split", "images/0.png,train")
    with pytest.raises(BadInputError, match="no column 'label'"):
        import_csv(path)
    assert import_csv(path, label_column="none").datalist.training[0].label is None


@pytest.mark.parametrize("name", ["train", "training", "Train"])
def test_split_names(table, name):
    assert len(import_csv(table("image,label,split", f"images/0.png,normal,{name}")).datalist.training) == 1


def test_unknown_splits_are_named_all_at_once(table):
    path = table("image,label,split", "images/0.png,normal,fold1", "images/1.png,normal,fold2", "images/2.png,normal,")
    with pytest.raises(BadInputError, match=r"'' \(1\), 'fold1' \(1\), 'fold2' \(1\).*--split-column none"):
        import_csv(path)


def test_stated_splits_can_be_set_aside(table):
    lines = [f"images/{number}.png,normal,train" for number in range(8)]
    datalist = import_csv(table("image,label,split", *lines), split_column="none", splits=SplitRules(fractions=(0.5, 0.25, 0.25))).datalist
    assert [len(part) for part in (datalist.training, datalist.validation, datalist.testing)] == [4, 2, 2]


def test_missing_pictures_are_left_out_and_named(table):
    result = import_csv(table("image,label,split", "images/0.png,normal,train", "images/gone.png,normal,train"))
    assert result.records == 2
    assert result.left_out == {"picture is not there": 1}
    assert result.examples == {"picture is not there": ("gone.png",)}


def test_paths_relative_to_another_folder(table, tmp_path, rows):
    table("image,label,split", "unused.png,normal,train")
    path = rows(tmp_path / "lists" / "deep" / "table.csv", "image,label,split", "0.png,normal,train")
    result = import_csv(path, root=tmp_path / "images")
    assert result.datalist.resolve(result.datalist.training[0].image) == tmp_path / "images" / "0.png"


def test_labels_mapped_dropped_and_nulled(table):
    path = table(
        "image,label,split", "images/0.png,flu,train", "images/1.png,odd,train", "images/2.png,bad,train", "images/3.png,bad,train"
    )
    result = import_csv(path, labels=LabelRules(mapping={"flu": "viral", "odd": None, "bad": "drop"}))
    assert [item.label for item in result.datalist.training] == ["viral", None]
    assert result.left_out == {"label 'bad' is mapped to drop": 2}


def test_own_classes_and_groups(table):
    rules = LabelRules(classes=("healthy", "tb", "cancer"), groups={"ill": ("tb", "cancer")})
    datalist = import_csv(table("image,label,split", "images/0.png,ill,train", "images/1.png,healthy,train"), labels=rules).datalist
    assert datalist.labels.classes == ("healthy", "tb", "cancer")
    assert datalist.labels.candidates("ill") == (1, 2)


def test_unknown_mask_kinds_are_named_all_at_once(table):
    lines = [f"images/{number}.png,normal,train,{kind}" for number, kind in enumerate(("drawn", "none", "drawn", "empty", ""))]
    with pytest.raises(BadInputError, match=r"'drawn' \(2\), 'none' \(1\); it must be one of pixel, box, empty, unknown"):
        import_csv(table("image,label,split,mask_kind", *lines))


def test_mask_kind_is_inferred_where_nothing_states_it(table, rows, tmp_path):
    path = table("image,label,split,mask", "images/0.png,viral,train,m.png", "images/1.png,viral,train,", "images/2.png,viral,train,")
    boxes = rows(tmp_path / "boxes.csv", "image,x,y,w,h", "images/1.png,1,2,3,4")
    items = by_id(import_csv(path, boxes=boxes))
    assert [items[name].mask_kind for name in "012"] == ["pixel", "box", "unknown"]


@pytest.mark.parametrize("style", ["beside the boxes", "below the table", "bare name"])
def test_boxes_find_their_pictures(table, rows, tmp_path, style):
    path = table("image,label,split", *(f"images/{number}.png,viral,train" for number in range(3)))
    image = {"beside the boxes": "../images/1.png", "below the table": "images/1.png", "bare name": "1.png"}[style]
    boxes = rows(
        tmp_path / "extra" / "boxes.csv", "image,x,y,w,h,reader", f"{image},1,2,3.5,4,x", f"{image},5,6,7,8,x", "strange.png,1,1,1,1,x"
    )
    result = import_csv(path, boxes=boxes)
    items = by_id(result)
    assert items["1"].boxes == ((1.0, 2.0, 3.5, 4.0), (5.0, 6.0, 7.0, 8.0))
    assert items["0"].boxes == items["2"].boxes == ()
    assert any("1 boxes left out" in note and "strange.png" in note for note in result.notes)


def test_bare_names_of_boxes_must_not_be_ambiguous(table, rows, tmp_path, pictures):
    pictures.write(tmp_path / "more" / "1.png")
    path = table("image,label,split", "images/1.png,viral,train", "more/1.png,viral,train")
    with pytest.raises(BadInputError, match=r"'1\.png' may be any of 2"):
        import_csv(path, boxes=rows(tmp_path / "extra" / "boxes.csv", "image,x,y,w,h", "1.png,1,2,3,4"))


def test_boxes_of_other_pictures_altogether(table, rows, tmp_path):
    path = table("image,label,split", "images/1.png,viral,train")
    with pytest.raises(BadInputError, match="none of its 1 boxes"):
        import_csv(path, boxes=rows(tmp_path / "boxes.csv", "image,x,y,w,h", "strange.png,1,2,3,4"))


def test_bad_box_and_missing_box_column(table, rows, tmp_path):
    path = table("image,label,split", "images/1.png,viral,train")
    with pytest.raises(BadInputError, match="numbers in x, y, w, h"):
        import_csv(path, boxes=rows(tmp_path / "boxes.csv", "image,x,y,w,h", "images/1.png,1,2,wide,4"))
    with pytest.raises(BadInputError, match="no column 'w', 'h'"):
        import_csv(path, boxes=rows(tmp_path / "boxes.csv", "image,x,y,width,height", "images/1.png,1,2,3,4"))


def test_an_unknown_label_is_an_error_even_if_its_picture_is_missing(table):
    with pytest.raises(PneumoniaError, match=r"'flu' \(1\)"):
        import_csv(table("image,label,split", "images/0.png,normal,train", "images/gone.png,flu,train"))


REAL_RULES = LabelRules(mapping=dict.fromkeys(("abnormal_no_opacity", "fungal_other", "other_ards")))


@pytest.mark.realdata
def test_real_table(real_data):
    result = import_csv(real_data / "cxr.csv", boxes=real_data / "cxr-lesions" / "boxes.csv", labels=REAL_RULES)
    datalist = result.datalist
    assert (result.records, result.left_out) == (5977, {})
    assert [len(part) for part in (datalist.training, datalist.validation, datalist.testing)] == [4403, 816, 758]
    items = [item for _, item in datalist.items()]
    assert Counter(item.label for item in items) == {
        "normal": 1693,
        "bacterial": 2405,
        "viral": 1321,
        "covid19": 254,
        "pneumonia_unspecified": 199,
        None: 105,
    }
    assert Counter(item.mask_kind for item in items) == {"unknown": 5660, "empty": 151, "pixel": 85, "box": 81}
    assert sum(len(item.boxes) for item in items) == 118
    assert all(bool(item.boxes) == (item.mask_kind == "box") for item in items)
    assert "columns left aside: lungs, label_read_by" in result.notes


@pytest.mark.realdata
def test_real_boxes_lie_on_the_rasterised_masks_of_the_same_pictures(real_data):
    """Boxes given to the wrong pictures, or read in the wrong order, would miss the masks that were made of them."""
    result = import_csv(real_data / "cxr.csv", boxes=real_data / "cxr-lesions" / "boxes.csv", labels=REAL_RULES)
    boxed = [item for _, item in result.datalist.items() if item.boxes]
    assert len(boxed) == 81
    for item in boxed:
        assert item.mask is not None
        mask = np.asarray(Image.open(result.datalist.resolve(item.mask))) > 127
        drawn = np.zeros_like(mask)
        for x, y, width, height in item.boxes:
            drawn[round(y) : round(y + height), round(x) : round(x + width)] = True
        assert (mask & drawn).sum() / (mask | drawn).sum() > 0.95


def test_a_table_without_patients_is_warned_about(tmp_path):
    from PIL import Image

    from monai_pneumonia.data.importers import IMPORTERS, LabelRules
    from monai_pneumonia.data.splits import SplitRules

    for index in range(6):
        Image.new("L", (8, 8), index).save(tmp_path / f"{index}.png")
    rows = [f"{index}.png,{'normal' if index % 2 else 'viral'},p1" for index in range(6)]
    (tmp_path / "table.csv").write_text("image,label,patient\n" + "\n".join(rows) + "\n")
    result = IMPORTERS["csv"](tmp_path / "table.csv", labels=LabelRules(), splits=SplitRules())
    assert any("no patient column" in note and "--patient-column" in note for note in result.notes)
    assert any("columns left aside: patient" in note for note in result.notes)
