"""Every item and every prediction is accounted for once."""

from __future__ import annotations

from collections import Counter

import pytest

from monai_pneumonia.data.datalist import load_datalist
from monai_pneumonia.errors import BadInputError, NothingToAnalyseError, UsageError
from monai_pneumonia.evaluation.joining import account, join, left_out
from monai_pneumonia.evaluation.predictions import read_predictions


def joined(study, section="testing"):
    datalist = load_datalist(study.datalist)
    return join(read_predictions(study.predictions, datalist.labels), datalist, section)


def test_the_account_adds_up(hospitals):
    both = joined(hospitals)
    counted = account(both, both.labelled())
    items, predictions, measured = counted["items"], counted["predictions"], counted["measured"]
    assert items == {"total": 81, "ok": 78, "rejected": 1, "error": 1, "without_prediction": 1}
    assert predictions == {
        "total": 82,
        "ok": 80,
        "rejected": 1,
        "error": 1,
        "of_this_section": 80,
        "of_other_sections": 1,
        "without_item": 1,
    }
    # 48 children and 10 adults have a class, 10 more adults a group.
    assert measured == {"one_known_class": 58, "pneumonia_known": 68, "neither": 10, "p_pneumonia_not_1_minus_normal": 0}


@pytest.mark.parametrize("kind", ["by_source", "by_view", "by_age"])
def test_parts_share_the_items_out(hospitals, kind):
    both = joined(hospitals)
    parts = account(both, both.labelled())["parts"]
    for key in ("items", "measured"):
        assert sum(part[key] for part in parts[kind].values()) == parts["overall"][key]
    total = Counter()
    for part in parts[kind].values():
        assert sum(part["labels"].values()) == part["measured"]
        total.update(part["labels"])
    assert total == Counter(parts["overall"]["labels"])


def test_a_part_without_any_prediction_is_still_named(hospitals):
    both = joined(hospitals)
    part = account(both, both.labelled())["parts"]["by_source"]["elsewhere"]
    assert (part["items"], part["measured"], part["patients"]) == (1, 0, 0)


def test_what_was_left_out_is_listed_with_its_reason(hospitals):
    listed = dict(left_out(joined(hospitals)))
    assert {name: why for name, why in listed.items() if not name.startswith("a")} == {
        "silent": "item without prediction",
        "lateral": "prediction rejected",
        "broken": "prediction error",
        "learned": "prediction of another section",
        "stranger": "prediction without item",
    }
    assert sum(why == "label decides neither a class nor pneumonia" for why in listed.values()) == 10


def test_predictions_go_to_their_items_whatever_the_order(study):
    study.rows.reverse()
    study.sections["testing"].reverse()
    labelled = joined(study.write()).labelled()
    assert [item.id for item in labelled.items] == ["i0", "i1", "i2", "i3"]
    assert labelled.probabilities.argmax(axis=1).tolist() == labelled.candidates.argmax(axis=1).tolist() == [0, 1, 2, 3]


def test_all_sections_together(hospitals):
    assert joined(hospitals, "all").answered.sum() == joined(hospitals).answered.sum() + 1


def test_another_p_pneumonia_is_counted_and_used(study):
    study.rows[0]["p_pneumonia"] = "0.9"
    both = joined(study.write())
    labelled = both.labelled()
    assert account(both, labelled)["measured"]["p_pneumonia_not_1_minus_normal"] == 1
    assert labelled.p_pneumonia[0] == 0.9


class TestRefusing:
    def test_predictions_of_another_section(self, study, refuses):
        study.sections = {"training": [], "validation": study.sections["testing"], "testing": [{"id": "x", "image": "x.png"}]}
        message = refuses(NothingToAnalyseError, lambda: joined(study.write()))
        assert "none of the 4 predictions" in message
        assert "4 of them are in 'validation' (--section validation)" in message

    def test_predictions_of_another_datalist(self, study, refuses):
        for item in study.sections["testing"]:
            item["id"] = "other-" + item["id"]
        message = refuses(NothingToAnalyseError, lambda: joined(study.write()))
        assert "the ids are different, such as 'i0' there and 'other-i0' here" in message

    def test_only_failures(self, study, refuses):
        for row in study.rows:
            row["status"] = "error"
        message = refuses(NothingToAnalyseError, lambda: joined(study.write()))
        assert "0 rejected, 4 error, 0 without prediction" in message

    def test_an_empty_section(self, study, refuses):
        assert "'training' of the datalist 'made up' is empty" in refuses(NothingToAnalyseError, lambda: joined(study.write(), "training"))

    def test_an_unknown_section(self, study, refuses):
        assert "not 'test'" in refuses(UsageError, lambda: joined(study.write(), "test"))

    def test_an_id_twice_in_the_datalist(self, study, refuses):
        study.item("i0", "viral")
        assert "the id 'i0' twice" in refuses(BadInputError, lambda: joined(study.write()))

    def test_an_unknown_label(self, study, refuses):
        study.sections["testing"][2]["label"] = "fungal"
        assert "item 'i2': unknown label 'fungal'" in refuses(BadInputError, lambda: joined(study.write()).labelled())
