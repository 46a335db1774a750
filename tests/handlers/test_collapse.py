"""Spread and effective rank of features, and the warning when they collapse."""

from __future__ import annotations

import logging
import math
from typing import Any

import ignite.distributed as idist
import pytest
import torch
from ignite.engine import Engine

from monai_pneumonia.handlers import FeatureCollapse
from monai_pneumonia.handlers.collapse import effective_rank, feature_spread


def _normal(count: int, channels: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, channels, generator=torch.Generator().manual_seed(seed))


def test_the_whole_sphere_has_spread_one_and_full_rank() -> None:
    features = _normal(4000, 16)
    assert feature_spread(features) == pytest.approx(1.0, abs=0.02)
    assert effective_rank(features) == pytest.approx(16, abs=0.1)


def test_one_direction_has_no_spread_whatever_the_lengths() -> None:
    features = torch.ones(8, 4) * torch.arange(1, 9)[:, None]
    assert feature_spread(features) == pytest.approx(0.0, abs=1e-6)


def test_the_rank_counts_the_directions_in_use() -> None:
    # Two of sixteen dimensions, alike: exp(entropy of (1/2, 1/2)) = 2.
    angle = torch.arange(64) * 2 * math.pi / 64
    features = torch.zeros(64, 16)
    features[:, 3], features[:, 9] = angle.cos(), angle.sin()
    assert effective_rank(features) == pytest.approx(2.0, abs=1e-3)
    # Each of the two has a standard deviation of about 1/sqrt(2), all others 0: 4 * (2 / sqrt(2)) / 16.
    assert feature_spread(features) == pytest.approx(4 * math.sqrt(2) / 16 * math.sqrt(64 / 63), abs=1e-4)


def _run(batches: list[torch.Tensor], epochs: int = 1, most: int = 1024) -> tuple[FeatureCollapse, Engine]:
    engine = Engine(lambda engine, batch: [{"pred": (batch, batch)}])
    handler = FeatureCollapse(most)
    handler.attach(engine)
    engine.run(batches, max_epochs=epochs)
    return handler, engine


def test_values_are_of_the_epochs_last_features() -> None:
    batches = [torch.ones(8, 6), *(_normal(8, 6, seed) for seed in (1, 2))]
    handler, engine = _run(batches, most=16)
    assert handler.values["feature_spread"] == pytest.approx((feature_spread(batches[1]) + feature_spread(batches[2])) / 2)
    lengths_one = torch.nn.functional.normalize(torch.cat(batches[1:]), dim=1)
    assert handler.values["effective_rank"] == pytest.approx(effective_rank(lengths_one))
    assert engine.state.metrics == handler.values
    assert _run(batches)[0].values["feature_spread"] == pytest.approx(handler.values["feature_spread"] * 2 / 3)


def test_collapse_is_warned_of_even_where_the_one_point_moves(caplog: pytest.LogCaptureFixture) -> None:
    batches = [torch.nn.functional.one_hot(torch.full((4,), step), 8).float() for step in range(8)]
    with caplog.at_level(logging.WARNING):
        handler, _ = _run(batches, epochs=2)
    assert handler.values["feature_spread"] == 0.0
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "collapsed in epoch 1" in caplog.text
    assert "`learning_rate`" in caplog.text


def test_healthy_features_are_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        _run([_normal(16, 8)])
    assert not caplog.records


def test_only_the_first_rank_warns(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idist, "get_rank", lambda: 1)
    with caplog.at_level(logging.WARNING):
        _run([torch.ones(4, 4)])
    assert not caplog.records


def test_the_state_keeps_the_last_values() -> None:
    handler, _ = _run([_normal(16, 8)])
    other = FeatureCollapse()
    state: dict[str, Any] = handler.state_dict()
    other.load_state_dict(state)
    assert other.values == handler.values != {}
