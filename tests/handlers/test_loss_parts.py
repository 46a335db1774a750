"""The parts of a loss as metrics of the training."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from ignite.engine import Engine, Events

from monai_pneumonia.handlers import LossParts


class _Loss:
    parts: Mapping[str, torch.Tensor] = {}


def _run(parts: list[dict[str, float]], epochs: int = 1) -> tuple[Engine, list[dict[str, float]]]:
    """Runs one iteration for each value of the parts; the metrics at the end of each epoch."""
    loss = _Loss()
    told: list[dict[str, float]] = []

    def process(engine: Engine, batch: dict[str, float]) -> None:
        loss.parts = {name: torch.tensor(value) for name, value in batch.items()}

    engine = Engine(process)
    LossParts(loss).attach(engine)
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: told.append(dict(engine.state.metrics)))
    engine.run(parts, max_epochs=epochs, epoch_length=len(parts) // epochs)
    return engine, told


def test_each_part_has_its_mean_over_an_epoch() -> None:
    _, told = _run([{"classification": 1.0, "attention": 4.0}, {"classification": 2.0, "attention": 0.0}])
    assert told == [{"loss_classification": 1.5, "loss_attention": 2.0}]


def test_an_epoch_begins_anew() -> None:
    _, told = _run([{"classification": 1.0}, {"classification": 3.0}, {"classification": 10.0}, {"classification": 20.0}], epochs=2)
    assert [metrics["loss_classification"] for metrics in told] == [2.0, 15.0]


def test_a_part_that_comes_later_is_the_mean_of_those_iterations_that_had_it() -> None:
    _, told = _run([{"classification": 1.0}, {"classification": 1.0, "regulation": 0.5}])
    assert told[0]["loss_regulation"] == pytest.approx(0.5)
