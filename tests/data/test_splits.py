from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_pneumonia.data.datalist import Datalist, DatalistItem
from monai_pneumonia.data.labels import LabelSpace
from monai_pneumonia.data.splits import k_folds, keep_label_fraction, patients_in_several_sections, select_fold, split_by_patient
from monai_pneumonia.errors import UsageError


def make_items(patients: int = 200, seed: int = 0) -> list[DatalistItem]:
    """One to four pictures a patient, four labels of unequal size, two sources."""
    random = np.random.default_rng(seed)
    items = []
    for patient in range(patients):
        label = random.choice(["normal", "bacterial", "viral", None], p=[0.4, 0.3, 0.2, 0.1])
        source = random.choice(["north", "south"], p=[0.7, 0.3])
        for picture in range(random.integers(1, 5)):
            items.append(DatalistItem(f"{patient}-{picture}", "a.png", label, patient_id=str(patient), source=source, mask_kind="empty"))
    return items


def patients_of(items) -> set[str]:
    return {item.patient for item in items}


def shares(part, items) -> dict[object, float]:
    whole = Counter((item.label, item.source) for item in items)
    found = Counter((item.label, item.source) for item in part)
    return {key: found[key] / count for key, count in whole.items() if count >= 30}


def test_parts_are_disjoint_by_patient_complete_and_in_proportion():
    items = make_items()
    parts = split_by_patient(items, (0.7, 0.15, 0.15), seed=3)
    assert sorted(item.id for part in parts for item in part) == sorted(item.id for item in items)
    assert sum(len(patients_of(part)) for part in parts) == len(patients_of(items))
    for part, share in zip(parts, (0.7, 0.15, 0.15), strict=True):
        for found in shares(part, items).values():
            assert found == pytest.approx(share, abs=0.07)


def test_stratification_beats_chance():
    """A plain shuffle of patients is off by several points; a stratified one is not."""
    items = make_items(400)
    stratified = [abs(found - 0.15) for seed in range(5) for found in shares(split_by_patient(items, seed=seed)[2], items).values()]
    plain = []
    for seed in range(5):
        drawn = set(np.random.default_rng(seed).permutation(sorted(patients_of(items)))[:60])
        plain += [abs(found - 0.15) for found in shares([item for item in items if item.patient in drawn], items).values()]
    assert np.mean(stratified) < 0.5 * np.mean(plain)


def test_seed_decides():
    items = make_items()
    assert split_by_patient(items, seed=1) == split_by_patient(items, seed=1)
    assert patients_of(split_by_patient(items, seed=1)[0]) != patients_of(split_by_patient(items, seed=2)[0])


def test_pictures_without_a_patient_are_patients_of_their_own():
    items = [DatalistItem(str(number), "a.png", "normal") for number in range(20)]
    assert [len(part) for part in split_by_patient(items)] == [14, 3, 3]


def test_a_zero_share_is_an_empty_part():
    training, validation, testing = split_by_patient(make_items(), (0.8, 0.0, 0.2))
    assert not validation
    assert len(training) > len(testing) > 0


@settings(max_examples=60, deadline=None)
@given(
    patients=st.lists(st.integers(1, 4), min_size=3, max_size=30),
    weights=st.tuples(st.integers(1, 20), st.integers(0, 20), st.integers(1, 20)),
    labels=st.integers(1, 30),
)
def test_every_wanted_part_gets_a_patient_however_few_there_are(patients, weights, labels):
    items = [
        DatalistItem(f"{patient}-{picture}", "a.png", str(patient % labels), patient_id=str(patient))
        for patient, pictures in enumerate(patients)
        for picture in range(pictures)
    ]
    parts = split_by_patient(items, [weight / sum(weights) for weight in weights])
    assert sum(map(len, parts)) == len(items)
    assert [bool(part) for part in parts] == [weight > 0 for weight in weights]
    assert sum(len(patients_of(part)) for part in parts) == len(patients)


@pytest.mark.parametrize("fractions", [(), (0.5, 0.4), (1.2, -0.2), (0.7, 0.2, 0.2), (0.5, float("nan"))])
def test_fractions_must_be_shares_of_a_whole(fractions):
    with pytest.raises(UsageError, match="fractions"):
        split_by_patient(make_items(20), fractions)


def test_too_few_patients_to_split():
    items = [DatalistItem(f"{number}", "a.png", patient_id="same") for number in range(9)]
    with pytest.raises(UsageError, match=r"1 patient.*3 parts"):
        split_by_patient(items)


def test_folds_hold_every_item_out_once_and_keep_patients_together():
    items = make_items()
    folds = k_folds(items, 5, seed=2)
    assert Counter(item.id for _, held_out in folds for item in held_out) == Counter(item.id for item in items)
    for training, held_out in folds:
        assert len(training) + len(held_out) == len(items)
        assert not patients_of(training) & patients_of(held_out)
        for found in shares(held_out, items).values():
            assert found == pytest.approx(0.2, abs=0.08)


