"""What a study makes before its first job, and when it makes it anew."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from monai_pneumonia.ablation import preparing
from monai_pneumonia.ablation.preparing import NOT_DRAWN, Choice, prepare_study
from monai_pneumonia.ablation.study import Study, load_study

BUNDLE = Path(__file__).parents[2] / "bundle"


def phantom_study(values: dict[str, Any], folder: Path) -> Study:
    values["data"] = {"phantoms": {"count": 48, "size": 64}}
    (folder / "study.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    return load_study(folder / "study.yaml")


def test_phantoms_of_other_code_are_drawn_anew(
    study_values: dict[str, Any], phantom_datalist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = phantom_study(study_values, tmp_path)
    drawn: list[Path] = []

    def write_phantoms(folder: Path, *_: object, **__: object) -> None:
        drawn.append(folder)
        shutil.copytree(phantom_datalist.parent, folder)

    def datalist(phantom_code: str, code: str | None = None) -> Path:
        monkeypatch.setattr(preparing, "hash_phantom_code", lambda: phantom_code)
        return prepare_study(study, tmp_path / "out", BUNDLE, Choice(code=code)).place.datalist

    monkeypatch.setattr(preparing, "write_phantoms", write_phantoms)
    first, other, named = datalist("a"), datalist("b"), datalist("a", "mine")
    assert len({first, other, named}) == 3
    # A name for the code's state stands for all of it.
    assert [datalist("a"), datalist("b"), datalist("b", "mine")] == [first, other, named]
    assert drawn == [first.parent, other.parent, named.parent]


def test_a_dry_plan_is_that_of_the_run_once_its_phantoms_are_drawn(
    study_values: dict[str, Any], phantom_datalist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, output = phantom_study(study_values, tmp_path), tmp_path / "out"
    monkeypatch.setattr(preparing, "write_phantoms", lambda folder, *_, **__: shutil.copytree(phantom_datalist.parent, folder))
    before = prepare_study(study, output, BUNDLE, Choice(), dry=True)
    assert not output.exists()
    run = prepare_study(study, output, BUNDLE, Choice())
    after = prepare_study(study, output, BUNDLE, Choice(), dry=True)
    assert before.data["sha256"] == NOT_DRAWN
    assert after.jobs == run.jobs != before.jobs
    assert len(before.jobs) == len(run.jobs)
