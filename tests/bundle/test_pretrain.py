"""configs/pretrain.yaml, run as a user runs it, and configs/multi_gpu_pretrain.yaml under torchrun."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from bundle_runs import SMALL, bundle_command, copy_bundle, quiet_environment, run_here, run_process

from monai_pneumonia.engines.pretraining import build_contrastive_network
from monai_pneumonia.inference.weights import load_weights

pytestmark = pytest.mark.slow

CONFIG = "configs/pretrain.yaml"
CONFIGS = "['configs/pretrain.yaml','configs/multi_gpu_pretrain.yaml']"
TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m")
QUICK = ("--input_size", "64", "--batch_size", "8", "--num_workers", "0", "--backbone", "efficientnet-b0", "--max_epochs", "3")
LEARNING_RATE = 1.0
SGD = f"{{'_target_': 'torch.optim.SGD', 'params': '$@network.parameters()', 'lr': {LEARNING_RATE}}}"


def _options(datalist: Path) -> tuple[str, ...]:
    return ("--datalist_path", str(datalist), "--output_dir", "../output", *QUICK)


def _encoder(bundle: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(bundle / "models" / "pretrained_encoder.pt", weights_only=True)
    return content


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory, phantom_datalist: Path) -> tuple[Path, str]:
    """A bundle with an encoder pre-trained for three epochs, and what the run logged. Read, do not change."""
    bundle = copy_bundle(tmp_path_factory.mktemp("pretrained"))
    done = run_here(bundle, bundle_command(CONFIG, *_options(phantom_datalist)))
    return bundle, done.stdout


def test_a_pretraining_leaves_an_encoder_with_its_description(pretrained: tuple[Path, str], phantom_datalist: Path) -> None:
    bundle, log = pretrained
    content = _encoder(bundle)
    description = content["description"]
    listed = json.loads(phantom_datalist.read_text())
    assert description["items"] == {"training": len(listed["training"])}
    assert (description["method"], description["backbone"], description["epochs"]) == ("moco", "efficientnet-b0", 3)
    assert description["collapse"].keys() == {"feature_spread", "effective_rank"}
    assert "Research use only" in description["notice"]
    assert "Research use only" in (bundle / "models" / "PRETRAINING_DATA.md").read_text()
    assert f"pre-training on {len(listed['training'])} pictures of" in log
    assert "validation and testing are not read" in log
    assert "feature_spread" in log
    patients = {item["patient_id"] for item in listed["training"]}
    assert not any(patient in json.dumps(description) for patient in patients)
    assert not list(bundle.parent.rglob("*.unfinished"))
    assert list((bundle.parent / "output" / "tensorboard").glob("events.*"))


def test_a_killed_pretraining_resumes_to_the_state_of_an_unbroken_one(
    pretrained: tuple[Path, str], phantom_datalist: Path, tmp_path: Path
) -> None:
    bundle = copy_bundle(tmp_path)
    command = bundle_command(CONFIG, *_options(phantom_datalist))
    checkpoint = tmp_path / "output" / "checkpoints" / "last.pt"
    process = subprocess.Popen(
        [sys.executable, "-m", *command], cwd=bundle, env=quiet_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while not checkpoint.is_file() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert torch.load(checkpoint, weights_only=True)["epoch"] < 3
    assert not (bundle / "models" / "pretrained_encoder.pt").exists()

    assert "resumed after epoch" in run_here(bundle, command).stdout
    states = [torch.load(folder / "output" / "checkpoints" / "last.pt", weights_only=True) for folder in (pretrained[0].parent, tmp_path)]
    assert states[0]["network"].keys() == states[1]["network"].keys()
    for name, value in states[0]["network"].items():  # momentum network, queue and position among them
        assert torch.equal(value, states[1]["network"][name]), name
    assert states[0]["collapse"] == states[1]["collapse"]
    assert _encoder(bundle)["description"] == _encoder(pretrained[0])["description"]


@pytest.mark.parametrize("key", ["image", "patient_id"])
def test_a_resume_on_other_data_under_the_same_ids_is_refused(
    pretrained: tuple[Path, str], phantom_datalist: Path, tmp_path: Path, key: str
) -> None:
    bundle = Path(shutil.copytree(pretrained[0].parent, tmp_path / "copy")) / "bundle"
    other = Path(shutil.copytree(phantom_datalist.parent, tmp_path / "phantoms")) / phantom_datalist.name
    content = json.loads(other.read_text())
    first, last = content["training"][0], content["training"][-1]
    assert first[key] != last[key]
    first[key], last[key] = last[key], first[key]
    other.write_text(json.dumps(content))
    done = run_here(bundle, bundle_command(CONFIG, *_options(other)), expect=2)
    assert "of a training with other settings (data:" in done.errors[0]


def test_training_takes_the_encoder_up_by_one_key(pretrained: tuple[Path, str], phantom_datalist: Path, bundle: Path) -> None:
    encoder = pretrained[0] / "models" / "pretrained_encoder.pt"
    options = ("--datalist_path", str(phantom_datalist), "--output_dir", "../output", "--max_epochs", "1", *SMALL)
    still = ("--learning_rate", "1.0e-09", "--ema_decay", "0", "--pretrained_encoder", str(encoder))
    run_here(bundle, bundle_command("configs/train.yaml", *options, *still))
    network, _ = load_weights(bundle / "models" / "model.pt")
    stem = "network._conv_stem.weight"
    torch.testing.assert_close(network.encoder.state_dict()[stem], _encoder(pretrained[0])["encoder"][stem].float(), atol=1e-3, rtol=1e-3)


def test_what_cannot_work_ends_at_once_with_one_line(bundle: Path, phantom_datalist: Path) -> None:
    done = run_here(bundle, bundle_command(CONFIG, *_options(phantom_datalist), "--method", "byol", "--temperature", "0"), expect=2)
    assert "`method` must be one of moco, simclr" in done.errors[0]
    assert "`temperature` must be a number above 0" in done.errors[0]
    assert not (bundle.parent / "output").exists()


def _in_processes(folder: Path, processes: int, options: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """The network's state after a pre-training in one process or two."""
    folder.mkdir()
    bundle = copy_bundle(folder)
    if processes == 1:
        run_here(bundle, bundle_command(CONFIG, *options))
    else:
        run_process(bundle, [*TORCHRUN, *bundle_command(CONFIGS, *options)])
    checkpoint = torch.load(folder / "output" / "checkpoints" / "last.pt", weights_only=True)
    state: dict[str, torch.Tensor] = checkpoint["network"]
    return state


