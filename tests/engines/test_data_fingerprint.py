"""What a resumed training must find unchanged in its data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from monai_pneumonia.data.datalist import load_datalist
from monai_pneumonia.engines import data_fingerprint


def test_labels_items_and_classes_of_training_and_validation_count_and_testing_does_not(phantom_datalist: Path) -> None:
    datalist = load_datalist(phantom_datalist)
    print_of_all = data_fingerprint(datalist)
    assert data_fingerprint(load_datalist(phantom_datalist)) == print_of_all
    assert data_fingerprint(datalist.with_sections(testing=())) == print_of_all
    relabelled = (replace(datalist.training[0], label=None), *datalist.training[1:])
    assert data_fingerprint(datalist.with_sections(training=relabelled)) != print_of_all
    assert data_fingerprint(datalist.with_sections(validation=datalist.validation[1:])) != print_of_all


def test_another_picture_or_patient_under_the_same_id_counts(phantom_datalist: Path) -> None:
    datalist = load_datalist(phantom_datalist)
    first, *others = datalist.training
    for changed in (replace(first, image="elsewhere.png"), replace(first, patient_id="another")):
        assert data_fingerprint(datalist.with_sections(training=(changed, *others))) != data_fingerprint(datalist)
