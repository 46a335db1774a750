"""configs/multi_gpu_train.yaml under torchrun: two processes over gloo."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from bundle_runs import Finished, bundle_command, copy_bundle, run_here, run_process

from monai_pneumonia.engines import build_training_network
from monai_pneumonia.inference.weights import load_weights

pytestmark = pytest.mark.slow

CONFIGS = "['configs/train.yaml','configs/multi_gpu_train.yaml']"
TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m")
EPOCHS = 2
# A large step, so that subtracting single-precision weights keeps the gradient's digits.
LEARNING_RATE = 1.0
SGD = f"{{'_target_': 'torch.optim.SGD', 'params': '$@network.parameters()', 'lr': {LEARNING_RATE}}}"
AFTER_ONE_EPOCH = "$@train#trainer.add_event_handler('EPOCH_COMPLETED', lambda engine: engine.terminate())"
SAVE_METRICS = "$torch.save([idist.get_world_size(), @validate#evaluator.state.metrics], @output_dir + f'/rank-{idist.get_rank()}.pt')"


# No decoys where steps are compared: which picture gets one is drawn in each process.
GUIDED = ("--attention#weight", "1", "--attention#guided", "True", "--attention#outlined_share", "0.2", "--attention#decoy_share", "0")
FULL = (*GUIDED, "--attention#decoy_share", "0.5", "--regulation#enabled", "True", "--regulation#warmup", "0")


def _options(datalist: Path, normalization: str) -> tuple[str, ...]:
    """One batch an epoch: the whole training section."""
    batch_size = len(json.loads(datalist.read_text())["training"])
    assert batch_size % 2 == 0
    return (
        *("--datalist_path", str(datalist), "--output_dir", "../output", "--input_size", "64", "--num_workers", "0"),
        *("--backbone", "resnet18", "--normalization", normalization, "--dropout", "0", "--optimizer", SGD, "--warmup_epochs", "0"),
        *("--max_epochs", str(EPOCHS), "--batch_size", str(batch_size), "--ema_decay", "0.5"),
    )


def _two_processes(bundle: Path, *options: str) -> Finished:
    finalize = ("--finalize", str([SAVE_METRICS, "$engines.leave_processes()"]))
    return run_process(bundle, [*TORCHRUN, *bundle_command(CONFIGS, *options, *finalize)])


def _until_first_epoch(bundle: Path, *options: str) -> tuple[str, ...]:
    """In a file, for torchrun takes `--run` for one of its own options."""
    (bundle / "first_epoch.json").write_text(json.dumps({"run": [AFTER_ONE_EPOCH, "$engines.run_engine(@train#trainer)"]}))
    return (*options, "--args_file", "first_epoch.json")


def _first_gradient(bundle: Path, normalization: str) -> torch.Tensor:
    """What the first step of SGD went along, all parameters in one vector."""
    checkpoint = torch.load(bundle.parent / "output" / "checkpoints" / "last.pt", weights_only=True)
    assert checkpoint["iteration"] == checkpoint["epoch"] == 1
    before = build_training_network(
        {"backbone": "resnet18", "num_classes": 4, "attention": True, "normalization": normalization, "dropout": 0.0}, seed=0
    )
    after = checkpoint["network"]
    steps = [(weights.detach() - after[name]) / LEARNING_RATE for name, weights in before.named_parameters()]
    return torch.cat([step.flatten() for step in steps])


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory, phantom_datalist: Path) -> tuple[Path, torch.Tensor]:
    """A bundle whose training in two processes ended after its first epoch, and the gradient of that epoch's one step."""
    bundle = copy_bundle(tmp_path_factory.mktemp("interrupted"))
    _two_processes(bundle, *_until_first_epoch(bundle, *_options(phantom_datalist, "group")))
    return bundle, _first_gradient(bundle, "group")


