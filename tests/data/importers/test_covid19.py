from __future__ import annotations

import pytest

from monai_pneumonia.data.importers import LabelRules
from monai_pneumonia.data.importers.covid19 import import_covid19
from monai_pneumonia.errors import BadInputError


def by_id(result):
    return {item.id: item for _, item in result.datalist.items()}


def rename_finding(root, old: str, new: str):
    path = root / "metadata.csv"
    path.write_text(path.read_text().replace(f",{old},", f",{new},"))


@pytest.mark.parametrize(
    ("finding", "label"),
    [
        ("Pneumonia/Viral/COVID-19", "covid19"),
        ("Pneumonia/Viral", "viral"),
        ("Pneumonia/Viral/SARS", "viral"),
        ("Pneumonia/Viral/Influenza/H1N1", "viral"),
        ("Pneumonia/Bacterial", "bacterial"),
        ("Pneumonia/Bacterial/Staphylococcus/MRSA", "bacterial"),
        ("Pneumonia", "pneumonia_unspecified"),
        ("Pneumonia/Fungal/Aspergillosis", None),
        ("Pneumonia/Lipoid", None),
        ("Pneumonia/Aspiration", None),
        ("Tuberculosis", None),
        ("Unknown", None),
        ("todo", None),
        ("No Finding", "normal"),
    ],
)
def test_hierarchy_of_findings(miniature, finding, label):
    root = miniature("covid19").source
    rename_finding(root, "Pneumonia/Bacterial/Streptococcus", finding)
    assert by_id(import_covid19(root))["case-1"].label == label


@pytest.mark.parametrize("finding", ["Pneumonia/Parasitic", "COVID-19", "Effusion"])
def test_unknown_findings_are_not_guessed(miniature, finding):
    root = miniature("covid19").source
    rename_finding(root, "Pneumonia/Bacterial/Streptococcus", finding)
    with pytest.raises(BadInputError, match=rf"'{finding}' \(2\).*--map"):
        import_covid19(root)


def test_a_finding_can_be_mapped_with_all_below_it(miniature):
    root = miniature("covid19").source
    result = import_covid19(root, labels=LabelRules(mapping={"Pneumonia/Fungal": "drop", "Pneumonia/Viral/Influenza/H1N1": None}))
    assert result.left_out["finding 'Pneumonia/Fungal/Pneumocystis' is mapped to drop"] == 2
    assert by_id(result)["case-2"].label is None
    assert by_id(result)["case-0"].label == "covid19"


def test_only_frontal_xrays_that_are_there(miniature):
    result = import_covid19(miniature("covid19").source)
    assert result.left_out == {"view is L, not frontal": 1, "modality is CT, not X-ray": 1, "picture is not there": 1}
    assert {item.view for _, item in result.datalist.items()} == {"PA", "AP", "AP Supine", "AP Erect"}
    assert any(note == "kept without a label: Pneumonia/Fungal/Pneumocystis (2)" for note in result.notes)


def test_fields(miniature):
    item = by_id(import_covid19(miniature("covid19").source))["case-3"]
    assert (item.patient_id, item.source, item.sex, item.age, item.license) == ("cohen-1", "cohen", "M", 65.0, "CC BY-SA")
    assert item.image == "images/case-3.jpg"


def test_missing_column_is_named(miniature):
    root = miniature("covid19").source
    path = root / "metadata.csv"
    path.write_text(path.read_text().replace(",modality,", ",kind,"))
    with pytest.raises(BadInputError, match=r"metadata\.csv has no column 'modality'"):
        import_covid19(root)
