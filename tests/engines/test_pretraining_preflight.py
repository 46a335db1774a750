"""What a contrastive pre-training refuses before it starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from monai_pneumonia.data.datalist import load_datalist
from monai_pneumonia.engines.pretraining_preflight import check_pretraining_data, check_pretraining_settings
from monai_pneumonia.errors import BadInputError, UsageError

GOOD = {"method": "simclr", "temperature": 0.07, "momentum": 0.0, "queue_size": None, "projection_channels": 128, "batch_size": 8}


def test_good_settings_pass() -> None:
    check_pretraining_settings(GOOD, processes=4)
    check_pretraining_settings({**GOOD, "queue_size": 512})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("method", "byol"),
        ("temperature", 0),
        ("temperature", "warm"),
        ("momentum", 1.0),
        ("queue_size", 0),
        ("queue_size", 2.5),
        ("projection_channels", 1),
        ("batch_size", 1),
        ("max_epochs", 0),
    ],
)
def test_each_wrong_setting_is_named(key: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"`{key}` must be"):
        check_pretraining_settings({**GOOD, key: value})


def test_all_wrong_settings_are_named_together() -> None:
    with pytest.raises(UsageError, match=r"`method` must be.*`batch_size` must be at least 2 for each process.*`seed` must be"):
        check_pretraining_settings({**GOOD, "method": "byol", "batch_size": 2, "seed": -1}, processes=2)


def test_data_without_contrast_or_with_overlap_are_refused(phantom_datalist: Path) -> None:
    datalist = load_datalist(phantom_datalist)
    check_pretraining_data(datalist, "d.json")
    with pytest.raises(BadInputError, match="1 picture"):
        check_pretraining_data(datalist.with_sections(training=datalist.training[:1]), "d.json")
    with pytest.raises(BadInputError, match="must not see those"):
        check_pretraining_data(datalist.with_sections(validation=datalist.training[:1]), "d.json")
