"""LesionTrainer on a data set small enough to follow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from monai.data import DistributedSampler
from monai.handlers import from_engine
from monai.utils.enums import CommonKeys
from torch.utils.data import DataLoader, Dataset

from monai_pneumonia.engines import LesionTrainer, OutlineGuide, batch_loss, build_training_network
from monai_pneumonia.errors import ModelFaultError, UsageError
from monai_pneumonia.handlers import RunState, WeightAverage
from monai_pneumonia.losses import CandidateCrossEntropyLoss, LesionLoss
from monai_pneumonia.networks import Guidance
from monai_pneumonia.transforms.outline import OutlineKind

ARGUMENTS = {"backbone": "efficientnet-b0", "num_classes": 2, "normalization": "group", "dropout": 0.0}


class _Pictures(Dataset[dict[str, torch.Tensor]]):
    """Noise that depends on the epoch and the item, as augmentation does."""

    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator().manual_seed(1000 * self.epoch + index)
        return {"image": torch.rand(1, 64, 64, generator=generator), "target": torch.eye(2)[index % 2]}


def _trainer(epochs: int, handlers: list[Any] | None = None, batch_size: int = 4, **options: Any) -> LesionTrainer:
    pictures = _Pictures()
    sampler = DistributedSampler(pictures, num_replicas=1, rank=0, shuffle=True)
    arguments = {**ARGUMENTS, **{key: options.pop(key) for key in ("dropout", "backbone") if key in options}}
    network = build_training_network(arguments, seed=3)
    return LesionTrainer(
        device="cpu",
        max_epochs=epochs,
        train_data_loader=DataLoader(pictures, batch_size=batch_size, sampler=sampler),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.05),
        loss_function=options.pop("loss_function", LesionLoss(CandidateCrossEntropyLoss())),
        train_handlers=handlers,
        **options,
    )


def _state(trainer: LesionTrainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in trainer.network.state_dict().items()}


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    torch.manual_seed(1)
    first = _trainer(2, dropout=0.5, seed=5)
    first.run()
    torch.manual_seed(2)
    second = _trainer(2, dropout=0.5, seed=5)
    second.run()
    third = _trainer(2, dropout=0.5, seed=6)
    third.run()
    assert all(torch.equal(value, _state(second)[name]) for name, value in _state(first).items())
    assert any(not torch.equal(value, _state(third)[name]) for name, value in _state(first).items())


def test_two_accumulated_batches_are_one_large_batch() -> None:
    # Not EfficientNet: it drops connections at random, by the batch.
    large, small = _trainer(1, batch_size=8, backbone="resnet18"), _trainer(1, accumulation_steps=2, backbone="resnet18")
    large.run()
    small.run()
    for name, value in _state(large).items():
        torch.testing.assert_close(value, _state(small)[name], atol=1e-6, rtol=1e-4)


def test_a_loss_that_is_not_finite_stops_the_training() -> None:
    class Broken(torch.nn.Module):
        def forward(self, output: Any, target: torch.Tensor) -> torch.Tensor:
            return output.logits.sum() * float("nan")

    trainer = _trainer(1, loss_function=Broken())
    with pytest.raises(ModelFaultError, match="learning_rate"):
        trainer.run()


class _RecordingGuide(OutlineGuide):
    """The guide itself, which keeps what it was told and what share of the gate it gave an outlined picture, batch by batch."""

    def __init__(self) -> None:
        super().__init__(guided=True, until=0.5, decoy_share=0.0)
        self.told: list[float] = []
        self.gated: list[float] = []

    def set_progress(self, progress: float) -> None:
        self.told.append(progress)
        super().set_progress(progress)

    def __call__(self, batchdata: dict[str, Any], *arguments: Any, **options: Any) -> Any:
        outline = torch.zeros_like(batchdata["image"])
        outline[..., 16:32, 16:32] = 1.0
        kind = torch.full((len(outline),), int(OutlineKind.PIXEL))
        prepared = super().__call__({**batchdata, "outline": outline, "outline_kind": kind}, *arguments, **options)
        guidance: Guidance | None = prepared[3].get("guidance")
        self.gated.append(0.0 if guidance is None else float(guidance.share.max()))
        return prepared


class _RecordingLoss(LesionLoss):
    """The loss itself, which keeps what it was told."""

    def __init__(self) -> None:
        super().__init__(CandidateCrossEntropyLoss())
        self.told: list[float] = []

    def set_progress(self, progress: float) -> None:
        self.told.append(progress)
        super().set_progress(progress)


def test_guide_and_loss_learn_how_much_is_done_and_guidance_ends_with_its_schedule() -> None:
    guide, loss = _RecordingGuide(), _RecordingLoss()
    trainer = _trainer(4, prepare_batch=guide, loss_function=loss)
    trainer.run()
    assert guide.told == loss.told == [0.0, 0.25, 0.5, 0.75]
    # Two batches an epoch; the schedule ends with the second epoch.
    assert guide.gated == [1.0, 1.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0]


def _with_state(folder: Path, epochs: int, stop_after: int | None = None, seed: int = 0) -> tuple[LesionTrainer, WeightAverage]:
    handlers: list[Any] = []
    trainer = _trainer(epochs, seed=seed)
    average = WeightAverage(trainer.network, decay=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(trainer.optimizer, 1, 0.5)
    handlers.append(average)
    objects = {"network": trainer.network, "average": average.network, "optimizer": trainer.optimizer, "lr_scheduler": scheduler}
    handlers.append(RunState(folder, objects, {"seed": seed}))
    from ignite.engine import Events

    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: scheduler.step())
    for handler in handlers:
        handler.attach(trainer)
    if stop_after is not None:

        def die(engine: LesionTrainer) -> None:
            if engine.state.epoch > stop_after:
                raise KeyboardInterrupt

        trainer.add_event_handler(Events.ITERATION_COMPLETED, die)
    return trainer, average


def test_a_broken_training_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    whole, whole_average = _with_state(tmp_path / "whole", 4)
    whole.run()
    broken, _ = _with_state(tmp_path / "broken", 4, stop_after=2)
    with pytest.raises(KeyboardInterrupt):
        broken.run()
    resumed, resumed_average = _with_state(tmp_path / "broken", 4)
    resumed.run()
    assert resumed.state.epoch == 4
    assert all(torch.equal(value, _state(resumed)[name]) for name, value in _state(whole).items())
    averages = whole_average.network.state_dict(), resumed_average.network.state_dict()
    assert all(torch.equal(value, averages[1][name]) for name, value in averages[0].items())


def test_resuming_under_other_settings_is_refused(tmp_path: Path) -> None:
    _with_state(tmp_path, 1)[0].run()
    with pytest.raises(UsageError, match="seed: 0 then, 4 now"):
        _with_state(tmp_path, 1, seed=4)[0].run()


def test_a_resume_by_another_number_of_processes_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _with_state(tmp_path, 1)[0].run()
    file = tmp_path / "last.pt"
    content = torch.load(file, weights_only=True)
    assert content["processes"] == 1
    _with_state(tmp_path, 1)[0].run()
    assert "process(es)" not in caplog.text
    torch.save({**content, "processes": 2}, file)
    _with_state(tmp_path, 1)[0].run()
    assert "saved by 2 process(es), and 1 go(es) on" in caplog.text


def test_the_average_follows_its_formula(tmp_path: Path) -> None:
    trainer, average = _with_state(tmp_path, 3)
    name = "head.weight"
    expected = trainer.network.state_dict()[name].clone()
    from ignite.engine import Events

    steps: list[torch.Tensor] = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: steps.append(trainer.network.state_dict()[name].clone()))
    trainer.run()
    for step, weights in enumerate(steps, start=1):
        decay = min(0.9, step / (step + 10))
        expected = decay * expected + (1 - decay) * weights
    torch.testing.assert_close(average.network.state_dict()[name], expected)
    assert not any(parameter.requires_grad and parameter.grad is not None for parameter in average.network.parameters())


def test_without_decay_the_network_is_its_own_average() -> None:
    trainer = _trainer(1)
    assert WeightAverage(trainer.network, decay=0).network is trainer.network


def test_the_output_tells_the_loss() -> None:
    trainer = _trainer(1)
    trainer.run()
    loss = from_engine(["loss"], first=True)(trainer.state.output).detach()
    assert loss.ndim == 0
    assert batch_loss(trainer.state.output) == float(loss)
    assert trainer.state.output[0][CommonKeys.LABEL].shape == (4, 2)


@pytest.mark.parametrize("damage", ["cut", "text", "other network"])
def test_a_damaged_checkpoint_is_told_with_its_remedy(tmp_path: Path, damage: str) -> None:
    _with_state(tmp_path, 1)[0].run()
    file = tmp_path / "last.pt"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif damage == "text":
        file.write_text("no checkpoint")
    else:
        content = torch.load(file, weights_only=True)
        content["network"]["head.weight"] = torch.zeros(5, content["network"]["head.weight"].shape[1])
        torch.save(content, file)
    with pytest.raises(ModelFaultError, match=r"last\.pt is damaged or of another network.*delete it"):
        _with_state(tmp_path, 1)[0].run()


def test_a_compiled_network_trains() -> None:
    trainer = _trainer(1, compile=True, compile_kwargs={"backend": "eager"})
    trainer.run()
    assert trainer.state.epoch == 1
