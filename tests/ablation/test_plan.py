"""Jobs: their order, and a hash for all that a result depends on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from monai_pneumonia.ablation import plan
from monai_pneumonia.ablation.plan import Job, config_hash, hash_code, hash_data, plan_jobs
from monai_pneumonia.ablation.study import parse_study
from monai_pneumonia.errors import BadInputError

BUNDLE = Path(__file__).parents[2] / "bundle"


def jobs_of(values: dict[str, Any], data: str = "d", code: str = "c", **chosen: Any) -> list[Job]:
    study = parse_study(values, Path())
    return plan_jobs(study, study.arms, data, code, **chosen)


def hashes(jobs: list[Job]) -> dict[tuple[Any, ...], str]:
    return {(job.kind, job.arm, job.seed, job.fold, job.label_fraction): job.config_hash for job in jobs if job.kind == "training"}


def test_every_arm_fold_and_share(study_values: dict[str, Any]) -> None:
    jobs = jobs_of({**study_values, "seeds": [0, 3]})
    trainings = [(job.arm, job.seed, job.fold, job.label_fraction) for job in jobs if job.kind == "training"]
    arms = [("plain", 1.0), ("plain", 0.1), *((name, 1.0) for name in ("class_balanced", "pretraining", "full", "full_minus_pretraining"))]
    assert trainings == [(arm, seed, fold, share) for seed in (0, 3) for fold in (0, 1) for arm, share in arms]
    assert len({job.id for job in jobs}) == len(jobs)


def test_a_pretraining_is_shared_and_comes_first(study_values: dict[str, Any]) -> None:
    study_values["arms"]["full"]["pretraining"] = True
    jobs = jobs_of(study_values)
    first = [job for job in jobs if job.kind == "pretraining"]
    assert [(job.seed, job.fold) for job in first] == [(0, 0), (0, 1)]
    for fold, job in enumerate(first):
        users = [other for other in jobs if other.needs == job.id]
        assert [other.arm for other in users] == ["pretraining", "full"]
        assert {other.fold for other in users} == {fold}
        assert all(jobs.index(job) < jobs.index(other) for other in users)


def test_other_settings_are_another_pretraining(study_values: dict[str, Any]) -> None:
    needs = {job.arm: job.needs for job in jobs_of(study_values, folds=[0])}
    assert needs["pretraining"] != needs["full"]
    assert needs["plain"] is None


def test_the_same_study_has_the_same_hashes(study_values: dict[str, Any]) -> None:
    assert hashes(jobs_of(study_values)) == hashes(jobs_of(study_values))


@pytest.mark.parametrize(("data", "code", "epochs"), [("e", "c", None), ("d", "e", None), ("d", "c", 9)])
def test_other_data_code_and_epochs_change_every_hash(data: str, code: str, epochs: int | None, study_values: dict[str, Any]) -> None:
    before, after = hashes(jobs_of(study_values)), hashes(jobs_of(study_values, data, code, epochs=epochs))
    assert before.keys() == after.keys()
    assert not set(before.values()) & set(after.values())


def test_a_changed_arm_changes_its_own_hashes_and_those_that_build_on_it(study_values: dict[str, Any]) -> None:
    before = hashes(jobs_of(study_values))
    study_values["arms"]["class_balanced"]["overrides"]["loss#beta"] = 0.9
    after = hashes(jobs_of(study_values))
    changed = {key[1] for key in before if before[key] != after[key]}
    assert changed == {"class_balanced", "full", "full_minus_pretraining"}


def test_a_changed_pretraining_changes_what_starts_from_it(study_values: dict[str, Any]) -> None:
    before = hashes(jobs_of(study_values))
    study_values["pretraining"]["batch_size"] = 64
    after = hashes(jobs_of(study_values))
    assert {key[1] for key in before if before[key] != after[key]} == {"pretraining", "full"}


def test_other_splits_change_every_hash(study_values: dict[str, Any]) -> None:
    before = hashes(jobs_of(study_values))
    del study_values["splits"]["flipped"]
    assert not set(before.values()) & set(hashes(jobs_of(study_values)).values())


def test_a_choice_keeps_the_hashes(study_values: dict[str, Any]) -> None:
    whole = hashes(jobs_of(study_values))
    part = hashes(jobs_of(study_values, folds=[1], label_fractions=[0.1]))
    assert list(part) == [("training", "plain", 0, 1, 0.1)]
    assert part.items() <= whole.items()


def test_fewer_epochs_are_validated_all_the_same(study_values: dict[str, Any]) -> None:
    study_values["overrides"] |= {"val_interval": 5}
    trainings = [job for job in jobs_of(study_values, epochs=2) if job.kind == "training"]
    assert {(job.overrides["max_epochs"], job.overrides["val_interval"]) for job in trainings} == {(2, 2)}
    assert jobs_of(study_values, epochs=9)[0].overrides["val_interval"] == 5
    assert jobs_of(study_values)[0].overrides["max_epochs"] == 2


def test_the_order_of_keys_does_not_matter() -> None:
    assert config_hash({"a": 1, "b": {"c": 2, "d": 3}}) == config_hash({"b": {"d": 3, "c": 2}, "a": 1})


def test_data_are_hashed_with_their_files(phantom_datalist: Path, tmp_path: Path) -> None:
    datalist = tmp_path / "datalist.json"
    datalist.write_bytes(phantom_datalist.read_bytes())
    with pytest.raises(BadInputError, match="does not exist"):
        hash_data(datalist)
    for folder in ("images", "outlines"):
        (tmp_path / folder).mkdir()
        for file in (phantom_datalist.parent / folder).iterdir():
            os.link(file, tmp_path / folder / file.name)
    before = hash_data(datalist)
    assert before == hash_data(phantom_datalist)
    image = next((tmp_path / "images").iterdir())
    longer = image.read_bytes() + b"\0"
    image.unlink()
    image.write_bytes(longer)
    assert hash_data(datalist) != before
    assert hash_data(phantom_datalist, phantom_datalist) != before


def test_code_is_hashed_with_the_bundles_configurations(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "train.yaml").write_text("a: 1")
    before = hash_code(tmp_path)
    assert before == hash_code(tmp_path)
    (tmp_path / "configs" / "train.yaml").write_text("a: 2")
    assert hash_code(tmp_path) != before
    assert hash_code(BUNDLE).startswith("0.")


@pytest.mark.parametrize("source", ["evaluation/localizing.py", "ablation/localization.py", "losses/spot.py"])
def test_code_that_makes_results_is_hashed(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "monai_pneumonia"
    shutil.copytree(Path(plan.__file__).parents[1], package)
    monkeypatch.setattr(plan, "__file__", str(package / "ablation" / "plan.py"))
    before = hash_code(BUNDLE)
    with (package / source).open("a") as stream:
        stream.write("# changed\n")
    assert hash_code(BUNDLE) != before