@pytest.mark.parametrize(("method", "epochs"), [("simclr", 1), ("moco", 2)])
def test_two_processes_step_as_one(method: str, epochs: int, phantom_datalist: Path, tmp_path: Path) -> None:
    """Group normalisation, one batch an epoch: the whole training section. MoCo's first step meets an empty queue, and has no gradient."""
    batch_size = len(json.loads(phantom_datalist.read_text())["training"])
    assert batch_size % 2 == 0
    options = (
        *("--datalist_path", str(phantom_datalist), "--output_dir", "../output", *QUICK, "--backbone", "resnet18"),
        *("--max_epochs", str(epochs), "--batch_size", str(batch_size), "--method", method, "--normalization", "group"),
        *("--optimizer", SGD, "--warmup_epochs", "0"),
    )
    arguments = {"backbone": "resnet18", "normalization": "group", "projection_channels": 128}
    before = build_contrastive_network(method, arguments, queue_size=2 * batch_size, seed=0)
    alone, together = (_in_processes(tmp_path / str(processes), processes, options) for processes in (1, 2))
    trained = {name: value.detach() for name, value in before.named_parameters() if value.requires_grad}
    steps = [torch.cat([(value - state[name]).flatten() for name, value in trained.items()]) for state in (alone, together)]
    assert steps[0].norm() > 0.01
    assert (steps[1] - steps[0]).norm() < 1e-4 * steps[0].norm()
    if method == "moco":
        _check_same_momentum(before.state_dict(), alone, together)


def test_two_processes_resume_to_the_state_of_an_unbroken_pretraining(phantom_datalist: Path, tmp_path: Path) -> None:
    options = (*_options(phantom_datalist), "--backbone", "resnet10", "--max_epochs", "2")
    # In a file, for torchrun takes `--run` for one of its own options.
    first_epoch = {
        "run": [
            "$@train#trainer.add_event_handler('EPOCH_COMPLETED', lambda engine: engine.terminate())",
            "$engines.run_engine(@train#trainer)",
        ]
    }
    resumed, unbroken = (copy_bundle(tmp_path / name) for name in ("resumed", "unbroken"))
    (resumed / "first_epoch.json").write_text(json.dumps(first_epoch))
    run_process(resumed, [*TORCHRUN, *bundle_command(CONFIGS, *options, "--args_file", "first_epoch.json")])
    assert not (resumed / "models" / "pretrained_encoder.pt").exists()
    done = [run_process(bundle, [*TORCHRUN, *bundle_command(CONFIGS, *options)]) for bundle in (resumed, unbroken)]
    assert "resumed after epoch 1" in done[0].stdout
    assert "resumed" not in done[1].stdout
    states = [torch.load(bundle.parent / "output" / "checkpoints" / "last.pt", weights_only=True) for bundle in (resumed, unbroken)]
    assert states[0]["processes"] == 2
    assert states[0]["collapse"] == states[1]["collapse"]
    for name, value in states[0]["network"].items():  # momentum network, queue and position among them
        assert torch.equal(value, states[1]["network"][name]), name


def _check_same_momentum(before: dict[str, torch.Tensor], alone: dict[str, torch.Tensor], together: dict[str, torch.Tensor]) -> None:
    """The momentum network moved alike, and the queue holds the same keys of the same patients, those of both processes."""
    assert int(alone["steps"]) == int(together["steps"]) == 2
    names = [name for name in before if name.startswith("key.")]
    moved = [torch.cat([(before[name] - state[name]).flatten() for name in names]) for state in (alone, together)]
    assert moved[0].norm() > 1e-4
    assert (moved[1] - moved[0]).norm() < 1e-4 * moved[0].norm()
    # Rank after rank in each step, so in another order within its half.
    halves = [[part.chunk(2) for part in (state["queue"], state["queue_patients"])] for state in (alone, together)]
    for keys, codes, other_keys, other_codes in zip(*halves[0], *halves[1], strict=True):
        torch.testing.assert_close(keys.norm(dim=1), torch.ones(len(keys)))
        nearest = torch.cdist(keys, other_keys).min(dim=1)
        torch.testing.assert_close(nearest.values, torch.zeros(len(keys)), atol=1e-3, rtol=0)
        assert sorted(nearest.indices.tolist()) == list(range(len(keys)))
        assert codes.tolist() == other_codes[nearest.indices].tolist()
        assert int(codes.min()) >= 0
