"""What must hold for every importer in the registry."""

from __future__ import annotations

import pytest

from monai_pneumonia.data.datalist import load_datalist, save_datalist
from monai_pneumonia.data.importers import IMPORTERS, LabelRules
from monai_pneumonia.data.splits import SplitRules, patients_in_several_sections
from monai_pneumonia.data.validation import FaultKind, validate_datalist
from monai_pneumonia.errors import PneumoniaError

EVERY_IMPORTER = pytest.mark.parametrize("name", IMPORTERS)


@EVERY_IMPORTER
def test_every_record_is_imported_or_left_out_with_a_reason(name, miniature):
    source = miniature(name)
    result = IMPORTERS[name](source.source, **source.options)
    items = [item for _, item in result.datalist.items()]
    assert result.records == source.records
    assert len(items) == source.imported
    assert sum(result.left_out.values()) == source.records - source.imported
    assert set(result.examples) == set(result.left_out)
    assert all(result.examples.values())


@EVERY_IMPORTER
def test_the_datalist_is_valid_from_wherever_it_is_written(name, miniature, tmp_path):
    source = miniature(name)
    result = IMPORTERS[name](source.source, **source.options)
    save_datalist(result.datalist, tmp_path / "elsewhere" / "datalist.json")
    report = validate_datalist(load_datalist(tmp_path / "elsewhere" / "datalist.json"))
    # A miniature has too few pictures to have each class in training.
    assert [fault for fault in report.faults if fault.kind != FaultKind.EMPTY_CLASS] == []
    assert report.read == source.imported
    assert not patients_in_several_sections(result.datalist.items())


@EVERY_IMPORTER
def test_the_same_source_and_seed_give_the_same_datalist(name, miniature):
    source = miniature(name)
    first, second = (IMPORTERS[name](source.source, splits=SplitRules(seed=4), **source.options).datalist for _ in range(2))
    assert first == second


@EVERY_IMPORTER
def test_own_classes_ask_for_a_mapping_instead_of_guessing(name, miniature):
    source = miniature(name)
    with pytest.raises(PneumoniaError, match="--map"):
        IMPORTERS[name](source.source, labels=LabelRules(classes=("healthy", "ill")), **source.options)


@EVERY_IMPORTER
def test_labels_can_be_dropped_and_are_counted(name, miniature):
    source = miniature(name)
    before = IMPORTERS[name](source.source, **source.options)
    names = ("normal", "Normal", "No Finding", "0")
    after = IMPORTERS[name](source.source, labels=LabelRules(mapping=dict.fromkeys(names, "drop")), **source.options)
    gone = sum(item.label == "normal" for _, item in before.datalist.items())
    assert gone > 0
    assert sum(after.left_out.values()) == sum(before.left_out.values()) + gone
    assert not any(item.label == "normal" for _, item in after.datalist.items())
    assert after.records == before.records


@EVERY_IMPORTER
def test_a_source_that_is_not_there_is_named(name, miniature):
    source = miniature(name)
    missing = source.source.with_name("nowhere-at-all")
    with pytest.raises(PneumoniaError, match="nowhere-at-all"):
        IMPORTERS[name](missing, **source.options)


@EVERY_IMPORTER
def test_help_text_says_what_it_imports(name):
    assert (IMPORTERS[name].__doc__ or "").startswith("Imports ")
