"""ContrastivePretrainer: repeatable, resumable, and exact under accumulation where it says so."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.data import DistributedSampler
from torch.utils.data import DataLoader, Dataset

from monai_pneumonia.engines import ContrastiveLoss, ContrastivePretrainer, prepare_contrastive_batch
from monai_pneumonia.engines.distributed import plain_network
from monai_pneumonia.engines.pretraining import build_contrastive_network
from monai_pneumonia.errors import UsageError
from monai_pneumonia.handlers import FeatureCollapse, RunState
from monai_pneumonia.networks import MoCoNet

ITEMS = 10


class _Views(Dataset[dict[str, Any]]):
    """Ten pictures of five patients; views are a function of epoch and item."""

    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return ITEMS

    def __getitem__(self, index: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(1000 * self.epoch + index)
        first, second = torch.rand(2, 1, 64, 64, generator=generator)
        return {"view_1": first, "view_2": second, "patient": index // 2}


def _pretrainer(method: str, epochs: int = 2, batch_size: int = 4, shuffle: bool = True, **options: Any) -> ContrastivePretrainer:
    views = _Views()
    sampler = DistributedSampler(views, num_replicas=1, rank=0, shuffle=shuffle)
    arguments = {"backbone": "efficientnet-b0", "projection_channels": 8, "normalization": options.pop("normalization", "batch")}
    arguments["backbone"] = options.pop("backbone", "efficientnet-b0")
    adam = options.pop("adam", None)
    network = build_contrastive_network(method, arguments, queue_size=options.pop("queue_size", 8), momentum=0.9, seed=3)
    trained = [value for value in network.parameters() if value.requires_grad]
    return ContrastivePretrainer(
        device="cpu",
        max_epochs=epochs,
        train_data_loader=DataLoader(views, batch_size=batch_size, sampler=sampler),
        network=network,
        optimizer=torch.optim.SGD(trained, lr=0.1) if adam is None else torch.optim.AdamW(trained, lr=adam),
        loss_function=ContrastiveLoss(method, 0.2),
        **options,
    )


def _state(trainer: ContrastivePretrainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in plain_network(trainer.network).state_dict().items()}


def test_a_batch_becomes_both_views_and_the_codes() -> None:
    batch = next(iter(DataLoader(_Views(), batch_size=3)))
    first, patients, (second,), options = prepare_contrastive_batch(batch, "cpu")
    assert torch.equal(first, batch["view_1"])
    assert torch.equal(second, batch["view_2"])
    assert patients.tolist() == [0, 0, 1]
    assert patients.dtype == torch.int64
    assert options == {}


@pytest.mark.slow
@pytest.mark.parametrize("method", ["moco", "simclr"])
def test_a_broken_pretraining_ends_as_an_unbroken_one(method: str, tmp_path: Path) -> None:
    def run(folder: Path, die_after: int | None = None) -> ContrastivePretrainer:
        trainer = _pretrainer(method, epochs=3)
        scheduler = torch.optim.lr_scheduler.StepLR(trainer.optimizer, 1, 0.5)
        trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: scheduler.step())
        collapse = FeatureCollapse()
        collapse.attach(trainer)
        objects = {"network": trainer.network, "optimizer": trainer.optimizer, "lr_scheduler": scheduler, "collapse": collapse}
        RunState(folder, objects, {}).attach(trainer)
        if die_after is not None:

            def die(engine: ContrastivePretrainer) -> None:
                if engine.state.epoch > die_after:
                    raise KeyboardInterrupt

            trainer.add_event_handler(Events.ITERATION_COMPLETED, die)
        trainer.run()
        trainer.told = collapse.values
        return trainer

    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "broken", die_after=1)
    resumed = run(tmp_path / "broken")
    assert resumed.state.epoch == 3
    assert resumed.told == whole.told
    for name, value in _state(whole).items():
        assert torch.equal(value, _state(resumed)[name]), name


def test_momentum_and_queue_move_after_each_step() -> None:
    trainer = _pretrainer("moco", epochs=1)
    network = trainer.network
    assert isinstance(network, MoCoNet)
    seen: list[tuple[int, list[int]]] = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: seen.append((int(network.steps), network.queue_patients.tolist())))
    batches: list[list[int]] = []
    trainer.add_event_handler(Events.ITERATION_STARTED, lambda: batches.append(trainer.state.batch["patient"].tolist()))
    trainer.run()
    # Batches of 4, 4 and 2 into eight slots: the last two replace the first two.
    assert [steps for steps, _ in seen] == [1, 2, 3]
    assert seen[0][1] == [*batches[0], -1, -1, -1, -1]
    assert seen[1][1] == [*batches[0], *batches[1]]
    assert seen[2][1] == [*batches[2], *batches[0][2:], *batches[1]]


def test_accumulated_batches_of_moco_are_one_large_batch() -> None:
    """Also at the epoch's end, where the last step has fewer batches; without normalisation over the batch."""
    options = {"epochs": 2, "shuffle": False, "normalization": "group", "backbone": "resnet18", "queue_size": 20}
    large, small = _pretrainer("moco", batch_size=10, **options), _pretrainer("moco", batch_size=5, accumulation_steps=2, **options)
    large.run()
    small.run()
    assert int(small.network.steps) == int(large.network.steps) == 2
    assert torch.equal(small.network.queue_patients, large.network.queue_patients)
    for name, value in _state(large).items():
        torch.testing.assert_close(value, _state(small)[name], atol=1e-5, rtol=1e-4, msg=name)


