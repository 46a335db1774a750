"""Who is planned: shares, imbalance, patients, the tie of class and hospital and its reversal, labels and outlines."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from monai_pneumonia.data.labels import DEFAULT_CLASSES
from monai_pneumonia.data.phantoms import HOSPITALS, PARTS, PhantomSettings, PlannedItem, plan_items
from monai_pneumonia.data.phantoms.plan import tied_hospital
from monai_pneumonia.errors import UsageError

LARGE = plan_items(PhantomSettings(count=2000))


def association(items: list[PlannedItem]) -> np.ndarray:
    """Counts of finding by hospital [C, H]."""
    names = [hospital.name for hospital in HOSPITALS]
    table = np.zeros((len(DEFAULT_CLASSES), len(names)))
    for item in items:
        table[DEFAULT_CLASSES.index(item.spec.finding), names.index(item.spec.hospital.name)] += 1
    return table


def cramers_v(table: np.ndarray) -> float:
    """Strength of association, from 0 (none) to 1 (each tells the other)."""
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / table.sum()
    chi_squared = ((table - expected) ** 2 / expected).sum()
    return float(np.sqrt(chi_squared / table.sum() / (min(table.shape) - 1)))


def of(*parts: str) -> list[PlannedItem]:
    return [item for item in LARGE if item.part in parts]


@pytest.mark.parametrize("count", [1, 24, 333])
def test_a_plan_begins_as_every_longer_plan_of_the_seed(count: int) -> None:
    assert plan_items(PhantomSettings(count=count)) == LARGE[:count]


def test_seed_changes_the_plan() -> None:
    assert plan_items(PhantomSettings(count=50, seed=1)) != LARGE[:50]


def test_ids_are_unique_and_patients_stay_in_one_part_with_one_finding() -> None:
    assert len({item.id for item in LARGE}) == len(LARGE)
    patients: dict[str, set[tuple[str, str, str | None, str, float, str]]] = {}
    for item in LARGE:
        spec = item.spec
        patients.setdefault(item.patient_id, set()).add((item.part, spec.finding, item.label, spec.hospital.name, spec.age, spec.sex))
    assert all(len(facts) == 1 for facts in patients.values())
    pictures = Counter(item.patient_id for item in LARGE)
    assert set(pictures.values()) == {1, 2, 3}


def test_findings_are_imbalanced_as_set_in_every_part() -> None:
    for part in PARTS:
        counts = Counter(item.spec.finding for item in of(part))
        shares = {finding: number / counts.total() for finding, number in counts.items()}
        for finding, share in PhantomSettings().class_shares.items():
            assert shares[finding] == pytest.approx(share, abs=0.05)
        assert counts["normal"] > 4 * counts["covid19"]


def test_parts_have_their_shares() -> None:
    for part, share in PhantomSettings().part_shares.items():
        assert len(of(part)) / len(LARGE) == pytest.approx(share, abs=0.03)


def test_small_sets_have_every_finding_in_every_part() -> None:
    cells = {(item.part, item.spec.finding, item.label) for item in plan_items(PhantomSettings(count=24))}
    assert {(part, finding, finding) for part in PARTS for finding in DEFAULT_CLASSES} <= cells


def test_class_and_hospital_are_tied_in_training_validation_and_testing() -> None:
    for part in ("training", "validation", "testing"):
        table = association(of(part))
        assert cramers_v(table) > 0.65
        assert np.array_equal(table.argmax(axis=1), np.arange(4))


def test_the_tie_is_another_in_the_flipped_part() -> None:
    tied, flipped = association(of("training")), association(of("flipped"))
    assert cramers_v(flipped) > 0.65
    assert (tied.argmax(axis=1) != flipped.argmax(axis=1)).all()
    # Guessing each hospital's usual finding of training is mostly right there, and mostly wrong in the flipped part.
    guess = tied.argmax(axis=0)
    right = [sum(table[guess[hospital], hospital] for hospital in range(4)) / table.sum() for table in (tied, flipped)]
    assert right[0] > 0.75
    assert right[1] < 0.15


@pytest.mark.parametrize("hospitals", [2, 3, 4])
def test_no_finding_keeps_its_hospital_in_the_flipped_part(hospitals: int) -> None:
    settings = PhantomSettings(hospitals=HOSPITALS[:hospitals])
    for finding in DEFAULT_CLASSES:
        assert tied_hospital(settings, finding, False) != tied_hospital(settings, finding, True)


def test_class_and_hospital_can_be_untied() -> None:
    items = plan_items(PhantomSettings(count=1200, confounding=0.25))
    assert cramers_v(association(items)) < 0.12


def test_some_labels_name_the_group_and_some_are_missing() -> None:
    labels = Counter((item.part, item.label) for item in LARGE if item.label != item.spec.finding)
    assert {label for _, label in labels} == {"pneumonia_unspecified", None}
    assert {part for part, label in labels if label is None} == {"training"}
    assert labels["training", None] / len(of("training")) == pytest.approx(0.05, abs=0.025)
    assert all(item.spec.finding != "normal" for item in LARGE if item.label == "pneumonia_unspecified")


def test_outlines_depend_on_the_hospital() -> None:
    kinds = Counter((item.spec.hospital.name, item.mask_kind) for item in of("training", "validation") if item.spec.finding != "normal")
    assert {kind for _, kind in kinds} == {"pixel", "box", "unknown"}
    assert {kind for name, kind in kinds if name == "hospital_b"} == {"unknown"}
    assert kinds["hospital_d", "pixel"] > kinds["hospital_d", "box"] > 0


def test_normal_pictures_are_read_and_empty_in_some_hospitals_only() -> None:
    kinds = {(item.spec.hospital.name, item.mask_kind) for item in of("training", "validation") if item.spec.finding == "normal"}
    assert {name for name, kind in kinds if kind == "empty"} == {"hospital_a", "hospital_c"}
    assert {kind for _, kind in kinds} == {"empty", "unknown"}


def test_testing_parts_have_all_outlines_unless_told_otherwise() -> None:
    assert {item.mask_kind for item in of("testing", "flipped")} == {"pixel", "empty"}
    items = plan_items(PhantomSettings(count=400, outlined_testing=False))
    assert {item.mask_kind for item in items if item.part == "testing"} >= {"pixel", "unknown"}


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_share_of_outlines_can_be_set_for_all_hospitals(share: float) -> None:
    items = plan_items(PhantomSettings(count=300, outlined_share=share))
    kinds = {item.mask_kind for item in items if item.part == "training" and item.spec.finding != "normal"}
    assert ("unknown" in kinds) == (share == 0.0)
    assert bool(kinds & {"pixel", "box"}) == (share == 1.0)


def test_children_come_to_the_childrens_hospital() -> None:
    young = {
        name: np.mean([item.spec.age < 14 for item in LARGE if item.spec.hospital.name == name]) for name in ("hospital_a", "hospital_b")
    }
    assert young["hospital_b"] > 0.6 > 0.3 > young["hospital_a"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"count": 0}, "count must be 1 or more, got 0"),
        ({"size": 8}, "size must be 32 or more, got 8"),
        ({"seed": -1}, "seed"),
        ({"image_format": "gif"}, "image_format must be one of png, dicom, got 'gif'"),
        ({"transfer_syntax": "jpeg"}, "transfer_syntax must be one of"),
        ({"confounding": 1.5}, "confounding must lie between 0 and 1, got 1.5"),
        ({"outlined_share": -0.1}, "outlined_share"),
        ({"lesion_contrast": float("nan")}, "lesion_contrast"),
        ({"lesion_contrast": 0}, "lesion_contrast must be more than 0, got 0"),
        ({"pictures_per_patient": 0}, "pictures_per_patient"),
        ({"class_shares": {"normal": 0.5, "flu": 0.5}}, "class_shares knows normal, bacterial, viral, covid19, not flu"),
        ({"class_shares": {"normal": 0.5, "viral": 0.4}}, "add up to 1"),
        ({"class_shares": {"normal": 1.0}}, "no patient with pneumonia"),
        ({"part_shares": {"training": 1.2, "validation": -0.2}}, "part_shares must be 0 or more"),
        ({"hospitals": HOSPITALS[:1]}, "two or more"),
        ({"hospitals": (HOSPITALS[0], replace(HOSPITALS[1], name="hospital_a"))}, "distinct names"),
    ],
)
def test_settings_out_of_range_are_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        PhantomSettings(**values)  # type: ignore[arg-type]


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(UsageError, match=r"count.*size.*confounding"):
        PhantomSettings(count=-1, size=1, confounding=2)
