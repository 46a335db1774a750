"""configs/train.yaml, run as a user runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from bundle_runs import SMALL, Finished, bundle_command, copy_bundle, quiet_environment, run_here, run_process

from monai_pneumonia.inference.calibration import load_calibration
from monai_pneumonia.inference.weights import file_sha256, load_weights

pytestmark = pytest.mark.slow


def _parameters(bundle: Path) -> dict[str, torch.Tensor]:
    return dict(load_weights(bundle / "models" / "model.pt")[0].state_dict())


def _train(bundle: Path, options: dict[str, str], expect: int = 0) -> Finished:
    command = bundle_command("configs/train.yaml", *(word for pair in options.items() for word in pair))
    return run_here(bundle, command, expect)


def test_a_training_leaves_whole_weights(trained_bundle: Path) -> None:
    weights = trained_bundle / "models" / "model.pt"
    network, description = load_weights(weights)
    assert description.classes == ("normal", "bacterial", "viral", "covid19")
    assert description.input_size == 64
    assert description.training["settings"]["max_epochs"] == 3
    assert weights.stat().st_size < 25 * 2**20
    assert not network.training
    calibration = load_calibration(trained_bundle / "models" / "calibration.json", file_sha256(weights))
    assert calibration.fitted_on["section"] == "validation"
    assert "Research use only" in (trained_bundle / "models" / "DATA.md").read_text()
    metadata = json.loads((trained_bundle / "configs" / "metadata.json").read_text())
    assert metadata["network_data_format"]["inputs"]["image"]["spatial_shape"] == [64, 64]
    assert list((trained_bundle.parent / "output" / "tensorboard").glob("events.*"))
    assert not list(trained_bundle.parent.rglob("*.unfinished"))


def test_a_finished_training_started_again_ends_at_once_with_the_same_weights(
    trained_bundle: Path, training_options: tuple[str, ...]
) -> None:
    before = _parameters(trained_bundle)
    done = run_here(trained_bundle, bundle_command("configs/train.yaml", *training_options))
    assert "resumed after epoch 3" in done.stdout
    assert "epoch 1 of 3" not in done.stdout
    after = _parameters(trained_bundle)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_killed_training_resumes_to_the_weights_of_an_unbroken_one(
    trained_bundle: Path, training_options: tuple[str, ...], tmp_path: Path
) -> None:
    bundle = copy_bundle(tmp_path)
    command = bundle_command("configs/train.yaml", *training_options)
    checkpoint = tmp_path / "output" / "checkpoints" / "last.pt"
    started = [sys.executable, "-m", *command]
    process = subprocess.Popen(started, cwd=bundle, env=quiet_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while not checkpoint.is_file() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert torch.load(checkpoint, weights_only=True)["epoch"] < 3
    assert not (bundle / "models" / "model.pt").exists()

    done = run_here(bundle, command)
    assert "resumed after epoch" in done.stdout
    unbroken, resumed = _parameters(trained_bundle), _parameters(bundle)
    assert unbroken.keys() == resumed.keys()
    assert all(torch.equal(unbroken[name], resumed[name]) for name in unbroken)


def test_a_checkpoint_of_other_settings_is_refused(trained_bundle: Path, training_options: tuple[str, ...]) -> None:
    done = run_here(trained_bundle, bundle_command("configs/train.yaml", *training_options, "--seed", "7"), expect=2)
    assert "seed: 0 then, 7 now" in done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--max_epoch", "3"), "did you mean `max_epochs`"),
        (("--backbone", "resnet19"), "`backbone` must be one of resnet10"),
    ],
)
def test_a_wrong_override_ends_the_process_with_one_line(bundle: Path, phantom_datalist: Path, options: tuple[str, str], told: str) -> None:
    done = run_process(bundle, bundle_command("configs/train.yaml", "--datalist_path", str(phantom_datalist), *options), expect=2)
    assert told in done.errors[0]


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (("--loss#names", "cross_entropy"), 2, "did you mean `loss#name`"),
        (("--loss#name", "hinge"), 2, "`loss#name` must be one of cross_entropy"),
        (("--input_size", "100"), 2, "`input_size` must be a multiple of 32"),
        (("--label_fraction", "0"), 2, "`label_fraction` must be a number above 0"),
        (("--fold", "9"), 2, "`fold` must be below `n_folds`"),
        (("--attention#outlined_share", "0.6"), 2, "`attention#outlined_share` must be a number at least 0 and at most 0.5"),
        (("--loss#name", "class_balanced_focal", "--loss#logit_adjustment", "1"), 2, "`loss#logit_adjustment` corrects plain training"),
        (("--pretrained_encoder", "nowhere.pt"), 2, "nowhere.pt"),
        (("--datalist_path", "nowhere.json"), 2, "nowhere.json"),
        (("--device", "cuda:0"), 2, "`device` cuda:0 is not there"),
        (("--output_dir", "LICENSE/below"), 7, "LICENSE/below"),
    ],
)
def test_what_cannot_work_ends_at_once_with_one_line(
    bundle: Path, phantom_datalist: Path, options: tuple[str, ...], code: int, told: str
) -> None:
    pairs = dict(zip(options[::2], options[1::2], strict=True))
    given = {"--datalist_path": str(phantom_datalist), "--output_dir": "../output", **pairs}
    assert told in _train(bundle, given, expect=code).errors[0]
    assert not (bundle / "models" / "model.pt").exists()
    assert not (bundle.parent / "output").exists()


def test_an_empty_datalist_is_told(bundle: Path) -> None:
    empty = bundle / "empty.json"
    empty.write_text(json.dumps({"classes": ["normal", "ill"], "training": [], "validation": [], "testing": []}))
    done = _train(bundle, {"--datalist_path": "empty.json", "--output_dir": "../output"}, expect=2)
    assert "holds no picture" in done.errors[0]


def test_bad_pictures_are_all_named_before_the_first_epoch(bundle: Path, phantom_datalist: Path) -> None:
    content = json.loads(phantom_datalist.read_text())
    for section in ("training", "validation"):
        for item in content[section]:
            item["image"] = str(phantom_datalist.parent / item["image"])
            item["mask"] = None
    for name, item in zip(("one.png", "two.png"), content["training"], strict=False):
        (bundle / name).write_text("no picture")
        item["image"] = name
    broken = bundle / "broken.json"
    broken.write_text(json.dumps(content))
    command = bundle_command("configs/train.yaml", "--datalist_path", "broken.json", "--output_dir", "../output", *SMALL)
    done = run_here(bundle, command, expect=4)
    assert "2 of" in done.errors[0]
    assert "one.png" in done.stderr
    assert "two.png" in done.stderr
    assert not (bundle / "models" / "model.pt").exists()
