"""Handlers that only attach others, and the lines that a training prints."""

from __future__ import annotations

import logging
from typing import Any

import ignite.distributed as idist
import pytest
import torch
from ignite.engine import Engine, Events
from monai.utils.enums import CommonKeys

from monai_pneumonia.handlers import OnFirstRank, Referenced, TrainingProgress


class _Counter:
    epochs = 0

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._count)

    def _count(self) -> None:
        self.epochs += 1


def _engine(process: Any = lambda engine, batch: None) -> Engine:
    return Engine(process)


def test_a_referenced_handler_is_the_one_that_others_see() -> None:
    counter, engine = _Counter(), _engine()
    Referenced(counter).attach(engine)
    engine.run([0], max_epochs=3)
    assert counter.epochs == 3


@pytest.mark.parametrize(("rank", "epochs"), [(0, 2), (1, 0)])
def test_other_ranks_do_not_even_build_the_handler(monkeypatch: pytest.MonkeyPatch, rank: int, epochs: int) -> None:
    monkeypatch.setattr(idist, "get_rank", lambda: rank)
    built: list[_Counter] = []

    def build() -> _Counter:
        built.append(_Counter())
        return built[-1]

    engine = _engine()
    OnFirstRank(build).attach(engine)
    engine.run([0], max_epochs=2)
    assert sum(counter.epochs for counter in built) == epochs
    assert len(built) == (rank == 0)


def test_each_epoch_has_a_line_with_its_mean_loss_and_its_own_validation(caplog: pytest.LogCaptureFixture) -> None:
    evaluator = _engine()
    engine = _engine(lambda engine, batch: [{CommonKeys.LOSS: torch.tensor(float(engine.state.iteration))}])

    @engine.on(Events.EPOCH_COMPLETED(every=2))
    def validate(engine: Engine) -> None:
        evaluator.state.epoch = engine.state.epoch
        evaluator.state.metrics = {"macro_auc": 0.75}

    TrainingProgress(evaluator).attach(engine)
    with caplog.at_level(logging.INFO, logger="monai_pneumonia.handlers.progress"):
        engine.run([0, 0], max_epochs=3)
    first, second, third = (record.getMessage() for record in caplog.records)
    assert "epoch 1 of 3" in first
    assert "loss 1.5000" in first
    assert "macro_auc" not in first
    assert "loss 3.5000, macro_auc 0.7500" in second
    assert "macro_auc" not in third


def test_a_training_that_breaks_still_raises() -> None:
    def fail(engine: Engine, batch: Any) -> None:
        raise ZeroDivisionError

    engine = _engine(fail)
    TrainingProgress().attach(engine)
    with pytest.raises(ZeroDivisionError):
        engine.run([0], max_epochs=1)
