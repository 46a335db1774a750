from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_pneumonia.data.datalist import MASK_KINDS, Datalist, DatalistItem, load_datalist, save_datalist
from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.errors import BadInputError, ExitCode, OutputNotWritableError

TEXT = st.one_of(st.none(), st.text(min_size=1, max_size=10).filter(lambda text: "\x00" not in text))
COORDINATE = st.floats(0, 5000, allow_nan=False)
ITEMS = st.builds(
    DatalistItem,
    id=st.uuids().map(str),
    image=st.sampled_from(["images/a.png", "b.dcm", "../c.nii.gz"]),
    label=st.sampled_from([None, "normal", "pneumonia_unspecified"]),
    mask=st.sampled_from([None, "masks/a.png"]),
    boxes=st.lists(st.tuples(COORDINATE, COORDINATE, COORDINATE, COORDINATE), max_size=2).map(tuple),
    mask_kind=st.sampled_from(MASK_KINDS),
    patient_id=TEXT,
    source=TEXT,
    age=st.one_of(st.none(), st.floats(0, 120)),
    sex=st.sampled_from([None, "M", "F"]),
)


@settings(max_examples=30, deadline=None)
@given(items=st.lists(ITEMS, max_size=4))
def test_what_is_written_is_read_again(tmp_path_factory, items):
    folder = tmp_path_factory.mktemp("datalist")
    datalist = Datalist("mine", LabelSpace(), training=tuple(items), testing=tuple(items[:1]), root=folder)
    save_datalist(datalist, folder / "datalist.json")
    assert load_datalist(folder / "datalist.json") == datalist


def test_paths_follow_the_file_to_another_folder(tmp_path):
    item = DatalistItem("a", "images/a.png", mask="masks/a.png")
    datalist = Datalist("mine", LabelSpace(), training=(item,), root=tmp_path / "data")
    save_datalist(datalist, tmp_path / "lists" / "deep" / "datalist.json")
    moved = load_datalist(tmp_path / "lists" / "deep" / "datalist.json")
    assert moved.training[0].image == "../../data/images/a.png"
    assert moved.resolve(moved.training[0].image) == tmp_path / "data" / "images" / "a.png"
    assert moved.resolve(str(moved.training[0].mask)) == tmp_path / "data" / "masks" / "a.png"


def test_existing_names_item_and_file_where_it_is_missing(tmp_path):
    (tmp_path / "here.png").touch()
    datalist = Datalist("mine", LabelSpace(), root=tmp_path)
    assert datalist.existing(DatalistItem("a", "here.png"), "here.png") == tmp_path / "here.png"
    with pytest.raises(BadInputError, match=r"'a'.*gone\.png"):
        datalist.existing(DatalistItem("a", "gone.png"), "gone.png")


def test_patient_falls_back_to_the_item_and_never_mixes_the_two():
    assert DatalistItem("7", "a.png").patient != DatalistItem("8", "b.png", patient_id="7").patient
    assert DatalistItem("7", "a.png", patient_id="p").patient == DatalistItem("8", "b.png", patient_id="p").patient


def test_missing_fields_and_fields_of_others(tmp_path):
    record = {"id": "a", "image": "a.png", "boxes": None, "mask_kind": None, "reader": "someone"}
    content = {"classes": ["normal"], "training": [record], "validation": [], "testing": []}
    (tmp_path / "plain.json").write_text(json.dumps(content))
    datalist = load_datalist(tmp_path / "plain.json")
    assert datalist.name == "plain"
    assert datalist.training == (DatalistItem("a", "a.png"),)
    assert datalist.labels.groups == {}


def test_all_breaches_of_the_schema_are_named_at_once(tmp_path):
    bad = {"image": "a.png", "boxes": [[1, 2, 3]]}
    content = {"classes": ["normal"], "training": [bad, {"id": "b", "image": "b.png", "mask_kind": "drawn"}], "validation": []}
    (tmp_path / "bad.json").write_text(json.dumps(content))
    with pytest.raises(BadInputError) as caught:
        load_datalist(tmp_path / "bad.json")
    message = str(caught.value)
    assert "4 place(s)" in message
    for part in (
        "'testing' is a required",
        "training/0: 'id' is a required",
        "training/0/boxes/0: must hold at least 4",
        "training/1/mask_kind",
    ):
        assert part in message


def test_no_value_of_a_patient_is_in_a_message(tmp_path):
    bad = {"id": "a", "image": "a.png", "patient_id": 19700101123, "age": "Jane"}
    (tmp_path / "bad.json").write_text(json.dumps({"classes": ["normal"], "training": [bad], "validation": [], "testing": []}))
    with pytest.raises(BadInputError) as caught:
        load_datalist(tmp_path / "bad.json")
    assert "training/0/patient_id: must be string or null" in str(caught.value)
    assert "19700101123" not in str(caught.value)
    assert "Jane" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[1, 2", "\x80"])
def test_damaged_file_is_named(tmp_path, text):
    (tmp_path / "bad.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BadInputError, match=r"bad\.json"):
        load_datalist(tmp_path / "bad.json")


def test_missing_file_is_named(tmp_path):
    with pytest.raises(BadInputError, match=r"gone\.json"):
        load_datalist(tmp_path / "gone.json")


def test_unknown_section_is_refused():
    with pytest.raises(BadInputError, match="train"):
        Datalist("mine", LabelSpace()).section("train")


def test_unwritable_output_has_its_exit_code(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputNotWritableError) as caught:
        save_datalist(Datalist("mine", LabelSpace()), tmp_path / "file" / "datalist.json")
    assert caught.value.exit_code == ExitCode.OUTPUT_NOT_WRITABLE


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "datalist.json"
    save_datalist(Datalist("old", LabelSpace()), path)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OutputNotWritableError, match="No space left"):
        save_datalist(Datalist("new", LabelSpace()), path)
    assert load_datalist(path).name == "old"
