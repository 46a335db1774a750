"""A study in plain values."""

from __future__ import annotations

from typing import Any

import pytest
from made_up import study_content


@pytest.fixture
def study_values() -> dict[str, Any]:
    """The content of a small study file."""
    return study_content()
