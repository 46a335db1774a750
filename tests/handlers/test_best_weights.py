"""The weights of the best epoch."""

from __future__ import annotations

import math

import torch
from ignite.engine import Engine, Events

from monai_pneumonia.handlers import BestWeights


def _run(values: list[float | None]) -> BestWeights:
    network = torch.nn.Linear(1, 1)
    trainer, evaluator = Engine(lambda engine, batch: None), Engine(lambda engine, batch: None)

    @trainer.on(Events.EPOCH_COMPLETED)
    def validate(engine: Engine) -> None:
        with torch.no_grad():
            network.weight.fill_(engine.state.epoch)
        value = values[engine.state.epoch - 1]
        if value is not None:
            evaluator.state.epoch = engine.state.epoch
            evaluator.state.metrics = {"auc": value, "beside": 0.5}

    best = BestWeights(network, evaluator, "auc")
    best.attach(trainer)
    trainer.run([0], max_epochs=len(values))
    return best


def test_the_best_epoch_is_kept_and_later_equals_win() -> None:
    best = _run([0.5, 0.9, 0.7, 0.9, 0.8])
    assert (best.epoch, best.metric) == (4, 0.9)
    assert float(best.parameters["weight"]) == 4.0
    assert best.metrics["beside"] == 0.5


def test_epochs_without_validation_are_not_judged_by_an_old_one() -> None:
    best = _run([0.9, None, None])
    assert best.epoch == 1


def test_without_a_defined_metric_the_latest_weights_stand() -> None:
    best = _run([math.nan, math.nan])
    assert best.epoch == 2


def test_state_goes_round() -> None:
    best = _run([0.5, 0.9, 0.7])
    other = BestWeights(torch.nn.Linear(1, 1), Engine(lambda engine, batch: None), "auc")
    other.load_state_dict(best.state_dict())
    assert (other.epoch, other.metric) == (2, 0.9)
    assert float(other.parameters["weight"]) == 2.0
