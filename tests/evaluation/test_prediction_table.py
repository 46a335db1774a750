"""What is read from predictions.csv, and what is refused: by file, line and column."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.errors import BadInputError, NothingToAnalyseError, PneumoniaError
from monai_pneumonia.evaluation.predictions import read_predictions

LABELS = LabelSpace()


class TestReading:
    def test_values(self, study):
        study.fail("broken", "error")
        table = read_predictions(study.write().predictions, LABELS)
        assert table.ids == ("i0", "i1", "i2", "i3", "broken")
        assert table.ok.tolist() == [True] * 4 + [False]
        assert table.probabilities[:4] == pytest.approx(np.full((4, 4), 0.1) + 0.6 * np.eye(4))
        assert np.isnan(table.probabilities[4]).all()
        assert table.p_pneumonia[:4] == pytest.approx([0.3, 0.9, 0.9, 0.9])
        assert table.decisions.tolist() == [False, True, True, True, False]
        assert (table.model_version, table.weights_sha256) == ("resnet18-1", "ab" * 32)
        assert len(table.sha256) == 64

    def test_order_of_columns_is_free_and_further_ones_are_left_aside(self, study):
        study.columns = [*reversed(study.columns), "remark"]
        study.rows[0]["remark"] = 'clear, "very" clear\nindeed'
        assert read_predictions(study.write().predictions, LABELS).p_pneumonia[0] == pytest.approx(0.3)

    def test_only_what_is_measured_is_needed(self, study):
        study.columns = ["id", "status", "prob_covid19", "prob_viral", "prob_bacterial", "prob_normal", "p_pneumonia", "decision"]
        table = read_predictions(study.write().predictions, LABELS)
        assert table.probabilities[3].argmax() == 3
        assert (table.model_version, table.weights_sha256) == (None, None)

    def test_a_folder_brings_its_overlays(self, study):
        study.write()
        assert read_predictions(study.folder, LABELS).overlays is None
        (study.folder / "overlays").mkdir()
        assert read_predictions(study.folder, LABELS).overlays == study.folder / "overlays"
        assert read_predictions(study.predictions, LABELS).overlays is None

    def test_a_byte_order_mark_is_no_part_of_the_header(self, study):
        study.write()
        study.predictions.write_bytes(b"\xef\xbb\xbf" + study.predictions.read_bytes())
        assert read_predictions(study.predictions, LABELS).ids[0] == "i0"

    def test_a_table_is_read_like_the_file(self, study):
        frame = pd.DataFrame(study.rows).astype({"p_pneumonia": float, "prob_normal": np.float32})
        from_frame, from_file = read_predictions(frame, LABELS), read_predictions(study.write().predictions, LABELS)
        assert from_frame.ids == from_file.ids
        assert from_frame.probabilities == pytest.approx(from_file.probabilities)
        assert from_frame.sha256 is None

    def test_ids_stay_text(self, study):
        study.rows[0]["id"] = "007"
        assert read_predictions(study.write().predictions, LABELS).ids[0] == "007"

    def test_several_models_are_all_named(self, study):
        study.rows[2]["model_version"] = "fold2"
        assert read_predictions(study.write().predictions, LABELS).model_version == "fold2, resnet18-1"

    def test_rounded_probabilities_pass(self, study):
        study.rows[0].update({f"prob_{name}": "0.3333" if name != "covid19" else "0.0" for name in LABELS.classes}, p_pneumonia="1.0000001")
        assert read_predictions(study.write().predictions, LABELS).p_pneumonia[0] == 1

    def test_rows_without_a_prediction_may_be_empty(self, study):
        study.rows[0].update(status="rejected", prob_normal="", p_pneumonia="what", decision="")
        assert read_predictions(study.write().predictions, LABELS).ok.tolist() == [False, True, True, True]


class TestRefusing:
    @pytest.mark.parametrize(
        ("row", "changes", "where", "what"),
        [
            (1, {"prob_viral": "much"}, "line 3, column 'prob_viral'", "'much' is not a number"),
            (0, {"prob_viral": "1.2"}, "line 2, column 'prob_viral'", "1.2 is no probability"),
            (0, {"prob_viral": "-0.1"}, "line 2, column 'prob_viral'", "between 0 and 1"),
            (2, {"prob_normal": "nan"}, "line 4, column 'prob_normal'", "nan is no probability"),
            (2, {"p_pneumonia": "inf"}, "line 4, column 'p_pneumonia'", "inf is no probability"),
            (2, {"p_pneumonia": ""}, "line 4, column 'p_pneumonia'", "not a number"),
            (3, {"prob_normal": "0.2"}, "line 5, column 'prob_normal'", "sum to 1.1000, not to 1"),
            (1, {"decision": "maybe"}, "line 3, column 'decision'", "'maybe' is none of pneumonia, no_pneumonia"),
            (1, {"decision": ""}, "line 3, column 'decision'", "none of"),
            (1, {"status": "fine"}, "line 3, column 'status'", "'fine' is none of ok, rejected, error"),
            (2, {"id": ""}, "line 4, column 'id'", "empty"),
            (2, {"id": "i0"}, "line 4, column 'id'", "'i0' was predicted in line 2 already"),
        ],
    )
    def test_a_cell(self, study, refuses, row, changes, where, what):
        study.rows[row].update(changes)
        message = refuses(BadInputError, lambda: read_predictions(study.write().predictions, LABELS))
        assert str(study.predictions) in message
        assert where in message
        assert what in message

    def test_further_rows_are_counted(self, study, refuses):
        for row in study.rows[1:]:
            row["prob_viral"] = "7"
        assert "(and 2 more rows like it)" in refuses(BadInputError, lambda: read_predictions(study.write().predictions, LABELS))

    def test_a_class_never_seen(self, study, refuses):
        study.columns = [*study.columns, "prob_fungal"]
        message = refuses(BadInputError, lambda: read_predictions(study.write().predictions, LABELS))
        assert "column 'prob_fungal'" in message
        assert "'fungal' is a class that the datalist does not know (it has normal, bacterial, viral, covid19)" in message

    @pytest.mark.parametrize("missing", ["id", "status", "prob_viral", "p_pneumonia", "decision"])
    def test_a_missing_column(self, study, refuses, missing):
        study.columns = [column for column in study.columns if column != missing]
        message = refuses(BadInputError, lambda: read_predictions(study.write().predictions, LABELS))
        assert f"no column '{missing}'" in message

    def test_a_column_twice(self, study, refuses):
        study.write()
        study.predictions.write_text("id,status,id\n1,ok,1\n")
        assert "column 'id' is there twice" in refuses(BadInputError, lambda: read_predictions(study.predictions, LABELS))

    def test_a_torn_line(self, study, refuses):
        study.write()
        whole = study.predictions.read_text()
        study.predictions.write_text(whole[: whole.rindex("resnet18")])
        assert "line 5: " in refuses(BadInputError, lambda: read_predictions(study.predictions, LABELS))

    @pytest.mark.parametrize("content", [b"\xff\xfe\x00broken", b'id,"status\n'])
    def test_what_is_no_csv(self, study, refuses, content):
        study.predictions.write_bytes(content)
        assert "is not a CSV file in UTF-8" in refuses(BadInputError, lambda: read_predictions(study.predictions, LABELS))

    def test_an_empty_file(self, study, refuses):
        study.predictions.write_text("")
        assert "no column 'id'" in refuses(BadInputError, lambda: read_predictions(study.predictions, LABELS))

    def test_a_header_alone(self, study, refuses):
        study.rows = []
        assert "no prediction" in refuses(NothingToAnalyseError, lambda: read_predictions(study.write().predictions, LABELS))

    def test_a_missing_file(self, study, refuses):
        message = refuses(BadInputError, lambda: read_predictions(study.folder / "none.csv", LABELS))
        assert "none.csv: No such file" in message

    def test_a_folder_without_predictions(self, study, refuses):
        assert "holds no predictions.csv" in refuses(BadInputError, lambda: read_predictions(study.folder, LABELS))


ANYTHING = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=12)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 3), st.sampled_from(["id", "status", "prob_normal", "p_pneumonia", "decision", "model_version"]), ANYTHING)
def test_any_cell_is_read_or_refused(study, row, column, text):
    """Whatever stands in a cell, the answer is a table or one of our errors."""
    before = study.rows[row][column]
    study.rows[row][column] = text
    try:
        table = read_predictions(study.write().predictions, LABELS)
    except PneumoniaError:
        return
    else:
        assert np.all(np.isfinite(table.probabilities[table.ok]))
    finally:
        study.rows[row][column] = before


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80))
def test_any_bytes_are_refused(study, content):
    study.predictions.write_bytes(content)
    with pytest.raises(PneumoniaError):
        read_predictions(study.predictions, LABELS)