def test_an_incomplete_accumulation_steps_at_the_epochs_end() -> None:
    trainer = _pretrainer("moco", epochs=2, batch_size=4, accumulation_steps=2, queue_size=30)
    trainer.run()
    # Three batches an epoch, of 4, 4 and 2: steps after the second and the third.
    assert int(trainer.network.steps) == 4
    assert int((trainer.network.queue_patients >= 0).sum()) == 20


def test_accumulated_batches_of_simclr_do_not_see_each_other() -> None:
    trainer = _pretrainer("simclr", epochs=1, batch_size=2, accumulation_steps=5, shuffle=False)
    losses: list[float] = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: losses.append(float(trainer.state.output[0]["loss"].detach())))
    trainer.run()
    # Each batch holds two pictures of one patient: nothing to tell apart.
    assert losses == pytest.approx([0.0] * 5, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["moco", "simclr"])
def test_a_compiled_network_trains(method: str) -> None:
    trainer = _pretrainer(method, epochs=1, compile=True, compile_kwargs={"backend": "eager"})
    assert plain_network(trainer.network) is not trainer.network
    trainer.run()
    assert trainer.state.epoch == 1
    if method == "moco":
        assert int(plain_network(trainer.network).steps) == 3


@pytest.mark.slow
def test_two_kinds_of_pictures_are_told_apart() -> None:
    """Half-bright and quarter-bright pictures under noise: features of one kind come to lie nearer to each other than those of two."""

    class Kinds(_Views):
        def __getitem__(self, index: int) -> dict[str, Any]:
            generator = torch.Generator().manual_seed(1000 * self.epoch + index)
            kind = torch.zeros(1, 64, 64)
            kind[:, : 32 if index % 2 else 64, :32] = 1.0
            views = [kind + 0.3 * torch.randn(1, 64, 64, generator=generator) for _ in range(2)]
            return {"view_1": views[0], "view_2": views[1], "patient": index}

    trainer = _pretrainer("simclr", epochs=12, batch_size=5, backbone="resnet18")
    trainer.data_loader = DataLoader(Kinds(), batch_size=5, shuffle=False)
    trainer.run()
    network = trainer.network.eval()
    pictures = Kinds()
    pictures.epoch = 99
    with torch.no_grad():
        features = network(torch.stack([pictures[index]["view_1"] for index in range(ITEMS)]))
    similarity = features @ features.T
    kind = torch.arange(ITEMS) % 2
    alike = (kind[:, None] == kind) & ~torch.eye(ITEMS, dtype=torch.bool)
    assert float(similarity[alike].mean()) > float(similarity[kind[:, None] != kind].mean()) + 0.1


class _Patterns(_Views):
    """Thirty-two patients, one picture each: its own coarse pattern under noise that is new in each view."""

    def __len__(self) -> int:
        return 32

    def __getitem__(self, index: int) -> dict[str, Any]:
        pattern = torch.rand(1, 4, 4, generator=torch.Generator().manual_seed(index)).repeat_interleave(16, 1).repeat_interleave(16, 2)
        generator = torch.Generator().manual_seed(1000 * (self.epoch + 1) + index)
        first, second = (pattern + 0.1 * torch.randn(1, 64, 64, generator=generator) for _ in range(2))
        return {"view_1": first, "view_2": second, "patient": index}


@pytest.mark.slow
def test_moco_learns_to_tell_pictures_apart_and_does_not_collapse() -> None:
    pictures = _Patterns()
    # Of Adam, as in configs/pretrain.yaml: plain gradient descent takes many times the steps.
    trainer = _pretrainer("moco", epochs=40, backbone="resnet10", queue_size=16, adam=1e-3)
    trainer.data_loader = DataLoader(pictures, batch_size=8, sampler=DistributedSampler(pictures, num_replicas=1, rank=0))
    collapse = FeatureCollapse()
    collapse.attach(trainer)
    losses: list[float] = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: losses.append(float(trainer.state.output[0]["loss"].detach())))
    trainer.run()
    # Nothing in the queue at first; it is full from the third batch on.
    assert losses[0] == pytest.approx(0.0, abs=1e-6)
    start, end = sum(losses[2:10]) / 8, sum(losses[-8:]) / 8
    assert end < 0.5 * start
    # Of a picture among the queue's, chosen blindly.
    assert end < 0.5 * math.log(1 + 16)
    assert collapse.values["feature_spread"] > 0.5
    assert collapse.values["effective_rank"] > 3
    network = trainer.network.eval()
    pictures.epoch = 99
    views = [torch.stack([pictures[index][key] for index in range(len(pictures))]) for key in ("view_1", "view_2")]
    with torch.no_grad():
        similarity = network(views[0]) @ network(views[1]).T
    assert float((similarity.argmax(dim=1) == torch.arange(len(pictures))).float().mean()) > 0.9


def test_an_unknown_method_names_its_key() -> None:
    with pytest.raises(UsageError, match="`method`"):
        ContrastiveLoss("byol")
