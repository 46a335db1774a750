"""What a study makes before its first job, and when it makes it anew."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from monai_pneumonia.ablation import preparing
from monai_pneumonia.ablation.preparing import Choice, prepare_study
from monai_pneumonia.ablation.study import load_study

BUNDLE = Path(__file__).parents[2] / "bundle"


def test_phantoms_of_other_code_are_drawn_anew(
    study_values: dict[str, Any], phantom_datalist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study_values["data"] = {"phantoms": {"count": 48, "size": 64}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study_values, sort_keys=False))
    study = load_study(tmp_path / "study.yaml")
    drawn: list[Path] = []

    def write_phantoms(folder: Path, *_: object, **__: object) -> None:
        drawn.append(folder)
        shutil.copytree(phantom_datalist.parent, folder)

    def datalist(phantom_code: str, code: str | None = None) -> Path:
        monkeypatch.setattr(preparing, "hash_phantom_code", lambda: phantom_code)
        return prepare_study(study, tmp_path / "out", BUNDLE, Choice(code=code)).place.datalist

    monkeypatch.setattr(preparing, "write_phantoms", write_phantoms)
    first, again, other = datalist("a"), datalist("a"), datalist("b")
    assert first == again != other
    # A name for the code's state stands for all of it.
    assert datalist("a", "mine") == datalist("b", "mine")
    assert [folder / "datalist.json" for folder in drawn] == [first, other, datalist("c", "mine")]
