"""What a checkpoint says of settings that are not its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_pneumonia.errors import UsageError
from monai_pneumonia.handlers.run_state import check_settings


def test_the_same_settings_pass() -> None:
    check_settings(Path("run.pt"), {"seed": 0, "loss": {"name": "focal"}}, {"loss": {"name": "focal"}, "seed": 0})


def test_only_what_differs_is_named() -> None:
    saved = {"seed": 0, "epochs": 2, "loss": {"name": "cross_entropy", "gamma": 2.0}}
    wanted = {"seed": 7, "epochs": 2, "loss": {"name": "focal", "gamma": 2.0}}
    with pytest.raises(UsageError) as caught:
        check_settings(Path("run.pt"), saved, wanted)
    assert "(loss#name: 'cross_entropy' then, 'focal' now, seed: 0 then, 7 now)" in str(caught.value)