def _gradient_of_one_process(folder: Path, datalist: Path, normalization: str, *more: str) -> torch.Tensor:
    bundle = copy_bundle(folder)
    run_here(bundle, bundle_command("configs/train.yaml", *_until_first_epoch(bundle, *_options(datalist, normalization), *more)))
    return _first_gradient(bundle, normalization)


def test_two_processes_step_as_one(interrupted: tuple[Path, torch.Tensor], phantom_datalist: Path, tmp_path: Path) -> None:
    alone = _gradient_of_one_process(tmp_path, phantom_datalist, "group")
    assert alone.norm() > 0.1
    torch.testing.assert_close(interrupted[1], alone, atol=1e-5, rtol=0)
    assert (interrupted[1] - alone).norm() < 1e-5 * alone.norm()


def test_batch_normalization_per_process_steps_otherwise(phantom_datalist: Path, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    alone = _gradient_of_one_process(tmp_path / "one", phantom_datalist, "batch")
    bundle = copy_bundle(tmp_path / "two")
    _two_processes(bundle, *_until_first_epoch(bundle, *_options(phantom_datalist, "batch")))
    assert (_first_gradient(bundle, "batch") - alone).norm() > 1e-2 * alone.norm()


def test_a_resumed_training_ends_as_an_unbroken_one_and_both_ranks_agree(
    interrupted: tuple[Path, torch.Tensor], phantom_datalist: Path, tmp_path: Path
) -> None:
    resumed, unbroken = interrupted[0], copy_bundle(tmp_path)
    assert not (resumed / "models" / "model.pt").exists()
    done = [_two_processes(bundle, *_options(phantom_datalist, "group")) for bundle in (resumed, unbroken)]
    assert "resumed after epoch 1" in done[0].stdout
    assert "resumed" not in done[1].stdout
    states = [load_weights(bundle / "models" / "model.pt")[0].state_dict() for bundle in (resumed, unbroken)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])

    ranks = [torch.load(unbroken.parent / "output" / f"rank-{rank}.pt") for rank in (0, 1)]
    assert ranks[0] == ranks[1]
    assert ranks[0][0] == 2
    _, description = load_weights(unbroken / "models" / "model.pt")
    assert description.training["validation"].keys() <= ranks[0][1].keys()


def test_two_processes_step_as_one_under_guidance_and_supervision(
    interrupted: tuple[Path, torch.Tensor], phantom_datalist: Path, tmp_path: Path
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    alone = _gradient_of_one_process(tmp_path / "one", phantom_datalist, "group", *GUIDED)
    bundle = copy_bundle(tmp_path / "two")
    _two_processes(bundle, *_until_first_epoch(bundle, *_options(phantom_datalist, "group"), *GUIDED))
    together = _first_gradient(bundle, "group")
    assert (together - alone).norm() < 1e-5 * alone.norm()
    # Not the step of a plain training.
    assert (together - interrupted[1]).norm() > 1e-2 * alone.norm()


def test_two_processes_resume_the_full_method(phantom_datalist: Path, tmp_path: Path) -> None:
    (tmp_path / "resumed").mkdir()
    (tmp_path / "unbroken").mkdir()
    resumed, unbroken = copy_bundle(tmp_path / "resumed"), copy_bundle(tmp_path / "unbroken")
    options = (*_options(phantom_datalist, "group"), *FULL)
    _two_processes(resumed, *_until_first_epoch(resumed, *options))
    done = [_two_processes(bundle, *options) for bundle in (resumed, unbroken)]
    assert "resumed after epoch 1" in done[0].stdout
    states = [load_weights(bundle / "models" / "model.pt")[0].state_dict() for bundle in (resumed, unbroken)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_batch_that_two_processes_cannot_share_is_refused(bundle: Path, phantom_datalist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    options = (*_options(phantom_datalist, "group"), "--batch_size", "7")
    done = run_here(bundle, bundle_command(CONFIGS, *options), expect=2)
    assert "multiple of 2, got 7" in done.errors[0]
