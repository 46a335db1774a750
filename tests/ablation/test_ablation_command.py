"""The command line: what it lists, and what it refuses with one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from monai_pneumonia import engines
from monai_pneumonia.ablation.command import app
from monai_pneumonia.errors import PneumoniaError

BUNDLE = Path(__file__).parents[2] / "bundle"


def arguments(folder: Path, content: dict[str, Any], datalist: Path, *options: str) -> list[str]:
    (folder / "study.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    fixed = ["--study", str(folder / "study.yaml"), "--output", str(folder / "out"), "--bundle", str(BUNDLE), "--data", str(datalist)]
    return [*fixed, *options]


def listed(folder: Path, content: dict[str, Any], datalist: Path, *options: str) -> list[str]:
    result = CliRunner().invoke(app, arguments(folder, content, datalist, "--dry-run", *options), catch_exceptions=False)
    assert result.exit_code == 0
    return [line.split()[2] for line in result.stdout.splitlines() if line.startswith("to do")]


def test_a_dry_run_lists_every_training_and_trains_none(study_values: dict[str, Any], phantom_datalist: Path, tmp_path: Path) -> None:
    jobs = listed(tmp_path, study_values, phantom_datalist)
    assert len(jobs) == 2 * (6 + 2)
    assert not (tmp_path / "out" / "jobs").exists()


def test_less_of_a_study(study_values: dict[str, Any], phantom_datalist: Path, tmp_path: Path) -> None:
    chosen = ("--arms", "class_balanced", "--folds", "1", "--label-fractions", "1")
    jobs = listed(tmp_path, study_values, phantom_datalist, *chosen)
    assert [name.rsplit("-", 1)[0] for name in jobs] == ["plain-seed0-fold1-1", "class_balanced-seed0-fold1-1"]
    shorter = listed(tmp_path, study_values, phantom_datalist, *chosen, "--epochs", "1")
    assert not set(jobs) & set(shorter)


def test_machines_that_train_otherwise_have_other_trainings(
    study_values: dict[str, Any], phantom_datalist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def names(value: object) -> list[str]:
        return listed(tmp_path, {**study_values, "overrides": {**study_values["overrides"], "cpu_amp": value}}, phantom_datalist)

    given = {able: names(able) for able in (True, False)}
    assert not {name for name in given[True] if not name.startswith("pretraining")} & set(given[False])
    for able in (True, False):
        monkeypatch.setattr(engines, "cpu_has_bfloat16", lambda able=able: able)
        assert names("$engines.cpu_has_bfloat16()") == given[able]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--arms", "none"), "has the arms plain"),
        (("--folds", "2"), "folds 0 to 1, not 2"),
        (("--folds", "x"), "takes numbers"),
        (("--label-fractions", "0.3"), "trained at 0.1, 1"),
        (("--report-only",), "holds no study"),
        (("--bundle", "/nowhere"), "nowhere"),
    ],
)
def test_what_does_not_fit_is_told(
    options: tuple[str, ...], told: str, study_values: dict[str, Any], phantom_datalist: Path, tmp_path: Path
) -> None:
    with pytest.raises(PneumoniaError, match=told):
        CliRunner().invoke(app, arguments(tmp_path, study_values, phantom_datalist, "--dry-run", *options), catch_exceptions=False)


def with_phantoms(folder: Path, content: dict[str, Any], **settings: int) -> list[str]:
    content["data"] = {"phantoms": settings}
    (folder / "study.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return ["--study", str(folder / "study.yaml"), "--output", str(folder / "out"), "--bundle", str(BUNDLE), "--dry-run"]


def test_a_wrong_setting_of_phantoms_is_told(study_values: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(PneumoniaError, match="cuont"):
        CliRunner().invoke(app, with_phantoms(tmp_path, study_values, cuont=3), catch_exceptions=False)


def test_a_dry_run_draws_no_phantoms_and_says_that_they_are_missing(study_values: dict[str, Any], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, with_phantoms(tmp_path, study_values, count=48, size=64), catch_exceptions=False)
    assert result.exit_code == 0
    assert sum(line.startswith("to do") for line in result.stdout.splitlines()) == 2 * (6 + 2)
    assert "not drawn yet" in result.stdout
    assert not (tmp_path / "out").exists()