@pytest.mark.parametrize("n_folds", [0, 1, 21])
def test_impossible_numbers_of_folds(n_folds):
    with pytest.raises(UsageError, match="n_folds"):
        k_folds(make_items(20), n_folds)


def a_datalist() -> Datalist:
    training, validation, testing = split_by_patient(make_items(), seed=9)
    return Datalist("mine", LabelSpace(), tuple(training), tuple(validation), tuple(testing))


def test_no_fold_keeps_the_datalist_as_it_is():
    datalist = a_datalist()
    assert select_fold(datalist, None, 5) is datalist


def test_a_fold_splits_training_and_validation_anew_and_leaves_testing():
    datalist = a_datalist()
    both = {item.id for item in (*datalist.training, *datalist.validation)}
    held_out = Counter()
    for fold in range(4):
        chosen = select_fold(datalist, fold, 4, seed=1)
        assert chosen.testing == datalist.testing
        assert {item.id for item in (*chosen.training, *chosen.validation)} == both
        assert not patients_in_several_sections(chosen.items())
        held_out.update(item.id for item in chosen.validation)
    assert set(held_out) == both
    assert set(held_out.values()) == {1}


@pytest.mark.parametrize("fold", [-1, 4, 1.0, "0", True])
def test_impossible_fold_names_the_key(fold):
    with pytest.raises(UsageError, match=r"`fold`.*0 to 3"):
        select_fold(a_datalist(), fold, 4)


def test_more_folds_than_patients():
    datalist = Datalist("few", LabelSpace(), training=tuple(make_items(3)))
    with pytest.raises(UsageError, match="number of patients, 3"):
        select_fold(datalist, 0, 5)


def labelled(items) -> set[str]:
    return {item.id for item in items if item.label is not None}


def test_label_fractions_are_nested_patient_wise_and_in_proportion():
    items = make_items(400)
    kept = {fraction: keep_label_fraction(items, fraction, seed=5) for fraction in (0.1, 0.5, 1.0)}
    assert labelled(kept[0.1]) < labelled(kept[0.5]) < labelled(kept[1.0])
    assert kept[1.0] == items
    by_patient: dict[str, set[str]] = {}
    for item in kept[0.5]:
        by_patient.setdefault(item.patient, set()).add(item.mask_kind)
    assert all(len(kinds) == 1 for kinds in by_patient.values())
    half = [item for item in kept[0.5] if item.label is not None]
    for key, found in shares(half, items).items():
        if key[0] is not None:
            assert found == pytest.approx(0.5, abs=0.08)


def test_hidden_items_keep_their_place_and_lose_label_and_outline():
    items = [
        DatalistItem(str(number), f"{number}.png", "viral", mask="m.png", boxes=((1.0, 2.0, 3.0, 4.0),), mask_kind="box", age=3.0)
        for number in range(10)
    ]
    kept = keep_label_fraction(items, 0.3)
    assert [item.id for item in kept] == [item.id for item in items]
    hidden = [item for item in kept if item.label is None]
    assert len(hidden) == 7
    assert all((item.mask, item.boxes, item.mask_kind, item.age) == (None, (), "unknown", 3.0) for item in hidden)
    assert all(item in items for item in kept if item.label is not None)


def test_a_rare_stratum_keeps_a_patient():
    items = [DatalistItem(str(number), "a.png", "normal") for number in range(100)] + [DatalistItem("rare", "a.png", "viral")]
    assert "rare" in labelled(keep_label_fraction(items, 0.01))


def test_label_fraction_depends_on_the_seed():
    items = make_items(100)
    assert keep_label_fraction(items, 0.5, 1) == keep_label_fraction(items, 0.5, 1)
    assert labelled(keep_label_fraction(items, 0.5, 1)) != labelled(keep_label_fraction(items, 0.5, 2))


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, float("nan"), "half", True])
def test_impossible_label_fraction_names_the_key(fraction):
    with pytest.raises(UsageError, match="label_fraction"):
        keep_label_fraction(make_items(5), fraction)


def test_patients_in_several_sections():
    pair = DatalistItem("a", "a.png", patient_id="p"), DatalistItem("b", "b.png", patient_id="p")
    other = DatalistItem("c", "c.png", patient_id="q")
    placed = [("testing", pair[0]), ("training", pair[1]), ("training", other)]
    assert patients_in_several_sections(placed) == {pair[0].patient: ("training", "testing")}


@pytest.mark.realdata
def test_real_pictures_split_in_proportion(real_data, tmp_path):
    from monai_pneumonia.data.importers import IMPORTERS, LabelRules

    rules = LabelRules(mapping=dict.fromkeys(("abnormal_no_opacity", "fungal_other", "other_ards")))
    result = IMPORTERS["csv"](real_data / "cxr.csv", labels=rules)
    items = [item for _, item in result.datalist.items()]
    for _, held_out in k_folds(items, 5, seed=0):
        for found in shares(held_out, items).values():
            assert found == pytest.approx(0.2, abs=0.01)
