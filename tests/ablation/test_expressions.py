"""Overrides that a machine works out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from monai_pneumonia import engines
from monai_pneumonia.ablation.expressions import evaluated_overrides
from monai_pneumonia.errors import BadInputError

TRAIN = Path(__file__).parents[2] / "bundle" / "configs" / "train.yaml"


@pytest.mark.parametrize("able", [True, False])
def test_an_expression_becomes_what_this_machine_makes_of_it(able: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "cpu_has_bfloat16", lambda: able)
    assert evaluated_overrides({"cpu_amp": "$engines.cpu_has_bfloat16()", "seed": 3}, TRAIN) == {"cpu_amp": able, "seed": 3}


def test_the_configurations_imports_are_at_hand() -> None:
    assert evaluated_overrides({"a": "$torch.__version__", "b": "$2 * 3"}, TRAIN) == {"a": torch.__version__, "b": 6}


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"loss#name": "cross_entropy", "max_epochs": 3, "pretrained_encoder": None, "learning_rate": 0.1},
        # What refers to other keys, and what is no plain value, is for the run.
        {"max_epochs": "$@batch_size * 2", "output": "@bundle_root", "inferer": "$torch.nn.ReLU()"},
    ],
)
def test_the_rest_stays(overrides: dict[str, Any]) -> None:
    assert evaluated_overrides(overrides, TRAIN) == overrides


def test_an_expression_that_fails_names_its_key() -> None:
    with pytest.raises(BadInputError, match=r"`cpu_amp`: \$engines\.cpu_has_float7\(\) fails.*mend it"):
        evaluated_overrides({"cpu_amp": "$engines.cpu_has_float7()"}, TRAIN)
