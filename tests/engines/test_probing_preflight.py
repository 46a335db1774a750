"""What is checked before probes; the bundle test sees the same through the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from probe_files import write_encoder

from monai_pneumonia.engines import preflight_probes

SETTINGS: dict[str, Any] = {"fold": None, "n_folds": 5, "seed": 0, "batch_size": 8, "num_workers": 0}
SETTINGS |= {"pixels": True, "resamples": 10, "overwrite": True}


@pytest.fixture
def check(phantom_datalist: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs the preflight with other settings; gives exit code and error."""
    encoder = write_encoder(tmp_path / "encoder.pt", "efficientnet-b0")

    def run(
        datalist: Path = phantom_datalist, output: Path = tmp_path / "output", device: str = "cpu", arguments: Any = (), **other: Any
    ) -> tuple[int, str]:
        settings = {**SETTINGS, "pretrained_encoder": str(encoder), **other}
        try:
            preflight_probes(settings, str(datalist), str(output), str(output / "cache"), device, list(arguments))
        except SystemExit as ended:
            errors = capsys.readouterr().err
            assert errors.startswith("error: ")
            return int(ended.code or 0), errors
        return 0, ""

    return run


def _changed(datalist: Path, target: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    content = json.loads(datalist.read_text())
    for section in ("training", "validation", "testing"):
        for item in content[section]:
            item["image"], item["mask"] = str(datalist.parent / item["image"]), None
    change(content)
    target.write_text(json.dumps(content))
    return target


def test_what_fits_passes_and_leaves_no_trace(check: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    assert check() == (0, "")
    assert check(fold=1, n_folds=3) == (0, "")
    assert {file.name for file in tmp_path.iterdir()} == {"encoder.pt"}


@pytest.mark.parametrize(
    ("other", "code", "told"),
    [
        ({"pretrained_encoder": "none.pt"}, 2, "there is no file none.pt"),
        ({"pretrained_encoder": None}, 2, "`pretrained_encoder` must name"),
        ({"batch_size": 0}, 2, "`batch_size`"),
        ({"resamples": -1}, 2, "`resamples`"),
        ({"pixels": "both"}, 2, "`pixels` must be true or false"),
        ({"overwrite": "no"}, 2, "`overwrite`"),
        ({"fold": 5}, 2, "`fold` must be below"),
        ({"device": "cuda:99"}, 2, "`device` cuda:99"),
        ({"datalist": Path("nowhere.json")}, 4, "cannot read the datalist"),
    ],
)
def test_settings_that_do_not_fit(check: Callable[..., tuple[int, str]], other: dict[str, Any], code: int, told: str) -> None:
    found, error = check(**other)
    assert (found, told in error) == (code, True), error


def test_an_encoder_of_another_backbone(check: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    file = write_encoder(tmp_path / "other.pt", "resnet18", parameters_of="efficientnet-b0")
    code, error = check(pretrained_encoder=str(file))
    assert code == 6
    assert "not those of the backbone" in error


def test_data_that_cannot_be_probed(check: Callable[..., tuple[int, str]], phantom_datalist: Path, tmp_path: Path) -> None:
    def unlabelled(section: str) -> Callable[[dict[str, Any]], None]:
        return lambda content: [item.update(label=None) for item in content[section]] and None

    def one_kind(content: dict[str, Any]) -> None:
        content["training"] = [item for item in content["training"] if item["label"] == "normal"]

    def shared(content: dict[str, Any]) -> None:
        content["validation"][0]["patient_id"] = content["training"][0]["patient_id"]

    def missing(content: dict[str, Any]) -> None:
        content["training"][0]["image"] = "nowhere.png"

    cases: list[tuple[Callable[[dict[str, Any]], Any], int, str]] = [
        (unlabelled("training"), 3, "no labels of both kinds"),
        (one_kind, 3, "no labels of both kinds"),
        (unlabelled("validation"), 3, "nothing to score"),
        (lambda content: content.update(training=[], validation=[], testing=[]), 3, "holds no picture"),
        (lambda content: content.update(validation=[]), 4, "'validation' is empty"),
        (shared, 4, "1 patient(s)"),
        (missing, 4, "nowhere.png does not exist"),
    ]
    for change, code, told in cases:
        found, error = check(_changed(phantom_datalist, tmp_path / "changed.json", change))
        assert (found, told in error) == (code, True), error
        patients = {item["patient_id"] for item in json.loads(phantom_datalist.read_text())["validation"]}
        assert not [name for name in patients if name and name in error]


def test_outputs(check: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert check(output=tmp_path / "file" / "output")[0] == 7
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "probes.json").write_text("{}")
    code, error = check(overwrite=False)
    assert code == 2
    assert "probes.json already" in error


def test_a_misspelt_override(check: Callable[..., tuple[int, str]]) -> None:
    config = str(Path(__file__).parents[2] / "bundle" / "configs" / "probe.yaml")
    code, error = check(arguments=["run", "--config_file", config, "--resample", "10"])
    assert code == 2
    assert "did you mean `resamples`" in error
