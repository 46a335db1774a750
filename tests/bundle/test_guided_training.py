"""configs/train.yaml with all parts of the method switched on, run as a user runs it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from bundle_runs import SMALL, bundle_command, copy_bundle, quiet_environment, run_here
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_pneumonia.inference.weights import load_weights

pytestmark = pytest.mark.slow

EPOCHS = 3
USED = ("--attention#weight", "1", "--attention#guided", "True", "--regulation#enabled", "True", "--regulation#warmup", "0")
METHODS = {
    "features": (*USED, "--attention#outlined_share", "0.2"),
    "image": (
        *("--attention#weight", "1", "--attention#guided", "True", "--attention#hard", "True", "--attention#outlined_share", "0.2"),
        *("--attention#shuffled_outlines", "True", "--regulation#enabled", "True", "--regulation#space", "image"),
        *("--regulation#warmup", "0.1"),
    ),
}


def _parameters(bundle: Path) -> dict[str, torch.Tensor]:
    return dict(load_weights(bundle / "models" / "model.pt")[0].state_dict())


def _same(first: Path, second: Path) -> bool:
    weights = _parameters(first), _parameters(second)
    return weights[0].keys() == weights[1].keys() and all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def _command(datalist: Path, *options: str, epochs: int = 1) -> list[str]:
    given = ("--datalist_path", str(datalist), "--output_dir", "../output", "--max_epochs", str(epochs))
    return bundle_command("configs/train.yaml", *given, *SMALL, *options)


def _trained(folder: Path, datalist: Path, *options: str, epochs: int = 1) -> Path:
    folder.mkdir()
    bundle = copy_bundle(folder)
    run_here(bundle, _command(datalist, *options, epochs=epochs))
    return bundle


@pytest.fixture(scope="module", params=METHODS)
def method(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def unbroken(method: str, tmp_path_factory: pytest.TempPathFactory, phantom_datalist: Path) -> Path:
    """A bundle trained with the full method in one go; its run's output lies beside it."""
    return _trained(tmp_path_factory.mktemp("guided") / method, phantom_datalist, *METHODS[method], epochs=EPOCHS)


def test_the_parts_of_the_loss_are_drawn_and_the_weights_know_their_method(method: str, unbroken: Path) -> None:
    _, description = load_weights(unbroken / "models" / "model.pt")
    settings = description.training["settings"]
    assert settings["attention#guided"] is True
    assert settings["regulation#space"] == method
    assert description.network["hard_attention"] == (method == "image")
    assert description.training["outlines"]["pixel"] > 0
    curves = EventAccumulator(str(unbroken.parent / "output" / "tensorboard"))
    curves.Reload()
    drawn = {name.split("loss_")[-1] for name in curves.Tags()["scalars"] if "loss_" in name}
    assert {"classification", "attention", "regulation"} <= drawn


def test_a_killed_training_resumes_to_the_weights_of_an_unbroken_one(
    method: str, unbroken: Path, phantom_datalist: Path, tmp_path: Path
) -> None:
    bundle = copy_bundle(tmp_path)
    command = _command(phantom_datalist, *METHODS[method], epochs=EPOCHS)
    checkpoint = tmp_path / "output" / "checkpoints" / "last.pt"
    started = [sys.executable, "-m", *command]
    process = subprocess.Popen(started, cwd=bundle, env=quiet_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not checkpoint.is_file() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert torch.load(checkpoint, weights_only=True)["epoch"] < EPOCHS
    assert not (bundle / "models" / "model.pt").exists()

    assert "resumed after epoch" in run_here(bundle, command).stdout
    assert _same(unbroken, bundle)


def test_each_part_changes_what_is_learned(phantom_datalist: Path, tmp_path: Path) -> None:
    sampled = ("--attention#outlined_share", "0.2")
    arms = {
        "sampler": sampled,
        "weight": (*sampled, "--attention#weight", "1"),
        "guided": (*sampled, "--attention#guided", "True"),
        "regulation": (*sampled, "--regulation#enabled", "True", "--regulation#warmup", "0"),
    }
    trained = [_trained(tmp_path / name, phantom_datalist, *options) for name, options in arms.items()]
    assert [(i, j) for i in range(4) for j in range(i) if _same(trained[i], trained[j])] == []


def test_a_mask_that_is_not_read_may_be_missing(phantom_datalist: Path, tmp_path: Path) -> None:
    """The sampler asks whether a picture is outlined, and no more."""
    content = json.loads(phantom_datalist.read_text())
    for section in ("training", "validation", "testing"):
        for item in content[section]:
            item["image"] = str(phantom_datalist.parent / item["image"])
            item["mask"] = item["mask"] and "gone.png"
    lost = tmp_path / "lost.json"
    lost.write_text(json.dumps(content))
    sampled = ("--attention#outlined_share", "0.2")
    without = _trained(tmp_path / "without", lost, *sampled)
    assert _same(without, _trained(tmp_path / "with", phantom_datalist, *sampled))

    (tmp_path / "used").mkdir()
    done = run_here(copy_bundle(tmp_path / "used"), _command(lost, *sampled, "--attention#weight", "1"), expect=2)
    assert "gone.png does not exist" in done.errors[0]


def test_without_attention_all_that_uses_outlines_is_off(phantom_datalist: Path, tmp_path: Path) -> None:
    off = ("--attention#enabled", "False", "--attention#outlined_share", "0.2")
    plain = _trained(tmp_path / "plain", phantom_datalist, *off)
    asked = _trained(tmp_path / "asked", phantom_datalist, "--attention#weight", "1", "--attention#guided", "True", *off)
    assert "attention_head.weight" not in _parameters(plain)
    assert _same(plain, asked)


@pytest.fixture
def broken_masks(phantom_datalist: Path, tmp_path: Path) -> Path:
    """The phantoms, all of whose masks are no pictures."""
    folder = Path(shutil.copytree(phantom_datalist.parent, tmp_path / "phantoms"))
    content = json.loads((folder / phantom_datalist.name).read_text())
    masks = {item["mask"] for section in ("training", "validation") for item in content[section] if item["mask"]}
    assert masks
    for mask in masks:
        (folder / mask).write_text("no picture")
    return folder / phantom_datalist.name


def test_a_training_without_outlines_never_reads_a_mask(broken_masks: Path, phantom_datalist: Path, tmp_path: Path) -> None:
    options = ("--attention#outlined_share", "0.2")
    assert _same(_trained(tmp_path / "broken", broken_masks, *options), _trained(tmp_path / "whole", phantom_datalist, *options))


def test_a_training_with_outlines_names_every_broken_mask(bundle: Path, broken_masks: Path) -> None:
    done = run_here(bundle, _command(broken_masks, *METHODS["features"]), expect=4)
    content = json.loads(broken_masks.read_text())
    named = [item["mask"] for section in ("training", "validation") for item in content[section] if item["mask_kind"] == "pixel"]
    assert named
    assert [mask for mask in named if Path(mask).name not in done.stderr] == []
    assert not (bundle / "models" / "model.pt").exists()
