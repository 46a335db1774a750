"""The part of an evaluation that measures maps: from a prediction folder to metrics.json and the two reports."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from monai_pneumonia.data.datalist import load_datalist
from monai_pneumonia.errors import BadInputError
from monai_pneumonia.evaluation.joining import join
from monai_pneumonia.evaluation.localization_tables import TITLE, localization_remarks, localization_tables
from monai_pneumonia.evaluation.localizing import localization_of_maps, outline_of
from monai_pneumonia.evaluation.map_folder import OF_NOBODY, OF_THE_MODEL
from monai_pneumonia.evaluation.markdown import markdown_report
from monai_pneumonia.evaluation.measuring import Settings, measure
from monai_pneumonia.evaluation.measuring_maps import NO_FOLDER, NO_MAPS, NO_OUTLINE
from monai_pneumonia.evaluation.predictions import read_predictions
from monai_pneumonia.evaluation.report import html_report
from monai_pneumonia.metrics import localization_names

SIZE = (20, 26)
EVEN = (0.25, 0.25, 0.25, 0.25)


@pytest.fixture
def outlined(study):
    """Drawn, boxed and empty pictures with maps that are their outlines; and one each that lacks a prediction, a map, a pixel."""
    (study.folder / "images").mkdir()
    for at in range(4):
        mask = np.zeros(SIZE, dtype=np.uint8)
        mask[3 : 9 + at, 5:12] = 255
        Image.fromarray(mask).save(study.folder / f"mask{at}.png")
        drawn = {"mask": f"mask{at}.png", "mask_kind": "pixel", "patient_id": f"secret-{at}"}
        study.item(f"p{at}", "viral", source=("north", "south")[at % 2], **drawn)
    study.item("b", "viral", boxes=[[2, 2, 6, 6], [12, 4, 5, 9]], mask_kind="box", source="north")
    study.item("e", "normal", mask_kind="empty", source="south")
    study.item("silent", "viral", mask="mask0.png", mask_kind="pixel")
    study.item("refused", "viral", mask="mask0.png", mask_kind="pixel")
    study.item("mapless", "viral", boxes=[[2, 2, 6, 6]], mask_kind="box")
    study.item("outside", "viral", boxes=[[200, 200, 6, 6]], mask_kind="box")
    for item in study.sections["testing"]:
        Image.fromarray(np.zeros(SIZE, dtype=np.uint8)).save(study.folder / item["image"])
        if item["id"] not in ("silent", "refused", "i0", "i1", "i2", "i3"):
            study.predict(item["id"], EVEN)
    study.fail("refused", "rejected")
    study.write()
    (study.folder / "attention").mkdir()
    datalist = load_datalist(study.datalist)
    for item in datalist.testing:
        if item.id != "mapless":
            known = item.mask_kind in ("pixel", "box")
            save(study, item.id, outline_of(item, datalist, SIZE) if known else np.zeros(SIZE))
    return study


def save(study, identifier, values):
    np.save(study.folder / "attention" / f"{identifier}.npy", np.asarray(values, dtype=np.float32))


def facts(study, **content):
    (study.folder / "lesions.json").write_text(json.dumps({"notice": "", "model": {}, "pictures": {}, **content}))


def measured(study, source=None, section="testing"):
    datalist = load_datalist(study.datalist)
    predictions = read_predictions(source or study.folder, datalist.labels)
    return measure(join(predictions, datalist, section), Settings(resamples=30), None)


def localization(study, **options):
    return measured(study, **options)["localization"]


class TestValues:
    def test_maps_that_are_the_outlines_are_perfect(self, outlined):
        found = localization(outlined)
        assert found["missing"] is None
        for kind, sources in (("pixel", ["north", "south"]), ("box", ["north"]), ("empty", ["south"])):
            assert list(found[kind]) == ["overall", "by_source"]
            assert list(found[kind]["by_source"]) == sources
            for values in (found[kind]["overall"], *found[kind]["by_source"].values()):
                assert tuple(values) == localization_names(kind)
                for name, entry in values.items():
                    assert set(entry) == {"value", "low", "high", "n", "patients"}
                    assert entry["value"] == pytest.approx({"false_positive_area": 0, "inside_outside_ratio": 1001}.get(name, 1)), name
        assert found["pixel"]["overall"]["dice"] == {"value": 1, "low": 1, "high": 1, "n": 4, "patients": 4}

    def test_every_outlined_item_is_counted_once(self, outlined):
        assert localization(outlined)["accounting"] == {
            "pixel": {"outlined": 6, "without_prediction": 2, "without_map": 0, "without_pixel": 0, "measured": 4},
            "box": {"outlined": 3, "without_prediction": 0, "without_map": 1, "without_pixel": 1, "measured": 1},
            "empty": {"outlined": 1, "without_prediction": 0, "without_map": 0, "without_pixel": 0, "measured": 1},
        }

    def test_is_what_is_measured_in_a_program(self, outlined):
        generator = np.random.default_rng(0)
        for name in ("p0", "p1", "p2", "p3", "b", "e"):
            save(outlined, name, generator.random(SIZE))
        found = localization(outlined)
        datalist = load_datalist(outlined.datalist)
        items = [item for item in datalist.testing if item.id in ("p0", "p1", "p2", "p3", "b", "e")]
        maps = [(item, np.load(outlined.folder / "attention" / f"{item.id}.npy")) for item in items]
        expected = localization_of_maps(maps, datalist, resamples=30).estimates
        for kind in expected:
            for name, entry in expected[kind].items():
                assert found[kind]["overall"][name]["value"] == pytest.approx(entry.value)
                assert found[kind]["overall"][name]["low"] == pytest.approx(entry.low)
        north = localization_of_maps([pair for pair in maps if pair[0].source == "north"], datalist, resamples=30).estimates
        assert found["pixel"]["by_source"]["north"]["iou"]["value"] == pytest.approx(north["pixel"]["iou"].value)

    def test_the_rest_of_the_metrics_does_not_notice(self, outlined):
        with_maps, without = measured(outlined), measured(outlined, source=outlined.predictions)
        assert {**with_maps, "localization": None} == {**without, "localization": None}


class TestWhatLesionsJsonSays:
    def test_the_lesion_threshold_and_the_kind_of_maps(self, outlined):
        save(outlined, "p0", np.full(SIZE, 0.6))
        facts(outlined, lesion_threshold=0.7, pictures={"p0": {"size": list(SIZE), "map_kind": "class_activation"}})
        found = localization(outlined)
        assert found["lesion_threshold"] == {"pixel": 0.7, "box": 0.7, "empty": 0.7}
        assert found["lesion_threshold_from"] == OF_THE_MODEL
        assert found["map_kind"] == "class_activation, unknown"
        assert found["pixel"]["overall"]["dice"]["value"] == pytest.approx(3 / 4)
        assert localization_remarks(measured(outlined))[0] == (
            "The maps: class activation, for the network has no attention, of a kind that lesions.json does not state. "
            "Lesion threshold: 0.7, the model's calibration."
        )

    def test_thresholds_by_kind_and_where_they_come_from(self, outlined):
        thresholds = {"pixel": 0.2, "box": 0.3, "empty": 0.2}
        facts(outlined, lesion_threshold=thresholds, lesion_threshold_from="chosen")
        metrics = measured(outlined)
        assert metrics["localization"]["lesion_threshold"] == thresholds
        assert "Lesion threshold: 0.2 (pixel), 0.3 (box), 0.2 (empty), chosen." in localization_remarks(metrics)[0]

    def test_nothing(self, outlined):
        found = localization(outlined)
        assert found["lesion_threshold"] == {"pixel": 0.5, "box": 0.5, "empty": 0.5}
        assert (found["lesion_threshold_from"], found["map_kind"]) == (OF_NOBODY, "unknown")

    @pytest.mark.parametrize(
        "content",
        [
            "no json",
            "[]",
            '{"lesion_threshold": 1.5}',
            '{"lesion_threshold": {"pixel": 0.5}}',
            '{"lesion_threshold": "high"}',
            '{"pictures": []}',
            '{"pictures": {"p0": {"size": [1]}}}',
        ],
    )
    def test_a_damaged_one_is_told(self, outlined, refuses, content):
        (outlined.folder / "lesions.json").write_text(content)
        assert "lesions.json is not what 'monai-pneumonia predict' wrote" in refuses(BadInputError, lambda: localization(outlined))


class TestMissing:
    def test_a_table_alone(self, outlined):
        assert localization(outlined, source=outlined.predictions) == {"missing": NO_FOLDER}

    def test_predictions_without_maps(self, outlined):
        (outlined.folder / "attention").rename(outlined.folder / "elsewhere")
        assert localization(outlined) == {"missing": NO_MAPS}

    def test_no_outline(self, hospitals):
        assert localization(hospitals) == {"missing": NO_OUTLINE}

    def test_no_map_of_an_outlined_item(self, outlined):
        for file in (outlined.folder / "attention").iterdir():
            file.unlink()
        found = localization(outlined)
        assert found == {
            "missing": "none of the outlined items of the section can be measured: 2 without prediction, 8 without map, 0 without pixel"
        }

    @pytest.mark.parametrize("write", [lambda m: markdown_report(m, frozenset()), lambda m: html_report(m, frozenset(), None, ())])
    def test_the_reports_say_why(self, hospitals, write):
        assert f"Not measured: {NO_OUTLINE}." in write(measured(hospitals))


class TestRefusing:
    @pytest.mark.parametrize("stated", [True, False])
    @pytest.mark.parametrize("name", ["p0", "b", "e"])
    def test_a_map_of_another_size_than_its_picture(self, outlined, refuses, name, stated):
        if stated:
            (outlined.folder / "images" / f"{name}.png").unlink()
            facts(outlined, pictures={name: {"size": list(SIZE), "map_kind": "attention"}})
        save(outlined, name, np.zeros((26, 20)))
        message = refuses(BadInputError, lambda: localization(outlined))
        assert f"attention/{name}.npy is 26 x 20 pixels, its picture 20 x 26" in message

    @pytest.mark.parametrize(
        "values", [np.zeros((2, 3, 4), np.float32), np.full(SIZE, 1.2), np.full(SIZE, np.nan), np.zeros(SIZE, np.uint8), np.array(["a"])]
    )
    def test_what_is_no_map(self, outlined, refuses, values):
        np.save(outlined.folder / "attention" / "p0.npy", values)
        assert "attention/p0.npy holds no attention map" in refuses(BadInputError, lambda: localization(outlined))

    @pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY\x01\x00"])
    def test_a_damaged_file(self, outlined, refuses, content):
        (outlined.folder / "attention" / "p0.npy").write_bytes(content)
        assert "p0.npy cannot be read" in refuses(BadInputError, lambda: localization(outlined))

    def test_code_in_a_file_is_not_run(self, outlined, refuses):
        np.save(outlined.folder / "attention" / "p0.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
        assert "p0.npy cannot be read" in refuses(BadInputError, lambda: localization(outlined))

    def test_a_mask_of_another_size_than_its_picture(self, outlined, refuses):
        Image.fromarray(np.full((5, 5), 255, dtype=np.uint8)).save(outlined.folder / "mask1.png")
        message = refuses(BadInputError, lambda: localization(outlined))
        assert "item 'p1': the mask" in message
        assert "is 5 x 5 pixels, the picture 20 x 26" in message


class TestReports:
    @pytest.fixture
    def metrics(self, outlined):
        save(outlined, "p0", np.linspace(0, 1, SIZE[0] * SIZE[1]).reshape(SIZE))
        return measured(outlined)

    def test_kinds_have_tables_of_their_own(self, metrics):
        titles = [table.title for table in localization_tables(metrics)]
        assert titles == [
            "Outlined pictures",
            *("Pictures with drawn outlines", "Pictures with drawn outlines, by source"),
            *("Pictures with boxes", "Pictures with boxes, by source"),
            *("Pictures read and found empty", "Pictures read and found empty, by source"),
        ]
        boxes = localization_tables(metrics)[3]
        assert {"Dice, union of boxes", "IoU, union of boxes"} <= {row[0].text for row in boxes.rows}
        assert "Dice" not in {row[0].text for row in boxes.rows}
        assert all(len(row) == len(table.columns) for table in localization_tables(metrics) for row in table.rows)

    @pytest.mark.parametrize("write", [lambda m: markdown_report(m, frozenset()), lambda m: html_report(m, frozenset(), None, ())])
    def test_both_show_the_values(self, metrics, write):
        text = write(metrics)
        assert TITLE in text
        assert f"{metrics['localization']['pixel']['overall']['dice']['value']:.3f}" in text
        assert "Pictures read and found empty, by source" in text
        assert "secret" not in text

    def test_a_kind_without_pictures_has_no_table(self, outlined):
        (outlined.folder / "attention" / "b.npy").unlink()
        metrics = measured(outlined)
        assert metrics["localization"]["box"]["overall"]["pointing_game"] == {
            "value": None,
            "low": None,
            "high": None,
            "n": 0,
            "patients": 0,
        }
        assert metrics["localization"]["box"]["by_source"] == {}
        assert not [table for table in localization_tables(metrics) if "boxes" in table.title]
