"""configs/probe.yaml, run as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bundle_runs import BUNDLE, bundle_command, run_here, run_process
from monai.bundle import ConfigParser
from probe_files import write_encoder

from monai_pneumonia.engines import probe_encoder
from monai_pneumonia.evaluation.probe_report import PROBE_FILES

QUICK = ("--resamples", "20", "--batch_size", "8")


def test_every_setting_is_a_key_of_its_own() -> None:
    configuration = ConfigParser.load_config_file(BUNDLE / "configs" / "probe.yaml")
    assert configuration["settings"] == {key: f"@{key}" for key in configuration["settings"]}
    assert [key for key in configuration["settings"] if key not in configuration] == []


@pytest.mark.slow
def test_probes_are_those_of_the_function_and_replace_earlier_ones(bundle: Path, phantom_datalist: Path, tmp_path: Path) -> None:
    encoder = write_encoder(bundle / "models" / "pretrained_encoder.pt", "efficientnet-b0")
    options = ("--datalist_path", str(phantom_datalist), "--output_dir", "../output", *QUICK)
    done = run_process(bundle, bundle_command("configs/probe.yaml", *options))
    assert "probes written to" in done.stdout
    assert "Research use only" in done.stdout
    output = bundle.parent / "output"
    assert {file.name for file in output.iterdir()} == {*PROBE_FILES, "cache"}

    first = (output / "probes.json").read_bytes()
    content = json.loads(first)
    expected = probe_encoder(str(encoder), str(phantom_datalist), str(output / "cache"), batch_size=8, resamples=20)
    assert content == expected
    table = (output / "probes.md").read_text(encoding="utf-8")
    for told in ("Research use only", "Which hospital", "pre-trained less random", "within hospitals", "probes.png"):
        assert told in table

    (output / "probes.md").write_text("old")
    (output / "notes.txt").write_text("mine")
    run_here(bundle, bundle_command("configs/probe.yaml", *options))
    assert (output / "probes.json").read_bytes() == first
    assert (output / "probes.md").read_text(encoding="utf-8") == table
    assert (output / "notes.txt").read_text() == "mine"


@pytest.mark.slow
def test_folds_and_group_normalization(bundle: Path, phantom_datalist: Path) -> None:
    write_encoder(bundle / "encoder.pt", "efficientnet-b0", normalization="group", resize_mode="pad")
    options = ("--datalist_path", str(phantom_datalist), "--output_dir", "../output", *QUICK, "--pixels", "False", "--fold", "1")
    run_here(bundle, bundle_command("configs/probe.yaml", *options, "--n_folds", "3", "--pretrained_encoder", "encoder.pt"))
    content = json.loads((bundle.parent / "output" / "probes.json").read_text())
    assert set(content["features"]) == {"pretrained", "random"}
    assert content["fitted_on"]["items"] + content["scored_on"]["items"] == 34
    assert (content["settings"]["fold"], content["settings"]["n_folds"]) == (1, 3)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["no encoder", "another backbone", "no labels", "bad picture", "override", "earlier results"])
def test_what_cannot_be_probed_is_told_in_one_line(bundle: Path, phantom_datalist: Path, case: str, tmp_path: Path) -> None:
    backbone = "resnet18" if case == "another backbone" else "efficientnet-b0"
    write_encoder(bundle / "encoder.pt", backbone, parameters_of="efficientnet-b0")
    content = json.loads(phantom_datalist.read_text())
    for item in [*content["training"], *content["validation"]]:
        item["image"], item["mask"] = str(phantom_datalist.parent / item["image"]), None
        item["label"] = None if case == "no labels" else item["label"]
    if case == "bad picture":
        (tmp_path / "bad.png").write_text("no picture")
        content["validation"][0]["image"] = "bad.png"
    (tmp_path / "datalist.json").write_text(json.dumps({**content, "testing": []}))
    output = bundle.parent / "output"
    if case == "earlier results":
        output.mkdir()
        (output / "probes.md").write_text("earlier")
    options = {
        "no encoder": ("--pretrained_encoder", "none.pt"),
        "override": ("--resample", "10"),
        "earlier results": ("--overwrite", "False"),
    }.get(case, ())
    code, told = {
        "no encoder": (2, "there is no file none.pt"),
        "another backbone": (6, "not those of the backbone"),
        "no labels": (3, "no labels of both kinds"),
        "bad picture": (4, "1 of 34 pictures cannot be used"),
        "override": (2, "did you mean `resamples`"),
        "earlier results": (2, "probes.md already"),
    }[case]
    words = ("--pretrained_encoder", "encoder.pt", "--datalist_path", str(tmp_path / "datalist.json"), "--output_dir", "../output")
    done = run_here(bundle, bundle_command("configs/probe.yaml", *words, *QUICK, *options), expect=code)
    assert told in done.errors[0]
    assert not (output / "probes.json").exists()
