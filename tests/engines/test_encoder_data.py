"""Which pictures an encoder has seen, and whether a training may use it."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from monai_pneumonia.data.datalist import Datalist, DatalistItem
from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.engines.encoder_data import check_encoder_data, check_training_only, training_sha256
from monai_pneumonia.errors import BadInputError, ModelFaultError, UsageError


def _item(number: int, **values: Any) -> DatalistItem:
    return DatalistItem(**{"id": f"i{number}", "image": f"{number}.png", "patient_id": f"secret-{number}", **values})


DATALIST = Datalist("d", LabelSpace(), (_item(1), _item(2)), (_item(3),), (_item(4),))


def test_sections_that_share_nothing_pass() -> None:
    check_training_only(DATALIST)


@pytest.mark.parametrize("section", ["validation", "testing"])
@pytest.mark.parametrize(
    ("intruder", "told"),
    [(_item(9, id="i1"), "1 item ids"), (_item(9, image="./1.png"), "1 pictures"), (_item(9, patient_id="secret-1"), "1 patients")],
)
def test_whatever_the_sections_share_is_refused_without_naming_a_patient(section: str, intruder: DatalistItem, told: str) -> None:
    with pytest.raises(BadInputError, match=told) as caught:
        check_training_only(DATALIST.with_sections(**{section: (intruder,)}))
    assert "secret" not in str(caught.value)


def test_the_hash_is_of_the_ids_whatever_their_order_and_labels() -> None:
    other = DATALIST.with_sections(training=tuple(replace(item, label="viral") for item in reversed(DATALIST.training)))
    assert training_sha256(other) == training_sha256(DATALIST)
    assert training_sha256(DATALIST.with_sections(training=(_item(1),))) != training_sha256(DATALIST)


def _encoder(folder: Path, **description: Any) -> Path:
    file = folder / "encoder.pt"
    torch.save({"encoder": {}, **({"description": description} if description else {})}, file)
    return file


def test_an_encoder_of_the_same_section_passes_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = _encoder(tmp_path, datalist_sha256="a", training_sha256=training_sha256(DATALIST))
    with caplog.at_level(logging.WARNING):
        check_encoder_data(file, DATALIST, "a")
    assert not caplog.records


def test_an_encoder_of_another_fold_is_refused(tmp_path: Path) -> None:
    file = _encoder(tmp_path, datalist_sha256="a", training_sha256="other", fold=2, n_folds=5, seed=0)
    with pytest.raises(UsageError, match=r"fold 2, n_folds 5, seed 0.*has seen pictures that this run validates or tests on"):
        check_encoder_data(file, DATALIST, "a")


@pytest.mark.parametrize(
    ("description", "told"), [({}, "does not say"), ({"datalist_sha256": "b", "training_sha256": "x", "datalist": "far"}, "'far'")]
)
def test_what_cannot_be_told_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture, description: dict, told: str) -> None:
    with caplog.at_level(logging.WARNING):
        check_encoder_data(_encoder(tmp_path, **description), DATALIST, "a")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert told in caplog.text


def test_a_damaged_encoder_is_told_with_its_key(tmp_path: Path) -> None:
    file = tmp_path / "encoder.pt"
    file.write_text("no weights")
    with pytest.raises(ModelFaultError, match="pretrained_encoder"):
        check_encoder_data(file, DATALIST, "a")
