"""A study in plain values, and made-up predictions of it."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def study_values() -> dict[str, Any]:
    """The content of a small study file."""
    return {
        "name": "small",
        "data": {"datalist": "datalist.json"},
        "splits": {"validation": {}, "testing": {}, "flipped": {"section": "testing", "datalist": "datalist_flipped.json"}},
        "n_folds": 2,
        "seeds": [0],
        "overrides": {"max_epochs": 2, "backbone": "resnet18"},
        "pretraining": {"max_epochs": 1},
        "arms": {
            "plain": {"label_fractions": [1.0, 0.1], "overrides": {"loss#name": "cross_entropy"}},
            "class_balanced": {"from": "plain", "overrides": {"loss#name": "class_balanced_softmax"}},
            "pretraining": {"from": "plain", "pretraining": True},
            "full": {
                "from": "class_balanced",
                "title": "all parts",
                "pretraining": {"max_epochs": 3},
                "overrides": {"attention#enabled": True},
            },
            "full_minus_pretraining": {"from": "full", "pretraining": False},
        },
        "questions": [{"ask": "Is it better?", "arm": "full", "split": "testing", "metric": "macro_auc"}],
    }
