"""The study file: inheritance of arms, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from monai_pneumonia.ablation.study import Arm, chosen_arms, load_study, parse_study
from monai_pneumonia.errors import BadInputError, UsageError

DEFAULT_STUDY = Path(__file__).parents[2] / "scripts" / "ablation.yaml"


def test_arms_build_on_each_other(study_values: dict[str, Any]) -> None:
    arms = parse_study(study_values, Path("/data")).arms
    common = {"max_epochs": 2, "backbone": "resnet18"}
    assert arms["full"] == Arm(
        name="full",
        title="all parts",
        overrides={**common, "loss#name": "class_balanced_softmax", "attention#enabled": True},
        pretraining={"max_epochs": 3},
        label_fractions=(1.0,),
    )
    assert arms["pretraining"].pretraining == {"max_epochs": 1}
    assert arms["full_minus_pretraining"].pretraining is None
    assert arms["full_minus_pretraining"].overrides == arms["full"].overrides


def test_shares_of_labels_are_an_arms_own(study_values: dict[str, Any]) -> None:
    study_values["label_fractions"] = [0.5]
    arms = parse_study(study_values, Path()).arms
    assert arms["plain"].label_fractions == (1.0, 0.1)
    assert arms["class_balanced"].label_fractions == (0.5,)


def test_a_datalist_is_relative_to_the_file(study_values: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(study_values))
    assert load_study(file).datalist == str(tmp_path / "datalist.json")


BAD = {
    "unknown key": ({"sedes": [0]}, "'sedes' .'seeds'"),
    "no data": ({"data": {}}, "either `datalist`"),
    "two kinds of data": ({"data": {"datalist": "a", "phantoms": {}}}, "either `datalist`"),
    "no plain arm": ({"arms": {"full": {}}}, "lacks 'plain'"),
    "an arm that builds on itself": ({"arms": {"plain": {}, "a": {"from": "b"}, "b": {"from": "a"}}}, "builds on itself: a -> b -> a"),
    "an arm that builds on nothing": ({"arms": {"plain": {"from": "palin"}}}, "unknown arm 'palin'"),
    "an arm's unknown key": ({"arms": {"plain": {"override": {}}}}, "not 'override' .'overrides'"),
    "what the study sets": ({"arms": {"plain": {"overrides": {"fold": 1}}}}, "`fold` is set by the study"),
    "nested overrides": ({"overrides": {"loss": {"name": "x"}}}, "write `loss#...: value`"),
    "one fold": ({"n_folds": 1}, "`n_folds`"),
    "a share of none": ({"label_fractions": [0]}, "`label_fractions`"),
    "seeds twice": ({"seeds": [0, 0]}, "`seeds`"),
    "no splits": ({"splits": {}}, "nothing to predict"),
    "training predicted": ({"splits": {"training": {}}}, "proves nothing"),
    "validation of other data": ({"splits": {"other": {"section": "validation"}}}, "holds out"),
    "a path for a name": ({"arms": {"plain": {}, "../x": {}}}, "letters, digits"),
    "a question's arm": ({"questions": [{"ask": "?", "arm": "x", "split": "testing", "metric": "f1"}]}, "unknown arm 'x'"),
    "a question's split": ({"questions": [{"ask": "?", "arm": "plain", "split": "x", "metric": "f1"}]}, "unknown split 'x'"),
    "half a question": ({"questions": [{"ask": "?", "arm": "plain"}]}, "lacks split, metric"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_told(case: str, study_values: dict[str, Any]) -> None:
    change, told = BAD[case]
    if "arms" in change:
        study_values["questions"] = []
    with pytest.raises(BadInputError, match=told):
        parse_study({**study_values, **change}, Path())


@pytest.mark.parametrize("content", ["", "[1, 2]", "a: [", "name: \xff"])
def test_no_study_at_all(content: str, tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_bytes(content.encode("latin-1"))
    with pytest.raises(BadInputError, match=r"study\.yaml"):
        load_study(file)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot read the study"):
        load_study(tmp_path / "none.yaml")


def test_the_plain_arm_always_comes_along(study_values: dict[str, Any]) -> None:
    study = parse_study(study_values, Path())
    assert list(chosen_arms(study, ["full"])) == ["plain", "full"]
    assert list(chosen_arms(study, [])) == list(study.arms)
    with pytest.raises(UsageError, match="not fulll"):
        chosen_arms(study, ["fulll"])


def test_the_shipped_study_has_the_arms_of_the_method() -> None:
    study = load_study(DEFAULT_STUDY)
    parts = {"class_balanced", "pretraining", "attention", "regulation"}
    controls = {"sampler", "sampler_attention", "shuffled", "logit_adjustment"}
    forms = {"class_balanced_sigmoid", "class_balanced_focal"}
    assert set(study.arms) == {"plain", "full", *parts, *forms, *(f"full_minus_{part}" for part in parts), *controls}
    assert study.n_folds == 5
    assert {name for name, arm in study.arms.items() if 0.1 in arm.label_fractions} >= {"plain", "pretraining", "full"}
    full = study.arms["full"]
    assert full.pretraining is not None
    for part in ("class_balanced", "attention", "regulation"):
        assert study.arms[f"full_minus_{part}"].overrides != full.overrides
    assert study.arms["full_minus_pretraining"].pretraining is None
    assert study.arms["full_minus_pretraining"].overrides == full.overrides
    assert study.arms["full_minus_regulation"].overrides["regulation#enabled"] is False
    assert study.arms["shuffled"].overrides == {**study.arms["attention"].overrides, "attention#shuffled_outlines": True}
    assert study.arms["sampler"].overrides["attention#outlined_share"] == study.arms["attention"].overrides["attention#outlined_share"]


def test_the_shipped_study_overrides_keys_that_the_bundle_has() -> None:
    bundle = Path(__file__).parents[2] / "bundle" / "configs"
    study = load_study(DEFAULT_STUDY)
    train = yaml.safe_load((bundle / "train.yaml").read_text())
    pretrain = yaml.safe_load((bundle / "pretrain.yaml").read_text())
    for arm in study.arms.values():
        for key in arm.overrides:
            first, _, second = key.partition("#")
            assert first in train, key
            assert not second or second in train[first], key
        for key in arm.pretraining or {}:
            assert key in pretrain, key
